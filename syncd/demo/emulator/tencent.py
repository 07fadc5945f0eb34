"""Tencent Cloud as its API 3.0 gateway answers: CVM, region and STS.

Signature: https://cloud.tencent.com/document/api/213/30654; common errors: .../213/30435. Every
answer has status 200; messages are Chinese, as the real ones are unless asked otherwise.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from syncd.demo.emulator import tencent_reads as reads
from syncd.demo.emulator.faults import Fault, Hits
from syncd.demo.emulator.region import encode
from syncd.demo.emulator.signatures import Tc3
from syncd.demo.emulator.wire import Answer, ApiError, Call, Request, request_id
from syncd.demo.emulator.world import Account, World

WINDOW: Final = 5 * 60

REFUSALS: Final = {
    "throttled": "RequestLimitExceeded",
    "authentication": "AuthFailure.SecretIdNotFound",
    "permission": "UnauthorizedOperation",
    "unavailable": "InternalError",
    "internal_error": "InternalError",
    "region_not_found": "UnsupportedRegion",
    "unsupported_action": "InvalidAction",
    "dry_run_unsupported": "InvalidParameter",
}
"""What a fault answers, unless it names a code of its own."""

MESSAGES: Final = {
    "RequestLimitExceeded": "您当前每秒请求 `41` 次，超过了每秒频率上限 `40` 次，请稍后重试。",
    "AuthFailure.SecretIdNotFound": "密钥不存在，请检查密钥是否填写正确。",
    "AuthFailure.SignatureFailure": "签名错误，请对照签名方法文档检查签名计算过程。",
    "AuthFailure.SignatureExpire": "签名过期。Timestamp 和服务器时间相差不得超过五分钟。",
    "AuthFailure.TokenFailure": "token 错误。",
    "AuthFailure.InvalidAuthorization": "请求头部的 `Authorization` 不符合腾讯云标准。",
    "UnauthorizedOperation": "您没有权限执行该操作，请联系主账号授权。",
    "InternalError": "内部错误。",
    "UnsupportedRegion": "接口不支持所传地域。",
    "InvalidAction": "该接口不存在，请检查接口名称。",
    "NoSuchVersion": "接口版本不存在。",
    "MissingParameter": "缺少参数。",
    "InvalidParameter": "参数错误。",
}


class Tencent:
    """Checks requests and answers them from the world."""

    provider: Final = "tencent"

    def __init__(self, world: World, clock: Callable[[], float] = time.time) -> None:
        self._world = world
        self._clock = clock

    def authenticate(self, request: Request) -> Call:
        """Verify the signature and return the call; ApiError as the gateway would answer."""
        try:
            signed = Tc3.parse(request.headers.get("authorization", ""))
        except ValueError as error:
            raise _error("AuthFailure.InvalidAuthorization") from error
        timestamp = request.headers.get("x-tc-timestamp", "")
        self._check_time(timestamp, signed.date)
        account = self._account(signed.key_id, request.headers.get("x-tc-token", ""))
        if signed.expected(request, account.secret, timestamp) != signed.signature:
            raise _error("AuthFailure.SignatureFailure")
        return _call(account, signed.service, request)

    def perform(self, call: Call, hits: Hits) -> Answer:
        """Answer a call; ApiError as CVM and the others would answer."""
        return Answer(200, reads.answer(call, hits))

    def refusal(self, fault: Fault) -> ApiError:
        """Return the error by which a fault shows."""
        return _error(fault.code or REFUSALS[fault.kind])

    def failure(self, error: ApiError) -> Answer:
        """Return the answer that tells an error."""
        told = {"Code": error.code, "Message": error.message}
        body = encode({"Response": {"Error": told, "RequestId": request_id()}})
        return Answer(200, body, error.code)

    def _check_time(self, timestamp: str, date: str) -> None:
        if not timestamp.isdigit():
            raise _error("MissingParameter")
        if abs(self._clock() - int(timestamp)) > WINDOW:
            raise _error("AuthFailure.SignatureExpire")
        if time.strftime("%Y-%m-%d", time.gmtime(int(timestamp))) != date:
            raise _error("AuthFailure.SignatureFailure")

    def _account(self, key_id: str, token: str) -> Account:
        account = self._world.by_key("tencent", key_id)
        if account is None:
            raise _error("AuthFailure.SecretIdNotFound")
        if token != account.token:
            raise _error("AuthFailure.TokenFailure")
        return account


def _call(account: Account, service: str, request: Request) -> Call:
    headers = request.headers
    parameters = _parameters(request)
    known = reads.VERSIONS.get(service) == headers.get("x-tc-version", "")
    return Call(
        provider="tencent",
        account=account,
        service=service if known else "",
        action=headers["x-tc-action"],
        region=headers.get("x-tc-region", ""),
        parameters=parameters,
        page=reads.page_number(parameters),
        lookup=bool(parameters.get("InstanceIds")),
    )


def _parameters(request: Request) -> Mapping[str, object]:
    if request.method == "GET":
        return _unflatten(dict(parse_qsl(request.query, keep_blank_values=True)))
    try:
        return msgspec.json.decode(request.body or b"{}", type=dict[str, object])
    except msgspec.DecodeError as error:
        raise _error("InvalidParameter") from error


def _unflatten(flat: Mapping[str, str]) -> dict[str, object]:
    """Gather `InstanceIds.0`, `InstanceIds.1`, ... to lists, and numbers to integers."""
    found: dict[str, object] = {}
    lists: dict[str, list[str]] = {}
    for key, value in flat.items():
        name, dot, _ = key.partition(".")
        if dot:
            lists.setdefault(name, []).append(value)
        else:
            found[name] = int(value) if value.isdigit() else value
    return found | lists


def _error(code: str) -> ApiError:
    return ApiError(code, MESSAGES.get(code, f"请求失败：{code}。"))
