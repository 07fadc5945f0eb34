"""Which tables the doctor looks at, and what it makes of what it finds."""

from contextlib import contextmanager
from dataclasses import replace

import pytest

from syncd.config.configuration import Config, Tables
from syncd.doctor import tables
from syncd.doctor.case import LogIn, ServerCase, server_cases
from syncd.doctor.finding import Unknown
from syncd.doctor.used import Read
from syncd.engines.base import ServerIdentity
from syncd.engines.rights import Lack, Readable, Writable, Writing
from syncd.errors import BadData, Network, Permission, TimedOut
from syncd.model.table import Column, Relation, Shape, Type

WHO = ServerIdentity("postgresql", "18.1", "syncd", None)
KEY = Column("id", Type("integer", 8), "bigint")
AT = Column("at", Type("instant"), "timestamptz")
SHAPE = Shape("postgresql", (KEY, AT), ("id",))
PLACE = Relation("db", "shop", "public", "orders")
READ = Read(PLACE, (), frozenset(), "at", keyed=True)
SERVERS = {
    name: {"engine": "postgresql", "host": name, "user": "u"} for name in ("db", "house", "off")
} | {"my": {"engine": "mysql", "host": "my", "user": "u"}}
COPY = {
    "kind": "table_copy", "source": {"server": "db", "tables": ["orders", "lines"]},
    "target": {"server": "house", "schema": "shop"},
}  # fmt: skip


class Looker:
    """Finds what it is told, or raises it."""

    def __init__(self, *answers: object) -> None:
        self.answers, self.databases = list(answers), []

    @contextmanager
    def looking(self, ctx, database):
        self.databases.append(database)
        yield self

    def _answer(self):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def readable(self, relation, columns, without, watermark):
        return self._answer()

    def writable(self, writing):
        return self._answer()


class Engine:
    def __init__(self, error=None) -> None:
        self.error = error

    def identify(self, ctx):
        if self.error:
            raise self.error
        return WHO


def case(name: str = "db", looker: Looker | None = None, error=None, **jobs) -> ServerCase:
    told = Tables.model_validate({"servers": SERVERS, "jobs": jobs or {"copy": COPY}})
    made = server_cases(Config.of(told), [], lambda _: Engine(error), lambda _: looker or Looker())
    return made[name]


def judged(found: Readable, read: Read = READ):
    return [(each.state, each.found) for each in tables.judge_readable("db", read, found)]


def test_copies_read_their_source_and_write_their_target():
    job = COPY | {
        "mode": "incremental", "watermark": "at", "include": ["id", "note"], "delete": "hard",
        "on_conflict": "skip", "new_columns": "evolve",
        "per_table": {"lines": {"include": [], "exclude": ["at", "big"], "delete": "soft"}},
    }  # fmt: skip
    orders, lines = case(copy=job).reads
    assert (orders.columns, orders.without, orders.watermark) == (
        ("id", "note", "at"), frozenset(), "at",
    )  # fmt: skip
    assert (lines.columns, lines.without) == ((), {"big"})  # a watermark is always read
    one, two = case("house", copy=job).writes
    assert (one.verbs, two.verbs) == (
        ("SELECT", "INSERT", "DELETE"), ("SELECT", "INSERT", "UPDATE"),
    )  # fmt: skip
    assert (one.relation.schema, one.state_schema, one.extends) == ("shop", "shop", True)
    assert case("house", copy=job).reads == case(copy=job).writes == []


def test_jobs_that_are_disabled_or_share_a_table_count_once():
    assert len(case(copy=COPY, again=COPY, off=COPY | {"enabled": False}).reads) == 2
    assert case(off=COPY | {"enabled": False}).reads == []


def test_checks_read_columns_by_the_names_of_each_side():
    check = {
        "kind": "consistency_check", "left": {"server": "db", "table": "a"},
        "right": {"server": "house", "table": "b"}, "key": ["id"], "columns": ["qty"],
        "rename": {"qty": "amount"},
    }  # fmt: skip
    (left,), (right,) = case(check=check).reads, case("house", check=check).reads
    assert (left.columns, right.columns) == (("id", "qty"), ("id", "amount"))
    assert not left.keyed
    bare = {key: value for key, value in check.items() if key != "key"}
    assert case(check=bare).reads[0].keyed
    assert not case(check=bare | {"compare": ["count"]}).reads[0].keyed


