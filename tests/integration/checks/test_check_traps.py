"""Rows that differ and would seem equal, and tables whose keys the other side can't have."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from check_helpers import MariaDb, Place, Postgres, compare, rules
from engine_run import context
from mariadb_server import MariaDbServer

from syncd.checks import sums
from syncd.checks.check import Check
from syncd.errors import BadData, Permission

Made = Callable[[str], Place]
Pair = tuple[Place, Place]
BLOB = {"postgresql": "bytea", "mariadb": "longblob"}
TEXT = {"postgresql": "text", "mariadb": "longtext"}
UUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a{:02}"


@pytest.fixture
def small_packets(mariadb: MariaDbServer) -> Iterator[None]:
    """Let the server's packets be 1 MiB, which was more when the rows came."""
    [(kept,)] = mariadb.execute("select @@global.max_allowed_packet")
    mariadb.execute("set global max_allowed_packet = 1048576")
    yield
    mariadb.execute(f"set global max_allowed_packet = {kept}")


def _columns(place: Place, types: dict[str, str]) -> None:
    place.execute(f"create table t (id int primary key, v {types[place.engine]})")


@pytest.mark.usefixtures("small_packets")
@pytest.mark.parametrize("types", [BLOB, TEXT], ids=["bytes", "text"])
def test_values_larger_than_a_packet(pair: Pair, types: dict[str, str]) -> None:
    for place in pair:
        _columns(place, types)
        value = "repeat('x', 700000)"
        if place.engine == "postgresql":
            place.execute(
                f"insert into t values (1, convert_to({value}, 'UTF8'))"
                if types is BLOB
                else f"insert into t values (1, {value})"
            )
        else:
            place.execute(f"insert into t values (1, {value})")
        _double(place, types)
    assert compare(*pair).equal
    _double(pair[1], types)
    assert compare(*pair).found.differ == [(b"1",)]
    pair[1].execute("update t set v = null")
    assert compare(*pair).found.differ == [(b"1",)]


@pytest.mark.usefixtures("small_packets")
def test_a_text_larger_than_a_packet_as_bytes(place: Made) -> None:
    left, right = place("postgresql"), place("mariadb")
    assert isinstance(right, MariaDb)
    left.execute(
        "create table t (id int primary key, v bytea)",
        "insert into t values (1, convert_to(repeat('x', 1400000), 'UTF8'))",
    )
    right.execute("create table t (id int primary key, v longtext)")
    _with_large_packets(right, "insert into t values (1, repeat('x', 1400000))")
    assert compare(left, right).equal
    right.execute("update t set v = null")
    assert compare(left, right).found.differ == [(b"1",)]


@pytest.mark.usefixtures("small_packets")
def test_what_can_not_be_hashed_is_no_null(mariadb_place: MariaDb) -> None:
    """Of a number in a text as long as this the server can't make the text of a row."""
    text = "create table {} (id int primary key, v longtext)"
    mariadb_place.execute(
        text.format("t"), text.format("u"), "insert into t values (1, repeat('7', 100000))",
        "alter table u modify v decimal(5)", "insert into u values (1, null)",
    )  # fmt: skip
    mariadb_place.server.execute("set global max_allowed_packet = 65536")
    with pytest.raises(BadData, match="max_allowed_packet"):
        compare(mariadb_place, mariadb_place, right=mariadb_place.relation("u"))


def _double(place: Place, types: dict[str, str]) -> None:
    if isinstance(place, Postgres):
        place.execute("update t set v = v || v")
    else:
        assert isinstance(place, MariaDb)
        _with_large_packets(place, "update t set v = concat(v, v)")


def _with_large_packets(place: MariaDb, statement: str) -> None:
    place.server.execute("set global max_allowed_packet = 67108864")
    try:
        place.execute(statement)
    finally:
        place.server.execute("set global max_allowed_packet = 1048576")


def test_texts_that_hold_the_marks_of_fields(pair: Pair) -> None:
    """`1|2` and 3 are not 1 and `2|3`, nor is `~5` NULL and 5."""
    left, right = pair
    types = "a {0}, b {1}, c {2}, d {3}"
    for place, kinds in (left, "TNTN"), (right, "NTNT"):
        names = [TEXT[place.engine] if kind == "T" else "decimal(5,1)" for kind in kinds]
        place.execute(f"create table t (id int primary key, {types.format(*names)})")
    left.execute("insert into t values (1, '1.0|2', 3, '4', 5)")
    right.execute("insert into t values (1, 1.0, '2|3', 4, '5')")
    left.execute("insert into t values (2, '~4', null, '5', null)")
    right.execute("insert into t values (2, null, '4', null, '5')")
    assert sorted(compare(left, right).found.differ) == [(b"1",), (b"2",)]


