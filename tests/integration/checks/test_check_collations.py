"""Text keys, whose order is another one in each collation, hostile names, queries and limits."""

import threading
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from check_helpers import MariaDb, Place, Postgres, compare, quoted
from engine_run import context

from syncd.context import CancelSource
from syncd.errors import BadData, Cancelled, TimedOut

WORDS = [
    "a",
    "B",
    "b",
    "ä",
    "z",
    "Z",
    "_x",
    "x y",
    "é",
    "ß",
    "ss",
    "😀",
    "Ａ",
    "-",
    "'",
    "\\",
    "%s",
    "",
]
NAME = "we`ird \"n%s😀'".replace("😀", "ü")


@pytest.mark.parametrize("collation", ["utf8mb4_bin", "utf8mb4_nopad_bin", "latin1_german1_ci"])
def test_keys_of_any_collation(
    postgres_place: Postgres, mariadb_place: MariaDb, collation: str
) -> None:
    words = [
        f"{word}{at}" for at, word in enumerate(WORDS)
        if "latin1" not in collation or word.isascii() or word in "äéß"
    ]  # fmt: skip
    postgres_place.execute("create table t (k text primary key, v int)")
    charset = collation.partition("_")[0]
    mariadb_place.execute(
        f"create table t (k varchar(50) primary key, v int) charset {charset} collate {collation}"
    )
    for place in postgres_place, mariadb_place:
        for at, word in enumerate(words):
            place.execute("insert into t values (%s, %s)", values=(word, at))
    assert compare(postgres_place, mariadb_place).equal
    mariadb_place.execute("update t set v = 99 where v = 3", "delete from t where v = 5")
    result = compare(mariadb_place, postgres_place)
    assert result.found.differ == [(words[3].encode(),)]
    assert result.found.right == [(words[5].encode(),)]


def test_keys_that_differ_by_case_alone(postgres_place: Postgres, mariadb_place: MariaDb) -> None:
    postgres_place.execute("create table t (k text primary key)", "insert into t values ('abc')")
    mariadb_place.execute(
        "create table t (k varchar(9) collate utf8mb4_general_ci primary key)",
        "insert into t values ('ABC')",
    )
    found = compare(postgres_place, mariadb_place).found
    assert (found.left, found.right) == ([(b"abc",)], [(b"ABC",)])


def test_a_uuid_in_capital_letters_is_the_same(
    postgres_place: Postgres, mariadb_place: MariaDb
) -> None:
    one = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    postgres_place.execute("create table t (k uuid primary key, v int)")
    mariadb_place.execute(
        "create table t (k char(36) collate utf8mb4_bin primary key, v int)",
        f"insert into t values ('{one.upper()}', 1)",
    )
    postgres_place.execute(f"insert into t values ('{one}', 1)")
    for at in range(40):
        for place in postgres_place, mariadb_place:
            place.execute(f"insert into t values ('{at:08x}-9c0b-4ef8-bb6d-6bb9bd380a11', {at})")
    assert compare(postgres_place, mariadb_place).equal
    mariadb_place.execute(f"update t set v = 2 where k = '{one.upper()}'")
    assert compare(postgres_place, mariadb_place).found.differ == [(one.encode(),)]


def test_hostile_names_and_masks(pair: tuple[Place, Place]) -> None:
    for place in pair:
        name = quoted(place, NAME)
        place.execute(f"create table {name} (id int primary key, {name} int)")
        place.execute(f"insert into {name} values (1, 1), (2, 2)")
    left, right = pair
    right.execute(f"update {quoted(right, NAME)} set {quoted(right, NAME)} = 7 where id = 2")
    result = compare(left, right, table=NAME)
    assert dict(result.differences[0].columns) == {NAME: ("2", "7")}


def test_a_query_against_a_table(pair: tuple[Place, Place]) -> None:
    left, right = pair
    for place in pair:
        place.execute("create table t (id int primary key, v int)")
        place.execute("insert into t values " + ", ".join(f"({n}, {n % 7})" for n in range(200)))
    right.execute("delete from t where v = 3", "update t set v = 9 where id = 8")
    query = left.relation(query="select id as number, v from t where v <> 3", key=("number",))
    result = compare(left, right, left=query, rename={"number": "id"})
    assert result.found.differ == [(b"8",)]
    assert len(result.found) == 1


