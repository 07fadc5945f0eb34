"""Does the items of an attempt in a process of its own, which can be killed for good.

A thread can't be: one that sleeps in C code holds its worker until it comes back. The process has
the claim of its attempt and writes the items' rows itself, fenced as ever; all that outlives it is
done here, as it is told: progress, metrics, and the records that were not written with their rows.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from socket import socketpair
from types import TracebackType
from typing import Final, Self

from syncd.context import RunContext
from syncd.dispatch.item import Observer, Records, record_end
from syncd.dispatch.messages import (
    UP,
    Abandoned,
    ApiCalled,
    Channel,
    Ended,
    ErrorRecorded,
    ItemEnded,
    ItemMeasured,
    Noted,
    Opened,
    Order,
    Record,
    StatementDone,
    Stop,
    Up,
)
from syncd.dispatch.progress import RunProgress
from syncd.dispatch.spec import JobSpec
from syncd.dispatch.work import Done, ended_by
from syncd.errors import Fenced, SyncdError
from syncd.model.run import Claim

_TURN: Final = 0.2  # seconds between two looks at the time limit
_START: Final = 10.0  # seconds until a new process must have read its order
_GRACE: Final = 2.0  # seconds that a process told to stop has for it, and one that is done to end
_KEPT_BACK: Final = ("NOTIFY_", "WATCHDOG_", "LISTEN_")
"""Beginnings of environment variables that are for the daemon alone."""


@dataclass(frozen=True, slots=True)
class Entry:
    """How a process is started that can make a job.

    It is this interpreter, given `arguments`, then the number of its descriptor, the job's name and
    the run's id; `setup` is what its module wants to be told.
    """

    arguments: Sequence[str]
    setup: bytes


class Isolated:
    """A `Work` in a process of its own; `entry` says how it begins."""

    def __init__(
        self, entry: Callable[[JobSpec], Entry], records: Records, observer: Observer
    ) -> None:
        self._entry, self._records, self._observer = entry, records, observer

    def do(self, spec: JobSpec, claim: Claim, ctx: RunContext, progress: RunProgress) -> Done:
        """Do the items, as `Work` says; return once the process is gone."""
        try:
            entry = self._entry(spec)
            order = Order(
                parent=os.getpid(), job=spec.name, claim=claim, scheduled_for=ctx.scheduled_for,
                deadline=ctx.deadline, selection=ctx.selection, held=dict(ctx.held),
                setup=entry.setup,
            )  # fmt: skip
            with _Child(entry.arguments, order, ctx) as child, ctx.cancel.watch(child.stop):
                return self._attend(child, ctx, progress)
        except Fenced:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever happens ends this run alone
            return ended_by(error, ctx.log)

    def _attend(self, child: "_Child", ctx: RunContext, progress: RunProgress) -> Done:
        """Do what the process tells until it says how it ended, or its end shows it."""
        while (messages := child.hear()) is not None:
            for message in messages:
                if isinstance(message, Ended):
                    return message.done
                self._take(message, ctx, progress)
        status = child.wait()
        ctx.check()
        raise SyncdError(f"the process of the run {_how(status)}")

    def _take(self, message: Up, ctx: RunContext, progress: RunProgress) -> None:
        job, observer = ctx.job_name, self._observer
        match message:
            case Opened(targets):
                progress.open(targets)
            case Noted(target, state, done, of):
                progress.note(target, state=state, done=done, of=of)
            case Record(owed):
                record_end(self._records, owed, ctx.log)
            case ItemEnded(outcome, counts):
                observer.item_ended(job, outcome, counts)
            case ItemMeasured(item, measures, at):
                observer.item_measured(job, item, measures, at)
            case ErrorRecorded(error_class):
                observer.error_recorded(job, error_class)
            case ApiCalled(provider, api, outcome, seconds):
                observer.observe_api(provider, api, outcome, seconds)
            case StatementDone(operation, seconds):
                observer.observe_statement(operation, seconds)
            case Abandoned(why):
                raise Fenced(why)


class _Child:
    """The process of one attempt, from its start until it is gone."""

    def __init__(self, arguments: Sequence[str], order: Order, ctx: RunContext) -> None:
        self._ctx, self._order = ctx, order
        self._socket, theirs = socketpair()
        self._channel = Channel(self._socket, UP)
        self._stopping: float | None = None  # since when it has been told to, or ought to know
        self._killed = False
        names = str(theirs.fileno()), order.job, str(order.claim.run_id)
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own program
                    [sys.executable, "-P", *arguments, *names],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    env=_environment(),
                    start_new_session=True,  # a Ctrl-C of the terminal is for the daemon
                )
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        self._ctx.log.debug("process started", pid=self._process.pid)
        self._socket.settimeout(_START)
        with suppress(OSError):  # it is gone already, or hangs: seen when it is listened to
            self._channel.send(self._order)
        self._socket.settimeout(_TURN)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it: one that has done its work ends by itself, any other is killed."""
        if error is not None:
            self._kill()
        self.wait()
        self._socket.close()

    def stop(self) -> None:
        """Tell it to stop; called in the thread that cancels."""
        try:
            self._ctx.cancel.check()
        except SyncdError as error:
            with suppress(OSError):
                self._channel.send(Stop(type(error).__name__, str(error)))

    def hear(self) -> list[Up] | None:
        """Return what it told meanwhile, None when it is gone; kill it when its time is over."""
        gone = self._process.poll() is not None  # a process of its own may keep the line open
        messages = self._channel.receive()
        if gone and not messages:
            return None
        if self._stopping is None:
            if self._ctx.cancel.is_set() or self._ctx.deadline.remaining() <= 0:
                self._stopping = time.monotonic()
        elif time.monotonic() > self._stopping + _GRACE and not self._killed:
            self._ctx.log.warning("process killed: it did not stop", pid=self._process.pid)
            self._kill()
        return messages

    def _kill(self) -> None:
        """Kill it, and what it has started itself."""
        self._killed = True
        if self._process.poll() is None:  # else the number may be another one's by now
            os.killpg(self._process.pid, signal.SIGKILL)

    def wait(self) -> int | None:
        """Return its exit status once it is gone; one that lingers is killed."""
        for _ in range(2):
            try:
                return self._process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                self._kill()
        return None  # in the kernel's hands: it can't even be killed yet


def _environment() -> dict[str, str]:
    """Return our environment for a process that finds the same modules, and is not the daemon."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_KEPT_BACK)}
    return kept | {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}


def _how(status: int | None) -> str:
    """Say how a process ended."""
    if status is None:
        return "can't be killed"
    if status >= 0:
        return f"ended too early, with exit status {status}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-status).name}"
    return f"was ended by signal {-status}"
