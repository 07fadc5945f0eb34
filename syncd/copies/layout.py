"""Which columns of a source go where in its target, decided from both shapes and the rules alone.

Whatever would fail for every row, or change values without a word, is told before the first row.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from syncd.copies.places import MENDED
from syncd.engines.tables import NewColumn
from syncd.errors import BadData
from syncd.model.copy import ColumnRules, CopyRules, Mask, ValuePolicy
from syncd.model.fits import Fit, fit
from syncd.model.table import Column, Shape, Type

HASH: Final = Type("text", 64)
"""What a hash becomes: SHA-256, in hexadecimal digits."""
_MOMENTS: Final = frozenset({"instant", "timestamp"})
"""Kinds of columns that can mark a row as deleted."""


class Misfit(BadData):
    """The tables or the rules do not go together; trying again would change nothing."""

    retryable = False


@dataclass(frozen=True, slots=True)
class Pair:
    """A column of the source, and the one of the target that takes its values."""

    source: Column
    target: Column
    fit: Fit
    mask: Mask | None = None
    policy: ValuePolicy = "error"


@dataclass(frozen=True, slots=True)
class Layout:
    """What is read and where it goes.

    `key` are source columns, `read` all that have to be read, those of `pairs` first, `target_key`
    the key in the target. Where the target is missing there are no pairs, and `create` are its
    columns; `extend` are those that it is given. `ignored` are source columns that it lacks. `soft`
    is the column that marks rows as deleted, as the target spells it: empty where rows are not
    marked, or it is not there.
    """

    key: tuple[str, ...]
    target_key: tuple[str, ...]
    pairs: tuple[Pair, ...] = ()
    read: tuple[str, ...] = ()
    create: tuple[NewColumn, ...] = ()
    extend: tuple[NewColumn, ...] = ()
    ignored: tuple[str, ...] = ()
    soft: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns of the target, in the order of the pairs."""
        return tuple(pair.target.name for pair in self.pairs)


def lay_out(
    source: Shape, target: Shape | None, rules: CopyRules, spelled: Callable[[Column], Type]
) -> Layout:
    """Decide about all columns; raises Misfit, which names all that does not go together.

    `spelled` tells which type a column of the source would have in a table that is made.
    """
    columns = _chosen(source, rules)
    key = _key(source, rules)
    new = [_new(column, key, rules.columns, spelled) for column in columns]
    if target is None:
        create = (*new, *_soft(source, rules))
        _raise([*_no_mark(new, rules), *_doubles((each.name for each in create), blind=False)])
        target_key = tuple(rules.columns.rename.get(name, name) for name in key)
        return Layout(key, target_key, create=create)
    _raise([f"{rules.target} can't be written: {target.trouble}"] if target.trouble else [])
    return _matched(source, target, rules, key, new)


def _matched(
    source: Shape, target: Shape, rules: CopyRules, key: tuple[str, ...], new: list[NewColumn]
) -> Layout:
    """Decide about a table that stands; `new` is how each column would be made."""
    found = [(made, _find(target, made.name)) for made in new]
    missing = [made for made, there in found if there is None]
    pairs = [
        _pair(source, target, made.like, there, rules.columns)
        for made, there in found
        if there is not None and (not there.generated or made.like.name in key)
    ]
    mark = _find(target, rules.soft_column) if rules.delete == "soft" else None
    soft = _soft(source, rules) if mark is None else []
    _raise(
        [
            *_doubles((pair.target.name for pair in pairs), blind=_blind(target)),
            *_unfit(pairs, source, target),
            *_missing(missing, soft, key, rules),
            *_key_problems(target, key, pairs),
            *_no_mark(new, rules, target),
        ]
    )
    evolve = rules.columns.new == "evolve"
    named = {pair.source.name: pair.target.name for pair in pairs}
    return Layout(
        key=key,
        target_key=tuple(named[name] for name in key),
        pairs=tuple(pairs),
        read=tuple(dict.fromkeys([*named, *_watermark(rules)])),
        extend=tuple(replace(each, nullable=True) for each in (*missing, *soft)) if evolve else (),
        ignored=() if evolve else tuple(each.like.name for each in missing),
        soft=mark.name if mark else "",
    )


def _chosen(source: Shape, rules: CopyRules) -> list[Column]:
    """Return the columns that are copied; raises Misfit for names that the source lacks."""
    of = rules.columns
    named = {
        "include": of.include, "exclude": of.exclude, "rename": of.rename, "mask": of.mask,
        "values": of.values, "watermark": _watermark(rules), "on_conflict": _newer(rules),
    }  # fmt: skip
    _raise(
        f"the source has no column {name} ({option})"
        for option, names in named.items()
        for name in names
        if source.column(name) is None
    )
    return [
        column
        for column in source.columns
        if (not of.include or column.name in of.include) and column.name not in of.exclude
    ]


def _watermark(rules: CopyRules) -> Sequence[str]:
    """Return the column of the watermark, which is read even where it is not copied."""
    return [rules.watermark.column] if rules.mode == "incremental" and rules.watermark else []


def _newer(rules: CopyRules) -> Sequence[str]:
    """Return the column that decides between rows of a key."""
    return [rules.newer] if rules.conflict == "newer" else []