def test_a_source_that_is_well_is_not_told():
    assert judged(Readable(SHAPE)) == []


@pytest.mark.parametrize(
    ("found", "state", "told"),
    [
        (Readable(None), "failed", "there is no such table"),
        (Readable(None, (Lack("see it", "GRANT A"),)), "failed", "or none that our user sees"),
        (Readable(SHAPE, (Lack("read it"),)), "failed", "our user may not read it"),
        (Readable(replace(SHAPE, key=())), "failed", "it has no primary key"),
        (Readable(replace(SHAPE, columns=(KEY,))), "failed", "it has no column at"),
        (Readable(SHAPE, unseen=Lack("it is a replica")), "warning", "lookback alone"),
        (Readable(SHAPE, index="CREATE INDEX"), "warning", "no index begins with at"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_source_is_told(found, state, told):
    ((got, text),) = judged(found)
    assert (got, told in text) == (state, True)


def test_a_table_that_is_not_seen_may_be_named_wrongly():
    (told,) = tables.judge_readable("db", READ, Readable(None, (Lack("see it", "GRANT A"),)))
    assert told.advice == "see the job that names it, or grant what is below"
    (told,) = tables.judge_readable("db", READ, Readable(None))
    assert told.advice == "see the job that names it"


def test_a_watermark_of_numbers_has_no_bound_that_could_be_seen():
    found = Readable(replace(SHAPE, columns=(KEY,)), unseen=Lack("it may not", "GRANT A"))
    assert judged(found, replace(READ, watermark="id")) == []


def test_what_a_target_lacks_is_one_finding_with_its_statements():
    found = Writable(SHAPE, lacks=(Lack("A in x", "GRANT A"), Lack("B in x", "GRANT B")))
    (told,) = tables.judge_writable("house", Writing(PLACE, "shop", ()), found)
    assert (told.state, told.found) == ("failed", "our user may not A in x, B in x")
    assert told.lacking is not None
    assert told.lacking.statements == ["GRANT A;", "GRANT B;"]


def test_what_a_run_makes_is_told_where_all_is_well():
    looker = Looker(Writable(None, ("shop.a",)), Writable(None, ("shop.b", "shop.a")))
    (told,) = tables.targets(case("house", looker))
    assert told.found == "2 tables can be written; a run makes shop.a, shop.b"


def test_one_table_that_can_not_be_looked_at_keeps_nobody_from_the_next():
    looker = Looker(BadData("no such schema"), Readable(SHAPE))
    bad, well = tables.sources(case(looker=looker))
    assert (bad.state, bad.subject) == ("failed", "db public.orders")
    assert (well.state, well.found) == ("ok", "1 table can be read")
    (denied, _) = tables.sources(case(looker=Looker(Permission("no"), Readable(SHAPE))))
    assert denied.state == "failed"


def test_tables_that_there_is_no_time_for_are_told():
    late, well = tables.sources(case(looker=Looker(Readable(SHAPE), TimedOut("too late"))))
    assert (late.state, late.found) == ("warning", "1 of 2 tables within 20.0 s: too late")
    assert (well.state, well.found) == ("ok", "1 table can be read")


def test_each_database_is_looked_at_in_a_session_of_its_own():
    other = COPY | {"source": {"server": "db", "database": "b", "tables": ["x"]}}
    looker = Looker(*[Readable(SHAPE)] * 3)
    (told,) = tables.sources(case(looker=looker, one=other, two=COPY))
    assert (looker.databases, told.found) == (["b", "postgres"], "3 tables can be read")


def test_a_server_that_does_not_let_us_in_is_told_elsewhere():
    with pytest.raises(Unknown, match="it does not let us in"):
        list(tables.sources(case(error=Network("refused"))))
    assert isinstance(case().log_in(), LogIn)


def test_a_server_without_copies_is_passed_over():
    for check, name in ((tables.sources, "house"), (tables.targets, "db")):
        (told,) = check(case(name))
        assert told.state == "skipped"
