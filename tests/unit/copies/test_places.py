"""Which values have no place where, and that the fast look at a column misses none of them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.copies.places import Unplaced, unplaced
from syncd.model.table import Column, Kind, Type

PG, MY, MARIA = "postgresql", "mysql", "mariadb"


def column(kind: Kind, native: str, size: int | None = None) -> Column:
    return Column("c", Type(kind, size), native)


NUMERIC, DOUBLE = column("decimal", "numeric"), column("float", "double precision", 8)
TEXT, VARCHAR = column("text", "text"), column("text", "varchar(3)", 3)
INSTANT = column("instant", "timestamp with time zone")
DATETIME, TIMESTAMP = column("timestamp", "datetime(6)"), column("instant", "timestamp(6)")
PG_TIMESTAMP = column("timestamp", "timestamp without time zone")
ENUM, SET = column("text", "enum('a','it''s','1')"), column("text", "set('b','a')")

CASES = [
    # source, target, engines, values with a place, values without
    (NUMERIC, column("decimal", "decimal(9,2)", 9), (PG, MY), ["1.50", "-3"],
     ["NaN", "Infinity", "-Infinity"]),
    (DOUBLE, DOUBLE, (PG, MARIA), ["1e+300", "-0"], ["NaN", "Infinity", "-Infinity"]),
    (NUMERIC, column("decimal", "numeric(9,2)", 9), (PG, PG), ["NaN", "1"],
     ["Infinity", "-Infinity"]),
    (NUMERIC, column("integer", "bigint", 8), (PG, PG), ["1"], ["NaN", "Infinity"]),
    (column("date", "date"), column("date", "date"), (MY, PG),
     ["2024-02-29", "2024-12-31", "0001-01-01", "9999-04-30"],
     ["0000-00-00", "2024-00-01", "2024-01-00", "0000-05-05", "2023-02-29", "2024-02-30",
      "2024-04-31", "1900-02-29"]),
    (DATETIME, PG_TIMESTAMP, (MARIA, PG),
     ["2024-02-29 23:59:59.000001"], ["0000-00-00 00:00:00", "2023-02-31 10:00:00.5"]),
    (PG_TIMESTAMP, DATETIME, (PG, MARIA), ["0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"],
     ["infinity", "-infinity", "0044-03-15 00:00:00 BC", "10000-01-01 00:00:00",
      "294276-12-31 23:59:59.999999"]),
    (column("date", "date"), column("date", "date"), (PG, MY), ["0001-01-01"],
     ["0001-01-01 BC", "10000-01-01", "infinity"]),
    (INSTANT, TIMESTAMP, (PG, MARIA), ["1970-01-01 00:00:01", "2038-01-19 03:14:07.5"],
     ["1970-01-01 00:00:00", "2106-02-07 06:28:16", "0044-03-15 00:00:00 BC", "-infinity"]),
    (column("duration", "time(6)"), column("time", "time without time zone"), (MY, PG),
     ["00:00:00", "23:59:59.999999", "24:00:00"], ["-00:00:01", "24:00:00.5", "838:59:59"]),
    (column("interval", "interval"), column("duration", "time(6)"), (PG, MY),
     ["-838:59:59", "00:00:00.000001"],
     ["1 day", "1 mon 2 days 03:04:05", "839:00:00", "-1 days +02:03:04", "infinity"]),
    (column("text", "varchar(9)", 9), TEXT, (MY, PG), ["a", "", "é"], ["\0", "a\0b"]),
    (column("bytes", "bytea"), TEXT, (PG, PG), ["a"], ["\0"]),
    (column("json", "json"), column("json", "jsonb"), (PG, PG),
     [r'{"a": "\ud83d\ude00"}', r'"\\u0000"', r'"\\\\u0000"', "1"],
     [r'"\u0000"', r'"a\\\u0000"', r'"\ud83d"', r'"\ud83d\ud83d\ude00"', r'"\ude00x"']),
    (TEXT, VARCHAR, (PG, MY), ["abc", "abcd", "ab ", "éé "], ["abc ", "ééé "]),
    (TEXT, column("text", "tinytext", 255), (PG, MARIA), ["a" * 254 + " ", "é" * 200],
     ["a" * 255 + " ", "é" * 127 + "  "]),
    (TEXT, column("text", "character(3)", 3), (MY, PG), ["abc", " a"], ["ab ", " "]),
    (TEXT, ENUM, (PG, MY), ["a", "it's", "1"], ["", "A", "2", "a ", "it''s"]),
    (TEXT, SET, (PG, MY), ["", "a", "b,a"], ["a,b", "1", "b,b", "b,", "c"]),
    (ENUM, ENUM, (MARIA, MARIA), ["a"], [""]),
    (column("integer", "smallint", 2), column("integer", "year(4)", 2), (PG, MY),
     ["0", "1901", "2155"], ["1", "99", "1900", "2156"]),
    (column("bytes", "bytea"), column("bytes", "binary(3)", 3), (PG, MY), ["abc"],
     ["ab", "", "abcd"]),
    (column("integer", "tinyint(1)", 1), column("boolean", "boolean"), (MY, PG), ["0", "1"],
     ["2", "-1"]),
    (column("json", "jsonb"), column("json", "json"), (PG, MY),
     ["12345678901234567", "18446744073709551615", "[0.1, 1.5e3]", '{"1234567890123456789": 1}'],
     ["18446744073709551616", "0.12345678901234567890", "[1e400]", "123456789012345678.25"]),
]  # fmt: skip


@pytest.mark.parametrize(("source", "target", "engines", "good", "bad"), CASES)
def test_values_without_a_place_are_found(
    source: Column, target: Column, engines: tuple[str, str], good: list[str], bad: list[str]
) -> None:
    kinds = unplaced(source, target, engines)
    placed, strays = [each.encode() for each in good], [each.encode() for each in bad]
    assert [each for each in placed if _lacks(kinds, each)] == []
    assert [each for each in strays if not _lacks(kinds, each)] == []
    for each in strays:  # the fast look sees one among others
        assert any(kind.some([*placed, None, each]) for kind in kinds)


FREE = [
    (TEXT, TEXT, (PG, PG)),
    (TEXT, TEXT, (PG, MY)),
    (VARCHAR, VARCHAR, (MY, MY)),
    (NUMERIC, NUMERIC, (PG, PG)),
    (column("decimal", "numeric(9,2)", 9), column("decimal", "numeric(9,2)", 9), (PG, PG)),
    (column("decimal", "decimal(9,2)", 9), column("decimal", "numeric(9,2)", 9), (MY, PG)),
    (DATETIME, DATETIME, (MY, MARIA)),
    (PG_TIMESTAMP, PG_TIMESTAMP, (PG, PG)),
    (DATETIME, TEXT, (MY, PG)),
    (column("interval", "interval"), column("interval", "interval"), (PG, PG)),
    (column("duration", "time"), column("interval", "interval"), (MY, PG)),
    (column("json", "jsonb"), column("json", "jsonb"), (PG, PG)),
    (column("json", "jsonb"), column("json", "json"), (PG, MARIA)),
    (column("json", "json"), column("json", "json"), (MARIA, MARIA)),
    (column("bytes", "binary(3)", 3), column("bytes", "binary(3)", 3), (MY, MY)),
    (SET, SET, (MY, MY)),
    (column("text", "char(3)", 3), column("text", "character(3)", 3), (MY, PG)),
]


@pytest.mark.parametrize(("source", "target", "engines"), FREE)
def test_nothing_is_looked_at_where_all_have_a_place(
    source: Column, target: Column, engines: tuple[str, str]
) -> None:
    kinds = unplaced(source, target, engines)
    assert [each.lack for each in kinds if "NUL" not in each.lack] == []
    assert not kinds or engines == (MY, PG)


ALPHABET = st.sampled_from(list("0123456789-: .,aNIBCinfty\\ud\0e+E'"))
TEXTS = st.one_of(
    st.text(ALPHABET, max_size=24),
    st.dates().map(str),
    st.sampled_from([each for *_, good, bad in CASES for each in good + bad]),
)


@given(st.data())
def test_the_fast_look_misses_nothing(data: st.DataObject) -> None:
    source, target, engines, good, bad = data.draw(st.sampled_from(CASES))
    for kind in unplaced(source, target, engines):
        known = st.sampled_from([*good, *bad])
        values = data.draw(st.lists(st.none() | known, max_size=6))
        column_values = [None if value is None else value.encode() for value in values]
        if any(value is not None and kind.lacks(value) for value in column_values):
            assert kind.some(column_values)


BACKSLASH, NUL, HALF, PAIR = r"\\", r"\u0000", r"\ud83d", r"\ud83d\ude00"


@pytest.mark.parametrize(("target", "engine", "nul"), [("jsonb", PG, ""), ("json", MARIA, NUL)])
def test_halves_of_characters_are_mended_and_whole_ones_are_not(
    target: str, engine: str, nul: str
) -> None:
    kinds = unplaced(column("json", "json"), column("json", target), (PG, engine))
    [mend] = [each.mended for each in kinds if each.mended]
    value = f'"a{NUL}{BACKSLASH}u0000b{HALF}c{PAIR}"'
    assert mend(value.encode()).decode() == rf'"a{nul}{BACKSLASH}u0000b\ufffdc{PAIR}"'


@given(st.lists(TEXTS, max_size=5))
def test_json_without_nul_is_the_same_json_without_nul(parts: list[str]) -> None:
    (kind,) = unplaced(column("json", "json"), column("json", "jsonb"), (PG, PG))
    assert kind.mended
    document = json.dumps(parts).encode()
    mended = json.loads(kind.mended(document))
    assert mended == [each.replace("\0", "") for each in parts]


def _lacks(kinds: tuple[Unplaced, ...], value: bytes) -> bool:
    return any(kind.lacks(value) for kind in kinds)
