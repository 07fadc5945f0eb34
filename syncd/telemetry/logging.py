"""Logs: structlog over the standard logging module, so that libraries' lines go the same way.

A person at a terminal sees aligned colours; the journal gets a priority and one line of logfmt a
record; a pipe gets logfmt with the time; other collectors can ask for JSON. Whatever the format,
the last step masks secrets, and nothing that goes wrong while writing a line reaches its author.
"""

import atexit
import io
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.contextvars import bound_contextvars, get_contextvars
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import JSONRenderer, LogfmtRenderer, TimeStamper, format_exc_info
from structlog.stdlib import LoggerFactory, ProcessorFormatter, add_log_level
from structlog.typing import EventDict, Processor, WrappedLogger

from syncd.context import BoundLogger
from syncd.telemetry.masking import Masker

LogFormat = Literal["auto", "console", "logfmt", "journal", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

JOURNAL_LIMIT: Final = 12_000
"""Characters of a line. journald splits what is longer than 48 KiB, and what follows would be a
record of its own, with a priority of its own (LineMax= in journald.conf(5))."""

_PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_CONTROLS: Final = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"
} | {0x2028: "\\u2028", 0x2029: "\\u2029"}
_ONE_LINE: Final = _CONTROLS | {ord("\n"): "\\n"}
ORDER: Final = ("timestamp", "level", "event", "job", "run", "item", "account", "region")
"""The fields that come first in a line."""
_LOGFMT: Final = LogfmtRenderer(key_order=ORDER, drop_missing=True, bool_as_flag=False)

_of_process: dict[str, str] = {}


def get_logger() -> BoundLogger:
    """Return the program's logger; its `bind` gives one that has more fields."""
    logger: BoundLogger = structlog.get_logger("syncd")
    return logger


def bound(**fields: str) -> AbstractContextManager[None]:
    """Give every line of this thread these fields, libraries' lines too, until the block is left.

    A thread that is started meanwhile has them only if it runs in a copy of the context
    (contextvars.copy_context).
    """
    return bound_contextvars(**fields)


def bind_process(**fields: str) -> None:
    """Give every line of this process, which works for one run, these fields."""
    _of_process.update(fields)


def bound_fields() -> dict[str, Any]:
    """Return the fields that every line of this thread has."""
    return {**_of_process, **get_contextvars()}


