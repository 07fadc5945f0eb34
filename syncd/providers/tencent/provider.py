"""A Tencent Cloud account as a provider: its regions, its owner, and what can be listed."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
from tencentcloud.region.v20220627.models import DescribeRegionsRequest

from syncd.context import RunContext
from syncd.errors import Permission
from syncd.model.diff import Entry
from syncd.model.resource import ResourceType, Scope
from syncd.providers.base import Needs, Page
from syncd.providers.calls import Caller, Refused
from syncd.providers.tencent.client import (
    ABSENT,
    CVM,
    SIGNING_WINDOW,
    Client,
    Enclosed,
    Said,
    Service,
)
from syncd.providers.tencent.host import Hosts

HOME: Final = "ap-guangzhou"
"""Where calls go that belong to no region."""

REGION: Final = Service("region", "2022-06-27")
STS: Final = Service("sts", "2018-08-13")


class _Region(msgspec.Struct, rename="pascal"):
    region: str
    region_state: str = "AVAILABLE"


class _Regions(Said, rename="pascal"):
    region_set: list[_Region] = ABSENT


class _Identity(Said, rename="pascal"):
    account_id: str = ABSENT


_regions: Final = msgspec.json.Decoder(Enclosed[_Regions])
_identity: Final = msgspec.json.Decoder(Enclosed[_Identity])


class Tencent:
    """The `Provider` of Tencent Cloud."""

    def __init__(self, caller: Caller) -> None:
        self._client = Client(caller)
        self._types = {"host": Hosts(self._client)}

    def regions(self, ctx: RunContext) -> Sequence[str]:
        """Return the ids of the regions in which CVM is available.

        https://cloud.tencent.com/document/api/1596/77930; the call of CVM itself is outdated.
        """
        request = DescribeRegionsRequest()
        request.Product = "cvm"
        answer = self._client.call(
            ctx, REGION, "DescribeRegions", request._serialize(), HOME, _regions
        )
        return [one.region for one in answer.region_set if one.region_state == "AVAILABLE"]

    def identity(self, ctx: RunContext) -> str | None:
        """Return the id of the account, None where GetCallerIdentity is refused or unknown.

        https://cloud.tencent.com/document/api/1312/57065
        """
        try:
            answer = self._client.call(ctx, STS, "GetCallerIdentity", {}, HOME, _identity)
        except (Permission, Refused):
            return None
        return answer.account_id or None

    def list(self, ctx: RunContext, scope: Scope, since: datetime | None) -> Iterator[Page]:
        """Yield the pages of a scope; `since` does not matter, the cloud knows no such filter."""
        del since
        return self._types[scope.type].list(ctx, scope.region)

    def lookup(
        self, ctx: RunContext, scope: Scope, ids: Sequence[str]
    ) -> Mapping[str, Entry | None]:
        """Look resources up by id."""
        return self._types[scope.type].lookup(ctx, scope.region, ids)

    def can_list(self, ctx: RunContext, scope: Scope) -> bool | None:
        """Tell whether an empty answer of the scope is true, by a second cheap call."""
        return self._types[scope.type].can_list(ctx, scope.region)

    def needs(self, types: Sequence[ResourceType]) -> Needs:
        """Return what is needed to list resources of these types."""
        return Needs(
            endpoint=self._client.endpoint(CVM, HOME),
            signing_window=SIGNING_WINDOW,
            regions="region:DescribeRegions",
            probes=[probe for kind in types for probe in self._types[kind].probes()],
            policy=policy,
        )


def policy(actions: Sequence[str]) -> str:
    """Return the CAM policy that grants actions.

    https://www.tencentcloud.com/document/product/598/10604
    """
    statement = {"effect": "allow", "action": list(actions), "resource": ["*"]}
    return msgspec.json.encode({"version": "2.0", "statement": [statement]}).decode()
