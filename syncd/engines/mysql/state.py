"""The table `syncd_watermark`: how far copies are, kept in the transactions of their rows."""

import json
from typing import Any, Final
from uuid import UUID

import msgspec

from syncd.engines.mysql import databases
from syncd.engines.mysql.connection import Session
from syncd.engines.mysql.names import quoted
from syncd.errors import BadData, Fenced
from syncd.model.copy import CopyState
from syncd.model.run import Claim, Counts, RunId
from syncd.model.table import Key

TABLE: Final = "syncd_watermark"

_HEX: Final = "\\x"
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
_FIELDS: Final = (
    "run_id", "owner", "epoch", "attempt", "mode", "phase", "position", "watermark", "bound",
    "fresh", "full_at", "counts", "details",
)  # fmt: skip
_PLACE: Final = "job = %s AND item = %s"
_INSERT: Final = (
    f"INSERT INTO {{table}} (job, item, {', '.join(_FIELDS)}, updated_at)"  # noqa: S608
    f" VALUES (%s, %s, {', '.join(['%s'] * len(_FIELDS))}, UTC_TIMESTAMP(6))"
)
_UPDATE: Final = (
    f"UPDATE {{table}} SET {', '.join(f'{name} = %s' for name in _FIELDS)},"  # noqa: S608
    f" updated_at = UTC_TIMESTAMP(6) WHERE {_PLACE}"
)


class States:
    """The table in one database; who calls begins and ends the transactions."""

    def __init__(self, session: Session, schema: str) -> None:
        self._session = session
        self._schema = schema
        self._table = quoted(schema, TABLE).replace("%", "%%")

    def ensure(self) -> None:
        """Make the table where it is missing; this ends a transaction."""
        if not self._exists():
            databases.ensure(self._session, self._schema)
            collation = nopad(self._session)
            table = quoted(self._schema, TABLE)
            self._session.change(_CREATE.format(table=table, collation=collation))

    def peek(self, job: str, item: str) -> CopyState | None:
        """Return what is kept of a copy."""
        return self._read(job, item, "") if self._exists() else None

    def take(self, state: CopyState) -> CopyState | None:
        """Keep a state, and return what stood there.

        Raises Fenced when a later attempt of the same run has the copy already.
        """
        kept = self._read(state.job, state.item, " FOR UPDATE")
        if kept and kept.claim.run_id == state.claim.run_id and _is_later(kept, state):
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
        return bool(self._session.rows(_EXISTS, self._schema, TABLE))

    def _read(self, job: str, item: str, lock: str) -> CopyState | None:
        names = ", ".join(_FIELDS)
        query = f"SELECT {names} FROM {self._table} WHERE {_PLACE}{lock}"  # noqa: S608
        found = self._session.rows(query, job, item)
        return _state(job, item, dict(zip(_FIELDS, found[0], strict=True))) if found else None


def _is_later(one: CopyState, other: CopyState) -> bool:
    return (one.claim.epoch, one.claim.attempt) > (other.claim.epoch, other.claim.attempt)


def nopad(session: Session) -> str:
    """Return the collation that tells all texts apart; older MySQL has none that sees blanks."""
    found = session.rows(_NOPAD)
    return str(found[0][0]) if found else "utf8mb4_bin"


def _values(state: CopyState) -> list[object]:
    claim = state.claim
    return [
        str(claim.run_id), claim.owner, claim.epoch, claim.attempt, state.mode, state.phase,
        None if state.position is None else json.dumps([_told(each) for each in state.position]),
        _text(state.watermark), _text(state.bound), int(state.fresh), state.full_at,
        json.dumps(msgspec.to_builtins(state.counts)), json.dumps(dict(state.details)),
    ]  # fmt: skip


def _state(job: str, item: str, row: dict[str, Any]) -> CopyState:
    """Return a state as it stands; raises BadData for one that nobody of us wrote."""
    try:
        claim = Claim(RunId(UUID(row["run_id"])), row["owner"], row["epoch"], row["attempt"])
        return CopyState(
            job, item, claim, row["mode"], row["phase"], _key(row["position"]),
            _bytes(row["watermark"]), _bytes(row["bound"]), bool(row["fresh"]), row["full_at"],
            Counts(**json.loads(row["counts"])), json.loads(row["details"]),
        )  # fmt: skip
    except (ValueError, TypeError, KeyError) as error:
        raise BadData(f"{TABLE} holds something else for {item}: {error}") from error


def _told(value: bytes) -> str:
    r"""Return a value as a text that can be read: bytes that are none as `\x` and hex."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return _HEX + value.hex()
    return _HEX + value.hex() if "\0" in text or text.startswith(_HEX) else text


def _heard(text: str) -> bytes:
    """Return the value that a text was kept for."""
    return bytes.fromhex(text.removeprefix(_HEX)) if text.startswith(_HEX) else text.encode()


def _text(value: bytes | None) -> str | None:
    return None if value is None else _told(value)


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else _heard(text)


def _key(text: str | None) -> Key | None:
    return None if text is None else tuple(_heard(each) for each in json.loads(text))
