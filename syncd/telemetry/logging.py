"""Logs: structlog over the standard logging module, so that libraries' lines go the same way.

A person at a terminal sees aligned colours; the journal gets a priority and one line of logfmt a
record; a pipe gets logfmt with the time; other collectors can ask for JSON. Whatever the format,
the last step masks secrets, and nothing that goes wrong while writing a line reaches its author.
"""

import io
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Final, Literal, TextIO

import structlog
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import JSONRenderer, LogfmtRenderer, TimeStamper, format_exc_info
from structlog.stdlib import LoggerFactory, ProcessorFormatter, add_log_level
from structlog.typing import EventDict, Processor, WrappedLogger

from syncd.context import BoundLogger
from syncd.telemetry.masking import Masker

LogFormat = Literal["auto", "console", "logfmt", "journal", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

JOURNAL_LIMIT: Final = 12_000
"""Characters of a line; journald splits what is longer than 48 KiB, and the rest would be a record
of its own, with a priority of its own (LineMax= in journald.conf(5))."""

_ORDER: Final = ("timestamp", "level", "event", "job", "run", "item", "account", "region")
_PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_MULTI_LINE: Final = ("exception", "stack")
_CONTROLS: Final = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code != 0x0A
} | {0x2028: "\\u2028", 0x2029: "\\u2029"}
_ONE_LINE: Final = _CONTROLS | {0x0A: "\\n"}


def get_logger() -> BoundLogger:
    """Return the program's logger; `bind` gives it fields for all its lines."""
    logger: BoundLogger = structlog.get_logger("syncd")
    return logger


def configure(
    form: LogFormat,
    level: LogLevel,
    secrets: Callable[[], Iterable[str]],
    stream: TextIO | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Send all logs, warnings and uncaught exceptions to `stream` (standard error).

    `level` is for syncd's own lines, libraries are heard from `warning` on. `secrets` is asked at
    each line; it must be quick and may be called from any thread. A later call replaces all.
    """
    stream = sys.stderr if stream is None else stream
    threshold = logging.getLevelNamesMapping()[level.upper()]
    handler = _Handler(stream)
    handler.setFormatter(_formatter(_choose(form, stream, environ), secrets, stream, environ))
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(max(threshold, logging.WARNING))
    logging.getLogger("syncd").setLevel(threshold)
    structlog.configure(
        processors=[add_log_level, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=LoggerFactory(),
    )
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_thread


def _choose(form: LogFormat, stream: TextIO, environ: Mapping[str, str]) -> LogFormat:
    """Return the format that fits the stream where `auto` is asked for."""
    if form != "auto":
        return form
    if stream.isatty():
        return "console"
    return "journal" if _is_journal(stream, environ) else "logfmt"


def _is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Tell whether the stream is the one that systemd connected to the journal (systemd.exec(5))."""
    try:
        status = os.fstat(stream.fileno())
    except OSError:  # not a file (io.UnsupportedOperation), or closed
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _formatter(
    form: LogFormat, secrets: Callable[[], Iterable[str]], stream: TextIO, environ: Mapping[str, str]
) -> logging.Formatter:
    """Return the formatter of a format; masking is its last step."""
    colors = stream.isatty() and "NO_COLOR" not in environ and environ.get("TERM") != "dumb"
    utc = TimeStamper(fmt="iso", utc=True)
    logfmt = LogfmtRenderer(key_order=_ORDER, drop_missing=True, bool_as_flag=False)
    steps: Mapping[str, list[Processor]] = {
        "console": [
            TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
            _printable,
            ConsoleRenderer(colors=colors, sort_keys=False, exception_formatter=plain_traceback),
        ],
        "logfmt": [utc, logfmt, _one_line],
        "journal": [_add_priority, logfmt, _one_line],
        "json": [utc, JSONRenderer(default=str)],
    }
    return ProcessorFormatter(
        foreign_pre_chain=[add_log_level, _add_logger],
        processors=[
            ProcessorFormatter.remove_processors_meta,
            format_exc_info,
            *steps[form],
            _Mask(secrets, JOURNAL_LIMIT if form == "journal" else None),
        ],
    )
