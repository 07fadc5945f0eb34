"""Calls to Tencent Cloud's API 3.0: the SDK signs (TC3), our client sends, msgspec reads.

Protocol: https://cloud.tencent.com/document/api/213/30654; common errors: .../213/30435. Errors
come with status 200.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import msgspec
from tencentcloud.common.common_client import CommonClient
from tencentcloud.common.http.request import RequestInternal
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile

from syncd.context import Deadline, RunContext
from syncd.errors import Authentication, BadData, Network, Permission, SyncdError, Throttled
from syncd.http_client import Response
from syncd.providers.base import AccountAccess, RegionNotOpen
from syncd.providers.calls import (
    Caller,
    ErrorTable,
    classified,
    decoded,
    from_status,
    retry_after,
)

SIGNING_WINDOW: Final = 300.0
"""Seconds by which the time of a request may be off: cloud.tencent.com/document/api/213/30654."""

REQUESTS_PER_SECOND: Final = 20.0
"""Half of what CVM allows by its documentation, since other tools call too."""

ERRORS: Final[ErrorTable] = {
    "UnauthorizedOperation*": Permission,
    "AuthFailure.UnauthorizedOperation": Permission,
    "AuthFailure*": Authentication,
    "RequestLimitExceeded*": Throttled,
    "InternalError*": Network,
    "ResourceUnavailable*": Network,
    "ServiceUnavailable*": Network,
    "UnsupportedRegion": RegionNotOpen,
    "InvalidParameterValue.ZoneNotSupported": RegionNotOpen,
}


ABSENT: Final[Any] = None
"""The default of fields that every good answer has, and that an error lacks."""


class Told(msgspec.Struct, rename="pascal"):
    """The error in an answer."""

    code: str
    message: str = ""


class Said(msgspec.Struct, rename="pascal"):
    """What every answer may be: an error, or all the fields of those that extend this."""

    error: Told | None = None

    def lacking(self) -> list[str]:
        """Return the names of the fields that did not come."""
        names = self.__struct_fields__
        return [name for name in names if name != "error" and getattr(self, name) is ABSENT]


S = TypeVar("S", bound=Said)


class Enclosed(msgspec.Struct, Generic[S], rename="pascal"):
    """The outermost object of every answer."""

    response: S


@dataclass(frozen=True, slots=True)
class Service:
    """An API product in the version that is spoken here."""

    name: str
    version: str


CVM: Final = Service("cvm", "2017-03-12")


class _Credential:
    """The key pair, asked for at each signature."""

    def __init__(self, access: AccountAccess) -> None:
        self._access = access

    def get_credential_info(self) -> tuple[str, str, None]:
        """Return key id, secret, and no session token."""
        return self._access.key_id, self._access.key_secret(), None


class Client:
    """One account's calls; any number of threads may make them."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._signers: dict[tuple[Service, str], Any] = {}
        self._lock = threading.Lock()

    def endpoint(self, service: Service, region: str) -> str:
        """Return the URL at which the calls of a product are made in a region."""
        given = self._caller.access.endpoint
        return given or f"https://{self._signer(service, region).request.host}"

    def call(
        self,
        ctx: RunContext,
        service: Service,
        action: str,
        parameters: Mapping[str, object],
        region: str,
        answer: msgspec.json.Decoder[Enclosed[S]],
    ) -> S:
        """Make a call and return its decoded answer; raises as `Caller.call`."""
        what = f"{action} in {region}"

        def attempt(deadline: Deadline) -> S:
            response = self._send(ctx, deadline, service, action, parameters, region)
            if response.status != 200:
                raise from_status(response, what)
            said = decoded(answer, response.body, what).response
            if said.error is not None:
                raise _failure(said.error, response, what)
            if lacking := said.lacking():
                raise BadData(f"{what}: the answer lacks {', '.join(lacking)}")
            return said

        return self._caller.call(ctx, action, region, attempt)

    def _send(
        self,
        ctx: RunContext,
        deadline: Deadline,
        service: Service,
        action: str,
        parameters: Mapping[str, object],
        region: str,
    ) -> Response:
        signer = self._signer(service, region)
        request = RequestInternal(signer.request.host, "POST", "/")
        # the SDK signs and sends in one step; this is the part of it that signs
        signer._build_req_inter(action, dict(parameters), request)
        base = self.endpoint(service, region)
        return self._caller.send(ctx, deadline, f"{base}/", request.header, request.data.encode())

    def _signer(self, service: Service, region: str) -> Any:  # noqa: ANN401 - the SDK has no types
        with self._lock:
            key = (service, region)
            if key not in self._signers:
                self._signers[key] = CommonClient(
                    service.name, service.version, _Credential(self._caller.access), region,
                    _profile(self._caller.access),
                )  # fmt: skip
            return self._signers[key]


def _profile(access: AccountAccess) -> Any:  # noqa: ANN401 - as above
    """Return the profile for signing: the host is part of what is signed."""
    host = access.endpoint.partition("://")[2] if access.endpoint else None
    return ClientProfile(httpProfile=HttpProfile(endpoint=host), language="en-US")


def _failure(told: Told, response: Response, what: str) -> SyncdError:
    return classified(ERRORS, what, told.code, told.message, retry_after=retry_after(response))