def test_texts_that_are_the_numbers(pair: Pair) -> None:
    left, right = pair
    left.execute(f"create table t (id int primary key, v {TEXT[left.engine]})")
    right.execute("create table t (id int primary key, v decimal(12,4))")
    left.execute("insert into t values (1, '1.5'), (2, '-7.0'), (3, null)")
    right.execute("insert into t values (1, 1.5), (2, -7), (3, null)")
    assert compare(left, right).equal


def test_the_least_of_floats_is_exact(pair: Pair) -> None:
    for place, value in zip(pair, ("1.0", "1.0000000001"), strict=True):
        place.execute(
            "create table t (id int primary key, v double precision)",
            f"insert into t values (1, {value}), (2, 1000000000)",
        )
    found = compare(*pair, compare=("aggregate",)).aggregates
    assert list(found["v"]) == ["min"]


@pytest.mark.parametrize("wide", [0, 1])
def test_a_key_that_is_wider_on_one_side(pair: Pair, wide: int) -> None:
    for at, place in enumerate(pair):
        kind = "bigint" if at == wide else "int"
        place.execute(f"create table t (id {kind} primary key, v int)")
        values = ", ".join(f"({number}, 1)" for number in range(200))
        place.execute(f"insert into t values {values}")
    far = ", ".join(f"({3_000_000_000 + number}, 1)" for number in range(200))
    pair[wide].execute(f"insert into t values {far}")
    assert len(compare(*pair).found) == 200


@pytest.mark.parametrize("real", [0, 1])
def test_a_key_with_digits_behind_the_point_on_one_side(pair: Pair, real: int) -> None:
    for at, place in enumerate(pair):
        kind = "decimal(10,1)" if at == real else "int"
        place.execute(f"create table t (id {kind} primary key, v int)")
        values = ", ".join(f"({number}, 1)" for number in range(100))
        place.execute(f"insert into t values {values}")
    between = ", ".join(f"({number}.5, 1)" for number in range(100))
    pair[real].execute(f"insert into t values {between}")
    assert len(compare(*pair).found) == 100


def test_texts_among_the_uuids_of_a_key(place: Made) -> None:
    left, right = place("postgresql"), place("mariadb")
    left.execute("create table t (id uuid primary key, v int)")
    right.execute("create table t (id varchar(36) primary key, v int)")
    values = ", ".join(f"('{UUID.format(number)}', 1)" for number in range(10, 90))
    for each in left, right:
        each.execute(f"insert into t values {values}")
    others = ", ".join(f"('b none {number}', 1)" for number in range(100))
    right.execute(f"insert into t values {others}")
    try:
        assert len(compare(left, right).found.right) == 100
    except BadData as error:
        pytest.fail(f"the other side was asked for them: {error}")


def test_counts_that_settle_meanwhile_are_no_difference(
    postgres_place: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres_place.execute("create table t (id int primary key)")
    seen = iter([(1, 2), (2, 2)])
    monkeypatch.setattr(sums, "counts", lambda *_: next(seen))
    assert compare(postgres_place, postgres_place, compare=("count",)).equal
    seen = iter([(1, 2), (2, 3)])
    assert compare(postgres_place, postgres_place, compare=("count",)).counts == (2, 3)


def test_rows_that_are_hidden_from_the_user_are_an_error(postgres_place: Postgres) -> None:
    user = f"reader_{postgres_place.database}"
    postgres_place.execute(
        "create table t (id int primary key, v int)", "insert into t values (1, 1), (2, 2)",
        "alter table t enable row level security", "create policy p on t using (id < 2)",
        f"create role {user}", f"grant select on t to {user}",
    )  # fmt: skip
    try:
        access = replace(postgres_place.access, options={"role": user})
        told, sides = rules(postgres_place, postgres_place), postgres_place.sides(access)
        check = Check(context(), told, (sides, told.left), (sides, told.right), datetime.now(UTC))
        with pytest.raises(Permission, match="row-level security"):
            check.run()
    finally:
        postgres_place.execute(f"drop owned by {user}", f"drop role {user}")
