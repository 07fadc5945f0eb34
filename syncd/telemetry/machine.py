"""How the machine is doing: free disk, load, memory; each read takes microseconds."""

import os
from pathlib import Path
from typing import Final

_MEMINFO: Final = Path("/proc/meminfo")


def load_per_cpu() -> float:
    """Return the load average of the last minute for each processor of the machine."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def memory_available_bytes() -> float:
    """Return what programs can still get without swapping (MemAvailable, proc_meminfo(5))."""
    return _memory("MemAvailable")


def memory_total_bytes() -> float:
    """Return the memory that the machine has (MemTotal, proc_meminfo(5))."""
    return _memory("MemTotal")


def _memory(wanted: str) -> float:
    for line in _MEMINFO.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == wanted:
            return float(value.split()[0]) * 1024
    raise LookupError(f"the kernel does not tell {wanted}")


def disk_free_bytes(path: Path) -> float:
    """Return what an unprivileged process can still write at a path; raises OSError."""
    status = os.statvfs(path)
    return float(status.f_bavail * status.f_frsize)
