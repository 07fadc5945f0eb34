"""What was last measured of the items of copies and checks, for the metrics of a new process."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from syncd.model.measures import Measures, measured
from syncd.store.database import Transaction

_LAST: Final = """
select asked.job, asked.item, newest.finished_at, newest.details, equal.finished_at as equal_at
from unnest(%s::text[], %s::text[]) as asked (job, item)
cross join lateral (
    select i.finished_at, i.details - 'differences' as details
    from syncd.run r join syncd.run_item i on i.run_id = r.id
    where r.job = asked.job and i.target = asked.item
      and i.details ?| array['watermark', 'equal']
    order by r.created_at desc limit 1
) newest
left join lateral (
    select i.finished_at
    from syncd.run r join syncd.run_item i on i.run_id = r.id
    where r.job = asked.job and i.target = asked.item and i.details @> '{"equal": true}'
    order by r.created_at desc limit 1
) equal on true
"""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What was measured of an item by the last run that did, and when a check last was equal."""

    job: str
    item: str
    measures: Measures
    equal_at: datetime | None


def last_measured(tx: Transaction, items: Iterable[tuple[str, str]]) -> Iterator[Remembered]:
    """Yield what is remembered of items, each given as its job and its name."""
    pairs = list(items)
    if not pairs:
        return
    rows = tx.execute(_LAST, ([job for job, _ in pairs], [item for _, item in pairs]))
    for job, item, _, details, equal_at in rows:
        yield Remembered(job, item, measured(details), equal_at)
