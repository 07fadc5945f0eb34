"""How rows are written, whatever the engine."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from table_subjects import TableSubject, texts
from tables_contract import TablesContract, a_state

from syncd.context import RunContext
from syncd.engines.tables import Into, Refused
from syncd.errors import BadData, Conflict
from syncd.model.table import Row


class PageContract(TablesContract):
    """One transaction of rows."""

    INTO = Into(("id", "name", "n"), ("id",), "update")

    @pytest.fixture(autouse=True)
    def things(self, subject: TableSubject) -> Iterator[None]:
        subject.execute(
            "drop table if exists things",
            "create table things (id bigint not null primary key, name varchar(20), n int,"
            f" gone {subject.moment})",
        )
        yield
        subject.execute("drop table if exists things")

    def put(
        self, subject: TableSubject, ctx: RunContext, rows: list[Row], into: Into = INTO
    ) -> Any:
        with self.target(subject, ctx, "things") as target, target.page(into) as page:
            return page.put(rows)

    def all(self, subject: TableSubject) -> list[tuple[str, ...]]:
        return texts(subject.rows("select id, name, n from things order by id"))

    def some(self, subject: TableSubject) -> None:
        subject.execute("insert into things (id, name, n) values (1, 'a', 1), (2, 'b', 2)")

    def test_rows_are_added(self, subject: TableSubject, ctx: RunContext) -> None:
        rows: list[Row] = [(b"1", b"t\tab\\N\nx\r", b"5"), (b"2", None, None), (b"3", b"", b"-1")]
        done = self.put(subject, ctx, rows)
        assert (done.added, done.updated, done.unchanged, done.duplicates) == (3, 0, 0, 0)
        assert set(done.added_keys) == {(b"1",), (b"2",), (b"3",)}
        assert self.all(subject) == [
            ("1", "t\tab\\N\nx\r", "5"), ("2", "NULL", "NULL"), ("3", "", "-1"),
        ]  # fmt: skip

    def test_nothing_is_written_for_no_rows(self, subject: TableSubject, ctx: RunContext) -> None:
        done = self.put(subject, ctx, [])
        assert (done.added, done.updated, done.unchanged) == (0, 0, 0)

    def test_only_what_differs_is_updated(self, subject: TableSubject, ctx: RunContext) -> None:
        self.some(subject)
        done = self.put(subject, ctx, [(b"1", b"a", b"1"), (b"2", b"c", b"2"), (b"3", None, b"3")])
        assert (done.added, done.updated, done.unchanged) == (1, 1, 1)
        assert (done.added_keys, done.updated_keys) == (((b"3",),), ((b"2",),))
        assert self.all(subject) == [("1", "a", "1"), ("2", "c", "2"), ("3", "NULL", "3")]

    def test_null_differs_from_a_value(self, subject: TableSubject, ctx: RunContext) -> None:
        self.some(subject)
        done = self.put(subject, ctx, [(b"1", None, b"1"), (b"2", b"b", None)])
        assert (done.updated, done.unchanged) == (2, 0)
        done = self.put(subject, ctx, [(b"1", None, b"1"), (b"2", b"b", None)])
        assert (done.updated, done.unchanged) == (0, 2)

    def test_of_one_key_the_last_row_counts(self, subject: TableSubject, ctx: RunContext) -> None:
        self.some(subject)
        rows: list[Row] = [
            (b"1", b"x", b"1"), (b"3", b"y", b"1"), (b"1", b"z", b"1"), (b"3", b"w", b"1"),
        ]  # fmt: skip
        done = self.put(subject, ctx, rows)
        assert (done.added, done.updated, done.unchanged, done.duplicates) == (1, 1, 0, 2)
        assert self.all(subject) == [("1", "z", "1"), ("2", "b", "2"), ("3", "w", "1")]

    def test_a_page_comes_in_parts(self, subject: TableSubject, ctx: RunContext) -> None:
        self.some(subject)
        with self.target(subject, ctx, "things") as target, target.page(self.INTO) as page:
            one = page.put([(b"1", b"x", b"1"), (b"3", b"c", b"3")])
            other = page.put([(b"3", b"y", b"3"), (b"4", b"d", b"4"), (b"2", b"b", b"2")])
        assert (one.added, one.updated, one.unchanged) == (1, 1, 0)
        assert (other.added, other.updated, other.unchanged) == (1, 1, 1)
        assert [row[1] for row in self.all(subject)] == ["x", "b", "y", "d"]

    @pytest.mark.parametrize("fresh", [True, False])
    def test_a_value_that_is_refused_is_told_with_its_column(
        self, subject: TableSubject, ctx: RunContext, *, fresh: bool
    ) -> None:
        """Wherever the row was sent: that the column is another one there is nobody's business."""
        if not fresh:
            self.some(subject)
        for row, column in (
            ((b"3", b"x" * 21, b"1"), "name"), ((b"3", b"x", b"9" * 12), "n"),
        ):  # fmt: skip
            with pytest.raises(Refused, match=rf"column '?{column}\b") as caught:
                self.put(subject, ctx, [row], replace(self.INTO, fresh=fresh))
            assert "at row" not in str(caught.value)
            assert str(caught.value).startswith(f"{subject.relation('things')}: ")

    def test_skip_leaves_rows_as_they_are(self, subject: TableSubject, ctx: RunContext) -> None:
        self.some(subject)
        rows: list[Row] = [(b"1", b"x", b"9"), (b"3", b"c", b"3")]
        done = self.put(subject, ctx, rows, replace(self.INTO, conflict="skip"))
        assert (done.added, done.updated, done.unchanged) == (1, 0, 1)
        assert self.all(subject) == [("1", "a", "1"), ("2", "b", "2"), ("3", "c", "3")]

    def test_error_fails_for_a_row_that_is_there_and_differs(
        self, subject: TableSubject, ctx: RunContext
    ) -> None:
        self.some(subject)
        into = replace(self.INTO, conflict="error")
        done = self.put(subject, ctx, [(b"1", b"a", b"1"), (b"3", b"c", b"3")], into)
        assert (done.added, done.unchanged) == (1, 1)
        with pytest.raises(Conflict, match="2") as caught:
            self.put(subject, ctx, [(b"4", b"d", b"4"), (b"2", b"x", b"2")], into)
        assert not caught.value.retryable
        assert len(self.all(subject)) == 3

    def test_the_newer_one_wins(self, subject: TableSubject, ctx: RunContext) -> None:
        subject.execute(
            "insert into things (id, name, n) values (1, 'a', 1), (2, 'b', 5), (3, 'c', null),"
            " (4, 'd', 4), (5, 'e', 5)"
        )
        rows: list[Row] = [
            (b"1", b"new", b"2"), (b"2", b"old", b"4"), (b"3", b"new", b"1"),
            (b"4", b"tie", b"4"), (b"5", b"null", None), (b"6", b"f", None),
        ]  # fmt: skip
        done = self.put(subject, ctx, rows, replace(self.INTO, conflict="newer", newer="n"))
        assert (done.added, done.updated, done.unchanged) == (1, 2, 3)
        assert [row[1] for row in self.all(subject)] == ["new", "b", "new", "d", "e", "f"]

    @pytest.mark.parametrize("conflict", ["update", "skip", "newer"])
    def test_a_row_that_comes_again_is_no_longer_deleted(
        self, subject: TableSubject, ctx: RunContext, conflict: Any
    ) -> None:
        self.some(subject)
        subject.execute("update things set gone = '2024-01-01 00:00:00'")
        into = replace(self.INTO, conflict=conflict, newer="n", revive="gone")
        done = self.put(subject, ctx, [(b"1", b"older", b"0"), (b"3", b"c", b"3")], into)
        assert (done.added, done.updated, done.unchanged) == (1, 1, 0)
        assert subject.rows("select id from things where gone is null order by id") == [(1,), (3,)]
        assert self.all(subject)[0][1] == ("older" if conflict == "update" else "a")

    def test_a_refused_row_leaves_the_page_as_it_was(
        self, subject: TableSubject, ctx: RunContext
    ) -> None:
        with self.target(subject, ctx, "things") as target, target.page(self.INTO) as page:
            page.put([(b"1", b"a", b"1")])
            for bad in ((b"3", b"x" * 21, b"1"), (b"4", b"b", b"no"), (b"5", b"b", b"9" * 12)):
                with pytest.raises(Refused):
                    page.put([(b"2", b"b", b"2"), bad])
            page.put([(b"2", b"c", b"2")])
        assert self.all(subject) == [("1", "a", "1"), ("2", "c", "2")]

    def test_another_unique_key_never_writes_over_a_row(
        self, subject: TableSubject, ctx: RunContext
    ) -> None:
        self.some(subject)
        subject.execute("create unique index names on things (name)")
        with self.target(subject, ctx, "things") as target, target.page(self.INTO) as page:
            with pytest.raises(Refused):
                page.put([(b"3", b"b", b"3")])
            with pytest.raises(Refused):
                page.put([(b"1", b"b", b"3")])
        assert self.all(subject) == [("1", "a", "1"), ("2", "b", "2")]

    def test_a_page_that_raises_keeps_nothing(self, subject: TableSubject, ctx: RunContext) -> None:
        with self.target(subject, ctx, "things") as target:
            with pytest.raises(ZeroDivisionError), target.page(self.INTO) as page:  # noqa: PT012
                page.put([(b"1", b"a", b"1")])
                raise ZeroDivisionError
            with target.page(self.INTO) as page:
                page.put([(b"2", b"a", b"1")])
        assert self.all(subject) == [("2", "a", "1")]

    def test_a_rehearsal_keeps_nothing(self, subject: TableSubject, ctx: RunContext) -> None:
        self.some(subject)
        with self.target(subject, ctx, "things") as target:
            with target.page(self.INTO, rehearse=True) as page:
                assert page.put([(b"9", b"a", b"1")]).added == 1
                page.keep_keys([(b"1",)])
                page.keep_keys([(b"9",)])
                page.save(a_state())
                assert page.missing(5) == (1, [(b"2",)])
                assert page.delete([(b"2",)], "") == 1
            with target.page(self.INTO, rehearse=True) as page:
                assert page.missing(5)[0] == 2
        assert len(self.all(subject)) == 2

    def test_keys_that_no_row_can_have_are_refused(
        self, subject: TableSubject, ctx: RunContext
    ) -> None:
        self.some(subject)
        with self.target(subject, ctx, "things") as target, target.page(self.INTO) as page:
            page.keep_keys([(b"1",)])
            with pytest.raises(Refused):
                page.keep_keys([(b"2",), (b"9" * 30,)])
            assert page.missing(5) == (1, [(b"2",)])
            page.keep_keys([(b"2",)])
            assert page.missing(5) == (0, [])

    def test_rows_without_a_key_are_never_missing(
        self, subject: TableSubject, ctx: RunContext
    ) -> None:
        subject.execute(
            "drop table things",
            "create table things (id bigint, n int, name varchar(20), unique (id, n))",
            "insert into things (id, n) values (1, 1), (2, null), (3, 3), (null, null)",
        )
        into = Into(("id", "n", "name"), ("id", "n"), "update")
        with self.target(subject, ctx, "things") as target, target.page(into) as page:
            page.keep_keys([(b"1", b"1")])
            assert page.missing(5) == (1, [(b"3", b"3")])

    def test_missing_rows_are_found_and_deleted(
        self, subject: TableSubject, ctx: RunContext
    ) -> None:
        subject.execute("insert into things (id) values (1), (2), (3), (4), (5)")
        with self.target(subject, ctx, "things") as target:
            with target.page(self.INTO) as page:
                page.keep_keys([(b"1",), (b"3",)])
            with pytest.raises(ZeroDivisionError), target.page(self.INTO) as page:  # noqa: PT012
                page.keep_keys([(b"2",)])
                raise ZeroDivisionError
            with target.page(self.INTO) as page:
                page.keep_keys([(b"4",)])
                page.keep_keys([])
                count, keys = page.missing(1)
                assert (count, len(keys)) == (2, 1)
                assert page.missing(0) == (2, [])
                assert sorted(page.missing(10)[1]) == [(b"2",), (b"5",)]
                assert page.delete([(b"2",), (b"5",), (b"99",)], "") == 2
                assert page.missing(10) == (0, [])
        assert [row[0] for row in self.all(subject)] == ["1", "3", "4"]

    def test_rows_are_deleted_softly_once(self, subject: TableSubject, ctx: RunContext) -> None:
        subject.execute("insert into things (id) values (1), (2)")
        into = replace(self.INTO, revive="gone")
        with self.target(subject, ctx, "things") as target, target.page(into) as page:
            page.keep_keys([(b"1",)])
            assert page.missing(9) == (1, [(b"2",)])
            assert page.delete([(b"2",)], "gone") == 1
            assert page.delete([(b"2",)], "gone") == 0
            assert page.missing(9) == (0, [])
        assert subject.rows("select id from things where gone is not null") == [(2,)]

    def test_keys_of_two_columns(self, subject: TableSubject, ctx: RunContext) -> None:
        subject.execute(
            "drop table things",
            "create table things (id bigint not null, name varchar(20) not null, n int,"
            " primary key (id, name))",
            "insert into things values (1, 'a', 1), (1, 'b\\'', 2)"
            if subject.engine != "postgresql"
            else "insert into things values (1, 'a', 1), (1, 'b''', 2)",
        )
        into = Into(("n", "name", "id"), ("id", "name"), "update")
        with self.target(subject, ctx, "things") as target, target.page(into) as page:
            done = page.put([(b"1", b"a", b"1"), (b"9", b"b'", b"1"), (b"3", b"c", b"1")])
            assert (done.added, done.updated, done.unchanged) == (1, 1, 1)
            assert (done.added_keys, done.updated_keys) == (((b"1", b"c"),), ((b"1", b"b'"),))
            page.keep_keys([(b"1", b"a"), (b"1", b"c")])
            assert page.missing(5) == (1, [(b"1", b"b'")])
            assert page.delete([(b"1", b"b'")], "") == 1
        assert len(self.all(subject)) == 2

    def test_many_rows(self, subject: TableSubject, ctx: RunContext) -> None:
        rows: list[Row] = [
            (b"%d" % n, b"name %d" % n, None if n % 7 else b"7") for n in range(9000)
        ]
        with self.target(subject, ctx, "things") as target:
            for begin in range(0, 9000, 3000):
                with target.page(self.INTO) as page:
                    assert page.put(rows[begin : begin + 3000]).added == 3000
            with target.page(self.INTO) as page:
                done = page.put([*rows[:8999], (b"8999", b"other", None)])
                assert (done.updated, done.unchanged) == (1, 8999)
        assert subject.rows("select count(*), sum(n) from things")[0] == (9000, 9002)

    def test_a_column_that_vanished_is_named(self, subject: TableSubject, ctx: RunContext) -> None:
        with self.target(subject, ctx, "things") as target:
            with target.page(self.INTO) as page:
                page.put([(b"1", b"a", b"1")])
            subject.execute("alter table things drop column name")
            with pytest.raises(BadData, match="name") as caught, target.page(self.INTO) as page:
                page.put([(b"2", b"b", b"2")])
            assert not isinstance(caught.value, Refused)
