"""How a relation is read, whatever the engine."""

import threading
import time
from collections.abc import Iterator

import pytest
from engine_run import context
from table_subjects import TableSubject
from tables_contract import TablesContract

from syncd.context import CancelSource, RunContext
from syncd.engines.copy_text import TEXT, parsed
from syncd.engines.tables import Source
from syncd.errors import BadData, Cancelled
from syncd.model.copy import Edge, Span


class SourceContract(TablesContract):
    """Reading."""

    @pytest.fixture(autouse=True)
    def people(self, subject: TableSubject) -> Iterator[None]:
        subject.execute(
            "drop table if exists people",
            "create table people (id bigint not null primary key, name varchar(50),"
            f" at {subject.moment}, data {subject.blob})",
            "insert into people (id, name, at) values"
            " (1, 'Ann', '2024-01-01 00:00:01'), (2, null, '2024-01-01 00:00:02.5'),"
            " (3, 'tab\tand\nline', '2024-01-01 00:00:02.5'), (4, 'back\\\\slash N', null),"
            " (5, '', '2024-01-01 00:00:03')"
            if subject.engine != "postgresql"
            else "insert into people (id, name, at) values"
            " (1, 'Ann', '2024-01-01 00:00:01'), (2, null, '2024-01-01 00:00:02.5'),"
            " (3, 'tab\tand\nline', '2024-01-01 00:00:02.5'), (4, 'back\\slash N', null),"
            " (5, '', '2024-01-01 00:00:03')",
        )
        yield
        subject.execute("drop table if exists people")

    def test_a_table_is_described(self, subject: TableSubject, ctx: RunContext) -> None:
        with self.source(subject, ctx, "people") as source:
            shape = source.shape
        assert (shape.engine, shape.key, shape.trouble) == (subject.engine, ("id",), "")
        assert [column.name for column in shape.columns] == ["id", "name", "at", "data"]
        kinds = [column.type.kind for column in shape.columns]
        assert kinds == ["integer", "text", "timestamp", "bytes"]
        assert [column.nullable for column in shape.columns] == [False, True, True, True]
        assert (shape.columns[0].type.size, shape.columns[1].type.size) == (8, 50)
        assert shape.columns[2].type.scale == 6

    @pytest.mark.parametrize("columns", [["id", "name", "at"], ["data", "id", "name"], ["name"]])
    def test_the_text_of_copy_says_what_rows_do(
        self, subject: TableSubject, ctx: RunContext, columns: list[str]
    ) -> None:
        long = "x" * 70_000
        subject.execute(
            f"insert into people (id, data) values (6, '{long}')",
            "insert into people (id, name) values (7, 'plain'), (8, 'é😀')",
        )
        hexed = [at for at, name in enumerate(columns) if name == "data"]
        for first in range(9):
            span = Span(("id",), Edge((b"%d" % first,)), Edge((b"7",), inclusive=True))
            with self.source(subject, ctx, "people") as source:
                blocks = list(source.blocks(columns, span, TEXT))
                rows = [row for part in source.rows(columns, span, 99) for row in part]
            assert parsed(b"".join(blocks), hexed) == rows
            assert len(rows) == max(0, 7 - first)
            assert all(bytes(block).endswith(b"\n") for block in blocks)

    def test_a_long_row_comes_by_itself_and_its_line_in_pieces(
        self, subject: TableSubject, ctx: RunContext
    ) -> None:
        of_postgresql = subject.engine == "postgresql"
        text, escaped = ("text", "E") if of_postgresql else ("longtext", "")
        line = f"repeat({escaped}'it''s\\t\\\\\\n', 400000)"
        digits = "repeat('00ff5c', 700000)"
        data = f"decode({digits}, 'hex')" if of_postgresql else f"unhex({digits})"
        long = [b"it's\t\\\n" * 400_000, None, b"\0\xff\\" * 700_000]
        subject.execute(
            f"create table wide (id bigint primary key, t {text}, n {text}, d {subject.blob})",
            "insert into wide (id) values (1), (2), (4), (6)",
            f"insert into wide values (3, {line}, null, {data}), (5, {line}, null, {data})",
        )
        columns, span = ["t", "n", "d", "id"], Span(("id",))
        try:
            with self.source(subject, ctx, "wide") as source:
                parts = list(source.rows(columns, span, 99))
                blocks = list(source.blocks(columns, span, TEXT))
        finally:
            subject.execute("drop table wide")
        numbers = [[row[3] for row in part] for part in parts]
        assert numbers == [[b"1", b"2"], [b"3"], [b"4"], [b"5"], [b"6"]]
        assert parts[1] == [(*long, b"3")]
        told = sorted(parsed(b"".join(blocks), [2]), key=lambda row: row[3] or b"")
        assert told == [row for part in parts for row in part]
        assert max(map(len, blocks)) < 1 << 20

    def test_unique_keys_are_told(self, subject: TableSubject, ctx: RunContext) -> None:
        subject.execute("create unique index both_of_them on people (name, at)")
        subject.execute("create index one on people (at)")
        with self.source(subject, ctx, "people") as source:
            assert source.shape.unique == (("name", "at"),)

    def test_a_key_of_ones_choice_tells_rows_apart(
        self, subject: TableSubject, ctx: RunContext
    ) -> None:
        with self.source(subject, ctx, "people", key=("name", "id")) as source:
            assert source.shape.key == ("name", "id")
            assert ("id",) in source.shape.unique

    def test_a_table_that_does_not_exist_is_named(
        self, subject: TableSubject, ctx: RunContext
    ) -> None:
        with pytest.raises(BadData, match="nowhere"), self.source(subject, ctx, "nowhere"):
            pass

    def test_rows_come_in_their_order_in_the_one_form(
        self, subject: TableSubject, ctx: RunContext
    ) -> None:
        with self.source(subject, ctx, "people") as source:
            rows = self.read(source, "id name at data", Span(("id",)))
        assert rows == [
            (b"1", b"Ann", b"2024-01-01 00:00:01", None),
            (b"2", None, b"2024-01-01 00:00:02.5", None),
            (b"3", b"tab\tand\nline", b"2024-01-01 00:00:02.5", None),
            (b"4", b"back\\slash N", None, None),
            (b"5", b"", b"2024-01-01 00:00:03", None),
        ]

    def test_spans_begin_and_end_at_edges(self, subject: TableSubject, ctx: RunContext) -> None:
        def ids(start: Edge | None, end: Edge | None, limit: int = 10) -> list[bytes | None]:
            return [row[0] for row in self.read(source, "id", Span(("id",), start, end), limit)]

        with self.source(subject, ctx, "people") as source:
            assert ids(Edge((b"2",)), None) == [b"3", b"4", b"5"]
            assert ids(Edge((b"2",), inclusive=True), Edge((b"4",))) == [b"2", b"3"]
            assert ids(None, Edge((b"2",), inclusive=True)) == [b"1", b"2"]
            assert ids(Edge((b"3",)), Edge((b"3",))) == []
            assert ids(None, None, 2) == [b"1", b"2"]

    def test_ties_of_a_watermark_are_told_apart_by_the_key(
        self, subject: TableSubject, ctx: RunContext
    ) -> None:
        order, tie = ("at", "id"), b"2024-01-01 00:00:02.5"

        def ids(start: Edge | None, end: Edge | None) -> list[bytes | None]:
            return [row[0] for row in self.read(source, "id", Span(order, start, end))]

        with self.source(subject, ctx, "people") as source:
            assert ids(Edge((tie, b"2")), None) == [b"3", b"5"]
            assert ids(Edge((tie, b"2"), inclusive=True), None) == [b"2", b"3", b"5"]
            assert ids(Edge((tie,)), None) == [b"5"]
            assert ids(Edge((tie,), inclusive=True), None) == [b"2", b"3", b"5"]
            assert ids(None, Edge((tie,))) == [b"1"]
            assert ids(None, Edge((tie,), inclusive=True)) == [b"1", b"2", b"3"]
            assert ids(Edge((tie, b"2")), Edge((tie,), inclusive=True)) == [b"3"]

    def test_an_edge_is_where_so_many_rows_end(
        self, subject: TableSubject, ctx: RunContext
    ) -> None:
        with self.source(subject, ctx, "people") as source:
            assert source.edge(Span(("id",)), 2) == (b"2",)
            assert source.edge(Span(("id",), Edge((b"2",))), 2) == (b"4",)
            assert source.edge(Span(("id",)), 5) is None
            assert source.edge(Span(("id",)), 6) is None
            tied = source.edge(Span(("at", "id"), Edge((b"2000-01-01",))), 2)
            assert tied == (b"2024-01-01 00:00:02.5", b"2")

    def test_rows_are_counted(self, subject: TableSubject, ctx: RunContext) -> None:
        with self.source(subject, ctx, "people") as source:
            assert source.count() == 5
            assert source.count(Span(("id",), Edge((b"3",)))) == 2
            assert source.count(null="at") == 1

    def test_keys_are_looked_up(self, subject: TableSubject, ctx: RunContext) -> None:
        with self.source(subject, ctx, "people") as source:
            assert source.existing(["id"], [(b"1",), (b"9",)]) == {(b"1",)}
            assert source.existing(["id"], []) == set()
            both = [(b"tab\tand\nline", b"3"), (b"back\\slash N", b"4"), (b"Ann", b"4")]
            assert source.existing(["name", "id"], both) == set(both[:2])

    def test_a_snapshot_shows_one_moment_but_keys_are_looked_up_now(
        self, subject: TableSubject, ctx: RunContext
    ) -> None:
        with self.source(subject, ctx, "people", snapshot=True) as source:
            subject.execute("delete from people where id = 1")
            assert source.count() == 5
            assert len(self.read(source, "id", Span(("id",)))) == 5
            assert source.existing(["id"], [(b"1",), (b"2",)]) == {(b"2",)}

    def test_without_a_snapshot_what_is_there_counts(
        self, subject: TableSubject, ctx: RunContext
    ) -> None:
        with self.source(subject, ctx, "people") as source:
            subject.execute("delete from people where id = 1")
            assert source.count() == 4

    def test_a_query_is_read_like_a_table(self, subject: TableSubject, ctx: RunContext) -> None:
        query = "select id, name as called from people where id > 1 -- the rest;"
        with self.source(subject, ctx, "", query=query, key=("id",)) as source:
            assert [column.name for column in source.shape.columns] == ["id", "called"]
            assert [column.type.kind for column in source.shape.columns] == ["integer", "text"]
            assert source.shape.key == ("id",)
            rows = self.read(source, "id called", Span(("id",), Edge((b"3",))))
            assert rows == [(b"4", b"back\\slash N"), (b"5", b"")]
            assert source.edge(Span(("id",)), 1) == (b"2",)
            assert source.existing(["id"], [(b"1",), (b"2",)]) == {(b"2",)}

    def test_a_view_is_read_like_a_table(self, subject: TableSubject, ctx: RunContext) -> None:
        subject.execute("create view grown as select id, name from people")
        try:
            with self.source(subject, ctx, "grown", key=("id",)) as source:
                assert source.shape.trouble
                assert len(self.read(source, "id name", Span(("id",)))) == 5
        finally:
            subject.execute("drop view grown")

    def test_parts_are_bounded(self, subject: TableSubject, ctx: RunContext) -> None:
        with self.source(subject, ctx, "people") as source:
            subject.execute(
                *(
                    f"insert into people (id, name, data) select {n}, 'x',"
                    f" {'decode' if subject.engine == 'postgresql' else 'unhex'}"
                    f"(repeat('00ff', 1500000){', ' + chr(39) + 'hex' + chr(39) if subject.engine == 'postgresql' else ''})"  # noqa: E501
                    for n in range(10, 16)
                )
            )
            parts = list(source.rows(["id", "data"], Span(("id",)), 100))
        assert sum(map(len, parts)) == 11
        assert len(parts) >= 5
        assert parts[-1][-1] == (b"15", b"\0\xff" * 1_500_000)

    def test_names_of_any_kind_are_names(self, subject: TableSubject, ctx: RunContext) -> None:
        hostile = subject.hostile
        name = subject.quote(hostile)
        subject.execute(
            f"create table {name} (id bigint not null primary key, {name} varchar(9))",
            f"insert into {name} values (1, 'x')",
        )
        try:
            with self.source(subject, ctx, hostile) as source:
                [row] = [row for p in source.rows([hostile], Span(("id",)), 9) for row in p]
                assert row == (b"x",)
                assert source.count(null=hostile) == 0
                assert source.existing([hostile], [(b"x",)]) == {(b"x",)}
                assert source.edge(Span((hostile, "id")), 1) is None
        finally:
            subject.execute(f"drop table {name}")

    def test_a_table_that_vanished_is_named(self, subject: TableSubject, ctx: RunContext) -> None:
        with self.source(subject, ctx, "people") as source:
            subject.execute("drop table people")
            with pytest.raises(BadData, match="people"):
                self.read(source, "id", Span(("id",)))

    def test_looking_back_subtracts(self, subject: TableSubject, ctx: RunContext) -> None:
        with self.source(subject, ctx, "people") as source:
            assert source.back("id", b"10", "3") == b"7"
            assert source.back("at", b"2024-03-01 00:00:00", "86400") == b"2024-02-29 00:00:00"
            assert source.back("at", b"2024-03-01 00:00:00.5", "0") == b"2024-03-01 00:00:00.5"
            with pytest.raises(BadData, match="name"):
                source.back("name", b"x", "3")

    def test_no_row_comes_below_the_bound(self, subject: TableSubject, ctx: RunContext) -> None:
        with self.source(subject, ctx, "people") as source:
            assert source.bound("id", "UTC") is None
            before = source.bound("at", "UTC")
            with subject.open() as connection:
                connection.cursor().execute("insert into people (id) values (100)")
                held = source.bound("at", "UTC")
                time.sleep(subject.tick)
                assert source.bound("at", "UTC") == held
                connection.rollback()
            time.sleep(subject.tick)  # what the server tells of transactions may be a moment old
            after = source.bound("at", "UTC")
        assert before is not None
        assert held is not None
        assert after is not None
        assert before <= held < after

    def test_a_cancelled_reading_ends_at_once(self, subject: TableSubject) -> None:
        cancel = CancelSource()
        subject.execute(
            "insert into people (id) select a.id + 10 * b.id + 100 * c.id + 1000 * d.id + 10000"
            " from people a, people b, people c, people d"
        )
        wide = subject.relation("", query=_slow(subject), key=("id",))
        timer = threading.Timer(0.2, cancel.cancel, [Cancelled("enough")])
        ctx = context(source=cancel)
        with pytest.raises(Cancelled), subject.tables().source(ctx, wide, snapshot=False) as source:
            _count_and(source, timer)
        assert time.monotonic() - cancel_moment(cancel) < 3


def _slow(subject: TableSubject) -> str:
    """Return a query that takes very long."""
    cross = ", ".join(f"people t{n}" for n in range(6))
    return f"select t0.id from {cross} where t0.id + t1.id + t2.id + t3.id + t4.id + t5.id < 0"


def _count_and(source: Source, timer: threading.Timer) -> None:
    """Count, while a timer runs."""
    timer.start()
    try:
        source.count()
    finally:
        timer.join()


def cancel_moment(cancel: CancelSource) -> float:
    assert cancel.since is not None
    return cancel.since
