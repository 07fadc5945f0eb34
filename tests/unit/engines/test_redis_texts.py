"""Patterns of keys, and values in the forms in which they are compared: pure."""

import fnmatch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.engines.redis.forms import in_form
from syncd.engines.redis.pace import Pace
from syncd.engines.redis.pattern import Pattern
from syncd.engines.sides import Form
from syncd.errors import ConfigurationError

DECIMAL, FLOAT, TEXT = Form("decimal"), Form("float"), Form("text")


@pytest.mark.parametrize(
    ("pattern", "name", "key"),
    [
        ("stock:{sku}", b"stock:17", (b"17",)),
        ("stock:{sku}", b"stock:", (b"",)),
        ("stock:{sku}", b"stock:a:b\n\0\xff", (b"a:b\n\0\xff",)),
        ("stock:{sku}", b"Stock:17", None),
        ("stock:{sku}", b"xstock:17", None),
        ("{sku}:stock", b"a:stock:stock", (b"a:stock",)),
        ("{shop}:{sku}:qty", b"a:b:c:qty", (b"a", b"b:c")),
        ("{shop}:{sku}", b"a", None),
        ("*[?]\\{sku}", b"*[?]\\x", (b"x",)),
        ("*[?]\\{sku}", b"a?\\x", None),
        ("größe:{sku}", "größe:ü".encode(), ("ü".encode(),)),
    ],
)
def test_a_name_is_read_by_its_pattern_and_written_again(pattern, name, key):
    made = Pattern.parse(pattern)
    assert made.read(name) == key
    assert key is None or made.write(key) == name


def test_what_would_be_read_otherwise_has_no_name():
    assert Pattern.parse("{shop}:{sku}").write((b"a:b", b"c")) is None
    assert Pattern.parse("{shop}:{sku}").write((b"a", b"b:c")) == b"a:b:c"


@pytest.mark.parametrize(
    "pattern", ["stock", "stock:{}", "{a}{b}", "{a}:{a}", "a{b", "a}b{c}", "{{a}}", "{a}:{b}{c}"]
)
def test_what_tells_no_key_is_refused(pattern):
    with pytest.raises(ConfigurationError, match="pattern"):
        Pattern.parse(pattern)


@given(st.text(st.sampled_from("a*?[]\\^-:"), max_size=8), st.binary(max_size=8))
@settings(max_examples=100)
def test_a_glob_finds_what_its_pattern_reads(text, value):
    made = Pattern.parse(f"{text}{{key}}.")
    name = made.write((value,))
    # a backslash escapes for Redis, a class of one character for fnmatch
    pieces = made.glob.decode().replace("\\\\", "\1")
    for special in "*?[]":
        pieces = pieces.replace(f"\\{special}", f"[{special}]" if special != "]" else "]")
    pieces = pieces.replace("\1", "\\")
    assert fnmatch.fnmatchcase(name.decode("latin-1"), pieces)


@pytest.mark.parametrize(
    ("form", "value", "made"),
    [
        (DECIMAL, b"10", b"10"), (DECIMAL, b"10.0", b"10"), (DECIMAL, b"1e1", b"10"),
        (DECIMAL, b" 10 ", b"10"), (DECIMAL, b"+10.", b"10"), (DECIMAL, b"0010", b"10"),
        (DECIMAL, b"-0", b"0"), (DECIMAL, b"-0.00", b"0"), (DECIMAL, b".5", b"0.5"),
        (DECIMAL, b"1.50", b"1.5"), (DECIMAL, b"1.5E-3", b"0.0015"), (DECIMAL, b"0e99", b"0"),
        (DECIMAL, b"18446744073709551616", b"18446744073709551616"),
        (Form("decimal", 2), b"1.5", b"1.50"), (Form("integer"), b"7.0", b"7"),
        (DECIMAL, b"", b""), (DECIMAL, b"1 0", b"1 0"), (DECIMAL, b"0x10", b"0x10"),
        (DECIMAL, b"1_0", b"1_0"), (DECIMAL, b"NaN", b"NaN"), (DECIMAL, b"1e999999", b"1e999999"),
        (DECIMAL, b"1e9999", b"1e9999"), (DECIMAL, "٣".encode(), "٣".encode()),
        (DECIMAL, b"\xff\0", b"\xff\0"), (DECIMAL, b"1" * 2000, b"1" * 2000),
        (FLOAT, b"10", b"10"), (FLOAT, b"10.0", b"10"), (FLOAT, b"1e1", b"10"),
        (FLOAT, b"0.1000", b"0.1"), (FLOAT, b"x", b"x"),
        (FLOAT, b"0.0000001", b"1e-7"), (FLOAT, b"1e+15", b"1e15"), (FLOAT, b"-0.0", b"0"),
        (FLOAT, b"-123456789012345678", b"-1.2345678901234568e17"), (FLOAT, b"1e400", b"1e400"),
        (FLOAT, b"999999999999999", b"999999999999999"), (FLOAT, b"0.0001", b"0.0001"),
        (TEXT, b" a ", b" a "), (Form("text", blanks=True), b"a  ", b"a"),
        (Form("uuid"), b"ABCD", b"abcd"), (DECIMAL, None, None),
    ],
)  # fmt: skip
def test_numbers_are_told_from_their_texts(form, value, made):
    assert in_form(form, value) == made


def test_a_pace_lets_a_burst_pass_and_then_holds_back():
    now = [100.0]
    pace = Pace(10, lambda: now[0])
    assert [round(pace._reserve(5), 6) for _ in range(3)] == [-0.5, 0, 0.5]
    now[0] += 60
    assert pace._reserve(10) <= 0
