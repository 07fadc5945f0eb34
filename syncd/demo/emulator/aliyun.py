"""Alibaba Cloud as its RPC gateway answers: ECS 2014-05-26 and STS 2015-04-01.

Signature and common errors: https://help.aliyun.com/document_detail/25490.html; DescribeInstances:
https://help.aliyun.com/document_detail/25506.html.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl

from syncd.demo.emulator import aliyun_reads as reads
from syncd.demo.emulator.faults import Fault, Hits
from syncd.demo.emulator.region import encode
from syncd.demo.emulator.signatures import rpc_signature, rpc_string_to_sign
from syncd.demo.emulator.wire import Answer, ApiError, Call, Request, request_id
from syncd.demo.emulator.world import Account, World

TIMESTAMP: Final = re.compile(r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\dZ")
WINDOW: Final = 15 * 60
SERVICES: Final = {"2014-05-26": "ecs", "2015-04-01": "sts"}
COMMON: Final = ("Action", "Version", "AccessKeyId", "Signature", "SignatureMethod",
                 "SignatureNonce", "Timestamp", "SignatureVersion")  # fmt: skip

REFUSALS: Final = {
    "throttled": ("Throttling.User", 400),
    "authentication": ("InvalidAccessKeyId.Inactive", 403),
    "permission": ("Forbidden.RAM", 403),
    "unavailable": ("ServiceUnavailable", 503),
    "internal_error": ("InternalError", 500),
    "region_not_found": ("InvalidRegionId.NotFound", 404),
    "unsupported_action": ("InvalidAction.NotFound", 404),
    "dry_run_unsupported": ("InvalidParameter.DryRun", 400),
}
"""What a fault answers, unless it names a code of its own."""

STATUSES: Final = {
    "Throttling": 400,
    "Throttling.Api": 400,
    "QpsLimitExceeded": 400,
    "FlowControl": 403,
    "InvalidAccessKeyId": 400,
    "InvalidAccessKeyId.NotFound": 404,
    "NoPermission": 403,
    "Forbidden": 403,
    "SignatureNonceUsed": 400,
    "InternalError": 500,
    "UnsupportedRegion": 400,
}
"""The statuses of other codes that a fault may name; the rest take the status of the kind."""


class Aliyun:
    """Checks requests and answers them from the world."""

    provider: Final = "aliyun"

    def __init__(self, world: World, clock: Callable[[], float] = time.time) -> None:
        self._world = world
        self._clock = clock
        self._nonces: dict[str, float] = {}
        self._lock = threading.Lock()

    def authenticate(self, request: Request) -> Call:
        """Verify the signature and return the call; ApiError as the gateway would answer."""
        parameters = _parameters(request)
        for name in COMMON:
            if not parameters.get(name):
                raise _missing(name)
        self._check_time(parameters["Timestamp"])
        account = self._account(parameters)
        _check_signature(request.method, parameters, account)
        self._check_nonce(parameters["AccessKeyId"] + parameters["SignatureNonce"])
        return _call(account, parameters)

    def perform(self, call: Call, hits: Hits) -> Answer:
        """Answer a call; ApiError as ECS or STS would answer."""
        return Answer(200, reads.answer(call, hits))

    def refusal(self, fault: Fault) -> ApiError:
        """Return the error by which a fault shows."""
        code, status = REFUSALS[fault.kind]
        if fault.code:
            code, status = fault.code, STATUSES.get(fault.code, status)
        return ApiError(code, f"The request was refused: {code}.", status)

    def failure(self, error: ApiError) -> Answer:
        """Return the answer that tells an error."""
        identity = request_id().upper()
        body = {
            "RequestId": identity,
            "HostId": "ecs.aliyuncs.com",
            "Code": error.code,
            "Message": error.message,
            "Recommend": f"https://api.aliyun.com/troubleshoot?q={error.code}&product=Ecs"
            f"&requestId={identity}",
        }
        return Answer(error.status, encode(body), error.code)

    def _account(self, parameters: Mapping[str, str]) -> Account:
        account = self._world.by_key("aliyun", parameters["AccessKeyId"])
        if account is None:
            code = "InvalidAccessKeyId.NotFound"
            raise ApiError(code, "Specified access key is not found.", 404)
        token = parameters.get("SecurityToken", "")
        if account.token and not token:
            raise _missing("SecurityToken")
        if token != account.token:
            code = "InvalidSecurityToken.MismatchWithAccessKey"
            raise ApiError(code, "Specified SecurityToken mismatch with the AccessKey.")
        return account

    def _check_time(self, text: str) -> None:
        if abs(self._clock() - _seconds(text)) > WINDOW:
            message = "Specified time stamp or date value is expired."
            raise ApiError("InvalidTimeStamp.Expired", message)

    def _check_nonce(self, nonce: str) -> None:
        now = self._clock()
        with self._lock:
            if nonce in self._nonces:
                message = "Specified signature nonce was used already."
                raise ApiError("SignatureNonceUsed", message)
            self._nonces[nonce] = now
            if len(self._nonces) > 50_000:
                self._nonces = {n: t for n, t in self._nonces.items() if now - t < 2 * WINDOW}


def _parameters(request: Request) -> dict[str, str]:
    parameters = dict(parse_qsl(request.query, keep_blank_values=True))
    if "form" in request.headers.get("content-type", ""):
        parameters |= parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True)
    return parameters


def _seconds(timestamp: str) -> float:
    try:
        if TIMESTAMP.fullmatch(timestamp):
            return datetime.fromisoformat(timestamp).timestamp()
    except ValueError:
        pass
    message = "Specified time stamp or date value is not well formatted."
    raise ApiError("InvalidTimeStamp.Format", message)


def _check_signature(method: str, parameters: Mapping[str, str], account: Account) -> None:
    if parameters["SignatureMethod"] != "HMAC-SHA1":
        raise ApiError("InvalidParameter.SignatureMethod", "Only HMAC-SHA1 is supported.")
    string_to_sign = rpc_string_to_sign(method, parameters)
    if rpc_signature(string_to_sign, account.secret) != parameters["Signature"]:
        message = (
            "Specified signature is not matched with our calculation. server string to sign is"
        )
        raise ApiError("SignatureDoesNotMatch", f"{message}:{string_to_sign}")


def _call(account: Account, parameters: dict[str, str]) -> Call:
    return Call(
        provider="aliyun",
        account=account,
        service=SERVICES.get(parameters["Version"], ""),
        action=parameters["Action"],
        region=parameters.get("RegionId", ""),
        parameters=parameters,
        page=reads.read_token(parameters.get("NextToken", "")).page,
        lookup=any(name in parameters for name in ("InstanceIds", "DiskIds", "InstanceId")),
        dry_run=parameters.get("DryRun", "").lower() == "true",
    )


def _missing(name: str) -> ApiError:
    message = (
        f"The input parameter {name} that is mandatory for processing this request is missing."
    )
    return ApiError(f"Missing{name}", message)
