"""Calls to Alibaba Cloud's RPC gateways: the SDK builds and signs, our client sends, msgspec reads.

Protocol and common errors: https://help.aliyun.com/document_detail/25490.html.
"""

from typing import Any, Final, TypeVar

import msgspec
from aliyunsdkcore.auth.credentials import AccessKeyCredential
from aliyunsdkcore.auth.signers.access_key_signer import AccessKeySigner

from syncd.context import Deadline, RunContext
from syncd.errors import Authentication, Network, Permission, SyncdError, Throttled
from syncd.http_client import Response
from syncd.providers.base import RegionNotOpen
from syncd.providers.calls import (
    Caller,
    ErrorTable,
    classified,
    decoded,
    from_status,
    retry_after,
)

T = TypeVar("T")

SIGNING_WINDOW: Final = 900.0
"""Seconds by which the time of a request may be off: help.aliyun.com/document_detail/25490.html."""

REQUESTS_PER_SECOND: Final = 10.0
"""The limits are shown in the Quota Center only, by API and region; this is below those known."""

ERRORS: Final[ErrorTable] = {
    "InvalidAccessKeyId*": Authentication,
    "NoEnabledAccessKey": Authentication,
    "Forbidden.AccessKeyDisabled": Authentication,
    "SignatureDoesNotMatch": Authentication,
    "IncompleteSignature": Authentication,
    "InvalidSecurityToken*": Authentication,
    "InvalidTimeStamp*": Authentication,  # the clock is off
    "IllegalTimestamp": Authentication,
    "NoPermission*": Permission,
    "Forbidden*": Permission,
    "Throttling*": Throttled,
    "QpsLimitExceeded": Throttled,
    "FlowControl*": Throttled,
    "ServiceUnavailable*": Network,
    "InternalError*": Network,
    "SignatureNonceUsed": Network,  # each try is signed anew
    "UnsupportedRegion": RegionNotOpen,
    "InvalidRegionId.NotFound": RegionNotOpen,
}


class _Told(msgspec.Struct, rename="pascal"):
    code: str
    message: str = ""


_told: Final = msgspec.json.Decoder(_Told)


class Client:
    """One account's calls; any number of threads may make them."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def endpoint(self, request: Any, region: str) -> str:  # noqa: ANN401 - the SDK has no types
        """Return the URL at which the calls of a request's product are made in a region."""
        return self._caller.access.endpoint or _public_endpoint(request, region)

    def call(
        self,
        ctx: RunContext,
        request: Any,  # noqa: ANN401 - the SDK's RpcRequest has no types
        region: str,
        answer: msgspec.json.Decoder[T],
    ) -> T:
        """Make a call and return its decoded answer; raises as `Caller.call`."""
        request.set_accept_format("JSON")
        api = str(request.get_action_name())
        what = f"{api} in {region}"

        def attempt(deadline: Deadline) -> T:
            response = self._send(ctx, deadline, request, region)
            if response.status != 200:
                raise _failure(response, what)
            return decoded(answer, response.body, what)

        return self._caller.call(ctx, api, region, attempt)

    def _send(
        self,
        ctx: RunContext,
        deadline: Deadline,
        request: Any,  # noqa: ANN401 - as above
        region: str,
    ) -> Response:
        access = self._caller.access
        credential = AccessKeyCredential(access.key_id, access.key_secret())
        headers, path = AccessKeySigner(credential).sign(region, request)
        url = self.endpoint(request, region) + path
        return self._caller.send(ctx, deadline, url, headers, None)


def _public_endpoint(request: Any, region: str) -> str:  # noqa: ANN401 - as above
    """Return the public endpoint of a product in a region, by the rules of the SDK."""
    known = (request.endpoint_map or {}).get(region)
    product = request.get_product().lower()
    host = request.endpoint or known or f"{product}.{region}.aliyuncs.com"
    return f"https://{host}"


def _failure(response: Response, what: str) -> SyncdError:
    try:
        told = _told.decode(response.body)
    except ValueError:
        return from_status(response, what)
    error = classified(ERRORS, what, told.code, told.message, retry_after=retry_after(response))
    return from_status(response, what) if _unknown_server_error(error, response) else error


def _unknown_server_error(error: SyncdError, response: Response) -> bool:
    return error.error_class == "internal" and response.status >= 500
