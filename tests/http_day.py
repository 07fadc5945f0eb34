"""A simulated day of HTTP jobs: time is moved by hand, all else is real.

The dispatch with its threads, the store, the calls and the server are the real ones. A day goes by
in steps: the clock is set to the next moment at which anything is due, and what comes of it is
waited for. What waits inside a run (between two tries, two looks at a status) does not wait.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from api_server import ApiServer, Record
from api_wire import Answer
from dispatch_desk import Keeps, until
from dispatch_helpers import HandClock, Watcher, plain_log
from psycopg.rows import dict_row
from token_helpers import KEY

from syncd import assembly
from syncd.calls.clients import Clients
from syncd.calls.login import Login
from syncd.calls.tokens import Tokens
from syncd.config.configuration import Config
from syncd.config.load import load
from syncd.dispatch.gates import Limits, MachineGates
from syncd.dispatch.service import Dispatch
from syncd.dispatch.wanted import Wanted
from syncd.store.database import Store
from syncd.store.outbox import Outbox

EXAMPLE = Path(__file__).parents[1] / "etc" / "conf.d" / "statistics.toml.example"
PREFIX = "/api/v1/statistics/"
Row = dict[str, Any]
_LONGEST = timedelta(minutes=5)


@dataclass
class Day:
    """The world of the day, and its log."""

    store: Store
    api: ApiServer
    clock: HandClock
    config: Config
    dispatch: Dispatch
    password: Path
    watcher: Watcher
    events: list[tuple[datetime, Callable[[], object]]] = field(default_factory=list)

    def at(self, moment: datetime, act: Callable[[], object]) -> None:
        """Do something at a moment, before anything that is due then."""
        self.events = sorted([*self.events, (moment, act)], key=lambda event: event[0])

    def live(self, until_: datetime) -> None:
        """Let time pass; at the end nothing is due any more, and nothing under way."""
        while (moment := self._next()) < until_:
            self.clock.pass_((moment - self.clock.now()).total_seconds())
            while self.events and self.events[0][0] <= moment:
                self.events.pop(0)[1]()
            self._settle()

    def rows(self, query: str) -> list[Row]:
        with psycopg.connect(self.store.dsn, row_factory=dict_row) as connection:
            return connection.execute(query.encode()).fetchall()

    def _next(self) -> datetime:
        """Return the next moment at which anything may happen; some are there for nothing."""
        now, dispatch = self.clock.now(), self.dispatch
        soon = [moment for moment, _ in self.events]
        soon += [due for due in dispatch.timetable.next_runs().values() if due]
        soon += [run.ready_at for run in dispatch.waiting()]
        return min([now + _LONGEST, *(each for each in soon if each > now)])

    def _settle(self) -> None:
        """Let all that is due now be done."""
        dispatch, table = self.dispatch, self.dispatch.timetable
        table._take_posted(0)
        table.turn()
        while table._scheduler.behind or table._scheduler.unsure:
            table.turn()
        while True:
            self._pass_turn()
            if not dispatch.active():
                return
            until(lambda: not dispatch.active())

    def _pass_turn(self) -> None:
        """Wait until the dispatcher has done a whole turn: one lies between two answers."""
        for _ in range(3):
            self.dispatch._lead()[1].ask(lambda: None)


@contextmanager
def day(dsn: str, directory: Path, api: ApiServer, clock: HandClock) -> Iterator[Day]:
    """Give a world whose jobs are those of the shipped example, on this server."""
    environ = {"CREDENTIALS_DIRECTORY": os.environ["CREDENTIALS_DIRECTORY"]}
    config = load(_written(dsn, directory, api), environ, check_secrets=True)
    store = Store(dsn, connect_timeout=timedelta(seconds=5))
    store.open()
    outbox = Outbox(directory / "outbox")
    log, watcher, limits = plain_log(), Watcher(), Limits(3, 1, 1, load=0.0, free_disk=0)
    tokens = Tokens(
        directory / "state" / "tokens",
        KEY,
        Login(Clients(), clock),
        watcher.observe_api,
        clock,
        log,
    )
    accounts = assembly.Accounts(store, watcher.observe_api, KEY)
    specs = assembly.job_specs(config, store, accounts, tokens)
    dispatch = Dispatch(
        store=store, outbox=outbox, instance="day",
        limits=limits, gates=MachineGates(directory, log),
        observer=watcher, keeper=Keeps(), entry=_no_entry, tick=lambda _: None,
        clock=clock, log=log,
    )  # fmt: skip
    try:
        assert dispatch.take_over(lambda: Wanted(specs, (), limits))
        yield Day(store, api, clock, config, dispatch, directory / "credentials" / "iam", watcher)
    finally:
        dispatch.drain(0.0, threading.Event(), lambda: None)
        dispatch.stop()
        outbox.close()
        store.close()


def _written(dsn: str, directory: Path, api: ApiServer) -> Path:
    """Write the configuration; the example's text is as shipped, but for its addresses."""
    text = EXAMPLE.read_text()
    for host in ("iam.example.com", "api.example.com"):
        text = text.replace(f"https://{host}", api.url).replace(f'"{host}"', f'"{api.host}"')
    assert "example.com" not in text
    (directory / "conf.d").mkdir()
    (directory / "conf.d" / "statistics.toml").write_text(text)
    main = directory / "syncd.toml"
    main.write_text(
        f'[store]\ndsn = "{dsn}"\n[daemon]\nstate_dir = "{directory / "state"}"\n'
        "[jobs.retention]\nenabled = false\n"
    )
    main.chmod(0o600)
    for folder in ("credentials", "state"):
        (directory / folder).mkdir()
    (directory / "credentials" / "iam").write_text(api.password)
    (directory / "credentials" / "oncall-url").write_text(f"{api.url}/hooks/oncall")
    return main


def _no_entry(_: object) -> Any:
    raise AssertionError("no job of the day runs in a process of its own")


def serve_statistics(api: ApiServer) -> None:
    """Let a server answer as the example expects."""
    looks: dict[str, int] = {}

    def task(record: Record) -> Answer:
        looks[record.path] = looks.get(record.path, 0) + 1
        state = "done" if looks[record.path] > 2 else "running"
        return Answer(200, {"code": 0, "state": state})

    def quarterly(record: Record) -> Answer:
        place = f"{PREFIX}tasks/{record.number}"
        return Answer(202, {"code": 0, "state": "queued"}, {"Location": place})

    def check(record: Record) -> Answer:
        return Answer(201, {"code": 0, "data": {"id": f"check-{record.number}"}})

    api.on(f"{PREFIX}tasks/", task)
    api.on(f"{PREFIX}sync/quarterly", quarterly)
    api.on(f"{PREFIX}checks", check)
    api.on(f"{PREFIX}checks/", Answer(200, {"code": 0, "data": {"differences": 0}}))
