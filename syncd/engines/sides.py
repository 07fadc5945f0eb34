"""What an engine offers those who compare: digests of rows, computed where the rows are.

Both sides of a comparison make the same text of a row, whatever they are, so that two rows are
equal when their hashes are. The text of a value is its form in `syncd.model.table`, cut and trimmed
as its `Form` says. A row's text is that of its fields, one after another:

| value | in the text of its row |
| --- | --- |
| NULL | `~` |
| numbers, times, booleans, uuid, bits | the text and a bar: `17|` |
| text, json, other | its bytes in UTF-8, counted, a colon, and the text: `3:abc` |
| the same where the form is `long`, and bytes | the MD5 of its bytes, 32 hexadecimal digits |

The hash of a row is the first 16 hexadecimal digits of the MD5 of its text, and a digest of several
rows their count and the sum of their hashes modulo 2**64. The bucket of a row is made of the first
bits of the MD5 of the text of its key.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from hashlib import md5
from typing import Final, Protocol, TypeVar
from uuid import UUID

from syncd.context import RunContext
from syncd.engines.tables import Busy
from syncd.errors import BadData
from syncd.model.check import RedisKeys
from syncd.model.copy import Edge, Span
from syncd.model.table import Column, Key, Kind, Relation, Row, Shape, Value

PAGE: Final = 1_000_000
"""Rows that a statement reads of a table that has to be read as a whole."""
SUMMED: Final = frozenset[Kind]({"integer", "decimal", "float"})
"""Kinds that have a sum and an average."""
ENDED: Final = SUMMED | frozenset[Kind]({"date", "timestamp", "duration"})
"""Kinds that have a least and a greatest value."""
COUNTED: Final = frozenset[Kind]({"text", "json", "other"})
"""Kinds whose texts may hold anything, and so are counted or hashed in the text of a row."""
_MODULUS: Final = 2**64
_TRIES: Final = 3
"""Of a statement that others are in the way of: by a deadlock, or a conflict on a standby."""
_UUID_BYTES: Final = 16
_NUMBER: Final = re.compile(rb"[+-]?[0-9]+(\.[0-9]*)?")
_ANY_NUMBER: Final = re.compile(
    rb"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?|NaN|-?Infinity"
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Form:
    """The text that both sides make of a column's values.

    `scale`: the digits after the point; of a decimal exactly so many (None: without zeros at the
    end), of times so many at most, cut and without zeros at the end (None: all). `blanks`: blanks
    at the end do not count. `long`: the MD5 stands for it in the text of a row. `parsed`: JSON is
    parsed and written anew by an engine that can, since the two sides do not keep it alike.
    """

    kind: Kind
    scale: int | None = None
    blanks: bool = False
    long: bool = False
    parsed: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a side, and the form in which it is compared."""

    name: str
    form: Form


@dataclass(frozen=True, slots=True)
class View:
    """What is compared of a side. `fields` are hashed, those of the key among them.

    The first `order` columns of the key have an order that both sides agree on. Rows whose `age`
    (a column of times, in UTC where it has no zone) is later than `before` are left out; one
    without a time is not. Rows of which the column `gone` is not NULL are no rows.
    """

    key: tuple[Field, ...]
    fields: tuple[Field, ...]
    order: int = 0
    age: str = ""
    before: datetime | None = None
    gone: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a view: after `start` and up to `end`, by as many of the key's columns as they have.

    With `buckets`, only those whose bucket of 2**`depth` is among them.
    """

    start: Key | None = None
    end: Key | None = None
    depth: int = 0
    buckets: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Digest:
    """How many rows there are, and the sum of their hashes modulo 2**64."""

    rows: int = 0
    hashes: int = 0

    def __add__(self, other: "Digest") -> "Digest":
        return Digest(self.rows + other.rows, (self.hashes + other.hashes) % _MODULUS)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Of a column: rows with NULL and others; of numbers their sum; of numbers and times the ends.

    Numbers are decimal digits or floats, in the form of their kind.
    """

    nulls: int
    values: int
    sum: Value = None
    min: Value = None
    max: Value = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What a row looked up is: its hash, and whether it is too young to be compared."""

    hash: bytes
    young: bool


class Side(Protocol):
    """One side of a comparison, in a session of its own, used by one thread at a time.

    All statements are by themselves: what they find is of different moments, which the second look
    makes good. All raise the errors of `syncd.errors` alone, BadData for a relation that is gone.
    """

    shape: Shape
    received: int
    """The bytes of the values that came from the server."""

    def count(self, view: View, *, null_keys: bool = False) -> int:
        """Count the rows, or those with NULL in the key."""

    def aggregates(self, view: View, fields: Sequence[Field]) -> list[Aggregate]:
        """Return the aggregates of fields, in their order."""

    def edge(self, view: View, start: Key | None, rows: int) -> Key | None:
        """Return the values of the columns of the order so many rows after a start.

        None where there are not so many. Only asked where the view has an order.
        """

    def cuts(self, view: View, part: Part, rows: int) -> list[Key]:
        """Return such values after each so many rows of a part, in their order."""

    def digests(self, view: View, part: Part, cuts: Sequence[Key]) -> list[Digest]:
        """Return the digests of a part that is cut in so many places, one more than there are."""

    def buckets(self, view: View, part: Part, depth: int) -> dict[int, Digest]:
        """Return the digests of a part by buckets of 2**depth; those without a row are left out."""

    def hashes(self, view: View, part: Part) -> dict[Key, bytes]:
        """Return the hashes of all rows of a part; raises BadData when two have the same key."""

    def lookup(self, view: View, keys: Collection[Key]) -> dict[Key, Seen]:
        """Return what there is of these keys now, young rows too."""

    def values(
        self, view: View, keys: Collection[Key], fields: Sequence[Field], limit: int | None
    ) -> dict[Key, Row]:
        """Return the values of fields, in their forms, of rows of these keys, young ones too.

        With `limit`, each is cut to so many characters (of bytes: bytes).
        """


class Sides(Protocol):
    """What can be compared of one server."""

    def side(self, ctx: RunContext, relation: Relation | RedisKeys) -> AbstractContextManager[Side]:
        """Begin a session; raises BadData when the relation does not exist."""


def row_text(fields: Sequence[Field], values: Row) -> bytes:
    """Return the text of a row whose values are in their forms."""
    return b"".join(
        _in_text(field.form, value) for field, value in zip(fields, values, strict=True)
    )


def row_hash(fields: Sequence[Field], values: Row) -> bytes:
    """Return the hash of a row whose values are in their forms: 8 bytes."""
    return md5(row_text(fields, values), usedforsecurity=False).digest()[:8]


def bucket(key: Sequence[Field], values: Key, depth: int) -> int:
    """Return the bucket, of 2**depth, of a row with this key."""
    digest = md5(row_text(key, values), usedforsecurity=False).digest()
    return int.from_bytes(digest[:4]) >> (32 - depth)


def digest_of(hashes: Collection[bytes]) -> Digest:
    """Return the digest of rows with these hashes."""
    return Digest(len(hashes), sum(map(int.from_bytes, hashes)) % _MODULUS)


def span_of(view: View, part: Part) -> Span:
    """Return the span of the view's order that a part is, whatever its buckets."""
    order = tuple(each.name for each in view.key[: view.order])
    start = None if part.start is None else Edge(part.start)
    return Span(order, start, None if part.end is None else Edge(part.end, inclusive=True))


