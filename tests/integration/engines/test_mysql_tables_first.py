"""A table of MariaDB is read, written, and its state kept."""

from collections.abc import Iterator

import pytest
from mariadb_server import MariaDbServer
from mysql_tables import Shop, fresh_shop, into, state

from syncd.engines.tables import Refused
from syncd.errors import Conflict, Fenced
from syncd.model.copy import Edge, Span


@pytest.fixture
def shop(mariadb: MariaDbServer) -> Iterator[Shop]:
    with fresh_shop(mariadb) as made:
        yield made


def test_all(shop):
    shop.execute(
        "create table a (id int primary key, t text, n decimal(8,2), f float, u bigint unsigned)",
        "insert into a select seq, concat('it''s \\\\ ', seq), seq/3, 16777217, 18446744073709551615 from seq_1_to_5000",
    )
    rows = shop.read("a")
    assert rows[0] == (b"1", b"it's \\ 1", b"0.33", b"16777216", b"18446744073709551615")
    assert len(rows) == 5000
    shop.execute("create table b like a")
    w = shop.put("b", into("id", "t", "n", "f", "u"), rows)
    assert (w.added, w.updated, w.unchanged) == (5000, 0, 0)
    rows[7] = (b"8", b"other", *rows[7][2:])
    w = shop.put("b", into("id", "t", "n", "f", "u"), rows)
    assert (w.added, w.updated, w.unchanged) == (0, 1, 4999)
    assert w.updated_keys == ((b"8",),)
    assert shop.read("b") == rows
    with shop.source("a", snapshot=True) as s:
        assert s.edge(Span(("id",)), 100) == (b"100",)
        assert s.edge(Span(("id",)), 5000) is None
        assert s.count(Span(("id",), Edge((b"5",)), Edge((b"10",)))) == 4
        assert s.existing(["id"], [(b"1",), (b"9999",)]) == {(b"1",)}
        assert s.bound("id", "") is None
    with shop.target("b") as t:
        st = state()
        assert t.peek("orders", "lines") is None
        assert t.claim(st) is None
        assert t.peek("orders", "lines") == st
        with t.page(into("id", "t")) as page:
            page.keep_keys([(b"%d" % n,) for n in range(1, 4999)])
            assert page.missing(10) == (2, [(b"4999",), (b"5000",)])
            assert page.delete([(b"4999",)], "") == 1
            page.save(st)
        other = state()
        with pytest.raises(Fenced), t.page(into("id", "t")) as page:
            page.save(other)
        with pytest.raises(Conflict), t.page(into("id", "t", conflict="error")) as page:
            page.put([(b"1", b"zzz")])
        with t.page(into("id", "n")) as page:
            with pytest.raises(Refused):
                page.put([(b"1", b"1.239")])
            with pytest.raises(Refused):
                page.put([(b"1", None), (b"2x", b"3")])
            assert page.put([(b"1", b"2.5")]).updated == 1
