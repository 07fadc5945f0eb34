"""Sends the request that a token comes from."""

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from syncd.calls.base import Answer, Times
from syncd.calls.tokens import Limits
from syncd.config import secrets
from syncd.config.http import ClientCredentials, Login, Token
from syncd.config.secrets import Secret
from syncd.http_client import HttpClient


def fetch(token: Token, limits: Limits) -> Answer:
    """Send it once and return the answer, whatever its status."""
    source = token.source
    headers, body = _login(source) if isinstance(source, Login) else _grant(source)
    http = HttpClient(source.proxy)
    try:
        method = source.method if isinstance(source, Login) else "POST"
        response = http.request(
            method, source.url, headers=headers, body=body, deadline=limits.deadline,
            cancel=limits.cancel,
        )  # fmt: skip
    finally:
        http.close()
    times = Times(None, None, 0.0)
    return Answer(
        response.status, response.headers, response.body,
        cut=False, url=source.url, times=times,
    )  # fmt: skip


def _login(source: Login) -> tuple[dict[str, str], bytes | None]:
    if source.form:
        return {"Content-Type": "application/x-www-form-urlencoded"}, _form(source.form)
    body = json.dumps(_plain(source.body)).encode()
    return {"Content-Type": "application/json"}, body


def _grant(source: ClientCredentials) -> tuple[dict[str, str], bytes]:
    secret = secrets.resolve(source.client_secret).get_secret_value()
    basic = b64encode(f"{source.client_id}:{secret}".encode()).decode()
    return (
        {
            "Content-Type": "application/x-www-form-urlencoded",
            "Authorization": f"Basic {basic}",
        },
        _form({"grant_type": "client_credentials", **source.form}),
    )


def _form(pairs: Mapping[str, str | Secret]) -> bytes:
    return urlencode({name: _plain(value) for name, value in pairs.items()}).encode()


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON
    match value:
        case Secret():
            return secrets.resolve(value).get_secret_value()
        case Mapping():
            return {name: _plain(each) for name, each in value.items()}
        case tuple() | list():
            return [_plain(each) for each in value]
    return value
