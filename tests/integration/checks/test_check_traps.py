"""Rows that differ and would seem equal, and the other way round."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from check_helpers import MariaDb, Place, Postgres, compare, rules
from engine_run import context
from mariadb_server import MariaDbServer

from syncd.checks import looking, sums
from syncd.checks.check import Check
from syncd.errors import BadData, Permission
from syncd.model.check import Tolerance

Made = Callable[[str], Place]
Pair = tuple[Place, Place]
BLOB = {"postgresql": "bytea", "mariadb": "longblob"}
TEXT = {"postgresql": "text", "mariadb": "longtext"}


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


def test_a_text_with_several_points_is_no_number(pair: Pair) -> None:
    left, right = pair
    left.execute(f"create table t (id int primary key, v {TEXT[left.engine]})")
    right.execute("create table t (id int primary key, v decimal(12,4))")
    left.execute("insert into t values (1, '1..'), (2, '1.0.0'), (3, '1.')")
    right.execute("insert into t values (1, 1), (2, 1), (3, 1)")
    assert compare(left, right).found.differ == [(b"1",), (b"2",)]


@pytest.mark.parametrize("whole", ["boolean", "int"])
def test_bits_are_summed_as_the_numbers_they_are(pair: Pair, whole: str) -> None:
    left, right = pair
    bits = "bit(1)" if whole == "boolean" else "bit(8)"
    for place, kind in (left, bits), (right, whole):
        place.execute(f"create table t (id int primary key, v {kind})")
        values = ("1", "0") if place is right else ("b'1'", "b'0'")
        if whole == "int":
            values = ("1", "0") if place is right else ("b'00000001'", "b'00000000'")
        if whole == "boolean" and place is right:
            values = ("true", "false")
        place.execute(f"insert into t values (1, {values[0]}), (2, {values[0]}), (3, {values[1]})")
    assert compare(left, right, compare=("aggregate",)).equal
    right.execute(f"update t set v = {'false' if whole == 'boolean' else '0'} where id = 1")
    found = compare(left, right, compare=("aggregate",)).aggregates
    assert found["v"]["sum"] == ("2", "1")


def test_the_least_of_floats_is_exact(pair: Pair) -> None:
    for place, value in zip(pair, ("1.0", "1.0000000001"), strict=True):
        place.execute(
            "create table t (id int primary key, v double precision)",
            f"insert into t values (1, {value}), (2, 1000000000)",
        )
    found = compare(*pair, compare=("aggregate",)).aggregates
    assert list(found["v"]) == ["min"]


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


def test_doubles_that_the_engines_spell_differently(pair: Pair) -> None:
    """Beyond 2**54 PostgreSQL may write a digit more than is needed."""
    numbers = ["71316584121190416", "-87169313245966208", "1e22", "6.422441120864666e16"]
    for place in pair:
        place.execute("create table t (id int primary key, v double precision null)")
        for at, number in enumerate(numbers):
            place.execute(f"insert into t values ({at}, {number})")
    assert compare(*pair, compare=("aggregate", "checksum")).equal
    pair[1].execute(
        "update t set v = 71316584121190424 where id = 0", "update t set v = null where id = 1"
    )
    result = compare(*pair)
    assert sorted(result.found.differ) == [(b"0",), (b"1",)]
    assert {tuple(each.columns) for each in result.differences} == {("v",)}


@pytest.mark.parametrize("text", [0, 1])
def test_texts_have_no_sum_that_would_differ(pair: Pair, text: int) -> None:
    for at, place in enumerate(pair):
        kind = TEXT[place.engine] if at == text else "decimal(12,2)"
        place.execute(f"create table t (id int primary key, v {kind})")
        place.execute("insert into t values (1, '1.50'), (2, '2'), (3, null)")
    assert compare(*pair, compare=("aggregate",)).equal
    pair[0].execute("update t set v = null where id = 1")
    assert set(compare(*pair, compare=("aggregate",)).aggregates["v"]) == {"nulls"}


def test_long_json_is_the_same_by_its_text_alone(
    place: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "JUDGED_BYTES", 100)
    left, right = place("postgresql"), place("postgresql")
    for each, kind in (left, "json"), (right, "jsonb"):
        each.execute(f"create table t (id int primary key, v {kind}, n numeric)")
    texts = [f'{{"a":{blank}1e1, "b": "{"x" * size}{end}"}}' for blank, size, end in
             (("", 10, ""), ("", 200, ""), ("", 200, "y"))]  # fmt: skip
    for at, text in enumerate(texts):
        left.execute("insert into t values (%s, %s, 1)", values=(at, text))
        right.execute("insert into t values (%s, %s, 1)", values=(at, text))
    right.execute("""update t set v = replace(v::text, 'y"', 'z"')::jsonb, n = 1.1""")
    found = compare(left, right, tolerance={"n": Tolerance(absolute=Decimal(1))}).found
    assert found.differ == [(b"2",)]
