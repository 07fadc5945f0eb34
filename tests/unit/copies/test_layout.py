"""Which columns go where, and what is refused before the first row."""

from dataclasses import replace

import pytest

from syncd.copies.layout import HASH, Layout, Misfit, lay_out
from syncd.model.copy import ColumnRules, CopyRules, Watermark
from syncd.model.table import Column, Relation, Shape, Type

INTEGER, TEXT, DAY = Type("integer", 8), Type("text"), Type("date")
TIME = Type("timestamp", scale=6)
ID = Column("id", INTEGER, "bigint", nullable=False)
NOTE = Column("note", TEXT, "text")
DATE = Column("day", DAY, "date")
MOMENT = Column("deleted_at", Type("instant", scale=6), "timestamp with time zone")
SOURCE = Shape("postgresql", (ID, NOTE, DATE), ("id",))


def lay(source: Shape = SOURCE, target: Shape | None = SOURCE, **rules) -> Layout:
    relation = Relation("shop", "shop", "public", "orders")
    columns = rules.pop("columns", ColumnRules())
    of = CopyRules("orders", relation, relation, "public", columns=columns, **rules)
    return lay_out(source, target, of, lambda column: column.type)


def refused(told: str, *, source: Shape = SOURCE, target: Shape | None = SOURCE, **rules) -> None:
    with pytest.raises(Misfit, match=told):
        lay(source, target, **rules)


def with_column(shape: Shape, column: Column) -> Shape:
    others = [each for each in shape.columns if each.name != column.name]
    return replace(shape, columns=(*others, column))


def test_all_columns_go_to_those_of_their_names():
    layout = lay()
    assert layout.columns == layout.read == ("id", "note", "day")
    assert layout.key == layout.target_key == ("id",)
    assert not layout.create
    assert not layout.extend


def test_a_missing_table_is_made_of_all_columns():
    rules = ColumnRules(
        rename={"id": "number"}, mask={"note": "hash"}, values={"day": "text"}, exclude=()
    )
    layout = lay(target=None, columns=rules, delete="soft")
    made = [(each.name, each.type, each.nullable) for each in layout.create]
    assert made[:3] == [("number", INTEGER, False), ("note", HASH, True), ("day", TEXT, True)]
    assert made[3][0] == "deleted_at"
    assert layout.target_key == ("number",)


@pytest.mark.parametrize(("mask", "values"), [({"day": "null"}, {}), ({}, {"day": "null"})])
def test_what_may_become_null_is_made_nullable(mask, values):
    source = with_column(SOURCE, replace(DATE, nullable=False))
    layout = lay(source, None, columns=ColumnRules(mask=mask, values=values))
    assert layout.create[-1].nullable


def test_columns_are_included_excluded_and_renamed():
    target = Shape("postgresql", (ID, replace(NOTE, name="text")), ("id",))
    layout = lay(target=target, columns=ColumnRules(exclude=("day",), rename={"note": "text"}))
    assert layout.columns == ("id", "text")
    assert lay(columns=ColumnRules(include=("id", "day"))).columns == ("id", "day")


@pytest.mark.parametrize("option", ["include", "exclude", "rename", "mask", "values"])
def test_names_that_the_source_lacks_are_told(option):
    given = {"rename": {"nope": "x"}, "mask": {"nope": "null"}, "values": {"nope": "null"}}
    rules = ColumnRules(**{option: given.get(option, ("nope", "id"))})
    refused(rf"no column nope \({option}\)", columns=rules)


def test_new_columns_are_frozen_added_or_an_error():
    target = Shape("postgresql", (ID, DATE), ("id",))
    assert lay(target=target).ignored == ("note",)
    evolved = lay(target=target, columns=ColumnRules(new="evolve"))
    assert [(each.name, each.nullable) for each in evolved.extend] == [("note", True)]
    assert evolved.ignored == ()
    refused("the target lacks column note", target=target, columns=ColumnRules(new="error"))
    refused("lacks column note", target=target, columns=ColumnRules(include=("id", "note")))


def test_a_type_that_does_not_fit_is_told_with_both():
    target = with_column(SOURCE, replace(NOTE, type=DAY, native="date"))
    refused(r"column note is text in the source \(postgresql\).* date in the target", target=target)
    narrow = with_column(SOURCE, replace(NOTE, type=Type("text", 20), native="varchar(20)"))
    lay(target=narrow)  # what is too long is refused by row


