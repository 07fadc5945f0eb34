"""Signatures of requests: HMAC-SHA256 over what is sent, and when.

Signed are four lines: the method, path and query as sent, the time as in its header, and the
SHA-256 of the body in hexadecimal.
"""

import hashlib
import hmac
from dataclasses import replace
from datetime import datetime
from urllib.parse import urlsplit

from syncd.calls.base import Composed, Signing


def signed(composed: Composed) -> Composed:
    """Return a request with the signature of what it is now, if it is to have one."""
    signing = composed.signing
    if signing is None:
        return composed
    headers = _headers(composed, signing)
    names = frozenset(name.lower() for name in headers)
    others = {name: each for name, each in composed.headers.items() if name.lower() not in names}
    return replace(
        composed,
        headers=others | headers,
        masked=composed.masked | {signing.how.header.lower()},
        credentials=composed.credentials | names,
    )


def signed_at(composed: Composed, now: datetime) -> Composed:
    """Return a request signed anew: servers refuse what is signed as of long ago."""
    if composed.signing is None:
        return composed
    return signed(replace(composed, signing=replace(composed.signing, at=now)))


def _headers(composed: Composed, signing: Signing) -> dict[str, str]:
    how, time = signing.how, str(int(signing.at.timestamp()))
    parts = urlsplit(composed.url)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    digest = hashlib.sha256(composed.body or b"").hexdigest()
    text = f"{composed.method}\n{target}\n{time}\n{digest}".encode()
    signature = hmac.digest(signing.secret.encode(), text, "sha256").hex()
    key_id = {"X-Key-Id": how.key_id} if how.key_id else {}
    return {how.time_header: time, how.header: signature, **key_id}
