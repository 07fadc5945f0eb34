"""The statistics of sizes, computed by the database, for all servers at once.

They are computed anew from all samples that retention has left, and only rows that differ are
written: so it does not matter when a sample came, was corrected or went. One statement takes a
quarter of a year of them, so that the memory that it needs does not grow with their history. All
sums are exact, in whole numbers: the same samples give the same rows in whatever order they are
read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Final

from psycopg.sql import SQL, Composed, Identifier

from syncd.model.queries import Period
from syncd.model.run import Counts
from syncd.store.database import Transaction

PERIODS: Final[Mapping[Period, tuple[str, str]]] = {
    "day": ("1 day", "3 months"),
    "week": ("7 days", "91 days"),
    "month": ("1 month", "3 months"),
    "quarter": ("3 months", "3 months"),
}
"""Each with its length, and that of the spans that one statement each computes, as intervals."""

_FARTHEST: Final = 36_525  # days: what is forecast for later than a century is no forecast
_SETTINGS: Final = {
    "work_mem": "64MB",
    "enable_mergejoin": "off",  # the sorts for it cost more than all the rest
    "enable_nestloop": "off",  # a table that was never analyzed looks as if it had few rows
    "jit": "off",
}
"""How the statements are planned: all that is joined is large, and hashed."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A table of samples, that of their statistics, and what tells whose they are."""

    samples: str
    statistics: str
    keys: tuple[str, ...]


KINDS: Final = (
    Kind("db_size", "db_size_stat", ("server", "database")),
    Kind("server_size", "server_size_stat", ("server",)),
)


def compute(tx: Transaction, period: Period, today: date, capacities: Mapping[str, int]) -> Counts:
    """Bring the statistics of a period's kind up to date, for the periods that ended by `today`.

    `capacities` are bytes by server. Those that began before the first day that retention left stay
    as they are. Raises StoreError and TimedOut.
    """
    for setting in _SETTINGS.items():
        tx.execute("select set_config(%s, %s, true)", setting)
    tx.execute(
        "select pg_advisory_xact_lock(hashtextextended(%s, 0))",
        (f"syncd: statistics of {period}",),
    )
    # Retention, which moves the horizon, then waits: no month may go between the two statements.
    tx.execute("lock table syncd.db_size, syncd.server_size in access share mode")
    length, span = PERIODS[period]
    values: dict[str, object] = {
        "period": period,
        "length": length,
        "span": span,
        "today": today,
        "farthest": _FARTHEST,
        "servers": list(capacities),
        "capacities": list(capacities.values()),
    }
    spans = tx.execute(_SPANS, values).fetchall()
    return sum(
        (
            _compute(tx, kind, {**values, "first": first, "until": until, "over": over})
            for kind in KINDS
            for first, until, over in spans
        ),
        Counts(),
    )


def _compute(tx: Transaction, kind: Kind, values: Mapping[str, object]) -> Counts:
    row = tx.execute(_statement(kind), values).fetchone()
    total, added, updated, deleted = row or (0, 0, 0, 0)
    unchanged = total - added - updated
    return Counts(total, added, updated, deleted, unchanged)


@cache
def _statement(kind: Kind) -> Composed:
    """Return the statement that computes and writes the statistics of one table."""

    def same(left: str, right: str) -> Composed:
        pairs = (
            SQL("{} = {}").format(Identifier(left, key), Identifier(right, key))
            for key in kind.keys
        )
        return SQL(" and ").join(pairs)

    return SQL(_COMPUTE).format(
        samples=Identifier("syncd", kind.samples),
        statistics=Identifier("syncd", kind.statistics),
        keys=SQL(", ").join(map(Identifier, kind.keys)),
        f_keys=SQL(", ").join(Identifier("f", key) for key in kind.keys),
        either_keys=SQL(", ").join(
            SQL("coalesce({}, {}) as {}").format(
                Identifier("c", key), Identifier("k", key), Identifier(key)
            )
            for key in kind.keys
        ),
        same_previous=same("p", "f"),
        same_known=same("k", "c"),
    )


# From the first period that begins at the horizon or later: `first` and `until` bound the periods,
# and `over` what may stand of the statistics. The first span takes along what is older than all
# samples, and the last one what lies in the future.
_SPANS: Final = """
with bounds as (
    select coalesce((select case when start < kept_from then start + %(length)s::interval
                                 else start end
                     from (select kept_from, date_trunc(%(period)s, kept_from::timestamp) as start
                           from syncd.size_horizon) h)::date, date '0001-01-01') as horizon,
           date_trunc(%(period)s, %(today)s::date::timestamp) as until,
           date_trunc(%(period)s, date_trunc('quarter', coalesce(
               (select min(from_day) from syncd.size_partition), %(today)s)::timestamp)) as oldest
), starts as (
    select horizon, until, start::date as start, row_number() over (order by start) = 1 as is_first
    from bounds, generate_series(oldest, greatest(until, oldest), %(span)s) as start
    where start + %(span)s > horizon
)
select case when is_first then horizon else start end,
       least((start + %(span)s)::date, until::date),
       case when lead(start) over (order by start) is null then date '9999-12-31'
            else (start + %(span)s)::date end
from starts order by start"""

