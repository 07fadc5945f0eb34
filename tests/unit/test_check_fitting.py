"""Keys that a column can't have are not asked for."""

import pytest

from syncd.checks.fitting import fitting
from syncd.engines.sides import Field, Form
from syncd.model.table import Column, Shape, Type

KINDS = {
    "integer": (Type("integer", 4), [b"0", b"-1", b"2147483647", b"-2147483648"],
                [b"", b"x", b"01", b"-0", b"+1", b"1.0", b" 1", b"2147483648", b"9" * 25]),
    "unsigned": (Type("integer", 8, unsigned=True), [b"18446744073709551615"],
                 [b"-1", b"18446744073709551616"]),
    "decimal": (Type("decimal"), [b"1", b"-1.50"], [b"", b"x", b"1e5"]),
    "float": (Type("float"), [b"1.5e-7", b"1e15"], [b"e5", b"1e5000"]),
    "boolean": (Type("boolean"), [b"1", b"0"], [b"true", b"2"]),
    "bits": (Type("bits", 3), [b"101"], [b"10", b"1012", b""]),
    "uuid": (Type("uuid"), [b"0b5a0d8e-6b1c-4f5b-9d8a-000000000000"], [b"0b5a0d8e", b""]),
    "text": (Type("text"), [b"", "ü😀".encode(), b"'"], [b"\xff", b"a\xc3"]),
    "bytes": (Type("bytes"), [b"", b"\xff\0"], []),
    "date": (Type("date"), [b"2024-02-29", b"10000-01-01"], [b"", b"x", b"2024-2-1"]),
    "timestamp": (Type("timestamp"), [b"2024-02-29 23:59:59.5"], [b"2024-02-29T23:59:59", b"now"]),
    "time": (Type("time"), [b"23:59:59.5", b"24:00:00"], [b"24:00:01", b"25:00:00", b"-01:00:00"]),
    "duration": (Type("duration"), [b"-838:59:59"], [b"1:2:3", b"x"]),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("engine", ["postgresql", "mysql", "mariadb"])
def test_only_what_a_column_can_have_fits(name, engine):
    kind, good, bad = KINDS[name]
    if engine != "postgresql":
        good = [value for value in good if value != b"10000-01-01"]
    assert fit(engine, kind, [*good, *bad]) == good


def fit(engine, kind, values):
    shape = Shape(engine, (Column("a", Type("text"), "text"), Column("b", kind, "x")), ("a", "b"))
    key = (Field("a", Form("text")), Field("b", Form(kind.kind)))
    return [each[1] for each in fitting(shape, key, [(b"a", value) for value in values])]


def test_what_only_one_engine_has_fits_there_alone():
    for value, kind in ((b"a\0b", "text"), (b"0000-00-00", "date"), (b"2024-02-30", "date")):
        assert fit("mariadb", Type(kind), [value]) == [value]
        assert fit("postgresql", Type(kind), [value]) == []
    for kind in ("decimal", "float"):
        for value in (b"NaN", b"Infinity", b"-Infinity"):
            assert fit("postgresql", Type(kind), [value]) == [value]
            assert fit("mariadb", Type(kind), [value]) == []
    for value in (b"infinity", b"-infinity", b"0044-03-15 BC"):
        assert fit("postgresql", Type("date"), [value]) == [value]
        assert fit("mysql", Type("date"), [value]) == []


def test_redis_has_any_key():
    assert fit("redis", Type("integer", 4), [b"\xff", b"x"]) == [b"\xff", b"x"]


@pytest.mark.parametrize(
    ("kind", "form", "good", "bad"),
    [
        (Type("uuid"), "bytes", [bytes(16), b"\xff" * 16], [b"", bytes(15), bytes(17)]),
        (Type("bits", 4), "integer", [b"0", b"5", b"15"], [b"16", b"-1", b"", b"1.5"]),
    ],
)
def test_a_key_may_have_another_form_than_the_column(kind, form, good, bad):
    shape = Shape("postgresql", (Column("a", kind, "x"),), ("a",))
    key = (Field("a", Form(form)),)
    assert fitting(shape, key, [(value,) for value in [*good, *bad]]) == [(v,) for v in good]
