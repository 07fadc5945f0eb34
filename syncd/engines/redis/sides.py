"""A side of a comparison that is keys of a Redis.

Redis hashes nothing: all keys that fit the pattern are read once, and what the other side computes
in its database is computed here, of what was put aside (`spool.py`). Rows that are looked at again
are read from the server, as they are then. Each reading has a connection of its own, since between
them the other side may be at work for longer than a server keeps an idle client.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from decimal import Context, Decimal
from typing import Final

from syncd.context import RunContext
from syncd.engines.base import ServerAccess
from syncd.engines.redis.connection import connected
from syncd.engines.redis.forms import in_form, key_in_form
from syncd.engines.redis.pace import Pace
from syncd.engines.redis.pattern import Pattern
from syncd.engines.redis.reading import Entry, Reader
from syncd.engines.redis.spool import BITS, Kept, Spool
from syncd.engines.sides import (
    COUNTED,
    Aggregate,
    Digest,
    Field,
    Part,
    Seen,
    View,
    bucket,
    number_in,
    row_hash,
)
from syncd.errors import BadData, ConfigurationError
from syncd.model.check import RedisKeys
from syncd.model.table import Column, Key, Relation, Row, Shape, Type, Value

_TOLD: Final = 100
"""Keys of another type that are told by name."""
_SHOWN: Final = 200  # characters of a name
_KEPT: Final = 1_200  # bytes of a value that are put aside: no number has more
_TEXT: Final = Type("text")
_EXACT: Final = Context(prec=2_500)
"""Adds numbers of any size to a sum without a rest."""


class RedisSide:
    """The keys of one pattern. `shape`: a column for each place of it, and one for the value."""

    def __init__(self, ctx: RunContext, access: ServerAccess, keys: RedisKeys) -> None:
        self._ctx, self._access, self._keys = ctx, access, keys
        self._pattern = Pattern.parse(keys.pattern)
        if keys.name in self._pattern.names:
            raise ConfigurationError(f"pattern {keys.pattern!r}: {keys.name!r} names the value")
        self._pace = Pace(access.commands_per_second)
        self._spool: Spool | None = None
        self._view: View | None = None
        self.received = 0
        native = "hash field" if keys.field else "string"
        names = self._pattern.names
        columns = [Column(name, _TEXT, "key", nullable=False) for name in names]
        self.shape = Shape("redis", (*columns, Column(keys.name, _TEXT, native)), names)

    def close(self) -> None:
        """Forget what was put aside."""
        if self._spool is not None:
            self._spool.close()
        self._spool = None

    def greet(self) -> None:
        """See that the server lets us in, and has the database."""
        with self._reader():
            pass

    def count(self, view: View, *, null_keys: bool = False) -> int:
        """Count the keys, none of which is NULL."""
        return 0 if null_keys else self._digest(view).rows

    def aggregates(self, view: View, fields: Sequence[Field]) -> list[Aggregate]:
        """Return the aggregates of fields, in their order; what is no number has no sum."""
        sums = [_Sum(field) for field in fields]
        for row in self._rows(view, fields):
            for each, value in zip(sums, row, strict=True):
                each.add(value)
        return [each.result() for each in sums]

    def edge(self, view: View, start: Key | None, rows: int) -> Key | None:
        """Return None: keys have no order."""
        del view, start, rows
        return None

    def cuts(self, view: View, part: Part, rows: int) -> list[Key]:
        """Return nothing: keys have no order."""
        del view, part, rows
        return []

    def digests(self, view: View, part: Part, cuts: Sequence[Key]) -> list[Digest]:
        """Return the digest of a part, which can't be cut."""
        if cuts:
            raise BadData("keys of Redis have no order by which they can be cut")
        if part.buckets is None:
            return [self._digest(view)]
        found = self.buckets(view, part, part.depth)
        return [sum((found.get(each, Digest()) for each in part.buckets), Digest())]

    def buckets(self, view: View, part: Part, depth: int) -> dict[int, Digest]:
        """Return the digests of buckets of 2**depth; those without a key are left out."""
        del part  # a whole side is split once
        return self._loaded(view).digests(depth)

    def hashes(self, view: View, part: Part) -> dict[Key, bytes]:
        """Return the hashes of all keys of a part; raises BadData when two are the same key."""
        found: dict[Key, bytes] = {}
        for kept in self._loaded(view).read(part.buckets, part.depth):
            key = self._key(view, kept.name)
            if key in found:
                raise BadData(f"two keys stand for the same row: {_shown(kept.name)} is one")
            found[key] = kept.hash
        return found

    def lookup(self, view: View, keys: Collection[Key]) -> dict[Key, Seen]:
        """Return what there is of these keys now."""
        return {
            key: Seen(row_hash(view.fields, self._row(view.fields, name, entry)), young=False)
            for key, name, entry in self._now(view, keys)
        }

    def values(
        self, view: View, keys: Collection[Key], fields: Sequence[Field], limit: int | None
    ) -> dict[Key, Row]:
        """Return the values of fields of these keys, in their forms, cut to so many characters."""
        return {
            key: tuple(
                _cut(field, value, limit)
                for field, value in zip(fields, self._row(fields, name, entry), strict=True)
            )
            for key, name, entry in self._now(view, keys)
        }

    @contextmanager
    def _reader(self) -> Iterator[Reader]:
        with connected(self._access, self._ctx, self._keys.database, self._pace) as session:
            reader = Reader(self._ctx, session, self._keys)
            try:
                yield reader
            finally:
                self.received += reader.received

    def _loaded(self, view: View) -> Spool:
        """Return all keys with the hashes of a view, read when that is first asked for."""
        if self._spool is None or (self._view and self._view.fields != view.fields):
            self.close()
            self._view, self._spool = view, Spool(self._ctx)
            self._load(view, self._spool)
        return self._spool

    def _load(self, view: View, spool: Spool) -> None:
        others = 0
        with self._reader() as reader:
            for names in reader.names(self._pattern):
                for entries in reader.entries(names):
                    spool.add(self._kept(view, name, each) for name, each in entries.items())
                    for name, each in entries.items():
                        others += bool(each.type)
                        if each.type and others <= _TOLD:
                            self._ctx.report.error(_shown(name), self._wrong(each))
        if others:
            self._ctx.report.detail("keys_of_other_types", others)

    def _wrong(self, entry: Entry) -> BadData:
        wanted = "hash" if self._keys.field else "string"
        return BadData(f"the key holds a {entry.type}, not a {wanted}")

    def _kept(self, view: View, name: bytes, entry: Entry) -> Kept:
        row = self._row(view.fields, name, entry)
        forms = dict(zip(view.fields, row, strict=True))
        key = tuple(forms[field] or b"" for field in view.key)
        place = bucket(view.key, key, BITS)
        value = entry.value if entry.value is None else entry.value[:_KEPT]
        return Kept(place, name, row_hash(view.fields, row), value)

    def _digest(self, view: View) -> Digest:
        return self._loaded(view).digests(0).get(0, Digest())

    def _rows(self, view: View, fields: Sequence[Field]) -> Iterator[Row]:
        for number, kept in enumerate(self._loaded(view).read()):
            if number % 10_000 == 0:
                self._ctx.check()
            yield self._row(fields, kept.name, Entry(kept.value))

    def _row(self, fields: Sequence[Field], name: bytes, entry: Entry) -> Row:
        """Return the values of fields in their forms."""
        raw: dict[str, Value] = dict(zip(self._pattern.names, self._parts(name), strict=True))
        raw[self._keys.name] = entry.value
        return tuple(in_form(field.form, raw[field.name]) for field in fields)

    def _key(self, view: View, name: bytes) -> Key:
        raw = dict(zip(self._pattern.names, self._parts(name), strict=True))
        forms = tuple(field.form for field in view.key)
        return key_in_form(forms, tuple(raw[field.name] for field in view.key))

    def _parts(self, name: bytes) -> Key:
        parts = self._pattern.read(name)
        if parts is None:
            raise BadData(f"{_shown(name)} does not fit {self._keys.pattern}")
        return parts

    def _now(self, view: View, keys: Collection[Key]) -> list[tuple[Key, bytes, Entry]]:
        """Read these keys as they are now."""
        names = {name: key for key in keys for name in self._names(view, key)}
        found: list[tuple[Key, bytes, Entry]] = []
        if names:
            with self._reader() as reader:
                for entries in reader.entries(list(names)):
                    found += ((names[name], name, each) for name, each in entries.items())
        return found

    def _names(self, view: View, key: Key) -> set[bytes]:
        """Return the names of a row's keys: as it would be written, and as it was found written."""
        places = {field.name: value for field, value in zip(view.key, key, strict=True)}
        written = self._pattern.write(tuple(places[name] for name in self._pattern.names))
        names = set() if written is None else {written}
        if self._spool is not None:
            same = self._spool.read([bucket(view.key, key, BITS)], BITS)
            names |= {kept.name for kept in same if self._key(view, kept.name) == key}
        return names


