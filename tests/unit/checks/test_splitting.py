"""Ranges are split until all that differs is found, and nothing else, at a bounded cost."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from engine_run import context
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_side import MemorySide, MemorySides, shape

from syncd.checks.check import Check
from syncd.checks.findings import Different, Result
from syncd.checks.ranges import Sizes
from syncd.context import CancelSource
from syncd.engines.sides import View
from syncd.errors import BadData, Cancelled
from syncd.model.check import CheckRules, Tolerance
from syncd.model.table import Column, Key, Relation, Row, Type

NUMBER = Column("id", Type("integer", 8), "bigint", nullable=False)
TENANT = Column("tenant", Type("integer", 4), "integer", nullable=False)
CODE = Column("code", Type("text", 20), "character varying(20)", nullable=False)
VALUE = Column("v", Type("text", 20), "character varying(20)")
PLACE = Relation("server", "db", "public", "t")
RULES = CheckRules("t", PLACE, PLACE, recheck=timedelta(0))
SIZES = Sizes(chunk=32, leaf=4, per_bucket=4)
NOW = datetime(2026, 1, 1, tzinfo=UTC)

Rows = dict[Key, Row]


def _ranked(columns: list[Column]) -> Callable[[Key], tuple[object, ...]]:
    """Return the order of a server: its own for texts, from the end."""
    kinds = [each.type.kind for each in columns]
    return lambda key: tuple(
        int(value) if kind == "integer" else value[::-1]
        for kind, value in zip(kinds, key, strict=False)
    )


def _side(key: list[Column], rows: Rows, guess: int = 0, **changed: Any) -> MemorySide:
    return MemorySide(shape(key, VALUE, rows=guess), dict(rows), _ranked(key), **changed)


def _check(left: MemorySide, right: MemorySide, **changed: Any) -> Result:
    told = {"rules": RULES, "sizes": SIZES} | changed
    sides = [(MemorySides(side), PLACE) for side in (left, right)]
    check = Check(context(), told.pop("rules"), *sides, NOW, **told)  # type: ignore[arg-type]
    return check.run()[0]


integers = st.integers(-(2**63), 2**63 - 1)
keys = st.one_of(integers, st.integers(0, 40)).map(lambda n: (b"%d" % n,))
texts = st.text("aB é~|:", max_size=6).map(lambda text: (text.encode(),))
mixed = st.tuples(st.sampled_from([b"1", b"1", b"2"]), texts.map(lambda key: key[0]))
values = st.one_of(st.none(), st.sampled_from([b"", b"a", b"b"])).map(lambda value: (value,))


@pytest.mark.parametrize(
    ("key", "of"),
    [([NUMBER], keys), ([CODE], texts), ([TENANT, CODE], mixed)],
    ids=["numbers", "texts", "mixed"],
)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_all_that_differs_is_found(key: list[Column], of: Any, data: st.DataObject) -> None:
    left: Rows = data.draw(st.dictionaries(of, values, max_size=150))
    right = left | data.draw(st.dictionaries(of, values, max_size=8))
    for place in data.draw(st.sets(st.integers(0, 150), max_size=5)):
        right.pop(sorted(right)[place] if place < len(right) else (), None)
    if data.draw(st.booleans()):
        left, right = right, left
    guess = data.draw(st.sampled_from([0, 1000]))
    found = _check(_side(key, left), _side(key, right, guess)).found
    assert set(found.left) == left.keys() - right.keys()
    assert set(found.right) == right.keys() - left.keys()
    both = left.keys() & right.keys()
    assert set(found.differ) == {each for each in both if left[each] != right[each]}


def test_nothing_is_fetched_of_equal_tables() -> None:
    rows = {(b"%d" % n,): (b"x",) for n in range(5000)}
    left, right = _side([NUMBER], rows), _side([NUMBER], rows)
    result = _check(left, right, sizes=Sizes())
    assert result.equal
    assert result.left_rows == 5000
    assert left.fetched == right.fetched == 0
    assert left.digested == 5000


@pytest.mark.parametrize("key", [[NUMBER], [CODE]], ids=["numbers", "texts"])
def test_one_difference_costs_little(key: list[Column]) -> None:
    rows: Rows = {(b"%d" % (2**n if n < 60 else 10**18 + n),): (b"x",) for n in range(4_000)}
    left, right = _side(key, rows), _side(key, rows | {(b"1048576",): (b"y",)})
    result = _check(left, right, sizes=Sizes(chunk=1024, leaf=32, per_bucket=32))
    assert result.found.differ == [(b"1048576",)]
    assert left.fetched <= 128
    assert left.digested <= 4_000 + 1024 + 64


@pytest.mark.parametrize("key", [[NUMBER], [CODE]], ids=["numbers", "texts"])
def test_memory_and_cost_are_bounded_when_everything_differs(key: list[Column]) -> None:
    rows: Rows = {(b"%d" % n,): (b"x",) for n in range(4_000)}
    left = _side(key, rows)
    right = _side(key, dict.fromkeys(rows, (b"y",)))
    result = _check(left, right, sizes=Sizes(chunk=512, leaf=64, per_bucket=64), most=500)
    assert 500 <= len(result.found) <= 1600
    assert result.skipped > 0
    assert result.left_rows == result.right_rows == 4_000
    assert left.most <= 512 + 64
    assert str(result).startswith("at least ")
    assert len(result.differences) == 100


def test_a_range_is_cut_where_its_rows_are() -> None:
    few, many = _side([NUMBER], {}), _side([NUMBER], {(b"%d" % n,): (b"x",) for n in range(500)})

    def fail(*_: Any) -> Any:
        raise AssertionError("no index helps a hash")

    for left, right in (few, many), (many, few):
        left.buckets = right.buckets = fail  # type: ignore[method-assign]
        assert len(_check(left, right, sizes=Sizes(chunk=1024, leaf=32)).found) == 500


def test_a_server_with_another_order_is_found_out() -> None:
    rows = {(b"%d" % n,): (b"x",) for n in range(500)}
    wrong = _side([NUMBER], rows)
    wrong.rank = lambda key: (-int(key[0]),)
    with pytest.raises(BadData, match="order"):
        _check(wrong, wrong)


def _spelled(rows: int, size: int = 1) -> tuple[MemorySide, MemorySide]:
    """Return the same JSON on both sides, in two spellings."""
    sides = []
    for native, text in ("json", b'{"a":"%b"}'), ("jsonb", b'{"a": "%b"}'):
        made = shape([NUMBER], Column("v", Type("json"), native))
        values: Rows = {(b"%d" % n,): (text % (b"x" * size),) for n in range(rows)}
        sides.append(MemorySide(made, values, _ranked([NUMBER])))
    return sides[0], sides[1]


def test_where_all_rows_are_to_be_judged_each_is_digested_once() -> None:
    left, right = _spelled(1_000)
    result = _check(left, right, sizes=Sizes(chunk=512, leaf=64, per_bucket=64))
    assert result.equal
    assert left.digested == right.digested == 1_000


def test_few_large_values_are_fetched_together() -> None:
    asked = []
    left, right = _spelled(60, size=1 << 20)
    values = left.values

    def counted(view: View, keys: Any, fields: Any, limit: int | None) -> Any:
        asked.append(len(keys))
        found = values(view, keys, fields, limit)
        left.received += sum(len(row[0] or b"") for row in found.values())
        return found

    left.values = counted  # type: ignore[method-assign]
    assert _check(left, right, sizes=Sizes()).equal
    assert sum(asked) == 60
    assert max(asked) <= 4


def test_what_settles_before_the_second_look_is_no_difference() -> None:
    rows = {(b"%d" % n,): (b"x",) for n in range(100)}
    left, right = _side([NUMBER], rows), _side([NUMBER], rows | {(b"7",): (b"y",)})
    del right.rows[(b"8",)]
    right.before_lookup.append(lambda: right.rows.update(rows))
    result = _check(left, right)
    assert result.equal
    assert result.settled == 2


def test_a_row_that_is_young_on_one_side_is_no_difference() -> None:
    moment = Column("at", Type("timestamp", scale=6), "timestamp")
    rows = {(b"%d" % n,): (b"x", b"2024-01-01 00:00:00") for n in range(50)}
    made = shape([NUMBER], VALUE, moment)
    left = MemorySide(made, dict(rows), _ranked([NUMBER]), young={(b"7",)})
    right = MemorySide(made, dict(rows), _ranked([NUMBER]))
    left.rows[(b"7",)] = (b"y", b"2030-01-01 00:00:00")
    left.rows[(b"9",)] = (b"y", b"2024-01-01 00:00:00")
    rules = replace(RULES, age_column="at", min_age=timedelta(minutes=1))
    assert _check(left, right, rules=rules).found.differ == [(b"9",)]


def test_a_tolerance_lets_small_differences_pass_and_no_other() -> None:
    amount = Column("v", Type("float", 8), "double precision")
    rows: Rows = {(b"%d" % n,): (b"1000",) for n in range(100)}
    made = shape([NUMBER], amount)
    left = MemorySide(made, dict(rows), _ranked([NUMBER]))
    right = MemorySide(made, dict(rows), _ranked([NUMBER]))
    right.rows |= {
        (b"3",): (b"1000.9",),
        (b"4",): (b"1001.5",),
        (b"5",): (None,),
        (b"6",): (b"NaN",),
    }
    rules = replace(RULES, tolerance={"v": Tolerance(percent=Decimal("0.1"))})
    assert sorted(_check(left, right, rules=rules).found.differ) == [(b"4",), (b"5",), (b"6",)]


def test_what_a_side_raises_ends_the_other_and_is_told() -> None:
    left, right = _side([NUMBER], {}), _side([NUMBER], {})

    def fail(*_: Any, **__: Any) -> Any:
        raise BadData("gone")

    right.edge = fail  # type: ignore[method-assign]
    with pytest.raises(BadData, match="gone"):
        _check(left, right)


def test_a_cancelled_run_ends_with_what_it_was_told() -> None:
    source, rows = CancelSource(), {(b"%d" % n,): (b"x",) for n in range(500)}
    left, right = _side([NUMBER], rows), _side([NUMBER], rows | {(b"1",): (b"y",)})
    right.before_lookup.append(lambda: source.cancel(Cancelled("enough")))
    sides = [(MemorySides(side), PLACE) for side in (left, right)]
    check = Check(context(source=source), RULES, *sides, NOW, sizes=SIZES)  # type: ignore[arg-type]
    with pytest.raises(Cancelled):
        check.run()


def test_the_error_of_a_difference_is_not_tried_again() -> None:
    left = _side([NUMBER], {(b"1",): (b"a",), (b"2",): (b"a",)})
    right = _side([NUMBER], {(b"1",): (b"b",), (b"3",): (b"a",)})
    result = _check(left, right)
    assert str(result) == "3 rows differ: 1 only left, 1 only right, 1 differ"
    assert not Different(str(result)).retryable
