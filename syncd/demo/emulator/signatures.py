"""Compute the signatures of both clouds, as the server does to compare them.

Alibaba's RPC style: https://help.aliyun.com/document_detail/25492.html; Tencent's TC3:
https://cloud.tencent.com/document/api/213/30654. HMAC-SHA1 is the protocol's, not our choice.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self
from urllib.parse import quote

from syncd.demo.emulator.wire import Request

UNSIGNED: Final = "UNSIGNED-PAYLOAD"
PREFIX: Final = "TC3-HMAC-SHA256 "


def rpc_string_to_sign(method: str, parameters: Mapping[str, str]) -> str:
    """Return what an Alibaba request signs: method, path, and all sorted parameters but one."""
    pairs = sorted((key, value) for key, value in parameters.items() if key != "Signature")
    canonical = "&".join(f"{_percent(key)}={_percent(value)}" for key, value in pairs)
    again = canonical.replace("%", "%25").replace("=", "%3D").replace("&", "%26")
    return f"{method}&%2F&{again}"


def rpc_signature(string_to_sign: str, secret: str) -> str:
    """Return the signature in base64."""
    digest = hmac.digest(f"{secret}&".encode(), string_to_sign.encode(), "sha1")
    return base64.b64encode(digest).decode()


@lru_cache(4096)
def _percent(text: str) -> str:
    return quote(text, safe="-_.~")


@dataclass(frozen=True, slots=True)
class Tc3:
    """The parts of a Tencent Authorization header; ValueError when it is not one."""

    key_id: str
    date: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str

    @classmethod
    def parse(cls, header: str) -> Self:
        """Read `TC3-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...`."""
        if not header.startswith(PREFIX):
            raise ValueError(header)
        fields = dict(part.strip().split("=", 1) for part in header[len(PREFIX) :].split(","))
        try:
            key_id, date, service, ending = fields["Credential"].split("/")
            headers = tuple(fields["SignedHeaders"].split(";"))
            signature = fields["Signature"]
        except KeyError as error:
            raise ValueError(header) from error
        if ending != "tc3_request" or not {"content-type", "host"} <= set(headers):
            raise ValueError(header)
        return cls(key_id, date, service, headers, signature)

    def expected(self, request: Request, secret: str, timestamp: str) -> str:
        """Return the signature that this request should bear, in hexadecimal."""
        scope = f"{self.date}/{self.service}/tc3_request"
        digest = hashlib.sha256(canonical_request(request, self.signed_headers)).hexdigest()
        string_to_sign = f"TC3-HMAC-SHA256\n{timestamp}\n{scope}\n{digest}"
        key = f"TC3{secret}".encode()
        for part in (self.date, self.service, "tc3_request", string_to_sign):
            key = hmac.digest(key, part.encode(), "sha256")
        return key.hex()


def canonical_request(request: Request, signed_headers: Iterable[str]) -> bytes:
    """Return the request in Tencent's canonical form: header values trimmed and in lower case."""
    names = list(signed_headers)
    lines = [f"{name}:{request.headers.get(name, '').strip().lower()}\n" for name in names]
    unsigned = request.headers.get("x-tc-content-sha256") == UNSIGNED
    payload = hashlib.sha256(UNSIGNED.encode() if unsigned else request.body).hexdigest()
    parts = (request.method, request.path, request.query, "".join(lines), ";".join(names), payload)
    return "\n".join(parts).encode()
