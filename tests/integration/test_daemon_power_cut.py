"""The machine loses its power, or its files come back otherwise: what the next start does."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from daemon_helpers import Site, check_records, inventory, job, site, truth, until

from syncd.model.run import Selection
from syncd.store.embedded.process import serves


def cut_power(place: Site) -> None:
    """Kill the daemon and every process of its server, as nearly at once as can be."""
    data = place.state_dir / "postgresql" / "data"
    numbers = [int(one.name) for one in Path("/proc").iterdir() if one.name.isdecimal()]
    process = place.processes[-1]
    process.popen.send_signal(signal.SIGKILL)
    for pid in numbers:
        if serves(pid, data):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()


def give_its_number_to_another(place: Site, other: int) -> None:
    """Have the lock files that the power cut left name a process that lives."""
    home = place.state_dir / "postgresql"
    for path in (home / "data" / "postmaster.pid", home / "run" / ".s.PGSQL.5432.lock"):
        lines = path.read_text().split("\n")
        path.write_text("\n".join([str(other), *lines[1:]]))


def test_after_a_power_cut_the_next_start_loses_nothing_though_its_number_is_anothers() -> None:
    with site(hosts=50) as place, subprocess.Popen(["sleep", "600"]) as other:
        try:
            place.configure({"hosts": job(retries=["1s"])})
            place.up()
            first = place.client.trigger("hosts", Selection(), "me")
            until(lambda: place.client.wait(first, 5), 20, "a run")
            number = place.fault("hang", action="DescribeInstances")
            slow = place.client.trigger("hosts", Selection(), "me")
            waiting = "select from syncd.run where id = %s and status = 'running'"
            until(lambda: place.rows(waiting, slow), 20, "a run under way")
            cut_power(place)
            give_its_number_to_another(place, other.pid)
            place.emulator.faults.clear(number)
            process = place.up()
            until(lambda: place.runs("id = %s and status = 'success'", slow), 40, "the same run")
            assert place.runs("id = %s and status = 'success'", first)
            assert inventory(place) == truth(place.emulator)
            assert other.poll() is None
            assert process.stop() == 0
            place.server.start(60)
            check_records(place)
        finally:
            other.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_state_directory_that_can_not_be_written_is_named() -> None:
    with site() as place:
        place.configure({"hosts": job()})
        place.state_dir.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", place.state_dir]
        if subprocess.run(mount, check=False).returncode != 0:
            pytest.skip("this root may not mount")
        try:
            process = place.start()
            assert process.wait() == 69
            assert (
                f"{place.state_dir}: the state directory can't be used: Read-only" in process.text
            )
            assert "Traceback" not in process.text
        finally:
            subprocess.run(["umount", place.state_dir], check=True)


def test_the_log_of_the_embedded_server_does_not_outgrow_its_bound_under_the_daemon() -> None:
    with site() as place:
        place.configure({"hosts": job()})
        place.up()
        (log,) = (place.state_dir / "postgresql" / "log").iterdir()
        with log.open("ab") as file:
            file.write(b"x\n" * (5 << 20))
        until(lambda: log.stat().st_size < 1 << 20, 20, "a log within bounds")
