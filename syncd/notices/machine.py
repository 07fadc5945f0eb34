"""The rules of what is wrong with a machine and its daemon, and the words in which it is told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from syncd.notices.conditions import Look, Rule
from syncd.telemetry import machine

_MIB: Final = 2**20
_MEMORY_SHARE: Final = 0.05
_MEMORY_MOST: Final = 512 * _MIB
"""Memory is short below a twentieth of the machine's, but never above half a gibibyte."""
_ROOM: Final = 1.1
"""What ran short is well again once there is a tenth more than the limit."""
STORE: Final = "store"


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the readings come from; each returns at once.

    `free_disk` and `load_limit` are the limits in force, `store` tells why it is out of reach,
    `reload` why the last reload failed: "" for neither.
    """

    directory: Path
    free_disk: Callable[[], int]
    load_limit: Callable[[], float]
    stuck: Callable[[], int]
    store: Callable[[], str]
    reload: Callable[[], str]
    disk: Callable[[Path], float] = machine.disk_free_bytes
    load: Callable[[], float] = machine.load_per_cpu
    memory: Callable[[], float] = machine.memory_available_bytes
    memory_total: Callable[[], float] = machine.memory_total_bytes


def rules(of: Machine) -> Sequence[Rule]:
    """Return what is looked at."""
    low = _Low(of)
    return (
        Rule("disk", "resource", low.disk),
        Rule("memory", "resource", low.memory, after=60),
        Rule("load", "resource", lambda: _load(of), after=300),
        Rule("workers", "resource", lambda: _stuck(of.stuck()), after=30),
        Rule(STORE, "resource", lambda: _store(of.store()), after=60, calm=30),
        Rule("configuration", "reload_failed", lambda: _reload(of.reload()), calm=0),
    )


class _Low:
    """What there must be enough of; once short, a little more is asked for."""

    def __init__(self, of: Machine) -> None:
        self._of = of
        self._short: set[str] = set()

    def disk(self) -> Look:
        """Look at the disk of the state directory."""
        of = self._of
        free, limit = of.disk(of.directory), of.free_disk()
        where = f"disk, where {of.directory} is"
        return self._look("disk", where, free, limit, "no run starts meanwhile")

    def memory(self) -> Look:
        """Look at the memory that programs can still get."""
        of = self._of
        limit = min(_MEMORY_SHARE * of.memory_total(), _MEMORY_MOST)
        return self._look("memory", "memory", of.memory(), limit, "")

    def _look(self, short: str, thing: str, free: float, limit: float, then: str) -> Look:
        bad = free < limit * (_ROOM if short in self._short else 1.0)
        (self._short.add if bad else self._short.discard)(short)
        told = f"{free / _MIB:,.0f} MiB of {thing}, are free; {limit / _MIB:,.0f} MiB should be"
        told = told if "," in thing else told.replace(f"{thing},", thing)
        return Look(bad, {"short": short, "thing": told + (f": {then}" if then else "")})


def _load(of: Machine) -> Look:
    load, limit = of.load(), of.load_limit()
    thing = f"the load of a processor is {load:.2f}, the limit {limit:g}: what is not urgent waits"
    return Look(0 < limit < load, {"short": "load", "thing": thing})


def _stuck(count: int) -> Look:
    thing = "a thread is" if count == 1 else f"{count} threads are"
    told = f"{thing} stuck: their jobs wait for them; a restart of syncd helps"
    return Look(count > 0, {"short": "workers", "thing": told})


def _store(why: str) -> Look:
    told = "the store is out of reach: no run starts, and what ends is kept in files"
    return Look(bool(why), {"short": "store", "thing": told, "error": why})


def _reload(why: str) -> Look:
    return Look(bool(why), {"short": "configuration", "thing": "", "error": why})
