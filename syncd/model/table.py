"""Tables as every engine describes them, and the one form in which their values travel.

A value travels as bytes, None for NULL, in a form that depends on its kind alone:

| kind | form |
| --- | --- |
| integer | decimal digits with a sign where negative |
| decimal | digits with a point, or `NaN`, `Infinity`, `-Infinity` |
| float | the shortest digits that read back as the same number; `NaN`, `Infinity`, `-Infinity` |
| boolean | `1` or `0` |
| text, json, other | the text, in UTF-8 |
| bytes | the bytes themselves |
| date | `2024-02-29`; `0044-03-15 BC`, `infinity`, `0000-00-00` |
| timestamp | `2024-02-29 23:59:59.5`, of no zone |
| instant | the same, in UTC |
| time | `23:59:59.5` or `24:00:00`, of a day |
| duration | `-838:59:59`, hours without a limit |
| interval | as PostgreSQL writes it: `1 mon 2 days 03:04:05` |
| uuid | 36 characters, lower case |
| bits | `0` and `1`, the highest first |
"""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal[
    "integer", "decimal", "float", "boolean", "text", "bytes", "date", "timestamp", "instant",
    "time", "duration", "interval", "json", "uuid", "bits", "other",
]  # fmt: skip

POSTGRESQL_NAME: Final = 63
"""Bytes that PostgreSQL keeps of a name; it cuts the rest without a word."""

Value = bytes | None
Row = tuple[Value, ...]
Key = tuple[bytes, ...]
"""The values of a key's columns, none of which is NULL."""


@dataclass(frozen=True, slots=True)
class Type:
    """What a column can hold.

    `size`: of integer and float bytes (1, 2, 3, 4, 8), of decimal all digits, of text characters,
    of bytes bytes, of bits bits; None where there is no limit. `scale`: digits after the point, of
    decimal (None: any number), and of seconds.
    """

    kind: Kind
    size: int | None = None
    scale: int | None = None
    unsigned: bool = False

    @property
    def integers(self) -> range:
        """Return the numbers that an integer type holds: those of 8 bytes where it has no size."""
        count = 1 << 8 * (self.size or 8)
        return range(count) if self.unsigned else range(-count // 2, count // 2)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table or of a query's result.

    `native` is the type as its engine writes it. `generated`: it is computed and can't be written.
    `identity`: the server numbers its rows, by an identity, a sequence or AUTO_INCREMENT. `blind`:
    texts that differ may be equal to it, by its collation.
    """

    name: str
    type: Type
    native: str
    nullable: bool = True
    generated: bool = False
    identity: bool = False
    blind: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """A table, as it stands on a server whose engine is postgresql, mysql or mariadb.

    `key` is the primary key; `unique` are the other keys that no two rows share, of columns alone.
    `rows` and `bytes` are what the server estimates. `trouble` says why it can't be written (it is
    no table, its storage engine has no transactions), empty where it can.
    """

    engine: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...] = ()
    rows: int = 0
    bytes: int = 0
    trouble: str = ""

    def column(self, name: str) -> Column | None:
        """Return the column of this name, None where there is none."""
        return next((each for each in self.columns if each.name == name), None)


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, or a query whose result is read like one, and where it is.

    `database` is the one that a session begins in, `schema` the one the table is in; of MySQL they
    are the same. `key`: columns that tell the rows apart, where they are not the primary key.
    """

    server: str
    database: str
    schema: str
    table: str
    query: str = ""
    key: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return how it is called: `orders-db shop.orders`."""
        name = f"{self.schema}.{self.table}" if self.schema else self.table
        return f"{self.server} {'(query)' if self.query else name}"
