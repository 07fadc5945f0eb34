"""Checks of the machine's clock: every schedule, lease and signature rests on it."""

import ctypes
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from syncd.doctor.case import Case, now
from syncd.doctor.finding import Finding, Unknown, failed, ok, some, span, warning

_KEEPERS: Final = {
    "systemd-timesyncd": Path("/run/systemd/timesync/synchronized"),
    "chronyd": Path("/run/chrony/chronyd.pid"),
}
"""Who may keep the clock right without telling the kernel so, and what shows that."""
_UNSYNCHRONISED: Final = 0x40  # STA_UNSYNC
_ERROR: Final = 5  # TIME_ERROR
_EPOCH: Final = 2026  # no clock that is right shows an earlier year


class _Timex(ctypes.Structure):
    """The beginning of `struct timex` (adjtimex(2)), and room for the rest of it."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 32),
    )


def _kernel_says() -> tuple[bool, float] | None:
    """Return whether the kernel's clock is kept right, and its greatest error in seconds.

    None where it can't be asked: a sandbox may forbid even reading it.
    """
    found = _Timex()
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(found))
    if state < 0:
        return None
    return state != _ERROR and not found.status & _UNSYNCHRONISED, found.maxerror / 1e6


def synchronised(_: Case) -> Finding:
    """Ask the kernel, and look who is there to keep its clock."""
    return judge_synchronised(_kernel_says(), [n for n, p in _KEEPERS.items() if p.exists()])


def judge_synchronised(kernel: tuple[bool, float] | None, keepers: Sequence[str]) -> Finding:
    """Judge whether anybody keeps the clock right."""
    if kernel and kernel[0]:
        return ok(f"by the network, within {span(kernel[1])}")
    if keepers:
        return ok(f"by {some(keepers)}")
    if kernel is None:
        raise Unknown("the kernel can't be asked here")
    advice = "timedatectl set-ntp true, or run chrony"
    return warning("nobody keeps the clock right", advice)


def zones(case: Case) -> Finding:
    """Load the zones of the configuration."""
    names = {case.config.timezone, *(job.timezone for job in case.config.jobs.values())}
    lacking = []
    for name in sorted(names):
        try:
            ZoneInfo.no_cache(name)
        except (OSError, ValueError):
            lacking.append(name)
    if lacking:
        return failed(f"no data of {some(lacking)}", "install the system's tzdata")
    return ok(some(sorted(names)))


def boot(_: Case) -> Finding:
    """Tell since when the machine runs."""
    up = time.clock_gettime(time.CLOCK_BOOTTIME)
    return judge_boot(up, now().year)


def judge_boot(up: float, year: int) -> Finding:
    """Judge whether the clock can be right at all."""
    if year < _EPOCH:
        return failed(f"the clock shows the year {year}", "set the clock; has its battery died?")
    return ok(f"the machine is up for {span(up)}")
