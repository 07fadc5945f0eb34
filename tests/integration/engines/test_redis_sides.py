"""Keys of a real Redis as a side of a comparison: each once, hashed as a table's rows are."""

import random
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from engine_run import Silent, context
from redis_server import private_redis

from syncd.context import CancelSource
from syncd.engines import registry
from syncd.engines.redis import reading
from syncd.engines.redis import spool as spool_module
from syncd.engines.redis.connection import Session
from syncd.engines.redis.pattern import Pattern
from syncd.engines.redis.reading import Reader
from syncd.engines.redis.sides import RedisSide
from syncd.engines.redis.spool import Kept, Spool
from syncd.engines.sides import Digest, Field, Form, Part, Seen, View, bucket, digest_of, row_hash
from syncd.errors import BadData, Cancelled, ConfigurationError, Network, TimedOut
from syncd.model.check import RedisKeys
from syncd.model.table import Relation

TEXT, NUMBER = Form("text", long=True), Form("decimal")


def view(key="sku", key_form=NUMBER, value="value", value_form=NUMBER):
    fields = (Field(key, key_form), Field(value, value_form))
    return View(fields[:1], fields)


@pytest.fixture
def client(redis_server):
    with closing(redis_server.client()) as made:
        made.flushall()
        yield made


def side_of(redis_server, ctx=None, **changed):
    told = {"server": "cache", "database": 0, "pattern": "stock:{sku}"}
    keys = RedisKeys(**told | changed)
    return registry.sides(redis_server.access()).side(ctx or context(), keys)


@dataclass
class Told(Silent):
    errors: list = field(default_factory=list)
    details: dict = field(default_factory=dict)

    def error(self, resource_id, error):
        self.errors.append((resource_id, str(error)))

    def detail(self, name, value):
        self.details[name] = value


def hashed(view, *rows):
    return {row[:1]: row_hash(view.fields, row) for row in rows}


def test_all_keys_are_hashed_as_a_table_would(redis_server, client):
    client.mset({"stock:1": "10", "stock:02": "1e1", "stock:3": " 7.50 ", "other:4": "1"})
    with side_of(redis_server) as side:
        rows = [(b"1", b"10"), (b"2", b"10"), (b"3", b"7.5")]
        assert side.hashes(view(), Part()) == hashed(view(), *rows)
        assert side.count(view()) == 3
        assert side.count(view(), null_keys=True) == 0
        assert side.digests(view(), Part(), ()) == [digest_of(hashed(view(), *rows).values())]
        assert [c.name for c in side.shape.columns] == ["sku", "value"]
        assert side.shape.key == ("sku",)
        assert side.received > 0


def test_buckets_and_their_keys_are_those_of_a_table(redis_server, client):
    client.mset({f"stock:{n}": n * 2 for n in range(500)})
    rows = [(b"%d" % n, b"%d" % (n * 2)) for n in range(500)]
    with side_of(redis_server) as side:
        for depth in (1, 5, 14):
            expected = {}
            for row in rows:
                place = bucket(view().key, row[:1], depth)
                hashes = digest_of([row_hash(view().fields, row)])
                expected[place] = expected.get(place, Digest()) + hashes
            assert side.buckets(view(), Part(), depth) == expected
        chosen = frozenset({3, 17})
        inside = [row for row in rows if bucket(view().key, row[:1], 5) in chosen]
        part = Part(depth=5, buckets=chosen)
        assert side.hashes(view(), part) == hashed(view(), *inside)
        assert side.digests(view(), part, ()) == [digest_of(hashed(view(), *inside).values())]


def test_a_field_of_hashes_is_read_too(redis_server, client):
    client.hset("stock:1", mapping={"qty": "5", "price": "1"})
    client.hset("stock:2", mapping={"price": "1"})
    client.set("stock:3", "5")
    told = Told()
    with side_of(redis_server, replace(context(), report=told), field="qty", name="qty") as side:
        of = view(value="qty")
        expected = hashed(of, (b"1", b"5"), (b"2", None), (b"3", None))
        assert side.hashes(of, Part()) == expected
        assert told.errors == [("stock:3", "the key holds a string, not a hash")]
        assert told.details == {"keys_of_other_types": 1}
        assert side.values(of, [(b"2",), (b"1",)], of.fields[1:], None) == {
            (b"1",): (b"5",), (b"2",): (None,),
        }  # fmt: skip


