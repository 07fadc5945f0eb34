"""The table `syncd_watermark`: how far copies are, kept in the transactions of their rows."""

import json
from typing import Final

from syncd.engines.mysql import databases
from syncd.engines.mysql.connection import Session
from syncd.engines.mysql.names import quoted
from syncd.engines.states import FIELDS, fields_of, is_outrun, state_of
from syncd.errors import Fenced
from syncd.model.copy import STATE_TABLE, CopyState

_EXISTS: Final = """
SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s
"""
_NOPAD: Final = """
SELECT COLLATION_NAME FROM information_schema.COLLATIONS
 WHERE COLLATION_NAME IN ('utf8mb4_nopad_bin', 'utf8mb4_0900_bin')
"""
_CREATE: Final = """
CREATE TABLE IF NOT EXISTS {table} (
    job VARCHAR(255) NOT NULL,
    item VARCHAR(500) NOT NULL,
    run_id CHAR(36) NOT NULL,
    owner VARCHAR(255) NOT NULL,
    epoch BIGINT NOT NULL,
    attempt INT NOT NULL,
    mode VARCHAR(20) NOT NULL,
    phase VARCHAR(20) NOT NULL,
    position LONGTEXT NULL,
    watermark LONGTEXT NULL,
    bound LONGTEXT NULL,
    fresh TINYINT(1) NOT NULL,
    full_at VARCHAR(40) NULL,
    counts LONGTEXT NOT NULL,
    details LONGTEXT NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    PRIMARY KEY (job, item)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = {collation} ROW_FORMAT = DYNAMIC
"""
_PLACE: Final = "job = %s AND item = %s"
_INSERT: Final = (
    f"INSERT INTO {{table}} (job, item, {', '.join(FIELDS)}, updated_at)"  # noqa: S608
    f" VALUES (%s, %s, {', '.join(['%s'] * len(FIELDS))}, UTC_TIMESTAMP(6))"
)
_UPDATE: Final = (
    f"UPDATE {{table}} SET {', '.join(f'{name} = %s' for name in FIELDS)},"  # noqa: S608
    f" updated_at = UTC_TIMESTAMP(6) WHERE {_PLACE}"
)


class States:
    """The table in one database; who calls begins and ends the transactions."""

    def __init__(self, session: Session, schema: str) -> None:
        self._session = session
        self._schema = schema
        self._table = quoted(schema, STATE_TABLE).replace("%", "%%")

    def ensure(self) -> None:
        """Make the table where it is missing; this ends a transaction."""
        if not self._exists():
            databases.ensure(self._session, self._schema)
            collation = nopad(self._session)
            table = quoted(self._schema, STATE_TABLE)
            self._session.change(_CREATE.format(table=table, collation=collation))

    def peek(self, job: str, item: str) -> CopyState | None:
        """Return what is kept of a copy."""
        return self._read(job, item, "") if self._exists() else None

    def take(self, state: CopyState) -> CopyState | None:
        """Keep a state, and return what stood there.

        Raises Fenced when a later attempt of the same run has the copy already.
        """
        kept = self._read(state.job, state.item, " FOR UPDATE")
        if kept and is_outrun(kept.claim, state.claim):
            raise Fenced(f"{state.item}: a later attempt has the copy")
        if kept is None:
            self._session.rows(
                _INSERT.format(table=self._table), state.job, state.item, *_values(state)
            )
        else:
            self._update(state)
        return kept

    def save(self, state: CopyState) -> None:
        """Keep a state in place of an earlier one of the same claim; raises Fenced."""
        kept = self._read(state.job, state.item, " FOR UPDATE")
        if kept is None or kept.claim != state.claim:
            who = (
                "nobody" if kept is None else f"attempt {kept.claim.attempt} of {kept.claim.run_id}"
            )
            raise Fenced(f"the copy of {state.item} belongs to {who} now")
        self._update(state)

    def _update(self, state: CopyState) -> None:
        self._session.rows(
            _UPDATE.format(table=self._table), *_values(state), state.job, state.item
        )

    def _exists(self) -> bool:
        return bool(self._session.rows(_EXISTS, self._schema, STATE_TABLE))

    def _read(self, job: str, item: str, lock: str) -> CopyState | None:
        names = ", ".join(FIELDS)
        query = f"SELECT {names} FROM {self._table} WHERE {_PLACE}{lock}"  # noqa: S608
        found = self._session.rows(query, job, item)
        if not found:
            return None
        return state_of(job, item, dict(zip(FIELDS, found[0], strict=True)), json.loads)


def nopad(session: Session) -> str:
    """Return the collation that tells all texts apart; older MySQL has none that sees blanks."""
    found = session.rows(_NOPAD)
    return str(found[0][0]) if found else "utf8mb4_bin"


def _values(state: CopyState) -> list[object]:
    """Return the values of the fields as the columns take them."""
    told = fields_of(state)
    told["run_id"], told["fresh"] = str(state.claim.run_id), int(state.fresh)
    for name in ("position", "counts", "details"):
        told[name] = None if told[name] is None else json.dumps(told[name])
    return list(told.values())
