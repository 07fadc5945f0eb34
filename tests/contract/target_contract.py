"""How a table is made and how far its copy is kept, whatever the engine."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from table_subjects import TableSubject
from tables_contract import TablesContract, a_state

from syncd.context import RunContext
from syncd.engines.tables import Into, NewColumn, Target
from syncd.errors import BadData, Fenced
from syncd.model.copy import CopyState
from syncd.model.run import Counts
from syncd.model.table import Column, Type

STATES = "syncd_watermark"


class TargetContract(TablesContract):
    """A table that is written, and made."""

    LIKE = Column("x", Type("integer", 8), "bigint", nullable=False)
    TEXT = Column("y", Type("text", 20), "varchar(20)")

    @pytest.fixture(autouse=True)
    def no_table(self, subject: TableSubject) -> Iterator[None]:
        yield
        subject.execute("drop table if exists made")

    def new(self, target: Target, subject: TableSubject) -> list[NewColumn]:
        like = (("id", self.LIKE, False), (subject.hostile, self.TEXT, True))
        return [
            NewColumn(name, column, target.spelled(column, subject.engine), nullable)
            for name, column, nullable in like
        ]

    def test_a_missing_table_is_made(self, subject: TableSubject, ctx: RunContext) -> None:
        with self.target(subject, ctx, "made") as target:
            assert target.shape is None
            new = self.new(target, subject)
            target.create(new, ["id"], subject.engine)
            shape = target.shape
            assert shape is not None
            assert (shape.key, shape.trouble) == (("id",), "")
            assert [column.name for column in shape.columns] == ["id", subject.hostile]
            assert [column.nullable for column in shape.columns] == [False, True]
            assert [c.type for c in shape.columns] == [column.type for column in new]
            assert target.is_empty()
        assert subject.rows("select count(*) from made")[0][0] == 0

    def test_a_missing_schema_is_made(self, subject: TableSubject, ctx: RunContext) -> None:
        name = f"new {subject.hostile}"[:50]
        place = replace(subject.relation("made"), schema=name)
        try:
            with subject.tables().target(ctx, place, f"{name}2") as target:
                assert target.absent() == [name, f"{name}2"]
                assert (target.shape, target.peek("job", "item")) == (None, None)
                assert target.claim(a_state()) is None
                target.create(self.new(target, subject), ["id"], subject.engine)
                assert (target.absent(), target.is_empty()) == ([], True)
            query = f"select count(*) from {subject.quote(f'{name}2')}.{STATES}"
            assert subject.rows(query) == [(1,)]
        finally:
            word = "schema if exists {} cascade"
            word = word if subject.engine == "postgresql" else "database if exists {}"
            for each in (name, f"{name}2"):
                subject.execute(f"drop {word.format(subject.quote(each))}")

    def test_a_name_that_no_column_can_have_is_told(
        self, subject: TableSubject, ctx: RunContext
    ) -> None:
        longest = 63 if subject.engine == "postgresql" else 64
        with self.target(subject, ctx, "made") as target:
            target.require_names(["id", subject.hostile, "c" * longest])
            with pytest.raises(BadData, match=r"made: .*rename or exclude") as caught:
                target.require_names(["id", "c" * (longest + 1)])
            assert not caught.value.retryable

    def test_one_that_exists_meanwhile_is_looked_at(
        self, subject: TableSubject, ctx: RunContext
    ) -> None:
        with self.target(subject, ctx, "made") as target:
            new = self.new(target, subject)
            subject.execute("create table made (other bigint not null primary key)")
            target.create(new, ["id"], subject.engine)
            assert target.shape is not None
            assert target.shape.key == ("other",)

    def test_columns_are_added(self, subject: TableSubject, ctx: RunContext) -> None:
        subject.execute("create table made (id bigint not null primary key)")
        with self.target(subject, ctx, "made") as target:
            assert target.shape is not None
            target.extend(self.new(target, subject)[1:], subject.engine)
            assert [column.name for column in target.shape.columns] == ["id", subject.hostile]
            assert target.shape.columns[1].nullable

    def test_a_table_with_a_row_is_not_empty(self, subject: TableSubject, ctx: RunContext) -> None:
        subject.execute(
            "create table made (id bigint not null primary key)", "insert into made values (1)"
        )
        with self.target(subject, ctx, "made") as target:
            assert not target.is_empty()

    def test_a_view_can_not_be_written(self, subject: TableSubject, ctx: RunContext) -> None:
        subject.execute("create view seen as select 1 as id")
        try:
            with self.target(subject, ctx, "seen") as target:
                assert target.shape is not None
                assert "view" in target.shape.trouble
        finally:
            subject.execute("drop view seen")

    def test_numbers_go_on_behind_the_largest(self, subject: TableSubject, ctx: RunContext) -> None:
        subject.execute(f"create table made ({subject.numbered}, v bigint)")
        with self.target(subject, ctx, "made") as target:
            assert target.shape is not None
            assert target.shape.columns[0].identity
            target.settle()
            with target.page(Into(("id", "v"), ("id",), "update")) as page:
                page.put([(b"7", b"1")])
            target.settle()
            subject.execute("insert into made (v) values (2)")
            target.settle()
            subject.execute("delete from made where id > 1")
            target.settle()
            subject.execute("insert into made (v) values (3)")
        assert subject.rows("select id from made order by id") == [(9,)]


class StateContract(TablesContract):
    """How far a copy is, and whose it is."""

    INTO = Into(("id",), ("id",), "update")

    @pytest.fixture(autouse=True)
    def kept(self, subject: TableSubject) -> Iterator[None]:
        subject.execute(
            f"drop table if exists {STATES}",
            "drop table if exists kept",
            "create table kept (id bigint not null primary key)",
        )
        yield
        subject.execute("drop table kept", f"drop table if exists {STATES}")

    def save(self, target: Target, state: CopyState, row: bytes = b"1") -> None:
        with target.page(self.INTO) as page:
            page.put([(row,)])
            page.save(state)

    def test_nothing_is_kept_at_first(self, subject: TableSubject, ctx: RunContext) -> None:
        state = a_state()
        with self.target(subject, ctx, "kept") as target:
            assert target.peek(state.job, state.item) is None
            assert subject.rows(
                f"select count(*) from information_schema.tables where table_name = '{STATES}'"
                f" and table_schema = '{subject.relation('x').schema}'"
            ) == [(0,)]
            assert target.claim(state) is None
            assert target.peek(state.job, "another") is None

    def test_a_state_is_kept_as_it_is(self, subject: TableSubject, ctx: RunContext) -> None:
        state = a_state(
            item="shop.\"o'rd\" 😀", mode="incremental", phase="deletes",
            position=(b"1", b"\0\xff", "ä\\x".encode(), b"\\x41", b""), watermark=b"2024-01-01",
            bound=b"\xff", fresh=True, full_at="2024-01-01T00:00:00+00:00",
            counts=Counts(7, 1, 2, 3, 4, 0), details={"ä": [1, "x", None, {"b": 0.5}]},
        )  # fmt: skip
        with self.target(subject, ctx, "kept") as target:
            target.claim(replace(state, position=None, watermark=None, bound=None))
            self.save(target, state)
            assert target.peek(state.job, state.item) == state
            empty = replace(state, position=None, watermark=None, bound=None, full_at=None)
            self.save(target, empty)
            assert target.peek(state.job, state.item) == empty

    def test_it_can_be_read(self, subject: TableSubject, ctx: RunContext) -> None:
        with self.target(subject, ctx, "kept") as target:
            state = a_state(watermark=b"2024-01-01", bound=b"17")
            target.claim(state)
            self.save(target, state)
        query = f"select job, item, mode, phase, watermark, bound from {STATES}"
        [told] = subject.rows(query)
        assert told == ("orders", "shop.orders", "full", "rows", "2024-01-01", "17")
        assert subject.rows(f"select count(*) from {STATES} where updated_at is not null") == [(1,)]

    def test_a_later_attempt_goes_on(self, subject: TableSubject, ctx: RunContext) -> None:
        state = a_state(position=(b"5",), counts=Counts(3, 3), bound=b"9", watermark=b"1")
        later = replace(state, claim=replace(state.claim, attempt=2))
        with self.target(subject, ctx, "kept") as target:
            target.claim(state)
            self.save(target, state)
            assert target.claim(later) == state
            assert target.peek(state.job, state.item) == later
            self.save(target, later)

    def test_an_earlier_attempt_is_fenced(self, subject: TableSubject, ctx: RunContext) -> None:
        state = a_state()
        later = replace(state, claim=replace(state.claim, attempt=2))
        with self.target(subject, ctx, "kept") as old, self.target(subject, ctx, "kept") as new:
            old.claim(state)
            self.save(old, state)
            new.claim(later)
            with pytest.raises(Fenced):
                self.save(old, state, b"2")
            with pytest.raises(Fenced):
                old.claim(state)
            self.save(new, later, b"3")
        assert subject.rows("select id from kept order by id") == [(1,), (3,)]

    def test_a_claim_keeps_the_whole_state(self, subject: TableSubject, ctx: RunContext) -> None:
        first = a_state(
            position=(b"5",), watermark=b"7", bound=b"9", full_at="then", phase="done",
            counts=Counts(3, 3),
        )  # fmt: skip
        other = a_state(mode="incremental", watermark=b"6", details={"pass": "incremental"})
        with self.target(subject, ctx, "kept") as target:
            target.claim(first)
            self.save(target, first)
            assert target.claim(other) == first
            assert target.peek(other.job, other.item) == other
            with pytest.raises(Fenced):
                self.save(target, first)

    def test_copies_do_not_know_each_other(self, subject: TableSubject, ctx: RunContext) -> None:
        one, two = a_state(), a_state(item="shop.lines")
        with self.target(subject, ctx, "kept") as target:
            target.claim(one)
            assert target.claim(two) is None
            self.save(target, one)
            self.save(target, replace(two, position=(b"1",)))
            assert target.peek(one.job, one.item) == one

    def test_a_claim_waits_for_a_page_under_way(
        self, subject: TableSubject, ctx: RunContext
    ) -> None:
        state = a_state()
        later = replace(state, claim=replace(state.claim, attempt=2))
        seen: list[CopyState | None] = []
        with self.target(subject, ctx, "kept") as old, self.target(subject, ctx, "kept") as new:
            old.claim(state)
            claiming = threading.Thread(target=lambda: seen.append(new.claim(later)))
            with old.page(self.INTO) as page:
                page.put([(b"1",)])
                page.save(replace(state, position=(b"1",)))
                claiming.start()
                claiming.join(0.2)
                assert seen == []
            claiming.join(10)
        assert [kept and kept.position for kept in seen] == [(b"1",)]

    def test_a_page_that_is_fenced_keeps_nothing(
        self, subject: TableSubject, ctx: RunContext
    ) -> None:
        with self.target(subject, ctx, "kept") as target:
            target.claim(a_state())
            with pytest.raises(Fenced), target.page(self.INTO) as page:  # noqa: PT012
                page.put([(b"1",)])
                page.save(a_state())
        assert subject.rows("select count(*) from kept") == [(0,)]
