"""Which rows of a listing differ from those that the store holds: decided here, applied there.

A listing streams past the keys and digests of one scope. Its entries are compared by digest, and
only what differs is ever turned into a row. One digest has four parts, so that each question is
answered without the row: did anything at all change (`seal`, taken from the raw bytes), did a
compared column, did an optional one, did only something that is carried along.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Protocol

from syncd.errors import BadData

_SEEN: Final = b""
SEAL_SIZE: Final = 8


def short_hash(data: bytes, size: int = SEAL_SIZE) -> bytes:
    """Return the first `size` bytes of the SHA-256 of `data`; twice as fast as BLAKE2 here."""
    return hashlib.sha256(data, usedforsecurity=False).digest()[:size]


@dataclass(frozen=True, slots=True)
class Digest:
    """The digest of a row: 30 bytes when packed, as the store keeps it."""

    compared: bytes  # 8 bytes: the columns whose change is a change of the resource
    optional: bytes | None  # 6 bytes: columns that a listing may lack; None when it did
    carried: bytes  # 8 bytes: what is kept up to date without being compared
    seal: bytes  # 8 bytes: the raw bytes from which all of the above came

    def pack(self, before: bytes | None = None) -> bytes:
        """Return the bytes that the store keeps; what the listing lacked stays as it was."""
        kept = before[8:14] if before else bytes(6)
        return self.compared + (self.optional or kept) + self.carried + self.seal

    def matches(self, packed: bytes) -> bool:
        """Tell whether a packed digest stands for the same row; the seal does not matter."""
        return (
            packed[:8] == self.compared
            and self.optional in (None, packed[8:14])
            and packed[14:22] == self.carried
        )


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a reconciled table: its key, its columns by name, its digest.

    A column that the listing could not tell is None, and the digest's optional part too.
    """

    key: str
    values: Mapping[str, object]
    digest: Digest


@dataclass(frozen=True, slots=True)
class Difference:
    """A row to be staged, with its packed digest."""

    row: Row
    digest: bytes


class Entry(Protocol):
    """One thing of a listing, not yet looked into."""

    @property
    def key(self) -> str:
        """The key inside the scope."""

    @property
    def seal(self) -> bytes:
        """8 bytes that differ whenever anything of the row may differ."""

    def row(self) -> Row:
        """Return the normalised row; raises BadData."""


@dataclass(slots=True)
class Comparison:
    """The state of one listing compared with one scope of the store.

    `known` maps each living key to its packed digest, at most 250 bytes an entry all told; it is
    used up as the listing passes. `marked` holds the keys that earlier listings missed.
    """

    known: dict[str, bytes]
    marked: frozenset[str] = frozenset()
    total: int = 0
    unchanged: int = 0
    returned: list[str] = field(default_factory=list)
    bad: list[tuple[str, BadData]] = field(default_factory=list)

    def offer(self, entries: Iterable[Entry]) -> Iterator[Difference]:
        """Pass entries by; yield the rows that are new or differ. A key seen twice counts once."""
        for entry in entries:
            before = self.known.get(entry.key)
            if before == _SEEN:
                continue
            self.known[entry.key] = _SEEN
            self.total += 1
            if entry.key in self.marked:
                self.returned.append(entry.key)
            if before is not None and before[22:] == entry.seal:
                self.unchanged += 1
                continue
            try:
                row = entry.row()
            except BadData as error:
                self.bad.append((entry.key, error))
                continue
            if before is not None and row.digest.matches(before):
                self.unchanged += 1
            else:
                yield Difference(row, row.digest.pack(before))

    def seen(self, most: int) -> list[str]:
        """Return some of the keys that the listing held, in no order, at most so many."""
        return list(islice((key for key, digest in self.known.items() if digest == _SEEN), most))

    def unseen(self) -> list[str]:
        """Return the living keys that the listing did not hold, once all of it has passed."""
        return [key for key, digest in self.known.items() if digest != _SEEN]
