"""Keys that only one side can have, or that the two sides write in different ways."""

from collections.abc import Callable

import pytest
from check_helpers import Place, compare

from syncd.engines.mysql import sides as mysql
from syncd.errors import BadData

Made = Callable[[str], Place]
Pair = tuple[Place, Place]
UUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a{:02}"


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


def test_uuids_and_their_bytes_are_the_same_key(pair: Pair) -> None:
    left, right = pair
    raw = {"postgresql": "bytea", "mariadb": "binary(16)"}
    left.execute("create table t (id uuid primary key, v int)")
    right.execute(f"create table t (id {raw[right.engine]} primary key, v int)")
    for number in range(10, 60):
        one = UUID.format(number)
        left.execute(f"insert into t values ('{one}', 1)")
        bare = one.replace("-", "")
        literal = rf"'\x{bare}'" if right.engine == "postgresql" else f"x'{bare}'"
        right.execute(f"insert into t values ({literal}, {1 if number != 33 else 2})")
    left.execute(f"delete from t where id = '{UUID.format(44)}'")
    for one, other in (left, right), (right, left):
        result = compare(one, other)
        assert result.found.differ == [(bytes.fromhex(UUID.format(33).replace("-", "")),)]
        assert list(result.differences[-1].columns) == ["v"]
        assert len(result.found) == 2


def test_bits_and_numbers_are_the_same_key(pair: Pair) -> None:
    left, right = pair
    left.execute("create table t (id bit(8) primary key, v int)")
    right.execute("create table t (id int primary key, v int)")
    for number in range(50):
        left.execute(f"insert into t values (b'{number:08b}', 1)")
    values = ", ".join(f"({number}, {1 if number != 5 else 2})" for number in range(-3, 50))
    right.execute(f"insert into t values {values}", "delete from t where id = 10")
    found = compare(left, right).found
    assert (found.left, found.differ) == ([(b"10",)], [(b"5",)])
    assert sorted(found.right) == [(b"-1",), (b"-2",), (b"-3",)]


@pytest.mark.parametrize("kind", ["double precision", "numeric(10,2)"])
def test_numbers_that_mysql_does_not_have_are_no_key_of_it(place: Made, kind: str) -> None:
    left, right = place("postgresql"), place("mariadb")
    left.execute(
        f"create table t (id {kind} primary key, v int)",
        "insert into t values (1.5, 1), (2, 1), ('NaN', 1)",
    )
    right.execute(
        f"create table t (id {kind.replace('numeric', 'decimal')} primary key, v int)",
        "insert into t values (1.5, 1), (2, 1)",
    )
    assert compare(left, right).found.keys() == [(b"NaN",)]
    assert compare(right, left).found.right == [(b"NaN",)]


def test_times_beyond_a_day_are_no_key_of_a_time(place: Made) -> None:
    left, right = place("postgresql"), place("mariadb")
    for each in left, right:
        each.execute("create table t (id time primary key, v int)")
        each.execute("insert into t values ('10:00:00', 1), ('23:59:59', 1)")
    right.execute("insert into t values ('24:00:00', 1), ('25:00:00', 1), ('-01:00:00', 1)")
    left.execute("insert into t values ('24:00:00', 1)")
    found = compare(left, right).found
    assert sorted(found.right) == [(b"-01:00:00",), (b"25:00:00",)]
    assert len(found) == 2


@pytest.mark.parametrize("kind", ["enum('a','b','it''s')", "set('a','b','it''s')"])
def test_texts_that_an_enum_can_not_have_are_on_one_side_alone(place: Made, kind: str) -> None:
    left, right = place("postgresql"), place("mariadb")
    left.execute(
        "create table t (id text primary key, v int)",
        "insert into t values ('b', 1), ('a', 1), ('it''s', 2), ('c', 1), ('', 1)",
    )
    right.execute(
        f"create table t (id {kind} primary key, v int)",
        "insert into t values ('b', 1), ('a', 1), ('it''s', 1)",
    )
    for one, other in (left, right), (right, left):
        found = compare(one, other).found
        assert sorted([*found.left, *found.right]) == [(b"",), (b"c",)]
        assert found.differ == [(b"it's",)]


@pytest.mark.parametrize("kind", ["enum('z','a','m')", "set('z','a','m')"])
def test_an_enum_is_the_key_of_a_query(
    place: Made, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(mysql, "PAGE", 1)
    left, right = place("mariadb"), place("postgresql")
    left.execute(
        f"create table t (id int primary key, kind {kind})",
        "insert into t values (1, 'z'), (2, 'z'), (3, 'm'), (4, 'a'), (5, 'a')",
    )
    right.execute(
        "create table t (kind text primary key, n int)",
        "insert into t values ('z', 2), ('a', 3), ('y', 1)",
    )
    query = left.relation(query="select kind, count(*) as n from t group by kind", key=("kind",))
    found = compare(left, right, left=query).found
    assert (found.left, found.right, found.differ) == ([(b"m",)], [(b"y",)], [(b"a",)])


def test_names_that_differ_by_case_are_the_same_in_mysql(place: Made) -> None:
    left, right = place("postgresql"), place("mariadb")
    left.execute('create table t ("Id" int primary key, "Name" text)')
    right.execute("create table t (id int primary key, name text)")
    left.execute("insert into t values (1, 'a'), (2, 'b')")
    right.execute("insert into t values (1, 'a'), (2, 'x')")
    result = compare(left, right)
    assert result.found.differ == [(b"2",)]
    assert list(result.differences[0].columns) == ["Name"]
    assert not result.alone
