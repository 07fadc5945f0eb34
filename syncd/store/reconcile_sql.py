"""The statements of the reconcile step, composed once for each table that uses it.

The table has, besides its own columns: `digest`, `first_seen_at`, `changed_at`, `missing_since`,
`missing_runs`, `deleted_at`. Its change table has `run_id`, the scope, the key, `change`,
`changed_at`, and either `fields` or columns of its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal, Placeholder


@dataclass(frozen=True, slots=True)
class ChangeColumn:
    """A jsonb column of the change table that tells of an update what was decided before.

    It is staged with the row (null where the store holds no living one), and `nothing` when it
    tells of no change. Of a row that is added, restored or deleted it is made of the row itself,
    by an expression over its columns as `r`.
    """

    name: str
    nothing: str
    added: Composable
    deleted: Composable


@dataclass(frozen=True)
class Shape:
    """The columns of a reconciled table, by their role; all names are of the schema `syncd`."""

    table: str
    stage: str
    change_table: str
    scope: tuple[str, ...]
    key: str
    label: str  # the column that a person knows a row by
    constants: tuple[str, ...]  # the same in all rows of a scope, given when it is applied
    compared: tuple[str, ...]
    optional: tuple[str, ...]  # compared where the listing told them: null means "unknown"
    carried: tuple[str, ...]  # kept up to date, but no change of the thing
    run: str | None = None  # the column of the table that names the run of the last change
    changes: tuple[ChangeColumn, ...] = ()  # of its own; without any `fields` compares the columns

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the table and its stage share."""
        return self.compared + self.optional + self.carried

    @property
    def staged(self) -> tuple[str, ...]:
        """The columns that are staged."""
        return self.columns + tuple(column.name for column in self.changes)

    @cached_property
    def statements(self) -> "Statements":
        """The statements for this table."""
        return _compose(self)


@dataclass(frozen=True, slots=True)
class Statements:
    """What `Reconcile` executes; update, insert and delete answer with (change, count)."""

    known: Composed
    marked: Composed
    copy: Composed
    update: Composed
    insert: Composed
    clear: Composed
    found: Composed
    mark: Composed
    delete: Composed
    changes: Composed


def _list(parts: Iterable[Composable], separator: str = ", ") -> Composed:
    return SQL(separator).join(parts)


def _named(names: Iterable[str], qualifier: str = "") -> Composed:
    """Return column names, comma-separated, each behind the qualifier."""
    return _list(Identifier(qualifier, n) if qualifier else Identifier(n) for n in names)


def _compose(shape: Shape) -> Statements:
    """Put the parts together; every name is quoted."""
    in_scope = _list(
        (SQL("r.{} = {}").format(Identifier(c), Placeholder(c)) for c in shape.scope), " and "
    )
    parts: dict[str, Composable] = {
        "table": Identifier("syncd", shape.table),
        "stage": Identifier("syncd", shape.stage),
        "change_table": Identifier("syncd", shape.change_table),
        "key": Identifier(shape.key),
        "label": Identifier(shape.label),
        "in_scope": in_scope,
        "same_key": _list(
            (SQL("t.{c} = r.{c}").format(c=Identifier(c)) for c in (*shape.scope, shape.key)),
            " and ",
        ),
        "scope": _named(shape.scope),
        "scope_of_r": _named(shape.scope, "r"),
        "scope_values": _list(Placeholder(c) for c in shape.scope),
        "columns": _named(shape.columns),
        "staged": _named(shape.staged),
        "staged_columns": _named(shape.columns, "s"),
        "constants": _named(shape.constants),
        "constant_values": _list(Placeholder(c) for c in shape.constants),
        "assignments": _assignments(shape),
        "differs_r": _differs(shape, "r"),
        "differs_s": _differs(shape, "s"),
        **_run_parts(shape),
        **(_own_changes(shape) if shape.changes else _compared_changes(shape)),
    }
    return Statements(**{name: SQL(text).format(**parts) for name, text in _TEXTS.items()})


def _assignments(shape: Shape) -> Composed:
    """Return `column = value` for each column of an update."""
    own = (SQL("{c} = s.{c}").format(c=Identifier(c)) for c in shape.compared + shape.carried)
    kept = (SQL("{c} = coalesce(s.{c}, r.{c})").format(c=Identifier(c)) for c in shape.optional)
    given = (SQL("{} = {}").format(Identifier(c), Placeholder(c)) for c in shape.constants)
    return _list([*own, *kept, *given])


def _run_parts(shape: Shape) -> dict[str, Composable]:
    """Return what stamps a row with the run that changed it."""
    if shape.run is None:
        return dict.fromkeys(("run_column", "run_value", "run_kept", "run_set"), SQL(""))
    column = Identifier(shape.run)
    return {
        "run_column": SQL(", {}").format(column),
        "run_value": SQL(", %(run_id)s"),
        "run_kept": SQL(", {c} = case when {differs} then %(run_id)s else r.{c} end").format(
            c=column, differs=_differs(shape, "s")
        ),
        "run_set": SQL(", {} = %(run_id)s").format(column),
    }


def _differs(shape: Shape, alias: str) -> Composed:
    """Return the condition that a decided row is a change: restored, or not the same."""
    told = [(column.name, column.nothing) for column in shape.changes] or [("fields", "{}")]
    tests = (
        SQL("{} <> {}").format(Identifier(alias, name), Literal(nothing)) for name, nothing in told
    )
    return SQL("({}.gone or {})").format(Identifier(alias), _list(tests, " or "))