def test_keys_of_another_type_are_told_each_and_differ(redis_server, client):
    client.rpush("stock:1", "5")
    client.sadd("stock:2", "5")
    client.hset("stock:3", "value", "5")
    client.xadd("stock:4", {"a": "b"})
    client.set("stock:5", "5")
    told = Told()
    with side_of(redis_server, replace(context(), report=told)) as side:
        assert side.count(view()) == 5
        (one,) = side.aggregates(view(), view().fields[1:])
        assert (one.nulls, one.values, one.sum) == (4, 1, b"5")
    assert sorted(told.errors) == [
        (f"stock:{n}", f"the key holds a {kind}, not a string")
        for n, kind in enumerate(("list", "set", "hash", "stream"), 1)
    ]


def test_only_the_first_of_many_such_keys_are_told(redis_server, client):
    with client.pipeline() as pipe:
        for n in range(250):
            pipe.sadd(f"stock:{n}", "5")
        pipe.execute()
    told = Told()
    with side_of(redis_server, replace(context(), report=told)) as side:
        assert side.count(view()) == 250
    assert len(told.errors) == 100
    assert told.details == {"keys_of_other_types": 250}


HOSTILE = [
    b"", b"*", b"?", b"[a]", b"\\", b"\0", b"\xff\xfe", b"\r\n$5\r\n", "😀".encode(), b"a:b",
    b"{x}", b"%s", b"' or 1=1 --", b"x" * 5000, b" ", b"007",
]  # fmt: skip


@pytest.mark.parametrize("prefix", ["stock:", "", "st*ck:", "s[to]ck?", "back\\slash:", "größe😀:"])
def test_hostile_names_and_values_are_taken_as_they_are(redis_server, client, prefix):
    for name in HOSTILE:
        client.set(prefix.encode() + name, name)
    client.set("STOCK:other" if prefix else "", "unfit")
    of = view(key_form=TEXT, value_form=TEXT)
    with side_of(redis_server, pattern=f"{prefix}{{sku}}") as side:
        expected = hashed(of, *((name, name) for name in HOSTILE))
        found = side.hashes(of, Part())
        if not prefix:
            found.pop((b"",)), expected.pop((b"",))
        assert found == expected
        seen = side.lookup(of, list(expected))
        assert seen == {key: Seen(each, False) for key, each in expected.items()}


def test_the_glob_is_no_glob_of_the_name(redis_server, client):
    client.mset({"s[to]ck:1": "1", "stck:2": "2", "sock:3": "3", "a*b:4": "4", "axb:5": "5"})
    for pattern, key in (("s[to]ck:{sku}", b"1"), ("a*b:{sku}", b"4")):
        with side_of(redis_server, pattern=pattern) as side:
            assert list(side.hashes(view(), Part())) == [(key,)]


def test_several_places_are_a_key_of_several_columns(redis_server, client):
    client.mset({"qty:a:1:x": "5", "qty:b:2:x": "6", "qty:c": "7"})
    fields = (Field("shop", TEXT), Field("sku", NUMBER), Field("value", NUMBER))
    of = View(fields[1::-1], fields)
    with side_of(redis_server, pattern="qty:{shop}:{sku}:x") as side:
        assert side.shape.key == ("shop", "sku")
        assert set(side.hashes(of, Part())) == {(b"1", b"a"), (b"2", b"b")}
        assert side.values(of, [(b"1", b"a"), (b"1", b"b")], fields, None) == {
            (b"1", b"a"): (b"a", b"1", b"5")
        }


def test_values_are_looked_up_as_they_are_now(redis_server, client):
    client.mset({"stock:1": "1", "stock:02": "2", "stock:3": "3"})
    with side_of(redis_server) as side:
        side.count(view())
        client.mset({"stock:1": "9", "stock:02": "8", "stock:4": "4"})
        client.delete("stock:3")
        keys = [(b"%d" % n,) for n in range(1, 6)]
        rows = [(b"1", b"9"), (b"2", b"8"), (b"4", b"4")]
        assert side.lookup(view(), keys) == {
            key: Seen(each, False) for key, each in hashed(view(), *rows).items()
        }
        assert side.count(view()) == 3
        assert side.lookup(view(), []) == {}


def test_two_keys_of_one_row_are_refused(redis_server, client):
    client.mset({"stock:7": "1", "stock:007": "2"})
    with side_of(redis_server) as side, pytest.raises(BadData, match="two keys stand for the same"):
        side.hashes(view(), Part())


def test_values_are_cut_to_characters(redis_server, client):
    client.mset({"stock:1": "ü" * 100, "stock:2": b"\xff" * 100})
    of = view(value_form=TEXT)
    with side_of(redis_server) as side:
        found = side.values(of, [(b"1",), (b"2",)], of.fields[1:], 10)
    assert found == {(b"1",): ("ü".encode() * 10,), (b"2",): (b"\xff" * 10,)}


