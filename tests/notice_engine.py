"""What tells people, on a real store, with real receivers and a clock that the test moves."""

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from daemon_helpers import until
from dispatch_helpers import Bench
from notify_receivers import Answer, Received, Receiver, receiving
from raw_server import Peer, serving
from toml_text import toml

from syncd.config.configuration import Config
from syncd.config.load import load
from syncd.model.run import Outcome
from syncd.notices.conditions import Look, Rule
from syncd.notices.engine import Engine
from syncd.store import leader, runs
from syncd.store.leader import Lease
from syncd.store.runs import RunEnd
from syncd.telemetry.metrics import Metrics

WAIT = 10.0
JOB: Mapping[str, Any] = {"kind": "http", "request": {"url": "http://127.0.0.1:1/"}}


@dataclass
class Plan:
    """The schedule as the engine sees it."""

    held: Lease | None = None
    every: dict[str, float] = field(default_factory=dict)
    stopped: dict[str, bool] = field(default_factory=dict)

    def lease(self) -> Lease | None:
        return self.held

    def gaps(self) -> Mapping[str, float]:
        return self.every

    def paused(self) -> Mapping[str, bool]:
        return self.stopped


class Announcing:
    """An engine on a bench; the test calls for each look, the sending threads are real."""

    def __init__(self, bench: Bench, directory: Path, instance: str = "web-1:abc") -> None:
        self.bench, self.clock, self.directory = bench, bench.clock, directory
        self.plan = Plan(leader.acquire(bench.store, f"daemon:{instance}"))
        self.bad: dict[str, Look] = {}
        self.metrics = Metrics("1", self.clock.now())
        things = (("store", "resource"), ("disk", "resource"), ("configuration", "reload_failed"))
        rules = [
            Rule(thing, event, lambda t=thing: self.bad.get(t, Look(bad=False)), calm=0)  # type: ignore[misc, arg-type]
            for thing, event in things
        ]
        self.engine = Engine(
            store=bench.store, instance=instance, schedule=self.plan, rules=rules,
            observer=self.metrics, clock=self.clock, log=bench.log,
        )  # fmt: skip

    def configure(self, channels: Mapping[str, Any], jobs: Mapping[str, Any] | None = None) -> None:
        """Use channels, each by its URL or its keys, and jobs by what they say besides."""
        tables = {
            "daemon": {"state_dir": str(self.directory)},
            "notify": {
                name: {
                    "channel": "webhook",
                    **(keys if isinstance(keys, Mapping) else {"url": keys}),
                }
                for name, keys in channels.items()
            },
            "jobs": {name: {**JOB, **keys} for name, keys in (jobs or {"j": {}, "k": {}}).items()},
        }
        self.engine.configure(self.load(tables))

    def load(self, tables: Mapping[str, Any]) -> Config:
        file = self.directory / "syncd.toml"
        file.touch(mode=0o600)
        file.write_text(toml(tables))
        return load(file)

    def look(self) -> None:
        """Look once, and have what waits sent, whatever it waits for."""
        self.engine.turn(heard=True)
        self.hurry()

    def hurry(self) -> None:
        for post in (self.engine._channels, self.engine._pings):
            for name in post.outlets:
                post._lines.hurry(name)

    def pass_(self, seconds: float) -> None:
        self.clock.pass_(seconds)  # type: ignore[attr-defined]  # a HandClock
        self.look()

    def ended(self, status: Any = "failed", job: str = "j", ago: float = 0, **end: Any) -> UUID:
        """Record a run that ended some seconds ago."""
        claim = self.bench.begun(job, trigger="manual")
        failed = status == "failed"
        outcome = Outcome(
            status, end.get("error_class", "network") if failed else None,
            end.get("error", "reset by peer") if failed else None,
        )  # fmt: skip
        with self.bench.store.transaction() as tx:
            at = self.clock.now() - timedelta(seconds=ago)
            runs.end_run(tx, claim, RunEnd(outcome, at, 1.5))
        return claim.run_id

    def queue(self) -> list[tuple[Any, ...]]:
        """Return channel, event and state of all messages, in their order."""
        return self.bench.execute(
            """select channel, event, case when sent_at is not null then 'sent'
                      when given_up_at is not null then 'given up' else 'waits' end
               from syncd.notification order by id"""
        )

    def settled(self) -> bool:
        """Tell whether nothing waits."""
        return all(state != "waits" for *_, state in self.queue())

    def await_settled(self) -> None:
        until(self.settled, WAIT, f"all sent: {self.queue()}")

    def close(self) -> None:
        self.engine.stop(5)


class Receivers:
    """Real receivers: each takes what comes, unless the test says otherwise."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.over = threading.Event()
        self.status = 204

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._stack.close()

    def open(self, path: str = "/") -> Receiver:
        """Give a receiver that answers with `status`."""

        def judge(_: Received) -> Answer:
            return self.status, {}, b""

        return self._stack.enter_context(receiving(judge, path))

    def hanging(self) -> str:
        """Return the URL of one that takes a request and says nothing."""

        def hang(peer: Peer) -> None:
            peer.request()
            self.over.wait(WAIT)

        return self._stack.enter_context(serving(hang)).url


def told(receiver: Receiver) -> list[tuple[str, str]]:
    """Return event and key of what a webhook was sent, in order."""
    return [(d["event"], d["key"]) for d in (one.document for one in list(receiver.received))]
