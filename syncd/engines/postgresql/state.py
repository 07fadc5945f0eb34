"""`syncd_watermark`: how far each copy into a database is, kept beside the rows themselves."""

from binascii import hexlify, unhexlify
from dataclasses import asdict
from typing import Any, Final, LiteralString

from psycopg.errors import DuplicateObject, DuplicateTable, UniqueViolation
from psycopg.sql import SQL, Composable, Identifier
from psycopg.types.json import Jsonb

from syncd.engines.postgresql import schemas
from syncd.engines.postgresql.connection import Session
from syncd.engines.postgresql.statements import run
from syncd.errors import BadData, Fenced
from syncd.model.copy import CopyState
from syncd.model.run import Claim, Counts, RunId
from syncd.model.table import Value

NAME: Final = "syncd_watermark"
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
_FIELDS: Final = (
    "run_id", "owner", "epoch", "attempt", "mode", "phase", "position", "watermark", "bound",
    "fresh", "full_at", "counts", "details",
)  # fmt: skip
_HEX: Final = "\\x"


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
        elif kept.claim.run_id == state.claim.run_id and _order(kept.claim) > _order(state.claim):
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
    return Identifier(schema or "public", NAME)


def _doubled(schema: str) -> Composable:
    """Return the name for a statement with placeholders, in which `%` stands twice."""
    return Identifier((schema or "public").replace("%", "%%"), NAME)


def _insert(schema: str) -> Composable:
    names = ("job", "item", *_FIELDS)
    values = SQL(", ").join(SQL(f"%({name})s") for name in names)
    columns = SQL(", ").join(map(Identifier, names))
    return SQL("insert into {} ({}) values ({})").format(_doubled(schema), columns, values)


def _update(schema: str) -> Composable:
    sets = SQL(", ").join(SQL(f"{name} = %({name})s") for name in _FIELDS)
    whose = SQL(", updated_at = now() where job = %(job)s and item = %(item)s")
    return SQL("update {} set ").format(_doubled(schema)) + sets + whose


def _write(connection: Session, query: Composable, state: CopyState) -> int:
    claim = state.claim
    return run(
        connection,
        query,
        {
            "job": state.job,
            "item": state.item,
            "run_id": claim.run_id,
            "owner": claim.owner,
            "epoch": claim.epoch,
            "attempt": claim.attempt,
            "mode": state.mode,
            "phase": state.phase,
            "position": None if state.position is None else list(map(_told, state.position)),
            "watermark": _told(state.watermark),
            "bound": _told(state.bound),
            "fresh": state.fresh,
            "full_at": state.full_at,
            "counts": Jsonb(asdict(state.counts)),
            "details": Jsonb(dict(state.details)),
        },
    )


def _read(
    connection: Session, schema: str, job: str, item: str, lock: LiteralString
) -> CopyState | None:
    """Return what is kept of a copy."""
    query = SQL("select {} from {} where job = %s and item = %s").format(
        SQL(", ").join(map(Identifier, _FIELDS)), _doubled(schema)
    ) + SQL(lock)
    row = connection.execute(query, (job, item)).fetchone()
    return None if row is None else _state(job, item, dict(zip(_FIELDS, row, strict=True)))


def _state(job: str, item: str, row: dict[str, Any]) -> CopyState:
    """Return a state as it stands; raises BadData for one that nobody of us wrote."""
    try:
        return _of_row(job, item, row)
    except (ValueError, TypeError, KeyError) as error:
        raise BadData(f"{NAME} holds something else for {item}: {error}") from error


def _of_row(job: str, item: str, row: dict[str, Any]) -> CopyState:
    position = row["position"]
    return CopyState(
        job=job,
        item=item,
        claim=Claim(RunId(row["run_id"]), row["owner"], row["epoch"], row["attempt"]),
        mode=row["mode"],
        phase=row["phase"],
        position=None if position is None else tuple(_value(told) or b"" for told in position),
        watermark=_value(row["watermark"]),
        bound=_value(row["bound"]),
        fresh=row["fresh"],
        full_at=row["full_at"],
        counts=Counts(**row["counts"]),
        details=row["details"],
    )


def _order(claim: Claim) -> tuple[int, int]:
    return claim.epoch, claim.attempt


def _told(value: Value) -> str | None:
    r"""Return a value as a text that can be kept and read: bytes that are none as `\x` and hex."""
    if value is None:
        return None
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return _HEX + hexlify(value).decode()
    return _HEX + hexlify(value).decode() if "\0" in text or text.startswith(_HEX) else text


def _value(told: str | None) -> Value:
    """Return the value that a text was kept for."""
    if told is None:
        return None
    return unhexlify(told.removeprefix(_HEX)) if told.startswith(_HEX) else told.encode()