def test_a_hash_needs_a_text_and_null_a_nullable_column():
    target = with_column(SOURCE, replace(DATE, nullable=False))
    refused("day is a hash", columns=ColumnRules(mask={"day": "hash"}))
    refused("takes no NULL", target=target, columns=ColumnRules(mask={"day": "null"}))
    refused("takes no NULL", target=target, columns=ColumnRules(values={"day": "null"}))


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        (ColumnRules(exclude=("id",)), "is excluded"),
        (ColumnRules(include=("note",)), "is excluded"),
        (ColumnRules(mask={"id": "hash"}), "is masked"),
        (ColumnRules(values={"id": "null"}), "has a policy"),
    ],
)
def test_a_key_arrives_as_it_is(rules, told):
    refused(f"column id {told}.*, but is part of the key", columns=rules)


def test_what_decides_between_rows_of_a_key_is_another_column_and_there():
    for target in (SOURCE, None):
        refused("no column dya", target=target, conflict="newer", newer="dya")
        refused(
            "id decides .*, but is part of the key", target=target, conflict="newer", newer="id"
        )
        lay(target=target, conflict="newer", newer="day")


def test_both_sides_need_the_key():
    refused("has no primary key", source=replace(SOURCE, key=()))
    refused(r"no unique key over \(id\) alone", target=replace(SOURCE, key=("id", "note")))
    lay(target=replace(SOURCE, key=("note",), unique=(("day",), ("id",))))
    refused("lacks column id of the key", target=Shape("postgresql", (NOTE,), ("note",)))
    computed = with_column(SOURCE, replace(ID, generated=True))
    refused("column id of the key is computed", target=computed)


def test_computed_columns_of_the_target_are_left_out():
    target = with_column(SOURCE, replace(NOTE, generated=True))
    layout = lay(target=target)
    assert layout.columns == ("id", "day")
    assert layout.ignored == ()


def test_what_can_not_be_written_is_told():
    refused(
        "shop public.orders can't be written: it is a view",
        target=replace(SOURCE, trouble="it is a view"),
    )


def test_mysql_takes_names_that_differ_by_case_for_the_same():
    target = Shape("mysql", (replace(ID, name="ID"), NOTE), ("ID",))
    layout = lay(target=target)
    assert layout.columns == ("ID", "note")
    assert layout.target_key == ("ID",)
    source = replace(SOURCE, columns=(*SOURCE.columns, replace(NOTE, name="Note")))
    refused("several columns go to note", source=source, target=target)
    refused("several columns go to x", target=None,
            columns=ColumnRules(rename={"note": "x", "day": "x"}))  # fmt: skip


def test_soft_deletion_needs_its_column():
    refused("lacks column deleted_at", delete="soft")
    evolved = lay(delete="soft", columns=ColumnRules(new="evolve"))
    assert [each.name for each in evolved.extend] == ["deleted_at"]
    assert evolved.soft == ""


@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_the_column_of_soft_deletion_is_called_as_the_target_has_it(engine):
    mark = Column("Deleted_At" if engine == "mysql" else "deleted_at", TIME, "timestamp")
    target = replace(with_column(SOURCE, mark), engine=engine)
    assert lay(target=target, delete="soft").soft == mark.name
    assert lay(target=target, delete="hard").soft == ""


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        (replace(DATE, name="deleted_at"), "deleted_at, date, can't mark"),
        (Column("deleted_at", TIME, "timestamp", nullable=False), "can't mark"),
        (Column("deleted_at", TIME, "timestamp", generated=True), "can't mark"),
    ],
)
def test_soft_deletion_needs_a_column_of_times_that_may_be_null(mark, told):
    refused(told, target=with_column(SOURCE, mark), delete="soft")


def test_what_is_copied_marks_no_deleted_rows():
    both = with_column(SOURCE, Column("deleted_at", TIME, "timestamp"))
    refused("would mark deleted rows, and is copied", source=both, target=both, delete="soft")
    lay(both, both, delete="soft", columns=ColumnRules(exclude=("deleted_at",)))


def test_the_watermark_is_read_though_it_is_not_copied():
    rules = ColumnRules(exclude=("day",))
    layout = lay(mode="incremental", watermark=Watermark("day"), columns=rules)
    assert layout.read == ("id", "note", "day")
    assert layout.columns == ("id", "note")


@pytest.mark.parametrize("target", [None, SOURCE], ids=["missing", "there"])
def test_a_column_that_is_copied_marks_no_rows(target):
    told = "column note would mark deleted rows, and is copied from note of"
    refused(told, target=target, delete="soft", soft_column="note")
    rules = ColumnRules(exclude=("note",), new="evolve")
    assert lay(target=target, columns=rules, delete="soft", soft_column="marked")
    rules = ColumnRules(rename={"note": "deleted_at"})
    there = target and with_column(SOURCE, MOMENT)
    refused("and is copied from note", delete="soft", columns=rules, target=there)
