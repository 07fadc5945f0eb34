"""Peak memory of a run over many hosts, against what the process holds at rest.

Each size gets a process of its own, which runs the job twice by hand: all hosts are new, then 1%
are changed. The peak is the kernel's (VmHWM, reset before each run; proc(5)), over the resting
memory of the same process; the goal is a bound for each resource, from the difference between two
sizes, so that what any run needs does not count.

    python -m tests.benchmarks.memory [--sizes 10000 200000]
"""

import argparse
import json
import multiprocessing
import random
import sys
import time
import urllib.request
from multiprocessing.connection import Connection
from pathlib import Path

from syncd import app
from syncd.config.load import load
from syncd.demo.emulator.world import KEYS, REGIONS
from syncd.model.run import Selection
from syncd.telemetry.logging import configure
from tests.benchmarks.listing import emulator
from tests.databases import reachable_directory

GOAL = 250  # bytes a resource


def status(name: str) -> int:
    """Return a figure of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def configuration(directory: Path, url: str) -> Path:
    """Write a configuration with one account and one job by hand."""
    key_id, secret, _ = KEYS["aliyun"]
    file = directory / "syncd.toml"
    file.write_text(
        f"""
        [daemon]
        state_dir = "{directory}/state"
        [defaults]
        timeout = "1h"
        [accounts.bench]
        provider = "aliyun"
        access_key_id = "{key_id}"
        access_key_secret = "{secret}"
        endpoint = "{url}"
        requests_per_second = 10000.0
        [jobs.hosts]
        kind = "cloud"
        accounts = ["bench"]
        """
    )
    file.chmod(0o600)
    return file


def work(file: Path, pipe: Connection) -> None:
    """Run the job whenever told, and tell the peak over rest and the seconds of each run."""
    configure("auto", "error", list)
    with app.local_session(load(file)) as session:
        while pipe.recv() == "run":
            rest = status("VmRSS")
            Path("/proc/self/clear_refs").write_text("5")
            began = time.perf_counter()
            run_id = session.trigger("hosts", Selection(), "bench")
            assert session.wait(run_id, 3600)
            pipe.send((rest, status("VmHWM"), time.perf_counter() - began))


def churn(url: str, size: int) -> None:
    """Change 1% of the hosts."""
    body = {"account": "aliyun-demo", "region": REGIONS["aliyun"][0], "changes": size // 100}
    request = urllib.request.Request(f"{url}/_emulator/churn", json.dumps(body).encode())
    urllib.request.urlopen(request).read()


def measure(size: int) -> dict[str, int]:
    """Return the peak over rest, in bytes, of the first run and of a later one."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    with emulator(size) as url, reachable_directory() as directory:
        worker = spawn.Process(target=work, args=(configuration(directory, url), theirs))
        worker.start()
        peaks = {}
        for kind in ("all new", "1% changed"):
            ours.send("run")
            rest, peak, seconds = ours.recv()
            peaks[kind] = peak - rest
            print(
                f"  {size} hosts, {kind}: rest {rest >> 20} MiB, peak {peak >> 20} MiB,"
                f" {seconds:.1f} s"
            )
            churn(url, size)
        ours.send("stop")
        worker.join()
    return peaks


def main() -> int:
    """Measure both sizes and print the bytes for each further resource."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs=2, default=(10_000, 200_000))
    small, large = parser.parse_args().sizes
    random.seed(1)
    few, many = measure(small), measure(large)
    reached = True
    for kind, peak in many.items():
        each = (peak - few[kind]) / (large - small)
        told = "reached" if each <= GOAL else "MISSED"
        reached = reached and each <= GOAL
        print(f"{kind}: {each:.0f} bytes for each further resource  goal {GOAL}: {told}")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