def _key(source: Shape, rules: CopyRules) -> tuple[str, ...]:
    """Return the key of the source; each column of it has to arrive as it is."""
    of = rules.columns
    if not source.key:
        raise Misfit(f"{rules.source} has no primary key: `key` names columns that tell rows apart")
    for name in source.key:
        for said, wrong in {
            "decides in on_conflict": name in _newer(rules),
            "is excluded": name in of.exclude or (of.include and name not in of.include),
            "is masked": name in of.mask,
            "has a policy for its values": of.values.get(name, "error") != "error",
        }.items():
            if wrong:
                raise Misfit(f"column {name} {said}, but is part of the key")
    return source.key


def _new(
    column: Column, key: Sequence[str], of: ColumnRules, spelled: Callable[[Column], Type]
) -> NewColumn:
    """Return the column that a table would be made with; a mask and a policy make it nullable."""
    mask, policy = of.mask.get(column.name), of.values.get(column.name, "error")
    as_text = policy == "text" and column.type.kind not in MENDED
    kind = HASH if mask == "hash" else Type("text") if as_text else spelled(column)
    nullable = column.nullable or mask == "null" or policy == "null"
    name = of.rename.get(column.name, column.name)
    return NewColumn(name, column, kind, nullable and column.name not in key)


def _soft(source: Shape, rules: CopyRules) -> list[NewColumn]:
    """Return the column that marks rows as deleted, where rows are."""
    if rules.delete != "soft":
        return []
    kind = Type("instant", scale=6)
    native = "timestamp with time zone" if source.engine == "postgresql" else "timestamp(6)"
    return [NewColumn(rules.soft_column, Column(rules.soft_column, kind, native), kind, True)]  # noqa: FBT003


def _pair(source: Shape, target: Shape, column: Column, there: Column, of: ColumnRules) -> Pair:
    """Judge a column of the source in the one of the target."""
    mask, policy = of.mask.get(column.name), of.values.get(column.name, "error")
    comes = replace(column, type=HASH, native="varchar(64)") if mask == "hash" else column
    judged: Fit = "exact" if mask == "null" else fit(comes, there, (source.engine, target.engine))
    return Pair(column, there, judged, mask, policy)


def _unfit(pairs: Iterable[Pair], source: Shape, target: Shape) -> Iterable[str]:
    for pair in pairs:
        ours, theirs = pair.source, pair.target
        if pair.fit == "lossy":
            comes = {"hash": "a hash of 64 characters"}.get(pair.mask or "", ours.native)
            yield (
                f"column {ours.name} is {comes} in the source ({source.engine}), which does not fit"
                f" {theirs.name}, {theirs.native} in the target ({target.engine})"
            )
        if (pair.mask == "null" or pair.policy == "null") and not theirs.nullable:
            yield f"column {theirs.name} of the target takes no NULL, which a rule would give it"


def _missing(
    missing: Sequence[NewColumn], soft: Sequence[NewColumn], key: Sequence[str], rules: CopyRules
) -> Iterable[str]:
    """Yield what is wrong with columns that the target lacks."""
    for made in missing:
        if made.like.name in key:
            yield f"the target lacks column {made.name} of the key"
        elif rules.columns.new == "error" or made.like.name in rules.columns.include:
            yield f"the target lacks column {made.name}"
    if soft and rules.columns.new != "evolve":
        yield (
            f"the target lacks column {rules.soft_column}, which would mark deleted rows: add it,"
            ' or let new_columns = "evolve" do so'
        )


def _no_mark(
    new: Sequence[NewColumn], rules: CopyRules, target: Shape | None = None
) -> Iterable[str]:
    """Yield why a column can't mark rows as deleted."""
    if rules.delete != "soft":
        return
    name, mark = rules.soft_column, target and _find(target, rules.soft_column)
    for made in new:
        if made.name == name or (target and mark and _find(target, made.name) == mark):
            yield (
                f"column {name} would mark deleted rows, and is copied from {made.like.name} of the"
                " source: exclude or rename that, or give soft_delete_column another name"
            )
    if mark and (mark.generated or not mark.nullable or mark.type.kind not in _MOMENTS):
        yield f"column {mark.name}, {mark.native}, can't mark deleted rows: a time or NULL"


def _key_problems(target: Shape, key: Sequence[str], pairs: Sequence[Pair]) -> Iterable[str]:
    """Yield why rows of the target could not be found by the key."""
    of_key = [pair.target for pair in pairs if pair.source.name in key]
    if len(of_key) < len(key):
        return  # that a column is missing is told already
    for column in of_key:
        if column.generated:
            yield f"column {column.name} of the key is computed in the target"
    names = [column.name for column in of_key]
    if frozenset(names) not in map(frozenset, (target.key, *target.unique)):
        yield f"the target has no unique key over ({', '.join(names)}) alone"


def _find(target: Shape, name: str) -> Column | None:
    """Return a column of the target; MySQL takes names that differ by case for the same."""
    if not _blind(target):
        return target.column(name)
    return next((each for each in target.columns if each.name.casefold() == name.casefold()), None)


def _blind(target: Shape) -> bool:
    return target.engine != "postgresql"


def _doubles(names: Iterable[str], *, blind: bool) -> list[str]:
    """Tell of names that several columns would have."""
    counted = Counter(name.casefold() if blind else name for name in names)
    return [f"several columns go to {name} of the target" for name, n in counted.items() if n > 1]


def _raise(problems: Iterable[str]) -> None:
    if told := "; ".join(problems):
        raise Misfit(told)
