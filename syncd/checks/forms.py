"""Which columns of two sides are compared, and in which form: pure decisions from both shapes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from syncd.engines.sides import Field, Form, View
from syncd.errors import BadData
from syncd.model.check import CheckRules, Tolerance
from syncd.model.table import Column, Kind, Shape

_NUMBERS: Final = frozenset[Kind]({"integer", "decimal"})
_MOMENTS: Final = frozenset[Kind]({"timestamp", "instant"})
_CLOCKS: Final = frozenset[Kind]({"time", "duration", "interval"})
_WORDS: Final = frozenset[Kind]({"text", "other"})
_DAYS: Final = frozenset[Kind]({"date"}) | _MOMENTS
_PADDED: Final = ("char(", "character(", "bpchar", "nchar(")
_ALIKE: Final[Mapping[Kind, frozenset[Kind]]] = {
    "uuid": _WORDS,
    "bytes": _WORDS | {"uuid"},
    "bits": frozenset(),
    "json": _WORDS,
}
"""Kinds as which others are compared with them."""
_SHORT: Final = 255  # characters: longer texts enter a row's text as their MD5
_UUID: Final = 36  # characters
_FINEST: Final = 6  # digits of seconds


@dataclass(frozen=True, slots=True)
class Pairing:
    """What is compared: a view of each side, whose fields stand in the same order.

    `names` are those of the left side's columns. `tolerances`, `json` and `floats` are the fields,
    by their places, whose differences are judged by their values. `alone` are columns of one side
    only.
    """

    left: View
    right: View
    names: tuple[str, ...]
    tolerances: Mapping[int, Tolerance]
    json: frozenset[int] = frozenset()
    floats: frozenset[int] = frozenset()
    alone: tuple[str, ...] = ()

    @property
    def judged(self) -> tuple[int, ...]:
        """Return the places of fields whose values have to be seen."""
        return tuple(sorted({*self.tolerances, *self.json, *self.floats}))


def paired(rules: CheckRules, left: Shape, right: Shape, now: datetime) -> Pairing:
    """Decide what is compared; raises BadData where the sides have no columns for it."""
    _require_named(rules, left, right)
    key = rules.key or left.key or tuple(_back(rules, name) for name in right.key)
    if not key:
        raise BadData("no key tells the rows apart: neither side has a primary key")
    names = (*key, *(name for name in _compared(rules, left, right) if name not in key))
    columns = [_both(rules, name, left, right) for name in names]
    forms = [key_form(*each) for each in columns[: len(key)]]
    forms += [form_of(*each) for each in columns[len(key) :]]
    sides = (
        tuple(map(Field, names, forms)),
        tuple(map(Field, (other.name for _, other in columns), forms)),
    )
    order = _order(columns[: len(key)], forms, (left.engine, right.engine))
    ages = _ages(rules, left, right)
    before = now - rules.min_age if rules.age_column else None
    ours, theirs = (
        View(fields[: len(key)], fields, order, age, before, gone)
        for fields, age, gone in zip(sides, ages, ("", _marked(rules, right)), strict=True)
    )
    return Pairing(
        ours, theirs, names, _tolerances(rules, names, len(key)),
        _places(forms, len(key), "json"), _places(forms, len(key), "float"),
        _alone(rules, names, left, right),
    )  # fmt: skip


def _places(forms: list[Form], key: int, kind: Kind) -> frozenset[int]:
    """Return the places of the fields of a kind that are not of the key."""
    return frozenset(
        place for place, form in enumerate(forms) if form.kind == kind and place >= key
    )


def form_of(left: Column, right: Column) -> Form:
    """Return the form in which the values of two columns are compared."""
    kinds = {left.type.kind, right.type.kind}
    form = _time(left, right) if kinds <= _CLOCKS or kinds <= _DAYS else _number(left, right)
    if form is not None:
        return form
    for kind in _ALIKE:
        if kind in kinds and kinds <= {kind, *_ALIKE[kind]}:
            alike = left.native.lower() == right.native.lower()
            return Form(kind, long=kind == "json", parsed=kind == "json" and not alike)
    blanks = any(each.native.lower().startswith(_PADDED) for each in (left, right))
    sizes = [each.type.size if each.type.kind == "text" else None for each in (left, right)]
    short = all(size is not None and size <= _SHORT for size in sizes)
    return Form("text", blanks=blanks, long=not short)


def key_form(left: Column, right: Column) -> Form:
    """Return the form of a column of the key, from which a row can be looked up again.

    So nothing is cut from it, and a text is no number, whatever it looks like.
    """
    form, kinds = form_of(left, right), {left.type.kind, right.type.kind}
    if form.kind in ("timestamp", "duration"):
        return replace(form, scale=None)
    if form.kind in ("integer", "decimal", "float", "json") and kinds & _WORDS:
        return Form("text", long=True)
    return replace(form, blanks=False)


def _time(left: Column, right: Column) -> Form:
    """Return the form of times, of a day or of a calendar."""
    kinds = {left.type.kind, right.type.kind}
    if kinds in ({"interval"}, {"date"}):
        return Form(left.type.kind)
    kind: Kind = "duration" if kinds <= _CLOCKS else "timestamp"
    scales = [
        _FINEST if each.type.scale is None else each.type.scale for each in (left, right)
    ]  # fmt: skip
    return Form(kind, scale=None if scales[0] == scales[1] or "date" in kinds else min(scales))


def _number(left: Column, right: Column) -> Form | None:
    """Return the form of numbers, and of texts that are compared with numbers."""
    kinds, types = {left.type.kind, right.type.kind}, (left.type, right.type)
    if not kinds <= {*_NUMBERS, "float", "boolean", "bits", *_WORDS} or kinds <= {"bits"}:
        return None
    if not kinds & {*_NUMBERS, "float", "boolean"}:
        return None
    if "float" in kinds:
        return Form("float")
    if not kinds & {"decimal", *_WORDS}:
        return Form("integer")
    scales = [0 if each.kind == "integer" else each.scale for each in types]
    if kinds <= _NUMBERS and scales[0] == scales[1]:
        return Form("decimal", scale=scales[0])
    return Form("decimal")


def _order(
    key: list[tuple[Column, Column]], forms: list[Form], engines: tuple[str, str]
) -> int:  # fmt: skip
    """Return how many of the key's first columns both sides put in the same order."""
    if "redis" in engines:
        return 0
    for place, (columns, form) in enumerate(zip(key, forms, strict=False)):
        if not _ordered(columns, form, engines):
            return place
    return len(key)


