"""What stands in a page before anybody has looked into it: a raw object, its id, its seal.

Most hosts of a listing are as they were. Of those no more is decoded than the id; the seal, a hash
of the raw bytes, tells that the rest is unchanged.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec

from syncd.errors import BadData
from syncd.model.diff import Entry, Row, short_hash
from syncd.model.resource import Resource
from syncd.providers.calls import Refused

Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""A number that fits PostgreSQL's integer."""
Id = Annotated[str, msgspec.Meta(min_length=1)]

NEVER: Final = 2099
"""Clouds write "never expires" as this year or a later one."""


_NORMALISED: Final = b"1"
"""Raise it when a normaliser changes, so that every row is looked at again."""


def seal(raw: bytes, beside: bytes = b"") -> bytes:
    """Return the seal of a raw object and of what another call told about it."""
    return short_hash(raw + beside + _NORMALISED)


@dataclass(slots=True)
class RawEntry:
    """A thing of a listing: its raw object, and what another call told about it."""

    key: str
    seal: bytes
    raw: bytes
    beside: bytes | None
    normalise: Callable[[bytes, bytes | None], Resource]

    def row(self) -> Row:
        """Return the normalised row; raises BadData that names the field."""
        try:
            return self.normalise(self.raw, self.beside).to_row(self.seal)
        except (ValueError, RecursionError) as error:  # msgspec's errors, and texts not in UTF-8
            raise BadData(f"{self.key}: {error}") from error


def ids_of(
    raws: Sequence[msgspec.Raw], id_of: Callable[[msgspec.Raw], str]
) -> list[tuple[str, bytes]]:
    """Return id and bytes of the objects that have an id; those without are left out."""
    named = []
    for raw in raws:
        try:
            key = id_of(raw)
        except ValueError:  # msgspec's errors, and bytes that are not UTF-8
            continue
        if key:
            named.append((key, bytes(raw)))
    return named


def moment(text: str | None, field: str) -> datetime | None:
    """Return the instant of an ISO 8601 text, None for an empty one or for "never"."""
    if not text or text.startswith("0000"):
        return None
    try:
        parsed = datetime.fromisoformat(text)
        if parsed.tzinfo is None:
            raise BadData(f"{field}: {text[:40]!r} has no time zone")
        return None if parsed.year >= NEVER else parsed.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadData(f"{field}: {text[:40]!r} is not a time") from error


def known(texts: Iterable[str | None]) -> tuple[str, ...]:
    """Return the texts that are there as a set in a fixed order."""
    return tuple(sorted({text for text in texts if text}))


def utf8(raw: bytes) -> bytes:
    """Return `raw`; raises UnicodeDecodeError, since decoders pass over fields they do not need."""
    if not raw.isascii():
        raw.decode()
    return raw


def find_each(
    ids: Sequence[str],
    find: Callable[[Sequence[str]], Sequence[Entry]],
    batch: int,
    unknown: str,
) -> dict[str, Entry | None]:
    """Look ids up in batches; None for those that are not found.

    A cloud may refuse a whole batch with the code `unknown` for a single id that it does not know;
    the batch is halved then until that id stands alone.
    """
    found: dict[str, Entry | None] = dict.fromkeys(ids)
    waiting = [ids[at : at + batch] for at in range(0, len(ids), batch)]
    while waiting:
        some = waiting.pop()
        try:
            found |= {entry.key: entry for entry in find(some) if entry.key in found}
        except Refused as error:
            if error.code != unknown:
                raise
            half = len(some) // 2
            waiting += [part for part in (some[:half], some[half:]) if part and half]
    return found
