r"""What `syncd_watermark` keeps of a copy, in whatever engine its table is.

Bytes are kept as a text that can be read, those that are none as `\x` and hexadecimal digits.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

from syncd.errors import BadData
from syncd.model.copy import STATE_TABLE, CopyState
from syncd.model.run import Claim, Counts, RunId
from syncd.model.table import Value

FIELDS: Final = (
    "run_id", "owner", "epoch", "attempt", "mode", "phase", "position", "watermark", "bound",
    "fresh", "full_at", "counts", "details",
)  # fmt: skip
"""The columns behind those of the key, job and item; `position`, `counts` and `details` are lists
and objects, for which each engine has its own type."""
_HEX: Final = "\\x"


def fields_of(state: CopyState) -> dict[str, Any]:
    """Return the values of the fields, in their order."""
    claim, position = state.claim, state.position
    told = (
        claim.run_id, claim.owner, claim.epoch, claim.attempt, state.mode, state.phase,
        None if position is None else [_text(each) for each in position],
        _text(state.watermark), _text(state.bound), state.fresh, state.full_at,
        asdict(state.counts), dict(state.details),
    )  # fmt: skip
    return dict(zip(FIELDS, told, strict=True))


def state_of(
    job: str, item: str, row: Mapping[str, Any], read: Callable[[Any], Any] = lambda value: value
) -> CopyState:
    """Return the state that fields tell; `read` makes lists and objects of what the engine gives.

    Raises BadData for one that nobody of us wrote.
    """
    try:
        position = None if row["position"] is None else read(row["position"])
        return CopyState(
            job=job,
            item=item,
            claim=Claim(
                RunId(UUID(str(row["run_id"]))), row["owner"], row["epoch"], row["attempt"]
            ),
            mode=row["mode"],
            phase=row["phase"],
            position=None if position is None else tuple(_bytes(each) for each in position),
            watermark=None if row["watermark"] is None else _bytes(row["watermark"]),
            bound=None if row["bound"] is None else _bytes(row["bound"]),
            fresh=bool(row["fresh"]),
            full_at=row["full_at"],
            counts=Counts(**read(row["counts"])),
            details=read(row["details"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadData(f"{STATE_TABLE} holds something else for {item}: {error}") from error


def is_outrun(by: Claim, claim: Claim) -> bool:
    """Tell whether a claim is that of a later attempt of the same run."""
    return by.run_id == claim.run_id and (by.epoch, by.attempt) > (claim.epoch, claim.attempt)


def _text(value: Value) -> str | None:
    """Return the text that a value is kept as."""
    if value is None:
        return None
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return _HEX + value.hex()
    return _HEX + value.hex() if "\0" in text or text.startswith(_HEX) else text


def _bytes(text: str) -> bytes:
    """Return the value that a text was kept for."""
    return bytes.fromhex(text.removeprefix(_HEX)) if text.startswith(_HEX) else text.encode()
