"""What copies and checks are asked, made of their jobs."""

import pickle
from datetime import timedelta
from decimal import Decimal

import pytest
from copied_tables import check, check_of, copy

from syncd.config.copy_rules import check_rules, copy_rules
from syncd.model.check import CheckRules, Tolerance
from syncd.model.copy import ColumnRules, CopyRules, Watermark
from syncd.model.deletion import DeletionPolicy
from syncd.model.table import Relation

ORDERS = Relation("shop", "shop", "shop", "orders")
LINES = Relation("shop", "shop", "shop", "lines")
COPIED = Relation("house", "warehouse", "shop", "orders")


@pytest.fixture
def rules(folder):
    """Give the rules of the one job of each kind that a text has."""

    def of(text):
        folder.write(text)
        config = folder.load()
        jobs = config.jobs
        if "k" in jobs:
            return check_rules(jobs["k"], config.servers)
        return copy_rules(jobs["c"], config.servers)

    return of


def test_a_copy_of_which_nothing_is_said_has_the_defaults_of_the_rules(rules):
    lines = Relation("house", "warehouse", "shop", "lines")
    assert rules(copy()) == (
        CopyRules("orders", ORDERS, COPIED, "shop"), CopyRules("lines", LINES, lines, "shop"),
    )  # fmt: skip


def test_each_key_of_a_copy_goes_into_the_rules_of_each_table(rules):
    text = copy(
        'mode = "incremental"', 'watermark = "u"', 'lookback = "5m"', 'watermark_zone = "UTC"',
        'full_every = "7d"', 'on_conflict = "newer(v)"', 'delete = "soft"',
        'soft_delete_column = "gone"', "max_delete_percent = 5", "max_delete_count = 6",
        'new_columns = "evolve"', 'include = ["id", "u", "v"]', 'exclude = ["w"]',
        'rename = { v = "x" }', 'mask = { w = "hash" }', 'values = { u = "null" }',
        "max_rejected = 7", "page_rows = 8",
        source='server = "shop", schema = "shop", tables = ["orders"], key = ["id"]',
        target='server = "house", schema = "shop", state_schema = "state"',
    )  # fmt: skip
    relation = Relation("shop", "shop", "shop", "orders", "", ("id",))
    columns = ColumnRules(
        ("id", "u", "v"), ("w",), {"v": "x"}, {"w": "hash"}, {"u": "null"}, "evolve"
    )
    assert rules(text) == (
        CopyRules(
            "orders", relation, COPIED, "state", "incremental",
            Watermark("u", timedelta(minutes=5), "UTC"), timedelta(days=7), "newer", "v", "soft",
            "gone", DeletionPolicy(max_percent=5, max_count=6), columns, 7, 8,
        ),
    )  # fmt: skip


def test_what_is_said_of_a_table_goes_before_what_is_said_of_all(rules):
    text = copy(
        'mode = "incremental"', 'watermark = "u"', 'include = ["id"]', 'delete = "hard"',
        "[jobs.c.per_table.lines]", 'table = "order_lines"', 'key = ["id"]', 'watermark = "n"',
        "lookback = 0", "include = []", 'exclude = ["a"]', 'rename = { b = "c" }',
        'mask = { d = "null" }', 'values = { e = "text" }', 'delete = "none"', "max_rejected = 9",
        "page_rows = 1",
    )  # fmt: skip
    orders, lines = rules(text)
    assert orders.watermark == Watermark("u", None)
    assert (orders.columns, orders.delete) == (ColumnRules(("id",)), "hard")
    assert lines == CopyRules(
        "lines", Relation("shop", "shop", "shop", "lines", "", ("id",)),
        Relation("house", "warehouse", "shop", "order_lines"), "shop", "incremental",
        Watermark("n", 0), columns=ColumnRules(
            (), ("a",), {"b": "c"}, {"d": "null"}, {"e": "text"}
        ), max_rejected=9, page_rows=1,
    )  # fmt: skip


