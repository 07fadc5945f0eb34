"""The metrics of syncd-metrics(7), from the program's own registry."""

from collections.abc import Iterator, Mapping
from typing import Final, get_args

import roff
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from syncd.errors import ErrorClass
from syncd.model.resource import State
from syncd.model.run import ItemOutcome, Priority, RunOutcome, SkipReason, Wait
from syncd.telemetry.families import Change, Copied, Families, NoticeOutcome
from syncd.telemetry.probes import Probes

_VALUES: Final[Mapping[str, object]] = {
    "syncd_job_runs_total": RunOutcome,
    "syncd_job_skipped_total": SkipReason,
    "syncd_items_total": ItemOutcome,
    "syncd_errors_total": ErrorClass,
    "syncd_resources": State,
    "syncd_resource_changes_total": Change,
    "syncd_copy_rows_total": Copied,
    "syncd_notifications_total": NoticeOutcome,
    "syncd_queue_length": Priority,
    "syncd_queue_waiting": Wait,
}
"""The fixed set of values of a metric's last label."""


def metrics() -> Iterator[str]:
    """Yield the lines that describe each metric, sorted by name."""
    for name, labels, kind, text in sorted([*_counted(), *_probed()]):
        braces = rf"{{{', '.join(roff.italic(label) for label in labels)}}}" if labels else ""
        yield from roff.tagged(f"{roff.bold(name)}{braces}", f"{text} ({kind})")
        if values := get_args(_VALUES.get(name)):
            told = ", ".join(f"`{value}`" for value in _flat(values))
            yield ".IP"
            yield from roff.paragraph(f"*{labels[-1]}* is one of {told}.")


def _counted() -> Iterator[tuple[str, tuple[str, ...], str, str]]:
    """Yield name, labels, kind and text of what the program counts itself."""
    for family in vars(Families(CollectorRegistry())).values():
        if isinstance(family, Counter | Gauge | Histogram):
            (described,) = family.describe()
            total = "_total" if described.type == "counter" else ""
            labels = family._labelnames  # the library tells them nowhere else
            yield described.name + total, labels, described.type, described.documentation


def _probed() -> Iterator[tuple[str, tuple[str, ...], str, str]]:
    """Yield the same of what is read at each scrape."""
    for family in Probes().describe():
        yield family.name, family._labelnames, family.type, family.documentation


def _flat(values: tuple[object, ...]) -> Iterator[object]:
    """Yield the words of a Literal, also of those inside it."""
    for value in values:
        if inner := get_args(value):
            yield from _flat(inner)
        else:
            yield value
