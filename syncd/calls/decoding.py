"""A body as Content-Encoding says, whose decoded size is bounded too: a bomb is cut."""

import zlib
from typing import Final

from syncd.http_client import Response

_GZIP: Final = 16 + zlib.MAX_WBITS
_WINDOWS: Final = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": zlib.MAX_WBITS}
_MOST_MEMBERS: Final = 100
_MOST_CODINGS: Final = 3


def decoded(response: Response, limit: int) -> tuple[bytes, bool, str]:
    """Return a body of at most `limit` bytes, whether it is cut, and why it could not be decoded.

    What can't be decoded is returned as it came (RFC 9110, 8.4).
    """
    named = (response.headers.get("Content-Encoding") or "").lower().split(",")
    codings = [each.strip() for each in named if each.strip() not in ("", "identity")]
    body, cut = response.body, response.cut
    if not codings or not body:
        return body, cut, ""
    if len(codings) > _MOST_CODINGS or any(each not in _WINDOWS for each in codings):
        return body, cut, "its Content-Encoding is unknown"
    for coding in reversed(codings):
        try:
            body, more, whole = _inflated(body, coding, limit)
        except zlib.error:
            return response.body, response.cut, f"it is no {coding}"
        if not whole and not more and not cut:
            return body, cut, f"its {coding} ends too early"
        cut = cut or more
    return body, cut, ""


def _inflated(data: bytes, coding: str, limit: int) -> tuple[bytes, bool, bool]:
    """Return what was packed, whether there is more than `limit`, and whether its end was there."""
    parts, size = [], 0
    for _ in range(_MOST_MEMBERS):
        stream = zlib.decompressobj(_window(data, coding))
        parts.append(stream.decompress(data, limit + 1 - size))
        size += len(parts[-1])
        data = stream.unused_data
        if size > limit or not stream.eof:
            return b"".join(parts)[:limit], size > limit, stream.eof
        if coding == "deflate" or not data.startswith(b"\x1f\x8b"):
            break  # what follows the last member is nothing to us
    return b"".join(parts), False, True


def _window(data: bytes, coding: str) -> int:
    """Return the format; many servers send deflate without the header of zlib."""
    headed = len(data) >= 2 and data[0] & 15 == 8 and (data[0] << 8 | data[1]) % 31 == 0
    return _WINDOWS[coding] if coding != "deflate" or headed else -zlib.MAX_WBITS