def _ordered(columns: tuple[Column, Column], form: Form, engines: tuple[str, str]) -> bool:
    """Tell whether two columns have the same order; texts have that of their collations.

    But uuids as texts, all of one length, are in the same order everywhere; MariaDB's own type has
    another one.
    """
    kinds, types = {each.type.kind for each in columns}, [each.type for each in columns]
    if form.kind in ("integer", "decimal"):
        scales = {0 if each.kind == "integer" else each.scale for each in types}
        # where a side has none but integers it can't be asked for the rows before 1.5
        return (
            kinds <= _NUMBERS and None not in scales and (scales == {0} or "integer" not in kinds)
        )
    if form.kind == "timestamp":
        return kinds <= _MOMENTS
    if form.kind == "uuid":
        return all(
            engine == "postgresql" if each.kind == "uuid" else each.size == _UUID
            for each, engine in zip(types, engines, strict=True)
        )
    return form.kind in ("date", "bytes") and len(kinds) == 1


def _compared(rules: CheckRules, left: Shape, right: Shape) -> list[str]:
    """Return the left columns to be compared: those named, or all that both sides have."""
    if rules.columns:
        return [name for name in rules.columns if name not in rules.exclude]
    return [
        each.name
        for each in left.columns
        if each.name not in (*rules.exclude, rules.soft_column)
        and _partner(rules, right, each.name)
    ]