def added_up(pages: Iterable[Mapping[int, Digest]]) -> dict[int, Digest]:
    """Return the digests of all pages together, by their buckets."""
    found: dict[int, Digest] = {}
    for page in pages:
        for place, digest in page.items():
            found[place] = found.get(place, Digest()) + digest
    return found


def told_apart(name: str, pages: Iterable[Sequence[tuple[Key, bytes]]]) -> dict[Key, bytes]:
    """Return the hashes of all pages by their keys; raises BadData when two rows have the same."""
    found, count = dict[Key, bytes](), 0
    for page in pages:
        found.update(page)
        count += len(page)
    if len(found) < count:
        raise BadData(f"{name}: rows have the same key")
    return found


def unhindered(ctx: RunContext, ask: Callable[[], T]) -> T:
    """Return an answer; ask again where others were in the way. Raises Busy where they stay."""
    for _ in range(_TRIES - 1):
        ctx.check()
        try:
            return ask()
        except Busy:
            continue
    ctx.check()
    return ask()


def _in_text(form: Form, value: Value) -> bytes:
    """Return how a value stands in the text of its row."""
    if value is None:
        return b"~"
    if form.long or form.kind == "bytes":
        return md5(value, usedforsecurity=False).hexdigest().encode()
    if form.kind in COUNTED:
        return b"%d:%b" % (len(value), value)
    return value + b"|"


def formed(form: Form, value: Value) -> Value:
    """Return a value, given in the form of `syncd.model.table`, in a form of comparison.

    For sides that keep texts, such as Redis: a number is told from its text, `007` is 7; what is
    none stays as it is, and so differs from every number.
    """
    if value is None:
        return None
    if form.kind in ("integer", "decimal") and _NUMBER.fullmatch(value):
        return _digits(value, form.scale)
    if form.kind == "uuid":
        return value.lower()
    return value.rstrip(b" ") if form.blanks else value


def number_in(value: Value) -> Decimal | None:
    """Return the number that a value is; None for what Python alone takes for one: `1_000`."""
    if value is None or not _ANY_NUMBER.fullmatch(value):
        return None
    return Decimal(value.decode())


def _digits(value: bytes, scale: int | None) -> bytes:
    """Return a decimal number with so many digits after the point, more if they are not 0."""
    sign, whole, part = value.startswith(b"-"), *value.lstrip(b"+-").partition(b".")[::2]
    whole, part = whole.lstrip(b"0") or b"0", part.rstrip(b"0").ljust(scale or 0, b"0")
    text = whole + (b"." + part if part else b"")
    return b"-" + text if sign and text.strip(b"0.") else text


def own(form: Form, column: Column, value: bytes) -> bytes:
    """Return a value of a key, given in its form, as the column writes it.

    That is another text where the other side has a number for bits, or bytes for a uuid.
    """
    kind, size = column.type.kind, column.type.size
    if kind == "uuid" and form.kind == "bytes" and len(value) == _UUID_BYTES:
        return str(UUID(bytes=value)).encode()
    if kind == "bits" and form.kind != "bits" and value.isdigit():
        return b"%0*d" % (size or 1, int(format(int(value), "b")))
    return value


def spellings(
    key: Sequence[Field], columns: Mapping[str, Column], keys: Collection[Key]
) -> Iterator[Key]:  # fmt: skip
    """Yield keys as the columns may have them: a uuid in a text may be in capital letters."""
    found = [(each.form, columns[each.name]) for each in key]
    texts = [
        form.kind == "uuid" and column.type.kind in ("text", "other") for form, column in found
    ]
    for values in keys:
        yield tuple(own(*each, value) for each, value in zip(found, values, strict=True))
        if any(texts):
            yield tuple(
                value.upper() if text else value for value, text in zip(values, texts, strict=True)
            )
