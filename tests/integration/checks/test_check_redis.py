"""Keys of Redis against a column of a table, on either side, of both engines."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from check_helpers import SMALL, Place
from engine_run import context

from syncd.checks.check import Check
from syncd.checks.ranges import Sizes
from syncd.engines import registry
from syncd.model.check import CheckRules, RedisKeys, Tolerance

KEYS = RedisKeys("cache", 0, "stock:{sku}", name="qty")


@pytest.fixture
def cache(redis_server):
    with closing(redis_server.client()) as client:
        client.flushall()
        yield client


@pytest.fixture(params=["postgresql", "mariadb"])
def shop(request, place):
    """Give a database with a table of stock."""
    made = place(request.param)
    made.execute("create table t (sku bigint primary key, qty decimal(12, 2), at timestamp null)")
    return made


@pytest.fixture
def check(redis_server, shop):
    """Compare the table with the keys, the table being on the left or on the right."""

    def run(keys=KEYS, *, left=True, sizes=SMALL, **changed):
        table = (shop.sides(), shop.relation())
        cache = (registry.sides(redis_server.access()), keys)
        sides = (table, cache) if left else (cache, table)
        rules = CheckRules("stock", sides[0][1], sides[1][1], recheck=timedelta(0))
        made = Check(context(), replace(rules, **changed), *sides, datetime.now(UTC), sizes)
        return made.run()[0]

    return run


def fill(shop: Place, rows) -> None:
    values = ", ".join(f"({sku}, {qty})" for sku, qty in rows)
    shop.execute(f"insert into t (sku, qty) values {values}")


@pytest.mark.parametrize("left", [True, False])
def test_equal_counters_are_equal_however_they_are_written(shop, cache, check, left):
    fill(shop, [(1, "10"), (2, "10.5"), (3, "-0.01"), (4, "0"), (5, "1200")])
    cache.mset({"stock:1": "1e1", "stock:2": "10.50", "stock:3": " -0.010", "stock:4": "-0"})
    cache.set("stock:5", "+1.2E3")
    compared = ("count", "aggregate", "checksum")
    result = check(left=left, compare=compared)
    assert result.equal, str(result)
    assert (result.left_rows, result.right_rows) == (5, 5)


@pytest.mark.parametrize("left", [True, False])
def test_each_difference_is_found_and_told(shop, cache, check, left):
    rows = [(sku, sku * 2) for sku in range(500)]
    fill(shop, rows)
    cache.mset({f"stock:{sku}": qty for sku, qty in rows})
    cache.mset({"stock:7": "13", "stock:900": "1", "stock:11": "", "stock:12": b"\xff\0"})
    cache.delete("stock:8", "stock:9")
    cache.rpush("stock:9", "18")
    result = check(left=left)
    table, cached = (result.found.left, result.found.right)[:: 1 if left else -1]
    assert table == [(b"8",)]
    assert cached == [(b"900",)]
    assert sorted(result.found.differ) == [(b"11",), (b"12",), (b"7",), (b"9",)]
    told = {each.key: each.columns["qty"][:: 1 if left else -1]
            for each in result.differences if not each.only}  # fmt: skip
    numbers = {key: (float(one), other) for key, (one, other) in told.items()}
    assert numbers == {
        (b"7",): (14.0, "13"), (b"9",): (18.0, None), (b"11",): (22.0, ""),
        (b"12",): (24.0, "0xff00"),
    }  # fmt: skip


@pytest.mark.parametrize("left", [True, False])
def test_keys_that_no_row_can_have_are_on_one_side_only(shop, cache, check, left):
    fill(shop, [(1, 1)])
    odd = [b"", b"x", b"1.5", b"\xff", b"\0", b"9" * 40, b"' or 1=1 --", "😀".encode(), b"%s",
           b"NaN", b"-", b"9223372036854775808"]  # fmt: skip
    for each in odd:
        cache.set(b"stock:" + each, 1)
    cache.set("stock:1", 1)
    result = check(left=left)
    assert sorted(result.found.right if left else result.found.left) == sorted((o,) for o in odd)
    assert not (result.found.left if left else result.found.right)
    assert not result.found.differ


def test_a_null_and_a_field_that_is_not_there_are_the_same(shop, cache, check):
    fill(shop, [(1, "null"), (2, "5"), (3, "null"), (4, "null")])
    cache.hset("stock:1", "other", "x")
    cache.hset("stock:2", "qty", "5")
    cache.hset("stock:3", "qty", "")
    result = check(replace(KEYS, field="qty"))
    assert result.found.differ == [(b"3",)]
    assert result.found.left == [(b"4",)]


def test_a_tolerance_and_an_age_count(shop, cache, check):
    fill(shop, [(1, "10"), (2, "10"), (3, "10")])
    shop.execute("update t set at = current_timestamp where sku = 3")
    cache.mset({"stock:1": "10.5", "stock:2": "12", "stock:3": "99"})
    result = check(
        tolerance={"qty": Tolerance(absolute=1)}, age_column="at", min_age=timedelta(hours=1)
    )
    assert result.found.differ == [(b"2",)]
    assert not result.found.right


def test_what_settles_meanwhile_is_no_difference(shop, cache, check, monkeypatch):
    fill(shop, [(1, "10"), (2, "10"), (3, "10")])
    cache.mset({"stock:1": "9", "stock:2": "10", "stock:4": "1"})

    def settle(self, seconds):
        cache.mset({"stock:1": "10", "stock:3": "10"})
        cache.delete("stock:4")

    monkeypatch.setattr("syncd.context.RunContext.pause", settle)
    result = check()
    assert result.equal
    assert result.settled == 3


def test_texts_are_keys_and_values_too(place, redis_server, cache):
    made = place("postgresql")
    made.execute("create table t (code text primary key, name text)")
    for code, name in (("a:b", "x"), ("*", ""), ("😀", "ü"), ("A", "1"), ("a", "2")):
        made.execute("insert into t values (%s, %s)", values=(code, name))
        cache.set(f"n:{code}", name)
    cache.set("n:😀", "u")
    keys = RedisKeys("cache", 0, "n:{code}", name="name")
    rules = CheckRules("n", made.relation(), keys, recheck=timedelta(0))
    places = (made.sides(), rules.left), (registry.sides(redis_server.access()), keys)
    result = Check(context(), rules, *places, datetime.now(UTC), Sizes()).run()[0]
    assert result.found.keys() == [("😀".encode(),)]


def test_a_key_is_no_number_but_its_text(shop, cache, check):
    fill(shop, [(1, "10")])
    cache.mset({"stock:1": "10", "stock:01": "10"})
    result = check()
    assert result.found.keys() == [(b"01",)]


def test_nothing_is_equal_to_nothing(cache, check):
    result = check(compare=("count", "aggregate", "checksum"))
    assert result.equal


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
def test_floats_are_the_same_numbers_on_both_sides(place, redis_server, cache, engine):
    made = place(engine)
    made.execute("create table t (sku int primary key, qty double precision)")
    numbers = ["1e15", "1e-7", "0.1", "123456.75", "-1.7976931348623157e308", "999999999999999.9",
               "1e14", "0.0001", "0.00001234", "-0.0", "3", "5e-300"]  # fmt: skip
    for sku, number in enumerate(numbers):
        made.execute(f"insert into t values ({sku}, {number})")
        cache.set(f"stock:{sku}", f"{float(number):.17g}")
    places = (made.sides(), made.relation()), (registry.sides(redis_server.access()), KEYS)
    rules = CheckRules("stock", places[0][1], KEYS, recheck=timedelta(0))
    result = Check(context(), rules, *places, datetime.now(UTC), Sizes()).run()[0]
    assert result.equal, result.differences