# `facts` sums each period up; x is the day of it, y the bytes: the slope of the least squares line
# is (n*sum(xy) - sum(x)*sum(y)) / (n*sum(xx) - sum(x)^2), here kept as `rise` and `run`. Of two
# arrays the one with the earlier day is the lesser: so a minimum carries the bytes of the first day
# along, without sorting. `previous` are these periods, and those just before the first one, which
# an earlier statement wrote, or an earlier run when retention has removed their samples since.
_COMPUTE: Final = """
with facts as materialized (
    select {keys}, period_start,
           count(*)::integer as samples,
           avg(size_bytes) as avg_bytes, min(size_bytes) as min_bytes, max(size_bytes) as max_bytes,
           (min(array[x, size_bytes]))[2] as first_bytes,
           (max(array[x, size_bytes]))[2] as last_bytes,
           period_start + max(x) as last_on,
           case when count(*) > 1
                then count(*) * sum(x::numeric * size_bytes) - sum(x) * sum(size_bytes)
                end as rise,
           count(*) * sum(x * x) - sum(x) * sum(x) as run
    from (select {keys}, size_bytes, period_start, collected_on - period_start as x
          from (select {keys}, size_bytes, collected_on,
                       date_trunc(%(period)s, collected_on::timestamp)::date as period_start
                from {samples}
                where collected_on >= %(first)s and collected_on < %(until)s) s) t
    group by {keys}, period_start
), previous as (
    select {keys}, period_start, last_bytes from facts
    union all
    select {keys}, period_start, last_bytes from {statistics}
    where period = %(period)s and period_start = (%(first)s::date - %(length)s::interval)::date
), computed as (
    select {f_keys}, f.period_start, f.samples,
           (f.period_start + %(length)s::interval)::date - f.period_start - f.samples as gaps,
           f.avg_bytes, f.min_bytes, f.max_bytes, f.first_bytes, f.last_bytes,
           f.last_bytes - p.last_bytes as change_bytes,
           change_percent,
           (f.rise / nullif(f.run, 0))::float8 as growth_per_day,
           case when p.last_bytes is null then null
                when change_percent > 5 or p.last_bytes = 0 and f.last_bytes > 0 then 'growing'
                when change_percent < -5 then 'shrinking'
                else 'stable' end as trend,
           case when f.last_bytes >= capacity then f.last_on
                when f.rise > 0 and days <= %(farthest)s then f.last_on + days::integer
                end as forecast_on
    from facts f
    left join previous p
        on {same_previous} and p.period_start = (f.period_start - %(length)s::interval)::date
    left join unnest(%(servers)s::text[], %(capacities)s::numeric[]) c (server, capacity)
        on c.server = f.server
    cross join lateral (
        select (f.last_bytes - p.last_bytes)::float8 * 100 / nullif(p.last_bytes, 0)
            as change_percent) change
    cross join lateral (
        select div((c.capacity - f.last_bytes) * f.run + f.rise - 1, nullif(f.rise, 0))
            as days) forecast
), known as (
    select * from {statistics}
    where period = %(period)s and period_start >= %(first)s and period_start < %(over)s
), differing as materialized (
    select {either_keys}, coalesce(c.period_start, k.period_start) as period_start,
           k.samples is null as is_new, c.samples is null as is_gone,
           c.samples, c.gaps, c.avg_bytes, c.min_bytes, c.max_bytes, c.first_bytes, c.last_bytes,
           c.change_bytes, c.change_percent, c.growth_per_day, c.trend, c.forecast_on
    from computed c
    full join known k on {same_known} and k.period_start = c.period_start
    where k.samples is null or c.samples is null
       or (k.samples, k.gaps, k.avg_bytes, k.min_bytes, k.max_bytes, k.first_bytes, k.last_bytes,
           k.change_bytes, k.change_percent, k.growth_per_day, k.trend, k.forecast_on)
          is distinct from
          (c.samples, c.gaps, c.avg_bytes, c.min_bytes, c.max_bytes, c.first_bytes, c.last_bytes,
           c.change_bytes, c.change_percent, c.growth_per_day, c.trend, c.forecast_on)
), gone as (
    delete from {statistics} k using differing c
    where c.is_gone and {same_known} and k.period = %(period)s and k.period_start = c.period_start
), written as (
    insert into {statistics}
        ({keys}, period, period_start, samples, gaps, avg_bytes, min_bytes, max_bytes, first_bytes,
         last_bytes, change_bytes, change_percent, growth_per_day, trend, forecast_on, computed_at)
    select {keys}, %(period)s, period_start, samples, gaps, avg_bytes, min_bytes, max_bytes,
           first_bytes, last_bytes, change_bytes, change_percent, growth_per_day, trend,
           forecast_on, now()
    from differing where not is_gone
    on conflict ({keys}, period, period_start) do update
    set (samples, gaps, avg_bytes, min_bytes, max_bytes, first_bytes, last_bytes, change_bytes,
         change_percent, growth_per_day, trend, forecast_on, computed_at)
        = (excluded.samples, excluded.gaps, excluded.avg_bytes, excluded.min_bytes,
           excluded.max_bytes, excluded.first_bytes, excluded.last_bytes, excluded.change_bytes,
           excluded.change_percent, excluded.growth_per_day, excluded.trend,
           excluded.forecast_on, excluded.computed_at)
)
select (select count(*) from facts), count(*) filter (where is_new),
       count(*) filter (where not (is_new or is_gone)), count(*) filter (where is_gone)
from differing"""
