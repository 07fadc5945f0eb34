"""The gates of the machine: while its load is high or its disk short, runs wait."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from syncd.context import BoundLogger
from syncd.model.run import Gate
from syncd.telemetry import machine


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may happen at once, and when the machine has too much to do.

    `load` is the 1-minute average for each processor above which what is not urgent waits (0: it
    never does), `free_disk` the bytes below which nothing starts.
    """

    runs: int
    per_account: int
    per_server: int
    load: float
    free_disk: int


@dataclass(frozen=True, slots=True)
class Reading:
    """One gate: whether it is closed, what was measured, and its limit."""

    closed: bool
    value: float
    limit: float


class MachineGates:
    """Looks at the machine when asked, and tells when a gate closes or opens."""

    def __init__(
        self,
        directory: Path,
        log: BoundLogger,
        load: Callable[[], float] = machine.load_per_cpu,
        free: Callable[[Path], float] = machine.disk_free_bytes,
    ) -> None:
        self._directory, self._log = directory, log
        self._load, self._free = load, free
        self._closed: frozenset[Gate] = frozenset()

    def read(self, limits: Limits) -> dict[Gate, Reading]:
        """Return the gates as they are now; a disk that can't be asked counts as full."""
        try:
            free = self._free(self._directory)
        except OSError:
            free = 0.0
        load = self._load()
        return {
            "load": Reading(0 < limits.load < load, load, limits.load),
            "disk": Reading(free < limits.free_disk, free, float(limits.free_disk)),
        }

    def closed(self, limits: Limits) -> frozenset[Gate]:
        """Return the gates that are closed now."""
        readings = self.read(limits)
        closed = frozenset(gate for gate, reading in readings.items() if reading.closed)
        for gate in closed - self._closed:
            reading = readings[gate]
            self._log.warning(
                "gate closed: runs wait", gate=gate, value=round(reading.value, 2),
                limit=reading.limit,
            )  # fmt: skip
        for gate in self._closed - closed:
            self._log.info("gate open", gate=gate)
        self._closed = closed
        return closed