def test_aggregates_are_exact(redis_server, client):
    numbers = ["0.1"] * 10 + ["1e-20", "99999999999999999999", "-3", "x", "NaN", "inf"]
    client.mset({f"stock:{n}": text for n, text in enumerate(numbers)})
    with side_of(redis_server) as side:
        key, value = side.aggregates(view(), view().fields)
    assert (key.values, key.sum, key.min, key.max) == (16, b"120", b"0", b"15")
    assert (value.nulls, value.values) == (0, 16)
    assert value.sum.rstrip(b"0") == b"99999999999999999997.00000000000000000001"
    assert (value.min, value.max) == (b"-3", b"99999999999999999999")


def test_keys_that_expire_are_left_out(redis_server, client):
    client.set("stock:1", "1")
    client.set("stock:2", "2", pxat=1)
    with side_of(redis_server) as side:
        assert set(side.hashes(view(), Part())) == {(b"1",)}


def test_keys_that_go_between_scan_and_get_are_left_out(redis_server, client, monkeypatch):
    client.mset({f"stock:{n}": n for n in range(10)})
    entries = Reader.entries

    def later(self, names):
        client.delete("stock:1", "stock:2")
        client.set("stock:3", "changed")
        return entries(self, names)

    monkeypatch.setattr(Reader, "entries", later)
    with side_of(redis_server) as side:
        found = side.hashes(view(), Part())
    assert len(found) == 8
    assert found[(b"3",)] == row_hash(view().fields, (b"3", b"changed"))


def test_each_key_counts_once_while_the_table_of_keys_grows(redis_server, client):
    """SCAN gives keys again while the server resizes; all that stand throughout are found."""
    client.mset({f"stock:{n}": n for n in range(20_000)})
    going = threading.Event()

    def churn():
        with closing(redis_server.client()) as other:
            while not going.is_set():
                other.mset({f"x:{random.random()}": 1 for _ in range(20_000)})
                names = list(other.scan_iter("x:*", count=5_000))
                if names:
                    other.delete(*names)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        with side_of(redis_server) as side:
            assert side.count(view()) == 20_000
            assert len(side.hashes(view(), Part())) == 20_000
    finally:
        going.set()
        thread.join()


def test_a_name_that_comes_twice_is_kept_once(redis_server, client, monkeypatch):
    client.mset({f"stock:{n}": n for n in range(10)})
    names = Reader.names

    def twice(self, pattern):
        for batch in names(self, pattern):
            yield batch + batch
            yield batch

    monkeypatch.setattr(Reader, "names", twice)
    with side_of(redis_server) as side:
        assert side.count(view()) == 10


def test_no_name_is_made_that_would_be_read_otherwise():
    pattern = Pattern.parse("a:{x}:{y}")
    assert pattern.write((b"1", b"2:3")) == b"a:1:2:3"
    assert pattern.write((b"1:2", b"3")) is None


def test_of_a_name_that_comes_twice_the_first_value_counts():
    spool = Spool(context())
    spool.add([Kept(7, b"stock:1", b"\1" * 8, b"1"), Kept(7, b"stock:1", b"\2" * 8, b"2")])
    spool.add([Kept(7, b"stock:1", b"\3" * 8, b"3")])
    assert [(kept.hash, kept.value) for kept in spool.read()] == [(b"\1" * 8, b"1")]
    spool.close()


def test_adding_up_what_was_put_aside_ends_with_the_run(monkeypatch):
    monkeypatch.setattr(spool_module, "STEPS", 100)
    source = CancelSource()
    with closing(Spool(context(source=source))) as spool:
        spool.add(Kept(n, b"stock:%d" % n, b"\1" * 8, None) for n in range(1000))
        assert spool.digests(0) == {0: Digest(1000, 1000 * 0x0101010101010101 % 2**64)}
        source.cancel(Cancelled("enough"))
        with pytest.raises(Cancelled):
            spool.digests(0)


def test_another_database_is_another_side(redis_server, client):
    client.set("stock:1", "1")
    with side_of(redis_server, database=2) as side:
        assert side.count(view()) == 0
        assert side.digests(view(), Part(), ()) == [Digest()]
        assert side.buckets(view(), Part(), 5) == {}
        assert side.aggregates(view(), view().fields)[1].values == 0


@pytest.mark.parametrize(
    "changed", [{"pattern": "stock"}, {"pattern": "stock:{value}"}, {"database": 9}]
)
def test_what_can_be_no_side_is_refused_at_once(redis_server, changed):
    with pytest.raises(ConfigurationError), side_of(redis_server, **changed):
        pass


def test_a_table_is_none(redis_server):
    with (
        pytest.raises(ConfigurationError, match="has no tables"),
        registry.sides(redis_server.access()).side(context(), Relation("cache", "", "", "t")),
    ):
        pass