def _compared_changes(shape: Shape) -> dict[str, Composable]:
    """Return how `fields` is made: from both rows, or as the whole row."""
    document = _document(shape)
    return {
        "change_columns": Identifier("fields"),
        "decided": SQL(", {} as fields").format(_fields(shape)),
        "updated": SQL("r.fields"),
        "added": document,
        "deleted": document,
        "told": SQL("r.fields"),
    }


def _own_changes(shape: Shape) -> dict[str, Composable]:
    """Return how the change columns are made: as they were staged, or from the row."""
    columns = shape.changes
    pairs = (SQL("{}, r.{}").format(Literal(c.name), Identifier(c.name)) for c in columns)
    staged = (SQL("coalesce(r.{}, {})").format(Identifier(c.name), c.added) for c in columns)
    return {
        "change_columns": _named(c.name for c in columns),
        "decided": SQL(""),
        "updated": _list(staged),
        "added": _list(c.added for c in columns),
        "deleted": _list(c.deleted for c in columns),
        "told": SQL("jsonb_build_object({})").format(_list(pairs)),
    }


def _fields(shape: Shape) -> Composed:
    """Return the expression for {"column": [before, after]} of the columns that differ."""
    different = (
        "case when {known}r.{c} is distinct from s.{c}"
        " then jsonb_build_object({name}, jsonb_build_array(r.{c}, s.{c})) else '{{}}' end"
    )
    return _list(
        (
            SQL(different).format(
                c=Identifier(column),
                name=Literal(column),
                known=SQL("s.{} is not null and ").format(Identifier(column))
                if column in shape.optional
                else SQL(""),
            )
            for column in shape.compared + shape.optional
        ),
        " || ",
    )


def _document(shape: Shape) -> Composed:
    """Return the expression for the whole row: its compared columns."""
    pairs = (
        SQL("{}, r.{}").format(Literal(column), Identifier(column))
        for column in shape.compared + shape.optional
    )
    return SQL("jsonb_build_object({})").format(_list(pairs))


_TEXTS = {
    "known": "select r.{key}, r.digest from {table} r where {in_scope} and r.deleted_at is null",
    "marked": """
        select r.{key}, r.missing_since, r.missing_runs from {table} r
        where {in_scope} and r.missing_since is not null and r.deleted_at is null""",
    "copy": "copy {stage} (stage, {key}, {staged}, digest) from stdin",
    # Each staged row looks its own one up (lateral): left to its statistics, which are old after a
    # first listing, the planner would read the whole scope for each. A digest that differs does not
    # prove a change (another version of syncd may digest otherwise): the columns decide. Restored
    # rows get a change even if they come back as they went.
    "update": """
        with decided as (
            select s.*, r.place, r.deleted_at is not null as gone{decided}
            from {stage} s
            cross join lateral (
                select r.*, r.ctid as place from {table} r
                where {in_scope} and r.{key} = s.{key}
                for no key update
            ) r
            where s.stage = %(stage)s
        ),
        written as (
            update {table} r
            set {assignments}, digest = s.digest, missing_since = null, missing_runs = 0,
                deleted_at = null,
                changed_at = case when {differs_s} then now() else r.changed_at end{run_kept}
            from decided s
            where r.ctid = s.place
        ),
        recorded as (
            insert into {change_table} ({scope}, {key}, run_id, change, changed_at,
                                        {change_columns})
            select {scope_values}, r.{key}, %(run_id)s,
                   case when r.gone then 'restored' else 'updated' end, now(), {updated}
            from decided r
            where {differs_r}
            returning change
        )
        select change, count(*) from recorded group by change""",
    "insert": """
        with r as (
            insert into {table} ({scope}, {key}, {constants}, {columns}, digest,
                                 first_seen_at, changed_at{run_column})
            select {scope_values}, s.{key}, {constant_values}, {staged_columns}, s.digest,
                   now(), now(){run_value}
            from {stage} s
            where s.stage = %(stage)s
            on conflict ({scope}, {key}) do nothing
            returning *
        ),
        recorded as (
            insert into {change_table} ({scope}, {key}, run_id, change, changed_at,
                                        {change_columns})
            select {scope_of_r}, r.{key}, %(run_id)s, 'added', now(), {added} from r
            returning change
        )
        select change, count(*) from recorded group by change""",
    "clear": "delete from {stage} where stage = %(stage)s",
    "found": """
        update {table} r set missing_since = null, missing_runs = 0
        where {in_scope} and r.{key} = any (%(keys)s) and r.missing_since is not null""",
    "mark": """
        update {table} r
        set missing_since = coalesce(r.missing_since, now()), missing_runs = r.missing_runs + 1
        where {in_scope} and r.{key} = any (%(keys)s) and r.deleted_at is null""",
    "delete": """
        with r as (
            update {table} r
            set deleted_at = now(), changed_at = now(), missing_runs = r.missing_runs + 1,
                missing_since = coalesce(r.missing_since, now()){run_set}
            where {in_scope} and r.{key} = any (%(keys)s) and r.deleted_at is null
            returning r.*
        ),
        recorded as (
            insert into {change_table} ({scope}, {key}, run_id, change, changed_at,
                                        {change_columns})
            select {scope_of_r}, r.{key}, %(run_id)s, 'deleted', now(), {deleted} from r
            returning change
        )
        select change, count(*) from recorded group by change""",
    "changes": """
        select r.change, r.{key}, t.{label}, {told}
        from (
            select r.* from {change_table} r
            where {in_scope} and r.run_id = %(run_id)s order by r.id limit %(limit)s
        ) r
        left join lateral (
            select t.{label} from {table} t where {same_key} limit 1
        ) t on true
        order by r.id""",
}
