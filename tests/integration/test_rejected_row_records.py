"""Rows that a target refused, as the store keeps them."""

from dataclasses import replace

import pytest
from dispatch_helpers import NOON, Bench

from syncd.errors import Fenced
from syncd.model.copy import RejectedRow
from syncd.model.run import Claim
from syncd.store import rejected_rows

ROWS = [RejectedRow('["1"]', "bad", '{"id": "1"}'), RejectedRow('["2"]', "worse", '{"id": "2"}')]


def put(bench: Bench, claim: Claim, rows: list[RejectedRow]) -> None:
    with bench.store.transaction() as tx:
        rejected_rows.put_aside(tx, claim, "orders", "house public.orders", rows, NOON)


def kept(bench: Bench) -> list[tuple[str, str]]:
    return bench.execute("select key, error from syncd.rejected_row order by key")


def test_rows_are_kept_once_and_as_they_are_last(bench: Bench) -> None:
    claim = bench.begun()
    put(bench, claim, ROWS)
    put(bench, claim, [replace(ROWS[0], error="bad still"), ROWS[0], replace(ROWS[0], error="x")])
    assert kept(bench) == [('["1"]', "x"), ('["2"]', "worse")]
    put(bench, claim, [])


def test_an_attempt_that_lost_its_claim_puts_nothing_aside(bench: Bench) -> None:
    claim = bench.begun()
    with pytest.raises(Fenced):
        put(bench, replace(claim, attempt=claim.attempt + 1), ROWS)
    assert kept(bench) == []


def test_they_go_with_their_run(bench: Bench) -> None:
    claim = bench.begun()
    put(bench, claim, ROWS)
    bench.execute("delete from syncd.run")
    assert kept(bench) == []
