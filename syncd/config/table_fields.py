"""The kinds of values that the keys of table copies and checks hold, each with one clear complaint.

What stands in a database has names of other rules than ours: any character but NUL, as long as its
engine lets it be.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final, Literal

from pydantic import PlainSerializer, PlainValidator

from syncd.config.durations import parse_duration
from syncd.config.spelling import hint, quoted
from syncd.model.check import Tolerance
from syncd.model.copy import Mask, ValuePolicy

LONGEST_NAME: Final = 64
"""Characters that MySQL lets a name have; PostgreSQL takes 63 bytes, and cuts what is longer."""

_MOST_NAMES: Final = 10_000
_LONGEST_QUERY: Final = 100_000
_LARGEST_NUMBER: Final = 2**63 - 1
_NEWER: Final = re.compile(r"newer\((.+)\)", re.DOTALL)
_PLAIN_CONFLICTS: Final = ("update", "skip", "error")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")  # noqa: TRY004 - pydantic collects ValueErrors only
    return value


def _name_of(thing: str) -> Callable[[object], str]:
    """Return a validator of the name of something in a database."""

    def check(value: object) -> str:
        text = _text(value)
        if not 1 <= len(text) <= LONGEST_NAME or "\0" in text:
            raise ValueError(
                f"must be the name of a {thing}: 1 to {LONGEST_NAME} characters, none of them NUL"
            )
        return text

    return check


def _names_of(thing: str, *, least: int = 1) -> Callable[[object], tuple[str, ...]]:
    """Return a validator of a list of different names, which it makes a tuple."""
    name = _name_of(thing)

    def check(value: object) -> tuple[str, ...]:
        if not isinstance(value, list | tuple):
            raise ValueError('must be a list of names, such as ["a", "b"]')  # noqa: TRY004
        if not least <= len(value) <= _MOST_NAMES:
            raise ValueError(f"must have {least} to {_MOST_NAMES} names")
        names = tuple(name(each) for each in value)
        twice, count = Counter(names).most_common(1)[0] if names else ("", 0)
        if count > 1:
            raise ValueError(f"names {quoted(twice)} twice")
        return names

    return check


def _by_column(word: Callable[[object], Any], example: str) -> Callable[[object], dict[str, Any]]:
    """Return a validator of a table of something by the names of columns."""
    name = _name_of("column")

    def check(value: object) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ValueError(f"must be a table, such as {example}")  # noqa: TRY004
        found = {}
        for column, each in value.items():
            try:
                found[name(column)] = word(each)
            except ValueError as error:
                raise ValueError(f"{quoted(str(column))}: {error}") from None
        return found

    return check


def _one_of(*words: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if value not in words:
            raise ValueError(f"unknown value{hint(str(value), words)}")
        return str(value)

    return check


def _renames(value: object) -> dict[str, str]:
    renames = _by_column(_name_of("column"), '{ old = "new" }')(value)
    twice, count = Counter(renames.values()).most_common(1)[0] if renames else ("", 0)
    if count > 1:
        raise ValueError(f"gives two columns the name {quoted(twice)}")
    return renames


def _query(value: object) -> str:
    text = _text(value).strip().rstrip(";").rstrip()
    if "\0" in text or len(text) > _LONGEST_QUERY:
        raise ValueError(f"must be at most {_LONGEST_QUERY:,} characters, none of them NUL")
    if not re.match(r"(select|with|table|values)\b|\(", text, re.IGNORECASE):
        raise ValueError('must be a query, such as "select * from orders"')
    return text


def _lookback(value: object) -> timedelta | int:
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value <= _LARGEST_NUMBER:
            raise ValueError("must be at least 0")
        return value
    if isinstance(value, str | timedelta):
        return parse_duration(value)
    raise ValueError('must be a duration such as "10m", or a whole number for a numeric watermark')


@dataclass(frozen=True, slots=True)
class ConflictRule:
    """What becomes of a row that the target has already; `column` decides with newer."""

    kind: Literal["update", "skip", "error", "newer"]
    column: str = ""

    def __str__(self) -> str:
        """Return how the configuration writes it."""
        return f"newer({self.column})" if self.column else self.kind


def _conflict(value: object) -> ConflictRule:
    if isinstance(value, ConflictRule):
        return value
    text = _text(value)
    if match := _NEWER.fullmatch(text):
        return ConflictRule("newer", _name_of("column")(match[1].strip()))
    match text:
        case "update" | "skip" | "error":
            return ConflictRule(text)
    raise ValueError(f"unknown value{hint(text, (*_PLAIN_CONFLICTS, 'newer(COLUMN)'))}")


def _tolerance(value: object) -> Tolerance:
    if isinstance(value, Tolerance):
        return value
    is_percent = isinstance(value, str) and value.endswith("%")
    number = value.removesuffix("%") if isinstance(value, str) else str(value)
    try:
        amount = Decimal(number)
    except InvalidOperation:
        amount = Decimal(-1)
    if isinstance(value, bool) or not amount.is_finite() or amount < 0:
        raise ValueError('must be a number such as 2 or "0.01", or a share such as "0.1%"')
    return Tolerance(percent=amount) if is_percent else Tolerance(absolute=amount)


def _database(value: object) -> str | int:
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value <= 10_000:
            raise ValueError("must be the name of a database, or a number up to 10,000 of redis")
        return value
    return _name_of("database")(value)


def _pattern(value: object) -> str:
    text = _text(value)
    names = places(text)
    between = re.split(r"\{[^{}]+\}", text)
    if not names or len(text) > 512 or any(set(each) & set("{}\0") for each in between):
        raise ValueError("must be a pattern with a key in braces, such as stock:{sku}")
    if len(set(names)) < len(names):
        raise ValueError("has the same name twice")
    if not all(between[1:-1]):
        raise ValueError("needs a text between two names: else nobody can tell them apart")
    return text


def places(pattern: str) -> list[str]:
    """Return the names in the braces of a pattern."""
    return re.findall(r"\{([^{}]+)\}", pattern)


def _redis_field(value: object) -> str:
    text = _text(value)
    if not 1 <= len(text) <= 512:
        raise ValueError("must be the name of a field: 1 to 512 characters")
    return text


def _comparisons(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError('must be a list, such as ["count", "checksum"]')
    word = _one_of("count", "aggregate", "checksum")
    found = tuple(word(each) for each in value)
    if len(set(found)) < len(found):
        raise ValueError("names one of them twice")
    return found


SchemaName = Annotated[str, PlainValidator(_name_of("schema"))]
TableInDatabase = Annotated[str, PlainValidator(_name_of("table"))]
TablesInDatabase = Annotated[tuple[str, ...], PlainValidator(_names_of("table"))]
DatabaseOrNumber = Annotated[str | int, PlainValidator(_database)]
ColumnName = Annotated[str, PlainValidator(_name_of("column"))]
ColumnNames = Annotated[tuple[str, ...], PlainValidator(_names_of("column", least=0))]
Renames = Annotated[Mapping[str, str], PlainValidator(_renames)]
Masks = Annotated[
    Mapping[str, Mask], PlainValidator(_by_column(_one_of("hash", "null"), '{ email = "hash" }'))
]
Values = Annotated[
    Mapping[str, ValuePolicy],
    PlainValidator(_by_column(_one_of("error", "null", "text"), '{ birthday = "null" }')),
]
Query = Annotated[str, PlainValidator(_query)]
Lookback = Annotated[timedelta | int, PlainValidator(_lookback)]
OnConflict = Annotated[ConflictRule, PlainValidator(_conflict), PlainSerializer(str)]
Tolerances = Annotated[
    Mapping[str, Tolerance], PlainValidator(_by_column(_tolerance, '{ qty = 2, price = "0.1%" }'))
]
RedisField = Annotated[str, PlainValidator(_redis_field)]
KeyPattern = Annotated[str, PlainValidator(_pattern)]
Comparisons = Annotated[
    tuple[Literal["count", "aggregate", "checksum"], ...], PlainValidator(_comparisons)
]