def _both(rules: CheckRules, name: str, left: Shape, right: Shape) -> tuple[Column, Column]:
    """Return a column of the left side and its partner."""
    one, other = left.column(name), _partner(rules, right, name)
    if one is None:
        raise BadData(f"the left side has no column {name!r}")
    if other is None:
        raise BadData(f"the right side has no column {_across(rules, name)!r}")
    return one, other


def _require_named(rules: CheckRules, left: Shape, right: Shape) -> None:
    """Raise BadData for names of no column: by them more would be told, or less be compared."""
    named = {"exclude": rules.exclude, "rename": rules.rename, "mask": sorted(rules.masked)}
    for option, names in named.items() if rules.alone else ():
        for name in names:
            if left.column(name) is None and _partner(rules, right, name) is None:
                raise BadData(f"neither side has the column {name!r} ({option})")
    for name in rules.rename:
        if left.column(name) and name not in (*rules.exclude, *rules.columns):
            _both(rules, name, left, right)


def _partner(rules: CheckRules, right: Shape, name: str) -> Column | None:
    """Return the column of the right side that one of the left goes with."""
    return _found(right, _across(rules, name))


def _found(shape: Shape, name: str) -> Column | None:
    """Return a column; MySQL takes names that differ by case for the same, as a copy does."""
    blind = shape.engine in ("mysql", "mariadb")
    same = (each for each in shape.columns if blind and each.name.casefold() == name.casefold())
    return shape.column(name) or next(same, None)


def _across(rules: CheckRules, name: str) -> str:
    """Return what the right side calls a column of the left."""
    return rules.rename.get(name, name)


def _back(rules: CheckRules, name: str) -> str:
    """Return what the left side calls a column of the right."""
    return next((ours for ours, theirs in rules.rename.items() if theirs == name), name)


def _ages(rules: CheckRules, left: Shape, right: Shape) -> tuple[str, str]:
    """Return the column of each side that tells how old a row is; "" where none does.

    A side may lack it (Redis): its rows are all old enough, and the other's age is what counts.
    """
    if not rules.age_column:
        return "", ""
    found = [left.column(rules.age_column), _partner(rules, right, rules.age_column)]
    if not any(found):
        raise BadData(f"neither side has the age_column {rules.age_column!r}")
    for column in found:
        if column is not None and column.type.kind not in _DAYS:
            raise BadData(f"the age_column {column.name!r} holds no times: {column.native}")
    return found[0].name if found[0] else "", found[1].name if found[1] else ""


def _marked(rules: CheckRules, right: Shape) -> str:
    """Return the right side's column that marks rows as deleted, "" where none does."""
    found = _found(right, rules.soft_column) if rules.soft_column else None
    return found.name if found else ""


def _tolerances(rules: CheckRules, names: tuple[str, ...], key: int) -> dict[int, Tolerance]:
    """Return the tolerances by the places of their columns."""
    for name in rules.tolerance:
        if name not in names:
            raise BadData(f"tolerance: {name!r} is not compared")
    return {
        place: rules.tolerance[name]
        for place, name in enumerate(names)
        if name in rules.tolerance and place >= key
    }


def _alone(
    rules: CheckRules, names: tuple[str, ...], left: Shape, right: Shape
) -> tuple[str, ...]:  # fmt: skip
    """Return the columns of one side that nothing said are not to be compared."""
    if rules.columns:
        return ()
    known = [_partner(rules, right, name) for name in (*names, *rules.exclude)]
    partners = {each.name for each in known if each} | {_marked(rules, right)}
    return (
        *(each.name for each in left.columns if each.name not in (*names, *rules.exclude)),
        *(each.name for each in right.columns if each.name not in partners),
    )
