"""Checks of the machine: memory, open files, load."""

import os
import resource
from typing import Final

from syncd.doctor.case import Case
from syncd.doctor.finding import Finding, Unknown, failed, ok, size, warning
from syncd.telemetry import machine

_LITTLE: Final = 128 * 2**20  # bytes
_NOTHING: Final = 32 * 2**20
_FILES: Final = 1024  # open at once, as far as syncd needs them


def memory(_: Case) -> Finding:
    """Look at the memory that is left."""
    try:
        return judge_memory(machine.memory_available_bytes())
    except (OSError, LookupError) as error:
        raise Unknown("the kernel does not tell") from error


def judge_memory(available: float) -> Finding:
    """Judge the memory that programs can still get."""
    text = f"{size(available)} available"
    advice = "add memory, or end other programs: the kernel may kill the daemon"
    if available < _NOTHING:
        return failed(text, advice)
    return warning(text, advice) if available < _LITTLE else ok(text)


def files(_: Case) -> Finding:
    """Look at the limit of open files."""
    try:
        limit, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are enough
    except (OSError, ValueError) as error:  # a sandbox may forbid it
        raise Unknown("the kernel does not tell") from error
    return judge_files(used, limit)


def judge_files(used: int, limit: int) -> Finding:
    """Judge how many files can be open; a negative limit is none."""
    if limit < 0:
        return ok(f"{used} open, without limit")
    text = f"{used} of {limit} open"
    if used > 0.8 * limit:
        return failed(text, "raise LimitNOFILE in the unit, and restart the daemon")
    if limit < _FILES:
        return warning(text, f"set LimitNOFILE to {_FILES} or more")
    return ok(text)


def load(case: Case) -> Finding:
    """Look at the load against the gate's limit."""
    processors = os.cpu_count() or 1
    try:
        now, _, quarter = (each / processors for each in os.getloadavg())
    except OSError as error:  # a sandbox may hide it
        raise Unknown("the kernel does not tell") from error
    return judge_load(now, quarter, case.config.daemon.load_limit)


def judge_load(now: float, quarter: float, limit: float) -> Finding:
    """Judge the load of a processor, of the last minute and of a quarter of an hour."""
    text = f"{now:.2f} for each processor"
    if limit == 0:
        return ok(f"{text}; the gate is off")
    if now <= limit:
        return ok(f"{text}, below load_limit {limit:g}")
    advice = "raise daemon.load_limit, or find what keeps the machine busy"
    if quarter > limit:
        text += f", {quarter:.2f} over a quarter of an hour"
    return warning(f"{text}: above load_limit {limit:g}, only urgent runs start", advice)
