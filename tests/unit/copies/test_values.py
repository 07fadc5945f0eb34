"""What becomes of values without a place: by policy, counted, named; and of masked ones."""

from hashlib import sha256

import pytest

from syncd.copies.values import Placed, Values, masked, shown
from syncd.model.copy import ColumnRules, ValuePolicy
from syncd.model.table import Column, Row, Type

MYSQL_TO_POSTGRESQL = ("mysql", "postgresql")
NUMBER = (Column("id", Type("integer", 4), "int(11)"), Column("id", Type("integer", 4), "integer"))
DUE = (Column("due", Type("date"), "date"), Column("due", Type("date"), "date"))
NOTE = (Column("note", Type("text", 9), "varchar(9)"), Column("memo", Type("text"), "text"))
ROWS: list[Row] = [
    (b"1", b"2024-02-29", b"plain"),
    (b"2", b"0000-00-00", b"plain"),
    (b"3", None, b"a\0b"),
    (b"4", b"2023-00-07", b"\0"),
]


def placed(rows: list[Row], **policies: ValuePolicy) -> Placed:
    return Values((NUMBER, DUE, NOTE), MYSQL_TO_POSTGRESQL, ColumnRules(values=policies)).placed(
        rows
    )


def test_rows_whose_values_all_have_a_place_are_the_same_list() -> None:
    rows = ROWS[:1] * 3
    assert placed(rows).rows is rows


def test_values_without_a_place_refuse_their_rows_by_name() -> None:
    found = placed(ROWS)
    assert found.rows == ROWS[:1]
    assert found.refused == [
        (ROWS[1], "column due: '0000-00-00' is no day of the calendar"),
        (ROWS[2], "column note: 'a\\x00b' is a text with NUL"),
        (ROWS[3], "column due: '2023-00-07' is no day of the calendar"),
    ]
    assert not found.nulled
    assert not found.mended


def test_null_and_text_put_values_where_they_have_a_place_and_count_them() -> None:
    found = placed(ROWS, due="null", note="text")
    assert found.rows == [
        (b"1", b"2024-02-29", b"plain"),
        (b"2", None, b"plain"),
        (b"3", None, b"ab"),
        (b"4", None, b""),
    ]
    assert found.refused == []
    assert found.nulled == {"due": 2}
    assert found.mended == {"note": 2}


def test_what_a_refused_row_would_have_changed_is_not_counted() -> None:
    found = placed(ROWS, note="null")
    assert [row[0] for row, _ in found.refused] == [b"2", b"4"]
    assert found.nulled == {"note": 1}


def test_a_column_that_cannot_be_null_refuses_what_null_is_asked_for() -> None:
    firm = (DUE[0], Column("due", Type("date"), "date", nullable=False))
    values = Values((firm,), MYSQL_TO_POSTGRESQL, ColumnRules(values={"due": "null"}))
    assert [why for _, why in values.placed([(b"0000-00-00",)]).refused] == [
        "column due: '0000-00-00' is no day of the calendar"
    ]


def test_text_does_not_help_what_is_no_text() -> None:
    ((_, why),) = placed(ROWS[:2], due="text").refused
    assert why.endswith("calendar, and can be a text only where due of the target is one")
    ((_, why),) = placed(ROWS[:2]).refused
    assert why.endswith("calendar")


def test_masks_hide_values_and_come_before_policies() -> None:
    rules = ColumnRules(mask={"note": "hash", "due": "null"})
    values = Values((NUMBER, DUE, NOTE), MYSQL_TO_POSTGRESQL, rules)
    assert values.signs is None
    found = values.placed(ROWS[1:3])
    assert found.rows == [
        (b"2", None, sha256(b"plain").hexdigest().encode()),
        (b"3", None, sha256(b"a\0b").hexdigest().encode()),
    ]
    assert not found.refused


@pytest.mark.parametrize("mask", ["hash", "null"])
def test_null_stays_null_behind_a_mask(mask: str) -> None:
    assert masked(None, mask) is None  # type: ignore[arg-type]


def test_nothing_is_looked_at_where_all_values_have_a_place() -> None:
    assert Values((NUMBER,), MYSQL_TO_POSTGRESQL, ColumnRules()).signs == frozenset()
    assert Values((DUE, NOTE), ("postgresql", "postgresql"), ColumnRules()).signs == frozenset()


def test_what_the_target_refuses_by_itself_is_not_looked_at_unless_it_is_mended() -> None:
    assert Values((DUE, NOTE), MYSQL_TO_POSTGRESQL, ColumnRules()).signs == frozenset()
    for policy in "null", "text":
        rules = ColumnRules(values={"note": policy})  # type: ignore[dict-item]
        assert Values((DUE, NOTE), MYSQL_TO_POSTGRESQL, rules).signs is None


def test_last_blanks_that_would_be_cut_off_show_in_lines() -> None:
    short = (NOTE[0], Column("note", Type("text", 5), "character varying(5)"))
    values = Values((short,), ("postgresql", "postgresql"), ColumnRules())
    assert values.signs == {b" \t", b" \n"}


def test_errors_show_the_beginning_of_a_value() -> None:
    assert shown(b"x" * 61) == f"'{'x' * 60}'..."
    assert shown("é".encode() * 60) == f"'{'é' * 60}'"
    assert shown(b"\xff\x00") == "'\\\\xff\\x00'"
