"""`syncd_watermark`: how far each copy into a database is, kept beside the rows themselves."""

from typing import Final, LiteralString

from psycopg.errors import DuplicateObject, DuplicateTable, UniqueViolation
from psycopg.sql import SQL, Composable, Identifier
from psycopg.types.json import Jsonb

from syncd.engines.postgresql import schemas
from syncd.engines.postgresql.connection import Session
from syncd.engines.postgresql.statements import run
from syncd.engines.states import FIELDS, fields_of, is_outrun, state_of
from syncd.errors import Fenced
from syncd.model.copy import STATE_TABLE, CopyState

_CREATE: Final = """
    create table if not exists {} (
        job text not null,
        item text not null,
        run_id uuid not null,
        owner text not null,
        epoch bigint not null,
        attempt integer not null,
        mode text not null,
        phase text not null,
        position text[],
        watermark text,
        bound text,
        fresh boolean not null,
        full_at text,
        counts jsonb not null,
        details jsonb not null,
        updated_at timestamptz not null default now(),
        primary key (job, item)
    )
"""


def peek(connection: Session, schema: str, job: str, item: str) -> CopyState | None:
    """Return what is kept of a copy, None where nothing is, or no table to keep it in."""
    told = connection.execute("select to_regclass(%s)", (_name(schema).as_string(None),)).fetchone()
    if told is None or told[0] is None:
        return None
    return _read(connection, schema, job, item, "")


def claim(connection: Session, schema: str, state: CopyState) -> CopyState | None:
    """Take a copy over: keep a state, all of it, and return what was kept before.

    Raises Fenced when a later attempt of the same run has it already.
    """
    _make(connection, schema)
    with connection.transaction():
        kept = _read(connection, schema, state.job, state.item, " for update")
        if kept is None:
            _write(connection, _insert(schema), state)
        elif is_outrun(kept.claim, state.claim):
            raise Fenced(f"{state.item}: a later attempt has the copy")
        else:
            _write(connection, _update(schema), state)
        return kept


def save(connection: Session, schema: str, state: CopyState) -> None:
    """Keep how far a copy is, in the transaction of its rows; raises Fenced."""
    claim = state.claim
    whose = SQL(" and run_id = %(run_id)s and owner = %(owner)s and epoch = %(epoch)s"
                " and attempt = %(attempt)s")  # fmt: skip
    if _write(connection, _update(schema) + whose, state) != 1:
        raise Fenced(f"{state.item}: attempt {claim.attempt} has lost the copy to another one")


def _make(connection: Session, schema: str) -> None:
    """Make the table where it is missing; two that do it at once may collide."""
    found = connection.execute("select to_regclass(%s)", (_name(schema).as_string(None),))
    if (found.fetchone() or (None,))[0] is None:
        schemas.ensure(connection, schema or "public")
        try:
            connection.execute(SQL(_CREATE).format(_name(schema)))
        except (DuplicateObject, DuplicateTable, UniqueViolation):  # its type is an object, too
            connection.execute(SQL(_CREATE).format(_name(schema)))


def _name(schema: str) -> Composable:
    return Identifier(schema or "public", STATE_TABLE)


def _doubled(schema: str) -> Composable:
    """Return the name for a statement with placeholders, in which `%` stands twice."""
    return Identifier((schema or "public").replace("%", "%%"), STATE_TABLE)


def _insert(schema: str) -> Composable:
    names = ("job", "item", *FIELDS)
    values = SQL(", ").join(SQL(f"%({name})s") for name in names)
    columns = SQL(", ").join(map(Identifier, names))
    return SQL("insert into {} ({}) values ({})").format(_doubled(schema), columns, values)


def _update(schema: str) -> Composable:
    sets = SQL(", ").join(SQL(f"{name} = %({name})s") for name in FIELDS)
    whose = SQL(", updated_at = now() where job = %(job)s and item = %(item)s")
    return SQL("update {} set ").format(_doubled(schema)) + sets + whose


def _write(connection: Session, query: Composable, state: CopyState) -> int:
    told = fields_of(state)
    told |= {name: Jsonb(told[name]) for name in ("counts", "details")}
    return run(connection, query, {"job": state.job, "item": state.item, **told})


def _read(
    connection: Session, schema: str, job: str, item: str, lock: LiteralString
) -> CopyState | None:
    """Return what is kept of a copy; raises BadData for what nobody of us wrote."""
    query = SQL("select {} from {} where job = %s and item = %s").format(
        SQL(", ").join(map(Identifier, FIELDS)), _doubled(schema)
    ) + SQL(lock)
    row = connection.execute(query, (job, item)).fetchone()
    return None if row is None else state_of(job, item, dict(zip(FIELDS, row, strict=True)))
