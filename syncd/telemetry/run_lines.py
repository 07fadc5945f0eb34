"""Keeps the lines of runs in the runs' own logs, besides where all lines go."""

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from structlog.processors import TimeStamper
from structlog.typing import EventDict, WrappedLogger

from syncd.telemetry.logging import ORDER, Formatter, OurHandler, bound_fields, cut, get_logger
from syncd.telemetry.masking import Masker
from syncd.telemetry.run_logs import RunLogs

KEPT_LIMIT: Final = 64_000
"""Characters of a line in a run's file, beyond which its long values are cut."""

_VALUE_LIMIT: Final = 4_000  # characters of such a value that are kept
_QUIET: Final = 3_600.0  # seconds in which it is not told again that lines can't be kept
_DIRECTIONS: Final = {
    code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
}
_JSON_ESCAPES: Final = {
    code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)
} | _DIRECTIONS
"""What JSON allows in texts as it is, and a terminal or an editor may obey."""


def keep_runs(logs: RunLogs, secrets: Callable[[], Iterable[str]]) -> None:
    """Keep each line that has a field `run` in that run's log too, until the next `configure`.

    Lines that can't be kept are lost there alone; the log tells of it, but not of each.
    """
    handler = _RunHandler(logs)
    utc = TimeStamper(fmt="iso", utc=True)
    handler.setFormatter(_RunFormatter([utc, _ordered_json], Masker(secrets), None))
    logging.getLogger().addHandler(handler)


class _RunHandler(OurHandler):
    """Appends lines to the logs of runs; takes no lock, so that no run waits for another one."""

    def __init__(self, logs: RunLogs) -> None:
        super().__init__()
        self._logs = logs
        self._quiet_until = 0.0

    def handle(self, record: logging.LogRecord) -> bool:
        """Emit a record without the lock that `logging` takes around that."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Append the line of a record, if it is one of a run."""
        run = _run_of(record)
        if run is None:
            return
        try:
            line = self.format(record).encode(errors="replace")
        except Exception:  # noqa: BLE001 - the other handler, which meets it too, tells of it
            return
        try:
            self._logs.append(run, line)
        except OSError as error:
            self._tell(error)

    def _tell(self, error: OSError) -> None:
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + _QUIET  # first: the line may be one of a run itself
            get_logger().warning("lines of runs can't be kept in their files", error=str(error))


class _RunFormatter(Formatter):
    """Renders JSON that is safe to look at; what is cut, is cut when it has been masked."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line = super().format(record)
        if len(line) > KEPT_LIMIT:
            line = _json(_shortened(line))
        return line.translate(_JSON_ESCAPES)


def _shortened(line: str) -> Mapping[str, Any]:
    """Return the fields of a line of JSON, the long ones cut."""
    try:
        fields = json.loads(line)
    except ValueError:  # a secret was a piece of the JSON itself
        fields = {"event": line}
    return {name: _short(value) for name, value in fields.items()}


def _short(value: object) -> object:
    """Return a value, or both ends of its text where that is too long."""
    text = value if isinstance(value, str) else _json(value)
    return value if len(text) <= _VALUE_LIMIT else cut(text, _VALUE_LIMIT)


def _ordered_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    """Render an object whose fields stand in the order in which they are read."""
    first = {name: event[name] for name in ORDER if name in event}
    return _json({**first, **event})


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _run_of(record: logging.LogRecord) -> UUID | None:
    """Return the run whose line a record is."""
    own = record.msg.get("run") if isinstance(record.msg, dict) else None
    run = own or bound_fields().get("run")
    with suppress(ValueError):
        return UUID(str(run)) if run else None
    return None
