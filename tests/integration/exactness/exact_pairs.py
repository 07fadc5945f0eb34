"""Types of both engines with values in the form in which they travel, and when two are the same.

The types are told here by hand, so that what the engines make of their own is tried as well.
"""

import json
import re
import struct
from collections.abc import Mapping, Sequence
from decimal import Decimal
from ipaddress import ip_interface
from itertools import product

from syncd.model.table import Column, Kind, Type

PG, MARIA = "postgresql", "mariadb"


def _column(native: str, kind: Kind, size: int | None = None, scale: int | None = None,
            *, unsigned: bool = False) -> Column:  # fmt: skip
    return Column("c", Type(kind, size, scale, unsigned), native)


_INTEGERS = ["-1", "0", "1", "7", "70", "1900", "2024", "32767", "-32768", "65535", "8388607",
             "16777217", "2147483647", "-2147483648", "4294967295", "9007199254740993",
             "9223372036854775807", "18446744073709551615", "255", "127", "-128"]  # fmt: skip
_DECIMALS = ["0", "1", "-1", "1.5", "0.01", "123456.78", "-0.999", "99999999.99", "2.50",
             "12345678901234567.123456789", "1000000"]  # fmt: skip
_FLOATS = ["0", "0.1", "-1.5", "1e+20", "16777217", "0.30000000000000004", "3.4028235e+38", "5"]
_TEXTS = ["", "a", "abc", "abc  ", " ", "1", "2", "007", "1.5", "b,a", "é", "😀😀😀😀",
          "2024-02-29", "true", "[1]", "b", "A", "x" * 300, "12:00:00", "10.0.0.1",
          "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "10101010"]  # fmt: skip
_DATES = ["2024-02-29", "0001-01-01", "9999-12-31"]
_PG_DATES = [*_DATES, "0044-03-15 BC", "10000-01-01", "infinity"]
_MY_DATES = [*_DATES, "0000-00-00", "2024-00-07", "2023-02-31"]
_CLOCK = ["00:00:00", "23:59:59", "12:00:00.5", "01:02:03.999999"]
_BITS = ["0", "1", "101", "00000101", "10000000"]
_JSON = ["1", '{"a": 1.50}', "[]", '"\\u0000"', '"é"', "12345678901234567890.123"]


def _moments(dates: list[str]) -> list[str]:
    return [
        f"{day} {clock}{era}"
        for (day, _, era), clock in product((each.partition(" ") for each in dates), _CLOCK)
        for era in ([f" {era}"] if era else [""])
        if day != "infinity"
    ] + [each for each in dates if each == "infinity"]


PG_COLUMNS = [
    (_column("smallint", "integer", 2), _INTEGERS),
    (_column("integer", "integer", 4), _INTEGERS),
    (_column("bigint", "integer", 8), _INTEGERS),
    (_column("numeric", "decimal"), [*_DECIMALS, "NaN", "Infinity"]),
    (_column("numeric(10,2)", "decimal", 10, 2), [*_DECIMALS, "NaN"]),
    (_column("numeric(20,0)", "decimal", 20, 0), _INTEGERS),
    (_column("numeric(3,-2)", "decimal", 3, -2), ["100", "-99900"]),
    (_column("real", "float", 4), [*_FLOATS, "NaN", "Infinity"]),
    (_column("double precision", "float", 8), [*_FLOATS, "1e+300", "-Infinity"]),
    (_column("boolean", "boolean"), ["0", "1"]),
    (_column("text", "text"), _TEXTS),
    (_column("character varying(3)", "text", 3), _TEXTS),
    (_column("character(3)", "text", 3), ["", "a", "abc"]),
    (_column("name", "text"), _TEXTS),
    (_column('"char"', "text", 1), ["a", ""]),
    (_column("bytea", "bytes"), ["", "abc", "a\0b"]),
    (_column("bit(1)", "bits", 1), _BITS),
    (_column("bit(3)", "bits", 3), _BITS),
    (_column("bit(8)", "bits", 8), _BITS),
    (_column("bit varying", "bits"), _BITS),
    (_column("bit varying(8)", "bits", 8), _BITS),
    (_column("date", "date"), _PG_DATES),
    (_column("time without time zone", "time", scale=6), [*_CLOCK, "24:00:00"]),
    (_column("time(0) without time zone", "time", scale=0), [*_CLOCK, "24:00:00"]),
    (_column("timestamp without time zone", "timestamp", scale=6), _moments(_PG_DATES)),
    (_column("timestamp(0) without time zone", "timestamp", scale=0), _moments(_PG_DATES)),
    (_column("timestamp with time zone", "instant", scale=6), _moments(_PG_DATES)),
    (_column("timestamp(3) with time zone", "instant", scale=3), _moments(_PG_DATES)),
    (_column("interval", "interval", scale=6),
     ["00:00:00", "-838:59:59.5", "1 mon 2 days 03:04:05", "900:00:00", "10:00:00"]),
    (_column("interval(0)", "interval", scale=0), ["00:00:01", "1 day", "-25:00:00"]),
    (_column("interval year to month", "interval", scale=6), ["1 year 2 mons"]),
    (_column("json", "json"), _JSON),
    (_column("jsonb", "json"), [each for each in _JSON if "u0000" not in each]),
    (_column("uuid", "uuid", 36), ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    (_column("inet", "other"), ["10.0.0.1", "10.1.2.3/8", "::1"]),
    (_column("cidr", "other"), ["10.0.0.0/8", "10.0.0.1/32"]),
    (_column("integer[]", "other"), ["{1,2}"]),
    (_column("numeric(3,1)[]", "other"), ["{1.5}"]),
    (_column("time with time zone", "other"), ["12:00:00.123456+02"]),
    (_column("time(0) with time zone", "other"), ["12:00:00+02"]),
    (_column("tsvector", "other"), ["'a' 'b'"]),
]  # fmt: skip

MARIA_COLUMNS = [
    (_column("tinyint(4)", "integer", 1), _INTEGERS),
    (_column("tinyint(3) unsigned", "integer", 1, unsigned=True), _INTEGERS),
    (_column("smallint(6)", "integer", 2), _INTEGERS),
    (_column("mediumint(8) unsigned", "integer", 3, unsigned=True), _INTEGERS),
    (_column("int(11)", "integer", 4), _INTEGERS),
    (_column("int(10) unsigned", "integer", 4, unsigned=True), _INTEGERS),
    (_column("bigint(20)", "integer", 8), _INTEGERS),
    (_column("bigint(20) unsigned", "integer", 8, unsigned=True), _INTEGERS),
    (_column("year(4)", "integer", 2), ["0", "1901", "2155", "2024"]),
    (_column("decimal(10,2)", "decimal", 10, 2), _DECIMALS),
    (_column("decimal(10,2) unsigned", "decimal", 10, 2, unsigned=True), _DECIMALS),
    (_column("decimal(20,0)", "decimal", 20, 0), _INTEGERS),
    (_column("decimal(65,30)", "decimal", 65, 30), _DECIMALS),
    (_column("float", "float", 4), _FLOATS),
    (_column("float(7,2)", "float", 4), ["0.1", "1.25"]),
    (_column("double", "float", 8), [*_FLOATS, "1e+300"]),
    (_column("bit(1)", "bits", 1), ["0", "1"]),
    (_column("bit(8)", "bits", 8), [each for each in _BITS if len(each) == 8]),
    (_column("date", "date"), _MY_DATES),
    (_column("time", "duration", scale=0), ["-838:59:59", "838:59:59", "23:00:00"]),
    (_column("time(6)", "duration", scale=6), ["-00:00:00.5", "24:00:00", "01:02:03.999999"]),
    (_column("datetime", "timestamp", scale=0), _moments(_MY_DATES)),
    (_column("datetime(6)", "timestamp", scale=6), _moments(_MY_DATES)),
    (_column("timestamp(6)", "instant", scale=6),
     ["1970-01-01 00:00:01", "2038-01-19 03:14:07.999999", "0000-00-00 00:00:00"]),
    (_column("char(3)", "text", 3), ["", "a", "abc"]),
    (_column("varchar(3)", "text", 3), _TEXTS),
    (_column("tinytext", "text", 255), _TEXTS),
    (_column("longtext", "text"), [*_TEXTS, "a\0b"]),
    (_column("enum('1','a','b')", "text", 1), ["1", "a", "b", ""]),
    (_column("set('a','b')", "text"), ["", "a", "a,b"]),
    (_column("binary(3)", "bytes", 3), ["abc"]),
    (_column("varbinary(3)", "bytes", 3), ["", "abc", "a\0b"]),
    (_column("longblob", "bytes"), ["", "abc", "a\0b"]),
    (_column("json", "json"), _JSON),
    (_column("uuid", "uuid", 36), ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    (_column("inet6", "other"), ["::1", "::ffff:10.0.0.1"]),
]  # fmt: skip

COLUMNS: Mapping[str, Sequence[tuple[Column, list[str]]]] = {
    PG: PG_COLUMNS,
    MARIA: MARIA_COLUMNS,
}


def held(column: Column, values: Sequence[str], found: Sequence[str | None]) -> list[str]:
    """Return the values that a column holds: numbers as it tells them, others as they were given.

    `found` is what was read of it for each, None where it was refused.
    """
    exact = column.type.kind not in _NUMBERS
    return [
        value if exact else there
        for value, there in zip(values, found, strict=True)
        if there is not None and same(column, column, value, there)
    ]


_NUMBERS = ("integer", "decimal", "float", "boolean")
_TIMES = ("date", "timestamp", "instant", "time", "duration", "interval")


def same(source: Column, target: Column, value: str, there: str) -> bool:
    """Tell whether what is in a target is the value of a source; bytes are read as digits."""
    mine, theirs = source.type.kind, target.type.kind
    if target.type.kind == "bytes":
        return value.encode().hex() == there
    if value == there:
        return True
    if theirs == "text" and mine in _NUMBERS:
        return re.fullmatch(r"-?\d.*", there) is not None and same(source, source, value, there)
    if theirs == "text" and mine in _TIMES:
        return _stripped(value) == _stripped(there)
    if {mine, theirs} <= {*_NUMBERS, "bits"} and "bits" not in (mine, theirs):
        return _same_number(source, target, value, there)
    if mine in _TIMES and theirs in _TIMES:
        if (mine, theirs) == ("date", "timestamp"):
            day, *era = value.split(" ")
            value = value if day == "infinity" else " ".join([day, "00:00:00", *era])
        return _stripped(value) == _stripped(there)
    if theirs == "json" and mine in ("json", "text"):
        return bool(_parsed(value) == _parsed(there))
    if (mine, theirs) == ("bits", "bits") and "varying" not in source.native + target.native:
        return "without" not in value and int(value, 2) == int(there, 2) and source.native[0] == "b"
    return theirs in ("other", "uuid") and _address(value) == _address(there)


def _same_number(source: Column, target: Column, value: str, there: str) -> bool:
    if "NaN" in (value, there):
        return value == there
    if target.type.kind != "float" or source.type.kind == "integer":
        return Decimal(value) == Decimal(there)
    if target.type.size == 4 and source.type.kind == "decimal":
        return Decimal(value) == Decimal(f"{float(there):.6g}")
    if target.type.size == 4:
        return struct.pack("f", float(value)) == struct.pack("f", float(there))
    return float(value) == float(there) and Decimal(value) == Decimal(repr(float(value)))


def alike(source: Column, target: Column) -> bool:
    """Tell whether two types are of one family: numbers, times, or of the same kind."""
    kinds = {source.type.kind, target.type.kind}
    return len(kinds) == 1 or kinds <= {*_NUMBERS} or kinds <= {*_TIMES}


def _stripped(moment: str) -> str:
    return re.sub(r"(\.\d*?)0+(?!\d)", r"\1", moment).replace(". ", " ").rstrip(".")


def _parsed(text: str) -> object:
    try:
        return json.loads(text, parse_float=Decimal)
    except ValueError:
        return text


def _address(text: str) -> object:
    try:
        return ip_interface(text)
    except ValueError:
        return text
