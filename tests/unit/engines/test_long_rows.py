"""Rows that go in pieces: the same as what is made of them as a whole."""

from collections.abc import Iterator
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.engines import copy_text
from syncd.engines.copy_text import parsed, parsed_alone, written
from syncd.engines.mysql import literals, packets
from syncd.engines.mysql.literals import Encoder, line_alone, lines
from syncd.engines.mysql.packets import framed
from syncd.model.table import Column, Row, Type

VALUES = st.none() | st.binary(max_size=20) | st.text("\\\t\n\rNx'", max_size=20).map(str.encode)
ROWS = st.tuples(VALUES, VALUES, VALUES)
HEXED = st.sampled_from([(), (0,), (1, 2)])
FULL = 5
"""Bytes of a full packet, instead of 16 MiB."""


@pytest.fixture(autouse=True, scope="module")
def short() -> Iterator[None]:
    """Cut everything into pieces."""
    with (
        patch.object(copy_text, "PIECE", 3),
        patch.object(literals, "LONG", 4),
        patch.object(packets, "FULL", FULL),
    ):
        yield


@given(st.lists(ROWS, min_size=1, max_size=3), HEXED)
def test_a_line_in_pieces_is_the_one_of_the_whole_row(
    rows: list[Row], hexed: tuple[int, ...]
) -> None:
    whole = b"".join(written(rows, hexed))
    with patch.object(copy_text, "LONG", -1):
        pieces = list(written(rows, hexed))
    assert b"".join(pieces) == whole
    assert max(map(len, pieces)) <= 6
    assert parsed(whole, hexed) == rows


@given(ROWS, HEXED)
def test_a_line_that_is_read_alone_says_what_it_does_among_others(
    row: Row, hexed: tuple[int, ...]
) -> None:
    line = bytearray(b"".join(written([row], hexed)))
    assert parsed_alone(line, hexed) == row
    line.clear()  # nothing refers to it any more


@given(ROWS, st.booleans(), st.sampled_from(["text", "bytes", "bits"]))
def test_a_row_of_a_statement_in_parts_is_the_one_in_one(
    row: Row, numbered: bool, kind: str
) -> None:
    columns = [Column(f"c{at}", Type(kind), "", nullable=True) for at in range(3)]  # type: ignore[arg-type]
    encoders = [Encoder(column) for column in columns]
    if kind == "bits":
        row = tuple(None if value is None else b"01" for value in row)
    [whole] = lines(encoders, [row], numbered=numbered)
    size, pieces = line_alone(encoders, row, numbered=numbered)
    assert (size, b"".join(pieces)) == (len(whole), whole)


@given(st.lists(st.binary(max_size=4 * FULL)))
def test_packets_hold_what_they_are_given(parts: list[bytes]) -> None:
    stream = b"".join(framed(parts, sum(map(len, parts))))
    told, sizes = b"", []
    while stream:
        sizes.append(int.from_bytes(stream[:3], "little"))
        assert stream[3] == len(sizes) - 1
        told += stream[4 : 4 + sizes[-1]]
        stream = stream[4 + sizes[-1] :]
    assert told == b"".join(parts)
    assert sizes[-1] < FULL
    assert set(sizes[:-1]) <= {FULL}