def test_a_cut_or_an_order_is_not_to_be_had(redis_server, client):
    client.set("stock:1", "1")
    with side_of(redis_server) as side:
        assert side.edge(view(), None, 5) is None
        assert side.cuts(view(), Part(), 5) == []
        with pytest.raises(BadData, match="no order"):
            side.digests(view(), Part(), [(b"1",)])


def test_large_values_are_asked_for_in_smaller_batches(redis_server, client, monkeypatch):
    """Of about 4 MiB each, once the first one told how large they are."""
    client.mset({f"stock:{n}": b"%d" % n + b"x" * (1 << 20) for n in range(40)})
    monkeypatch.setattr(reading, "MOST", 10)
    ask, asked = Session.ask, []

    def counted(self, *command):
        if command[0] == "MGET":
            asked.append(len(command) - 1)
        return ask(self, *command)

    monkeypatch.setattr(Session, "ask", counted)
    with side_of(redis_server) as side:
        assert len(side.hashes(view(value_form=TEXT), Part())) == 40
    assert asked == [10] + [3] * 10
    client.flushall()


def test_a_server_that_dies_in_the_middle_is_told(monkeypatch):
    with private_redis() as server:
        with closing(server.client()) as client:
            client.mset({f"stock:{n}": n for n in range(5_000)})
        names = Reader.names

        def dying(self, pattern):
            for batch in names(self, pattern):
                yield batch
                server.kill()

        monkeypatch.setattr(Reader, "names", dying)
        with pytest.raises(Network), side_of(server) as side:
            side.count(view())


def test_a_server_that_stalls_in_the_middle_is_cancelled_within_a_second(redis_server, client):
    client.mset({f"stock:{n}": n for n in range(1_000)})
    source = CancelSource()
    sleeping = threading.Thread(target=client.execute_command, args=["DEBUG", "SLEEP", "1.5"])
    with side_of(redis_server, context(source=source)) as side:
        sleeping.start()
        time.sleep(0.1)
        threading.Timer(0.2, source.cancel, [Cancelled("enough")]).start()
        began = time.monotonic()
        with pytest.raises(Cancelled):
            side.count(view())
        assert time.monotonic() - began < 1
    sleeping.join()


def test_the_deadline_of_the_run_ends_it(redis_server, client):
    client.mset({f"stock:{n}": n for n in range(100)})
    access = redis_server.access(commands_per_second=2)
    keys = RedisKeys("cache", 0, "stock:{sku}", field="qty")
    with closing(RedisSide(context(2), access, keys)) as side, pytest.raises(TimedOut):
        side.count(view())


def test_a_full_disk_is_told(redis_server, client, monkeypatch):
    client.mset({f"stock:{n}": n for n in range(20_000)})
    make = Spool.__init__

    def small(self, ctx):
        make(self, ctx)
        self._db.execute("pragma max_page_count = 20")

    monkeypatch.setattr(Spool, "__init__", small)
    with (
        side_of(redis_server) as side,
        pytest.raises(Exception, match="temporary file: database or disk is full"),
    ):
        side.count(view())


MEMORY = """
import resource, sys
sys.path[:0] = {path!r}
from engine_run import context
from syncd.engines.base import ServerAccess
from syncd.engines.redis.sides import RedisSides
from syncd.engines.sides import Field, Form, Part, View
from syncd.model.check import RedisKeys
import sqlite3, redis
access = ServerAccess("cache", "redis", "127.0.0.1", {port}, "", lambda: None,
                      commands_per_second=1e6)
fields = (Field("sku", Form("decimal")), Field("value", Form("decimal")))
view = View(fields[:1], fields)
def peak(database):
    with RedisSides(access).side(context(), RedisKeys("cache", database, "stock:{{sku}}")) as side:
        assert side.count(view) == (1_000 if database else 100_000)
        assert sum(side.buckets(view, Part(), 14).values(), start=Digest()).rows
        list(side.aggregates(view, fields))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
from syncd.engines.sides import Digest
small = peak(1)
print(peak(0) - small)
"""


def test_a_hundred_thousand_keys_take_little_memory(redis_server, client):
    for start in range(0, 100_000, 10_000):
        client.mset({f"stock:{n}": n * 3 for n in range(start, start + 10_000)})
    with closing(redis_server.client(1)) as other:
        other.mset({f"stock:{n}": n for n in range(1_000)})
    path = [str(Path(__file__).parents[2]), *sys.path]
    code = MEMORY.format(path=path, port=redis_server.port)
    grown = int(subprocess.check_output([sys.executable, "-c", code], text=True))
    assert grown < 30_000  # KiB, 16 MiB of which are pages of the spool
    client.flushall()