def test_a_key_that_tells_nothing_apart_is_refused(pair: tuple[Place, Place]) -> None:
    left, right = pair
    for place in pair:
        place.execute("create table t (id int primary key, v int)")
        place.execute("insert into t values (1, 1), (2, 1), (3, null)")
    with pytest.raises(BadData, match="NULL in the key"):
        compare(left, right, key=("v",))
    left.execute("update t set v = 2 where id = 3")
    right.execute("update t set v = 3 where id = 3")
    with pytest.raises(BadData, match="same key"):
        compare(left, right, key=("v",))


def test_no_column_of_that_name(pair: tuple[Place, Place]) -> None:
    for place in pair:
        place.execute("create table t (id int primary key, v int)")
    left, right = pair
    with pytest.raises(BadData, match="left side has no column 'gone'"):
        compare(left, right, columns=("gone",))
    right.execute("alter table t drop column v")
    result = compare(left, right)
    assert result.alone == ("v",)
    with pytest.raises(BadData, match="right side has no column 'w'"):
        compare(left, right, rename={"v": "w"})
    assert compare(left, right, rename={"v": "w"}, exclude=("v",)).equal


@pytest.mark.parametrize(
    "names", [{"exclude": ("gone",)}, {"masked": frozenset({"gone"})}, {"rename": {"gone": "v"}}],
    ids=["exclude", "mask", "rename"],
)  # fmt: skip
def test_names_of_no_column(pair: tuple[Place, Place], names: dict[str, Any]) -> None:
    for place in pair:
        place.execute("create table t (id int primary key, w int)")
    with pytest.raises(BadData, match="neither side has the column 'gone'"):
        compare(*pair, alone=True, **names)
    assert compare(*pair, **names).equal  # of several tables, another one may have it


def test_a_side_that_can_t_be_asked_is_named(pair: tuple[Place, Place]) -> None:
    left, right = pair
    left.execute("create table t (id int primary key)")
    relation = replace(right.relation(), database="no where", schema="no where")
    with pytest.raises(BadData) as told:
        compare(left, right, right=relation)
    assert str(told.value).startswith(f"{relation}: ")
    assert str(told.value).count("no where.t") == 1


def test_a_cancelled_check_ends_at_once(pair: tuple[Place, Place]) -> None:
    left, right = pair
    for place in pair:
        place.execute("create table t (id int primary key, v int)", "insert into t values (1, 1)")
    slow = "select id, v from t where {} is not null"
    sleep = {"postgresql": "pg_sleep(30)::text", "mariadb": "sleep(30)"}
    source = CancelSource()
    timer = threading.Timer(0.7, lambda: source.cancel(Cancelled("enough")))
    timer.start()
    query = right.relation(query=slow.format(sleep[right.engine]), key=("id",))
    began = time.monotonic()
    with pytest.raises(Cancelled):
        compare(left, right, right=query, ctx=context(source=source))
    assert time.monotonic() - began < 4


@pytest.mark.parametrize("why", ["cancelled", "division by zero"])
@pytest.mark.parametrize("slow_left", [True, False])
def test_what_ends_a_check_ends_the_statement_of_the_server(
    postgres_place: Postgres, mariadb_place: MariaDb, slow_left: bool, why: str
) -> None:
    for place in postgres_place, mariadb_place:
        place.execute("create table t (id int primary key, v int)", "insert into t values (1, 1)")
    wrong = "select id, 1 / (id - 1) + length(pg_sleep(0.5)::text) as v from t"
    slow = mariadb_place.relation(
        query="select id, v from t where sleep(30) is not null", key=("id",)
    )
    other = postgres_place.relation(query=wrong if why != "cancelled" else "table t", key=("id",))
    source = CancelSource()
    timer = threading.Timer(0.7, lambda: source.cancel(Cancelled(why)))
    if why == "cancelled":
        timer.start()
    sides = [(mariadb_place, slow), (postgres_place, other)][:: 1 if slow_left else -1]
    (one, left), (two, right) = sides
    with pytest.raises(BadData if why != "cancelled" else Cancelled, match=why):
        compare(one, two, left=left, right=right, ctx=context(source=source))
    until = time.monotonic() + 10
    running = "select count(*) from information_schema.processlist where info like '%where sleep(%'"
    while mariadb_place.execute(f"{running} and id <> connection_id()") != [(0,)]:
        assert time.monotonic() < until


def test_a_pause_before_the_second_look_obeys_the_deadline(pair: tuple[Place, Place]) -> None:
    left, right = pair
    for place in pair:
        place.execute("create table t (id int primary key)")
    left.execute("insert into t values (1)")
    with pytest.raises(TimedOut):
        compare(left, right, ctx=context(5), recheck=timedelta(minutes=1))
