"""What docs/checks.md tells of details and differences is what real checks show."""

import re
from pathlib import Path

import psycopg
import pytest
from check_runs import CheckRuns
from prometheus_client import CollectorRegistry
from psycopg.rows import dict_row
from table_runs import ORDERS, Postgres

from syncd.telemetry.families import Families

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "checks.md").read_text()
(QUESTION,) = re.findall(r"```sql\n(.+?)```", PAGE, re.DOTALL)
TOLD = set(re.findall(r"`([a-z_]+)`", " ".join(re.findall(r"^\| (`.+?) \|", PAGE, re.MULTILINE))))


@pytest.fixture
def runs(databases, migrated_dsn, tmp_path):
    dsns = [databases.create(), databases.create()]
    made = CheckRuns(migrated_dsn, tmp_path, *map(Postgres, dsns))
    made.store.open()
    for side in (made.source, made.target):
        side.execute(ORDERS.format(time="timestamp"), "insert into orders select n, '2026-01-01',"
                     " 'name ' || n, n from generate_series(1, 200) n")  # fmt: skip
    yield made
    made.close()
    for dsn in dsns:
        databases.drop(dsn)


def test_each_detail_is_named_and_the_question_shows_the_keys(runs):
    runs.target.execute(
        "update orders set name = 'x' where id = 7",
        "delete from orders where id in (8, 9)",
        "alter table orders add more int",
    )
    runs.check_with(compare=["count", "aggregate", "checksum"], report_limit=2)
    _, told = runs.checked("failed")
    assert (told["cut"], told["differing"], told["not_compared"]) == (True, 3, ["more"])
    question = QUESTION.replace("shop-check", "check")
    with psycopg.connect(runs.store.dsn, row_factory=dict_row) as connection:
        rows = connection.execute(question.encode()).fetchall()
    assert [(row["table"], row["left_rows"], row["right_rows"]) for row in rows] == [
        ("orders", "200", "198")
    ] * 2  # fmt: skip
    shown = {row["key"]["id"]: (row["only"], row["columns"]) for row in rows}
    assert set(shown) <= {"7", "8", "9"}
    assert shown.get("7", (None, {"name": ["name 7", "x"]})) == (None, {"name": ["name 7", "x"]})
    runs.check_with(repair="copy")
    _, mended = runs.checked()
    assert mended["repaired"] == 3
    assert set(told) | set(mended) <= TOLD


def test_the_metrics_that_the_pages_name_are_there():
    registry = CollectorRegistry()
    Families(registry)
    there = {family.name for family in registry.collect()}
    there |= {f"{name}_total" for name in there}
    named = set(
        re.findall(r"`(syncd_(?:copy|check)_\w+)`", PAGE + (DOCS / "copies.md").read_text())
    )
    assert len(named) == 5
    assert named <= there


def test_keys_of_other_types_are_a_detail_of_their_own():
    assert "keys_of_other_types" in TOLD
