"""Packets of rows as lines of COPY: the same as what is made of their values one by one."""

from hypothesis import given
from hypothesis import strategies as st

from syncd.engines.copy_text import parsed, written
from syncd.engines.mysql.copy_lines import lined
from syncd.model.table import Row, Value

END = b"\x05\0\0\x07\xfe\0\0\x02\0"
ERROR = b"\x09\0\0\x07\xff\x25\x04#HY000"
PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="\0\1\t\n\r\\")).map(str.encode)
LONG = st.sampled_from([250, 251, 252, 255, 256, 65_535, 65_536]).map(lambda size: b"x" * size)


def cell(value: Value) -> bytes:
    if value is None:
        return b"\xfb"
    size = len(value)
    if size < 251:
        return bytes([size]) + value
    if size < 1 << 16:
        return b"\xfc" + size.to_bytes(2, "little") + value
    return b"\xfd" + size.to_bytes(3, "little") + value


def packet(row: Row) -> bytes:
    told = b"".join(map(cell, row))
    return len(told).to_bytes(3, "little") + b"\x09" + told


def rows_of(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[Row]]:
    row = st.tuples(st.none() | values, st.none() | values | LONG, st.none() | values)
    return st.lists(row, min_size=1, max_size=6)


@given(rows_of(PLAIN), st.sampled_from([b"", END, ERROR, b"\x03\0\0\x01\xfb"]))
def test_plain_rows_become_lines_and_what_follows_is_left(rows: list[Row], rest: bytes) -> None:
    data = b"".join(map(packet, rows))
    assert lined(data + rest, 3) == (b"".join(written(rows, ())), len(data))


@given(rows_of(st.binary(max_size=9)))
def test_what_has_to_be_escaped_is_left_to_others(rows: list[Row]) -> None:
    data = b"".join(map(packet, rows))
    text, end = lined(data, 3)
    assert end == len(data)
    assert (text is None) == any(
        set(value or b"") & set(b"\0\1\t\n\r\\") for r in rows for value in r
    )
    assert text is None or parsed(text, ()) == rows


def test_a_row_of_which_a_part_has_come_waits() -> None:
    first, second = packet((b"1", None)), packet((None, b"2"))
    for cut in range(len(second)):
        assert lined(first + second[:cut], 2) == (b"1\t\\N\n", len(first))
    assert lined(first[:-1], 2) == (b"", 0)
    assert lined(b"\xff\xff\xff\0\x01", 1) == (b"", 0)
