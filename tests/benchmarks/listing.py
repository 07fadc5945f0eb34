"""Listing hosts through each provider, against the limit: bare `http.client` and orjson.

The limit fetches the very same pages from the same emulator, which runs in a process of its own,
over one kept connection with requests that were signed beforehand, and decodes them; it verifies
nothing and keeps nothing. Rounds are interleaved, since absolute times drift; a ratio is the median
over the rounds. Wall times hold the emulator's share in all columns, CPU times are the client's.

    python -m tests.benchmarks.listing [--hosts 20000] [--rounds 5]
"""

import argparse
import http.client
import multiprocessing
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

import orjson
import structlog

from syncd.context import CancelSource, CancelToken, Deadline, RunContext
from syncd.demo.emulator.emulator import Emulator
from syncd.demo.emulator.faults import Fault
from syncd.demo.emulator.world import KEYS, REGIONS, World
from syncd.http_client import HttpClient, Response
from syncd.model.resource import Scope
from syncd.model.run import Claim, Selection, new_run_id
from syncd.providers.base import AccountAccess, Provider
from syncd.providers.registry import build

GOALS = {"listing": 1.6, "with rows": 3.0}
GOAL_OF_FIVE = 1.3
PAGE_SECONDS = 0.05
FIVE = 5


@dataclass(frozen=True)
class Sent:
    """A signed request."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None


class Recorder(HttpClient):
    """Keeps the answers of one listing; then gives them again and keeps the requests instead."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[Response] = []
        self.requests: list[Sent] | None = None

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
        deadline: Deadline,
        cancel: CancelToken,
    ) -> Response:
        if self.requests is None:
            self.answers.append(
                super().request(
                    method, url, headers=headers, body=body, deadline=deadline, cancel=cancel
                )
            )
            return self.answers[-1]
        self.requests.append(Sent(method, url, headers, body))
        return self.answers[len(self.requests) - 1]


class Silent:
    """A reporter that forgets."""

    def progress(self, done: int, of: int | None = None) -> None: ...
    def error(self, resource_id: str, error: Exception) -> None: ...
    def detail(self, name: str, value: object) -> None: ...
    def meanwhile(self, name: str, value: object) -> None: ...


def context() -> RunContext:
    now = datetime.now(UTC)
    return RunContext(
        Claim(new_run_id(now), "test", 1, 1), "bench", now,
        Deadline.after(3600), CancelSource().token, Selection(), {}, structlog.get_logger(),
        Silent(),
    )  # fmt: skip


def serve(pipe: Connection, hosts: int, regions: int, latency: float) -> None:
    with Emulator(World.sized(hosts, regions)) as emulator:
        if latency:
            emulator.faults.add(Fault(kind="latency", seconds=latency))
        pipe.send(emulator.url)
        pipe.recv()


@contextmanager
def emulator(hosts: int, regions: int = 1, latency: float = 0) -> Iterator[str]:
    """Run the emulator in a process of its own and yield its address."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=serve, args=(theirs, hosts, regions, latency))
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("stop")
        process.join()


def provider(name: str, url: str, http: HttpClient) -> Provider:
    key_id, secret, _ = KEYS[name]  # type: ignore[index]
    access = AccountAccess(name, name, key_id, lambda: secret, url, requests_per_second=1e6)
    return build(access, http)


def scope(name: str, region: int = 0) -> Scope:
    return Scope(name, REGIONS[name][region], "host")  # type: ignore[index]


def run_limit(requests: Sequence[Sent]) -> None:
    """Fetch and decode the pages with as little as possible."""
    connection = http.client.HTTPConnection(urlsplit(requests[0].url).netloc)
    for sent in requests:
        target = sent.url.partition("/")[2].partition("/")[2].partition("/")[2]
        connection.request(sent.method, "/" + target, sent.body, dict(sent.headers))
        orjson.loads(connection.getresponse().read())
    connection.close()


def run_listing(cloud: Provider, name: str, region: int = 0) -> int:
    return sum(len(page.entries) for page in cloud.list(context(), scope(name, region), None))


def run_with_rows(cloud: Provider, name: str) -> int:
    pages = cloud.list(context(), scope(name), None)
    return sum(1 for page in pages for entry in page.entries if entry.row())


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return wall and CPU seconds of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def compare(name: str, url: str, hosts: int, rounds: int) -> bool:
    """Print the ratios of one cloud; tell whether the goals are reached."""
    recorder = Recorder()
    recording, cloud = provider(name, url, recorder), provider(name, url, HttpClient())
    assert run_listing(recording, name) == hosts
    size = sum(len(answer.body) for answer in recorder.answers)
    print(f"{name}: {hosts} hosts, {len(recorder.answers)} pages, {size / 1e6:.0f} MB")
    times: dict[str, list[tuple[float, float]]] = {"limit": [], "listing": [], "with rows": []}
    for _ in range(rounds):
        recorder.requests = []
        run_listing(recording, name)
        signed = recorder.requests
        times["limit"].append(timed(lambda signed=signed: run_limit(signed)))
        times["listing"].append(timed(lambda: run_listing(cloud, name)))
        times["with rows"].append(timed(lambda: run_with_rows(cloud, name)))
    reached = [report(times, what) for what in times]
    return all(reached)


def report(times: Mapping[str, Sequence[tuple[float, float]]], what: str) -> bool:
    pairs = list(zip(times[what], times["limit"], strict=True))
    wall, cpu = (statistics.median(mine[i] / limit[i] for mine, limit in pairs) for i in (0, 1))
    seconds = statistics.median(wall for wall, _ in times[what])
    goal = GOALS.get(what)
    told = "" if goal is None else f"  goal {goal}: {'reached' if wall <= goal else 'MISSED'}"
    print(f"  {what:10} {seconds:6.2f} s  ratio {wall:4.2f}  CPU ratio {cpu:4.2f}{told}")
    return goal is None or wall <= goal


def compare_five(name: str, url: str, hosts: int) -> bool:
    """Print how five regions at once compare with the time that the answers alone take."""
    recorder, http_client = Recorder(), HttpClient()
    run_listing(provider(name, url, recorder), name)
    floor = len(recorder.answers) * PAGE_SECONDS
    cloud = provider(name, url, http_client)

    def all_five() -> None:
        threads = [threading.Thread(target=run_listing, args=(cloud, name, n)) for n in range(FIVE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    all_five()  # connects
    wall = statistics.median(timed(all_five)[0] for _ in range(5))
    ratio = wall / floor
    verdict = "reached" if ratio <= GOAL_OF_FIVE else "MISSED"
    print(f"{name}: {FIVE} regions of {hosts} hosts, {PAGE_SECONDS * 1e3:.0f} ms an answer")
    print(f"  floor {floor:.2f} s, took {wall:.2f} s, ratio {ratio:.2f}")
    print(f"  goal {GOAL_OF_FIVE}: {verdict}")
    return ratio <= GOAL_OF_FIVE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    reached = []
    with emulator(options.hosts) as url:
        reached += [compare(name, url, options.hosts, options.rounds) for name in KEYS]
    with emulator(2_000, FIVE, PAGE_SECONDS) as url:
        reached += [compare_five(name, url, 2_000) for name in KEYS]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