class RedisSides:
    """What can be compared of a Redis."""

    def __init__(self, access: ServerAccess) -> None:
        self._access = access

    @contextmanager
    def side(self, ctx: RunContext, relation: Relation | RedisKeys) -> Iterator[RedisSide]:
        """Begin to compare; raises ConfigurationError for what is no pattern of keys."""
        if not isinstance(relation, RedisKeys):
            raise ConfigurationError(f"{relation}: a redis has no tables, but keys by a pattern")
        side = RedisSide(ctx, self._access, relation)
        try:
            side.greet()
            yield side
        finally:
            side.close()


class _Sum:
    """The aggregate of a field."""

    def __init__(self, field: Field) -> None:
        self._form = field.form
        self._nulls = self._values = 0
        self._sum = Decimal(0)
        self._least: Decimal | None = None
        self._most: Decimal | None = None

    def add(self, value: Value) -> None:
        if value is None:
            self._nulls += 1
            return
        self._values += 1
        number = number_in(value) if self._form.kind not in COUNTED else None
        if number is not None and number.is_finite():
            self._sum = _EXACT.add(self._sum, number)
            self._least = number if self._least is None else min(self._least, number)
            self._most = number if self._most is None else max(self._most, number)

    def result(self) -> Aggregate:
        if self._least is None or self._most is None:
            return Aggregate(self._nulls, self._values)
        ends = (format(each, "f").encode() for each in (self._sum, self._least, self._most))
        return Aggregate(self._nulls, self._values, *ends)


def _cut(field: Field, value: Value, limit: int | None) -> Value:
    """Cut a value to so many characters, or bytes where it is no text."""
    if value is None or limit is None or len(value) <= limit:
        return value
    if field.form.kind not in COUNTED:
        return value[:limit]
    text = value[: 4 * limit]
    try:
        return value.decode()[:limit].encode()
    except UnicodeDecodeError:
        return text[:limit]


def _shown(name: bytes) -> str:
    """Return a key's name as people read it."""
    return name.decode("utf-8", "backslashreplace").replace("\0", "\\x00")[:_SHOWN]
