"""An ordered shelf of JSON objects, kept as bytes so that 200,000 hosts fit in memory.

Objects are listed newest first, as both clouds do, and never decoded to make a page. Each has a
place number that only grows apart from the others: a cursor (Alibaba's token) therefore survives
additions and removals, while an offset (Tencent's) slips, which is what clients must cope with.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Self

Entry = tuple[str, bytes]


class Shelf:
    """Entries (id, JSON bytes) in listing order; not locked, its owner does that."""

    def __init__(self) -> None:
        self._places: list[int] = []
        self._entries: dict[int, Entry] = {}
        self._place_of: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        return key in self._place_of

    def __iter__(self) -> Iterator[Entry]:
        return (self._entries[place] for place in self._places)

    def ids(self) -> list[str]:
        """Return all ids in listing order."""
        return [self._entries[place][0] for place in self._places]

    def get(self, key: str) -> bytes | None:
        """Return the object of an id, or None."""
        place = self._place_of.get(key)
        return None if place is None else self._entries[place][1]

    def put_first(self, entries: Sequence[Entry]) -> None:
        """Put new entries before all others, in the given order."""
        front = self._places[0] if self._places else 0
        places = list(range(front - len(entries), front))
        self._places[:0] = places
        for place, entry in zip(places, entries, strict=True):
            self._entries[place] = entry
            self._place_of[entry[0]] = place

    def replace(self, key: str, raw: bytes) -> None:
        """Replace the object of a present id; its place stays."""
        self._entries[self._place_of[key]] = (key, raw)

    def remove(self, key: str) -> bytes:
        """Take an entry out and return its object."""
        place = self._place_of.pop(key)
        del self._places[bisect_left(self._places, place)]
        return self._entries.pop(place)[1]

    def move(self, key: str, *, to_front: bool) -> None:
        """Move an entry to the front or the back of the listing."""
        raw = self.remove(key)
        if to_front:
            self.put_first([(key, raw)])
            return
        place = self._places[-1] + 1 if self._places else 0
        self._places.append(place)
        self._entries[place] = (key, raw)
        self._place_of[key] = place

    def after(self, cursor: int | None, limit: int) -> tuple[list[Entry], int | None]:
        """Return the page behind a cursor, and the next cursor or None at the end."""
        start = 0 if cursor is None else bisect_right(self._places, cursor)
        places = self._places[start : start + limit]
        more = start + limit < len(self._places)
        return [self._entries[place] for place in places], places[-1] if more else None

    def slice(self, offset: int, limit: int) -> list[Entry]:
        """Return the page at an offset."""
        return [self._entries[place] for place in self._places[offset : offset + limit]]

    def without(self, hidden: Callable[[str], bool]) -> Self:
        """Return a view, as of now, that lacks the hidden ids; cursors stay comparable."""
        view = type(self)()
        view._places = [p for p in self._places if not hidden(self._entries[p][0])]
        view._entries = self._entries
        view._place_of = {key: p for key, p in self._place_of.items() if not hidden(key)}
        return view
