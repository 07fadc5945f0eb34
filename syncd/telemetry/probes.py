"""Gauges whose value is somebody else's state: read when they are asked for, never kept here.

A probe has to answer from memory at once: a scrape must not hang on a store that is gone.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from syncd.telemetry.logging import get_logger

Probe = Literal[
    "ready", "store_pool_connections", "workers", "queue_length", "queue_waiting",
    "disk_free_bytes", "load_per_cpu", "memory_available_bytes", "records_incomplete",
    "outbox_records", "job_next_run_timestamp_seconds", "job_paused", "job_held", "job_stuck",
    "job_adaptive_interval_seconds", "job_expected_interval_seconds",
    "notifications_pending",
]  # fmt: skip

Reading = Callable[[], float | Mapping[str, float]]
"""Returns one value, or where the probe has a label the values by that label."""

_PROBES: Final[Mapping[Probe, tuple[str, tuple[str, ...]]]] = {
    "ready": ("1 when /readyz says so.", ()),
    "store_pool_connections": ("Connections of the store's pool.", ("state",)),
    "workers": ("Worker threads: busy, idle or stuck.", ("state",)),
    "queue_length": ("Runs that wait to be started.", ("priority",)),
    "queue_waiting": ("Runs that wait to be started, by what they wait for.", ("reason",)),
    "disk_free_bytes": ("Space that can still be written.", ("path",)),
    "load_per_cpu": ("Load average of the last minute for each processor.", ()),
    "memory_available_bytes": ("Memory of the machine that programs can still get.", ()),
    "records_incomplete": ("Runs whose record in the store is owed an end.", ()),
    "job_next_run_timestamp_seconds": ("When the job is due next; 0 if never.", ("job_name",)),
    "job_paused": ("1 while the job is paused.", ("job_name",)),
    "job_held": ("1 while all accounts and tokens of the job are held.", ("job_name",)),
    "job_stuck": ("1 while a thread of the job is stuck.", ("job_name",)),
    "job_adaptive_interval_seconds": ("Present interval of an adaptive job.", ("job_name",)),
    "job_expected_interval_seconds": ("Longest time between two due times.", ("job_name",)),
    "notifications_pending": ("Notifications that wait to be sent.", ("channel",)),
    "outbox_records": ("Records kept in files until the store is back.", ()),
}


class Probes(Collector):
    """Collects what the registered readings say; one that fails is left out, the others stand."""

    def __init__(self) -> None:
        self._readings: dict[Probe, Reading] = {}

    def watch(self, probe: Probe, read: Reading) -> None:
        """Read a gauge by calling `read`, from the scrape's thread; replaces an earlier one."""
        self._readings = {**self._readings, probe: read}

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Name the gauges, so that registering reads nothing."""
        return [_family(probe) for probe in _PROBES]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Read all gauges that are watched."""
        for probe, read in self._readings.items():
            family = _family(probe)
            try:
                value = read()
                values = value if isinstance(value, Mapping) else {None: value}
                for label, number in values.items():
                    family.add_metric([] if label is None else [label], float(number))
            except Exception as error:  # noqa: BLE001 - one probe must not cost the whole page
                get_logger().warning("a gauge can't be read", gauge=probe, error=repr(error))
                continue
            yield family


def _family(probe: Probe) -> GaugeMetricFamily:
    text, labels = _PROBES[probe]
    return GaugeMetricFamily(f"syncd_{probe}", text, labels=labels)