def test_the_copy_of_a_query_is_named_for_its_target(rules):
    source = 'server = "shop", database = "shop", query = "select 1 as id;", key = ["id"]'
    (copied,) = rules(copy(source=source, target='server = "house", table = "paid"'))
    assert copied.source == Relation("shop", "shop", "shop", "paid", "select 1 as id", ("id",))
    assert copied.target == Relation("house", "warehouse", "public", "paid")
    assert (copied.name, copied.state_schema) == ("paid", "public")


def test_a_check_of_which_nothing_is_said_has_the_defaults_of_the_rules(rules):
    right = Relation("house", "warehouse", "public", "orders")
    assert rules(check()) == (CheckRules("orders", ORDERS, right, alone=True),)


def test_each_key_of_a_check_goes_into_its_rules(rules):
    text = check(
        'key = ["id"]', 'columns = ["a"]', 'exclude = ["b"]', 'rename = { c = "d" }',
        'compare = ["count", "aggregate"]', 'tolerance = { a = 2, c = "0.10%", d = 0.5 }',
        'age_column = "u"', 'min_age = "5m"', 'recheck = "1s"', "report_limit = 3",
        'mask = ["a"]', 'on_difference = "report"',
    )  # fmt: skip
    tolerance = {
        "a": Tolerance(Decimal(2)), "c": Tolerance(percent=Decimal("0.10")),
        "d": Tolerance(Decimal("0.5")),
    }  # fmt: skip
    right = Relation("house", "warehouse", "public", "orders")
    assert rules(text) == (
        CheckRules(
            "orders", ORDERS, right, ("id",), ("a",), ("b",), {"c": "d"}, ("count", "aggregate"),
            tolerance, "u", timedelta(minutes=5), timedelta(seconds=1), 3, frozenset({"a"}),
            on_difference="report", alone=True,
        ),
    )  # fmt: skip


def test_tables_are_paired_in_their_order_or_by_their_names(rules):
    left = 'server = "house", tables = ["a", "b"]'
    paired = rules(check(left=left, right='server = "house", schema = "x", tables = ["b", "c"]'))
    named = rules(check(left=left, right='server = "house", schema = "x"'))
    assert [(r.name, r.left.table, r.right.table) for r in paired] == [
        ("a", "a", "b"), ("b", "b", "c"),
    ]  # fmt: skip
    assert [(r.left.table, r.right.table) for r in named] == [("a", "a"), ("b", "b")]
    assert not any(each.alone for each in (*paired, *named))


def test_a_query_is_named_for_the_table_that_it_is_compared_with(rules):
    (compared,) = rules(check(left='server = "house", query = "select 1 as id"'))
    assert compared.name == "orders"
    assert compared.left == Relation("house", "warehouse", "public", "orders", "select 1 as id")


def test_a_check_of_a_copy_takes_its_tables_its_names_and_what_it_leaves_out(rules):
    text = check_of(
        'tables = ["orders"]', 'exclude = ["note"]', 'repair = "copy"',
        copied=[
            'include = ["id", "a", "b"]', 'exclude = ["c"]', 'rename = { a = "x" }',
            'mask = { b = "hash" }', 'delete = "soft"',
            "[jobs.c.per_table.orders]", 'key = ["id"]', 'table = "o"',
        ],
    )  # fmt: skip
    assert rules(text) == (
        CheckRules(
            "orders", Relation("shop", "shop", "shop", "orders", "", ("id",)),
            Relation("house", "warehouse", "shop", "o"), ("id",), ("id", "a", "b"),
            ("note", "c", "b"), {"a": "x"}, soft_column="deleted_at", repair=True,
            alone=True,
        ),
    )  # fmt: skip


def test_a_check_knows_its_copy_in_another_process_too(folder):
    folder.write(check_of())
    config = folder.load()
    sent = pickle.loads(pickle.dumps(config.jobs["k"]))
    assert check_rules(sent, config.servers) == check_rules(config.jobs["k"], config.servers)
    assert len(check_rules(sent, config.servers)) == 2
