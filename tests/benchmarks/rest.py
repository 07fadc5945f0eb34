"""The daemon at rest: the time until it is ready, and its memory, before and after a first run.

It runs as a process of its own on a store that stands already (which the goal excludes), tells by
sd_notify when it is ready, and then waits for jobs that are not due. Its peers, in the same run: a
bare interpreter that imports the libraries it can't do without, for the time; an APScheduler 3.11
with one idle job, for the memory.

    python -m tests.benchmarks.rest [--rounds 5]
"""

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from syncd.demo.emulator.world import KEYS
from syncd.store.embedded import EmbeddedPostgres
from tests.benchmarks.listing import emulator
from tests.databases import reachable_directory

READY_GOAL = 0.5  # seconds
REST_GOAL, USED_GOAL = 55, 80  # MiB
LIBRARIES = "import psycopg, psycopg_pool, pydantic_settings, prometheus_client, structlog, urllib3"
APSCHEDULER = """
import time
from apscheduler.schedulers.background import BackgroundScheduler
scheduler = BackgroundScheduler()
scheduler.add_job(print, "interval", hours=1)
scheduler.start()
print("ready", flush=True)
time.sleep(60)
"""


def memory(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise LookupError("VmRSS")


def configuration(directory: Path, dsn: str, url: str) -> Path:
    """Write a configuration with a job for each cloud that is due in an hour or by hand."""
    text = f'[store]\ndsn = "{dsn}"\n[daemon]\nstate_dir = "{directory}/state"\n'
    text += '[listen]\nhttp = "127.0.0.1:0"\n'
    for name, (key_id, secret, _) in KEYS.items():
        text += f'[accounts.{name}]\nprovider = "{name}"\nendpoint = "{url}"\n'
        text += f'access_key_id = "{key_id}"\naccess_key_secret = "{secret}"\n'
        text += f'[jobs.{name}]\nkind = "cloud"\naccounts = ["{name}"]\nschedule = "0 0 1 1 *"\n'
    file = directory / "syncd.toml"
    file.write_text(text)
    file.chmod(0o600)
    return file


@contextmanager
def daemon(file: Path) -> Iterator[tuple[int, float]]:
    """Run the daemon; give its pid and the seconds until it was ready."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        address = str(file.parent / "notify")
        told.bind(address)
        told.settimeout(60)
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "syncd", "--config", file, "run"],
            env={**os.environ, "NOTIFY_SOCKET": address},
            stderr=subprocess.DEVNULL,
        )
        try:
            while b"READY=1" not in told.recv(4096):
                continue
            yield process.pid, time.perf_counter() - began
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            Path(address).unlink()


def seconds_of(code: str) -> float:
    """Return how long an interpreter takes that does no more than this."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - began


def apscheduler() -> float:
    """Return the resident memory, in MiB, of an idle APScheduler."""
    with subprocess.Popen(
        [sys.executable, "-c", APSCHEDULER], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            return memory(process.pid)
        finally:
            process.kill()


def run_all(file: Path) -> None:
    """Run both jobs by hand, so that both SDKs are loaded."""
    for job in KEYS:
        command = [sys.executable, "-m", "syncd", "--config", file, "trigger", job, "--wait"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    ready, imports, rest = [], [], []
    with reachable_directory() as directory, emulator(50, 2) as url:
        server = EmbeddedPostgres(directory)
        file = configuration(directory, server.start(60), url)
        try:
            for _ in range(rounds):
                imports.append(seconds_of(LIBRARIES))
                with daemon(file) as (pid, seconds):
                    ready.append(seconds)
                    rest.append(memory(pid))
            with daemon(file) as (pid, _seconds):
                run_all(file)
                used = memory(pid)
        finally:
            server.stop(30)
    seconds, libraries = statistics.median(ready), statistics.median(imports)
    resting, peer = statistics.median(rest), apscheduler()
    print(f"ready after {seconds:.2f} s, goal {READY_GOAL} s")
    print(f"  {seconds / libraries:.2f} times its libraries' import ({libraries:.2f} s)")
    print(f"at rest {resting:.0f} MiB, goal {REST_GOAL}; {resting / peer:.1f} times APScheduler's")
    print(f"after a run of both clouds {used:.0f} MiB, goal {USED_GOAL}")
    return 0 if seconds <= READY_GOAL and resting <= REST_GOAL and used <= USED_GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
