"""JSON documents as the store takes them, and what PostgreSQL refuses of them."""

from typing import Final

import msgspec

from syncd.errors import BadData

LONGEST_KEY: Final = 512  # characters: an index holds 2,700 bytes of a whole key
_json: Final = msgspec.json.Encoder(order="deterministic")


def encode(value: object) -> bytes:
    """Encode a value so that equal ones give equal bytes; raises BadData for a lone surrogate."""
    try:
        return _json.encode(value)
    except UnicodeEncodeError as error:
        raise BadData("a text is not valid Unicode") from error


def has_nul(document: bytes) -> bool:
    """Tell whether a JSON document holds NUL for real, not an escaped backslash before `u0000`.

    https://www.postgresql.org/docs/current/datatype-json.html
    """
    if b"\\" not in document:  # the usual case, and by far the quickest test
        return False
    return rb"\u0000" in document.replace(rb"\\", b"")
