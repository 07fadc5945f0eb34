"""Inside the process of one attempt: it does the items as a thread of the daemon would.

It dies with the daemon, whatever it is doing: the kernel kills it with the thread that started it
(PR_SET_PDEATHSIG in prctl(2)), and the end of the line ends it, should that thread go on without.
"""

import ctypes
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime
from socket import socket
from typing import Final, NoReturn

from syncd.context import BoundLogger, CancelSource, Clock, RunContext
from syncd.dispatch.messages import (
    DOWN,
    Abandoned,
    ApiCalled,
    Channel,
    Down,
    Ended,
    ErrorRecorded,
    ItemEnded,
    ItemMeasured,
    Message,
    Noted,
    Opened,
    Order,
    Record,
    StatementDone,
    Stop,
)
from syncd.dispatch.progress import ItemReport, RunProgress
from syncd.dispatch.spec import JobSpec
from syncd.dispatch.work import Items
from syncd.errors import Cancelled, ErrorClass, Fenced, Interrupted, Preempted, TimedOut
from syncd.model.measures import Measures
from syncd.model.run import Counts, ItemOutcome
from syncd.store.database import Store
from syncd.store.outbox import Owed

_PR_SET_PDEATHSIG: Final = 1
_STOPS: Final = {kind.__name__: kind for kind in (Cancelled, Interrupted, Preempted, TimedOut)}


class Parent:
    """The daemon: it has ordered the attempt, and hears of all that is done.

    It is the `Records` and the `ItemObserver` of the items.
    """

    def __init__(self, descriptor: int) -> None:
        """Take the order; from then on the process lives no longer than its parent."""
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # they are for the daemon, which tells us
        self._channel = Channel(socket(fileno=descriptor), DOWN)
        incoming = iter(self._channel)
        self.order = next((m for m in incoming if isinstance(m, Order)), None) or _leave()
        if os.getppid() != self.order.parent:  # it died before the kernel knew of our wish
            _leave()
        self._source = CancelSource()
        threading.Thread(target=self._listen, args=(incoming,), daemon=True).start()

    def _listen(self, incoming: Iterator[Down]) -> None:
        for message in incoming:
            if isinstance(message, Stop):
                self._source.cancel(_STOPS.get(message.kind, Interrupted)(message.why))
        _leave()

    def work(self, spec: JobSpec, store: Store, log: BoundLogger) -> None:
        """Do what was ordered, and tell how it went."""
        claim, progress = self.order.claim, Told(self._channel)
        ctx = RunContext(
            claim=claim,
            job_name=spec.name,
            scheduled_for=self.order.scheduled_for,
            deadline=self.order.deadline,
            cancel=self._source.token,
            selection=self.order.selection,
            held=self.order.held,
            log=log.bind(job=spec.name, run=str(claim.run_id)),
            report=ItemReport(progress, spec.name),
        )
        end: Message
        try:
            end = Ended(Items(store, self, self, Clock()).do(spec, claim, ctx, progress))
        except Fenced as error:
            end = Abandoned(str(error))
        self._channel.send(end)

    def record(self, owed: Owed) -> None:
        """Have an end recorded; one whose claim is void shows in what the parent does then."""
        self._channel.send(Record(owed))

    def item_ended(self, job: str, outcome: ItemOutcome, counts: Counts) -> None:  # noqa: ARG002
        """Have an item counted."""
        self._channel.send(ItemEnded(outcome, counts))

    def item_measured(self, job: str, item: str, measures: Measures, at: datetime) -> None:  # noqa: ARG002
        """Have shown what an item tells beside its counts."""
        self._channel.send(ItemMeasured(item, measures, at))

    def error_recorded(self, job: str, error_class: ErrorClass) -> None:  # noqa: ARG002
        """Have an error counted."""
        self._channel.send(ErrorRecorded(error_class))

    def observe_api(self, provider: str, api: str, outcome: str, seconds: float) -> None:
        """Have a request counted."""
        self._channel.send(ApiCalled(provider, api, outcome, seconds))

    def observe_statement(self, operation: str, seconds: float) -> None:
        """Have an operation of the store counted."""
        self._channel.send(StatementDone(operation, seconds))


class Told(RunProgress):
    """Progress that is told to the parent, who is asked for it."""

    def __init__(self, channel: Channel[Down]) -> None:
        super().__init__()
        self._channel = channel

    def open(self, targets: Sequence[str]) -> None:
        """Name the items of the attempt."""
        self._channel.send(Opened(list(targets)))

    def note(
        self,
        target: str,
        *,
        state: str | None = None,
        done: int | None = None,
        of: int | None = None,
    ) -> None:
        """Note what is new about an item."""
        self._channel.send(Noted(target, state, done, of))


def _leave() -> NoReturn:
    """End at once: there is nobody left to tell of anything."""
    os._exit(1)