def configure(
    form: LogFormat,
    level: LogLevel,
    secrets: Callable[[], Iterable[str]],
    stream: TextIO | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Send all logs, warnings and uncaught exceptions to `stream`, by default standard error.

    `level` is for syncd's own lines; libraries are heard from `warning` on. `secrets` is asked at
    each line, from any thread, and has to be quick. A later call replaces what an earlier one set.
    """
    stream = stream or sys.stderr or _nowhere()
    form = _choose(form, stream, environ)
    threshold = logging.getLevelNamesMapping()[level.upper()]
    handler = _Handler(stream)
    limit = JOURNAL_LIMIT if form == "journal" else None
    handler.setFormatter(Formatter(_steps(form, stream, environ), Masker(secrets), limit))
    _install(handler, threshold)
    atexit.register(_let_go, stream)
    structlog.configure(
        processors=[add_log_level, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=LoggerFactory(),
    )
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


class OurHandler(logging.Handler):
    """A handler that gives way to those of a later `configure`."""


class _Handler(OurHandler, logging.StreamHandler[TextIO]):
    """Writes lines; a broken stream, or a record that can't be rendered, harms nobody."""

    def __init__(self, stream: TextIO) -> None:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        super().__init__(stream)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Say that a record was lost, without its content, which may not have been masked yet."""
        error = sys.exc_info()[0] or Exception
        if not issubclass(error, OSError):
            with suppress(OSError, ValueError):  # ValueError: the stream is closed
                self.stream.write(f"a log record was lost: {error.__name__} at {record.module}\n")


class Formatter(ProcessorFormatter):
    """Renders records, masks the line when nothing more can be added to it, and only then cuts."""

    def __init__(self, steps: Sequence[Processor], mask: Masker, limit: int | None) -> None:
        super().__init__(
            foreign_pre_chain=[add_log_level, _add_logger],
            processors=[
                ProcessorFormatter.remove_processors_meta,
                _add_context,
                format_exc_info,
                *steps,
            ],
        )
        self._mask = mask
        self._limit = limit

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, of at most `limit` characters; both its ends are kept."""
        line = self._mask(super().format(record))
        if self._limit is None or len(line) <= self._limit:
            return line
        return cut(line, self._limit)


def cut(text: str, limit: int) -> str:
    """Return both ends of a text, of at most `limit` characters."""
    half = limit // 2
    return f"{text[: half - 3]} … {text[-half:]}"


def _nowhere() -> TextIO:
    """Return where logs go if the process was started with standard error closed."""
    return Path(os.devnull).open("w")


def _let_go(stream: TextIO) -> None:
    """Drop what a stream holds that nobody reads any more: else it fails the exit (status 120)."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except ValueError:
        return  # closed


def _install(handler: logging.Handler, threshold: int) -> None:
    """Make `handler` the only one of ours, and set the levels."""
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, OurHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(max(threshold, logging.WARNING))
    logging.getLogger("syncd").setLevel(threshold)


def _choose(form: LogFormat, stream: TextIO, environ: Mapping[str, str]) -> LogFormat:
    """Return the format that fits the stream where `auto` is asked for."""
    if form != "auto":
        return form
    if stream.isatty():
        return "console"
    return "journal" if _is_journal(stream, environ) else "logfmt"


def _is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Tell whether systemd made the stream, by systemd.exec(5) on JOURNAL_STREAM."""
    try:
        status = os.fstat(stream.fileno())
    except OSError:  # io.UnsupportedOperation too: not a file
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _steps(form: LogFormat, stream: TextIO, environ: Mapping[str, str]) -> Sequence[Processor]:
    """Return what makes a line of a record."""
    utc = TimeStamper(fmt="iso", utc=True)
    if form == "console":
        colors = stream.isatty() and "NO_COLOR" not in environ and environ.get("TERM") != "dumb"
        console = ConsoleRenderer(
            colors=colors, sort_keys=False, exception_formatter=plain_traceback
        )
        return [TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False), _printable, console]
    if form == "json":
        return [utc, JSONRenderer(default=str)]
    return [_journal_line] if form == "journal" else [utc, _logfmt_line]


def _logfmt_line(logger: WrappedLogger, name: str, event: EventDict) -> str:
    """Render one line, whatever control characters the values hold."""
    return _LOGFMT(logger, name, event).translate(_ONE_LINE)


def _journal_line(logger: WrappedLogger, name: str, event: EventDict) -> str:
    """Render one line with its priority (sd-daemon(3)); the journal adds the time itself."""
    return f"<{_PRIORITIES.get(event['level'], 6)}>{_logfmt_line(logger, name, event)}"


def _printable(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Turn values into texts that can't steer a terminal; only tracebacks keep their lines."""
    for key, value in event.items():
        if key in {"exception", "stack"}:
            event[key] = str(value).translate(_CONTROLS)
        elif not isinstance(value, int | float | None):
            event[key] = str(value).translate(_ONE_LINE)
    return event


def _add_context(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Add the fields that are bound; the line's own count more."""
    return {**bound_fields(), **event}


def _add_logger(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Name the library that a line came from."""
    event["logger"] = event["_record"].name
    return event


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Log what ends the process, as the last line of defence; Ctrl-C is not an error."""
    if isinstance(error, Exception):
        get_logger().critical("uncaught exception", exc_info=error)
    else:
        sys.__excepthook__(kind, error, traceback)


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    """Log what ends a thread."""
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        thread = args.thread.name if args.thread else None
        get_logger().critical("uncaught exception", thread=thread, exc_info=args.exc_value)
