"""An Alibaba Cloud account as a provider: its regions, its owner, and what can be listed."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
from aliyunsdkcore.request import RpcRequest
from aliyunsdkecs.request.v20140526.DescribeRegionsRequest import DescribeRegionsRequest

from syncd.context import RunContext
from syncd.errors import Permission
from syncd.model.diff import Entry
from syncd.model.resource import ResourceType, Scope
from syncd.providers.aliyun.client import SIGNING_WINDOW, Client
from syncd.providers.aliyun.host import Hosts
from syncd.providers.base import Needs, Page
from syncd.providers.calls import Caller, Refused

HOME: Final = "cn-hangzhou"
"""Where calls go that belong to no region."""


class _Region(msgspec.Struct, rename="pascal"):
    region_id: str


class _RegionList(msgspec.Struct, rename="pascal"):
    region: list[_Region]


class _Regions(msgspec.Struct, rename="pascal"):
    regions: _RegionList


class _Identity(msgspec.Struct, rename="pascal"):
    account_id: str


_regions: Final = msgspec.json.Decoder(_Regions)
_identity: Final = msgspec.json.Decoder(_Identity)


class Aliyun:
    """The `Provider` of Alibaba Cloud."""

    def __init__(self, caller: Caller) -> None:
        self._client = Client(caller)
        self._types = {"host": Hosts(self._client)}

    def regions(self, ctx: RunContext) -> Sequence[str]:
        """Return the ids of all regions; those that are not open refuse to be listed."""
        answer = self._client.call(ctx, DescribeRegionsRequest(), HOME, _regions)
        return [region.region_id for region in answer.regions.region]

    def identity(self, ctx: RunContext) -> str | None:
        """Return the id of the account, None where GetCallerIdentity is refused or unknown.

        https://help.aliyun.com/document_detail/43767.html
        """
        request = RpcRequest("Sts", "2015-04-01", "GetCallerIdentity", "sts")
        request.set_method("POST")
        request.set_endpoint("sts.aliyuncs.com")
        try:
            return self._client.call(ctx, request, HOME, _identity).account_id
        except (Permission, Refused):
            return None

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
        """Tell whether an empty answer of the scope is true, by a dry run."""
        return self._types[scope.type].can_list(ctx, scope.region)

    def needs(self, types: Sequence[ResourceType]) -> Needs:
        """Return what is needed to list resources of these types."""
        return Needs(
            endpoint=self._client.endpoint(DescribeRegionsRequest(), HOME),
            signing_window=SIGNING_WINDOW,
            regions="ecs:DescribeRegions",
            probes=[probe for kind in types for probe in self._types[kind].probes()],
            policy=policy,
        )


def policy(actions: Sequence[str]) -> str:
    """Return the RAM policy that grants actions.

    https://www.alibabacloud.com/help/en/ram/policy-structure-and-syntax
    """
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return msgspec.json.encode({"Version": "1", "Statement": [statement]}).decode()
