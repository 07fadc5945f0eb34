import os
from pathlib import Path

from syncd.telemetry.machine import disk_free_bytes, load_per_cpu, memory_available_bytes


def test_the_load_is_that_of_each_processor(monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (6.0, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert load_per_cpu() == 1.5


def test_available_memory_is_in_bytes():
    assert (
        2**20 < memory_available_bytes() < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE")
    )


def test_free_disk_is_in_bytes(tmp_path: Path):
    status = os.statvfs(tmp_path)
    assert 0 <= disk_free_bytes(tmp_path) <= status.f_blocks * status.f_frsize
