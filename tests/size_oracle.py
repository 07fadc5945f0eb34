"""The statistics of sizes in plain Python, and the samples that they are made of."""

import calendar
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from dispatch_helpers import Bench

PERIODS = ("day", "week", "month", "quarter")
Key = tuple[str, str | None]
"""A server and its database, or None for the server itself."""
Row = dict[str, Any]
INTEGERS = (
    "samples", "gaps", "min_bytes", "max_bytes", "first_bytes", "last_bytes", "change_bytes",
    "trend", "forecast_on",
)  # fmt: skip
FRACTIONS = ("avg_bytes", "change_percent", "growth_per_day")
CENTURY = 36_525


def start_of(period: str, day: date) -> date:
    """Return the first day of the period that a day is in."""
    match period:
        case "week":
            year, week, _ = day.isocalendar()
            return date.fromisocalendar(year, week, 1)
        case "month":
            return day.replace(day=1)
        case "quarter":
            return date(day.year, {1: 1, 2: 4, 3: 7, 4: 10}[math.ceil(day.month / 3)], 1)
    return day


def days_of(period: str, start: date) -> int:
    """Return how many days the period that begins on a day has."""
    months = {"month": 1, "quarter": 3}.get(period)
    if months is None:
        return {"day": 1, "week": 7}[period]
    return sum(calendar.monthrange(start.year, start.month + n)[1] for n in range(months))


def slope(points: Iterable[tuple[int, int]]) -> Fraction | None:
    """Return the slope of the line of least squares, exactly."""
    xs, ys = zip(*points, strict=True)
    if len(set(xs)) < 2:
        return None
    mean_x, mean_y = Fraction(sum(xs), len(xs)), Fraction(sum(ys), len(ys))
    above = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    return above / sum((x - mean_x) ** 2 for x in xs)


def statistic(
    period: str, start: date, samples: Mapping[date, int], last_before: int | None, room: int | None
) -> Row:
    """Return the statistics of the samples of one period."""
    days = sorted(samples)
    sizes = [samples[day] for day in days]
    last = sizes[-1]
    change = None if last_before is None else last - last_before
    percent = None if not last_before or change is None else Fraction(100 * change, last_before)
    growth = slope((day.toordinal(), samples[day]) for day in days)
    return {
        "samples": len(days),
        "gaps": days_of(period, start) - len(days),
        "avg_bytes": Fraction(sum(sizes), len(sizes)),
        "min_bytes": min(sizes),
        "max_bytes": max(sizes),
        "first_bytes": sizes[0],
        "last_bytes": last,
        "change_bytes": change,
        "change_percent": percent,
        "growth_per_day": growth,
        "trend": _trend(change, percent),
        "forecast_on": _forecast(days[-1], last, growth, room),
    }


def _trend(change: int | None, percent: Fraction | None) -> str | None:
    if change is None:
        return None
    if percent is None:
        return "growing" if change > 0 else "stable"
    return "growing" if percent > 5 else "shrinking" if percent < -5 else "stable"


def _forecast(day: date, last: int, growth: Fraction | None, room: int | None) -> date | None:
    if room is None:
        return None
    if last >= room:
        return day
    if growth is None or growth <= 0:
        return None
    days = math.ceil((room - last) / growth)
    return day + timedelta(days=days) if days <= CENTURY else None


@dataclass
class World:
    """Samples of databases and servers, and the statistics that must come of them."""

    samples: dict[Key, dict[date, int]] = field(default_factory=dict)
    rooms: dict[str, int] = field(default_factory=dict)
    horizon: date = date.min
    expected: dict[tuple[str, Key, date], Row] = field(default_factory=dict)

    def put(self, key: Key, day: date, size: int) -> None:
        self.samples.setdefault(key, {})[day] = size

    def forget(self, key: Key, day: date) -> None:
        del self.samples[key][day]

    def expect(self, today: date) -> None:
        """Compute anew what began at the horizon or later and ended by today; keep the rest."""
        kept = {at: row for at, row in self.expected.items() if at[2] < self.horizon}
        self.expected = kept
        for period in PERIODS:
            for key, of_key in self.samples.items():
                self._expect(period, key, of_key, today)

    def _expect(self, period: str, key: Key, of_key: Mapping[date, int], today: date) -> None:
        periods: dict[date, dict[date, int]] = {}
        for day, size in of_key.items():
            periods.setdefault(start_of(period, day), {})[day] = size
        for start in sorted(periods):
            if start < self.horizon or start + timedelta(days_of(period, start)) > today:
                continue
            before = self.expected.get((period, key, start_of(period, start - timedelta(1))))
            last_before = before["last_bytes"] if before else None
            self.expected[period, key, start] = statistic(
                period, start, periods[start], last_before, self.rooms.get(key[0])
            )


def store_samples(bench: Bench, world: World) -> None:
    """Have the store hold the samples of a world, and no others."""
    bench.execute("delete from syncd.db_size")
    bench.execute("delete from syncd.server_size")
    rows = [(*key, day, size) for key, of in world.samples.items() for day, size in of.items()]
    if not rows:
        return
    first, last = min(row[2] for row in rows), max(row[2] for row in rows)
    bench.execute("select syncd.make_size_partitions(%s, %s)", first, last)
    columns = [list(column) for column in zip(*rows, strict=True)]
    source = "unnest(%s::text[], %s::text[], %s::date[], %s::bigint[]) as s (server, db, day, size)"
    bench.execute(
        f"""insert into syncd.db_size (server, database, collected_on, collected_at, size_bytes)
            select server, db, day, now(), size from {source} where db is not null""",
        *columns,
    )
    bench.execute(
        f"""insert into syncd.server_size
                (server, collected_on, collected_at, size_bytes, database_count)
            select server, day, now(), size, 1 from {source} where db is null""",
        *columns,
    )


def stored(bench: Bench) -> dict[tuple[str, Key, date], Row]:
    """Return the statistics that the store holds."""
    names = (*INTEGERS, *FRACTIONS)
    rows = bench.execute(
        f"""select period, server, database, period_start, {", ".join(names)}
            from syncd.db_size_stat
            union all
            select period, server, null, period_start, {", ".join(names)}
            from syncd.server_size_stat"""
    )
    return {
        (row[0], (row[1], row[2]), row[3]): dict(zip(names, row[4:], strict=True)) for row in rows
    }


def differences(
    found: Mapping[tuple[str, Key, date], Row], expected: Mapping[tuple[str, Key, date], Row]
) -> list[Any]:
    """Return where statistics are not as they must be; fractions may differ in their last digit."""
    wrong: list[Any] = [("missing", at) for at in expected.keys() - found.keys()]
    wrong += [("too many", at) for at in found.keys() - expected.keys()]
    for at in expected.keys() & found.keys():
        for name in (*INTEGERS, *FRACTIONS):
            is_, must = found[at][name], expected[at][name]
            same = is_ == must if name in INTEGERS else _close(is_, must)
            if not same:
                wrong.append((at, name, is_, must))
    return wrong


def _close(found: Any, expected: Fraction | None) -> bool:
    if found is None or expected is None:
        return found is expected
    return math.isclose(float(found), float(expected), rel_tol=1e-13, abs_tol=1e-12)
