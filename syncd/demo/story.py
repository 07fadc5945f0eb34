"""The story of the demonstration: what the daemon tells of its runs and changes, as lines.

It is read over the control socket, as any program could.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from syncd.control.reads import Reads
from syncd.demo.accounts import account_lines
from syncd.demo.calls import call_lines
from syncd.demo.line import Line, readable, shown
from syncd.model.queries import (
    ChangeQuery,
    DbAccountChangeQuery,
    ResourceQuery,
    RunQuery,
    SizeQuery,
)

Row = dict[str, Any]

_WINDOW: Final = timedelta(minutes=3)  # how far back each look goes; nothing takes so long
_MOST: Final = 10_000
_NAMED: Final = 5  # changes of one kind in a region that are told one by one
_ERRORS_TOLD: Final = 3
_LONGEST: Final = 48  # characters of a name or a value
_MARKS: Final = {"added": "+", "updated": "~", "deleted": "-"}


class _Nouns(NamedTuple):
    """What a kind of jobs works on, what it counts, and what becomes of what it can't take."""

    items: str
    rows: str
    aside: str = "kept aside"


_NOUNS: Final = defaultdict(
    lambda: _Nouns("items", "rows"),
    cloud=_Nouns("regions", "hosts"),
    db_accounts=_Nouns("servers", "accounts", "not read"),
    db_sizes=_Nouns("servers", "databases", "not read"),
    size_rollups=_Nouns("periods", "statistics"),
    table_copy=_Nouns("tables", "rows", "refused"),
    consistency_check=_Nouns("tables", "rows", "differ"),
)


_OF_TABLES: Final = ("table_copy", "consistency_check")


class Story:
    """Remembers what was told, so that each change and each outcome is told once."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._told_changes: set[int] = set()
        self._told_account_changes: set[int] = set()
        self._told_runs: set[tuple[str, int, str]] = set()
        self._names: dict[str, str] = {}
        self.changes: Counter[str] = Counter()
        self.hosts: Counter[tuple[str, str, str]] = Counter()
        """How many hosts stand, by account, region and state."""
        self.servers: list[Row] = []
        """The database servers with their newest sizes."""
        self.last_change: dict[tuple[str, str], float] = {}
        """When a region last changed, by the monotonic clock."""

    def news(self) -> list[Line]:
        """Return what happened since the last call, the oldest first; raises SyncdError."""
        since = datetime.now(UTC) - _WINDOW
        runs = self._reads.runs(RunQuery(since=since, limit=_MOST))
        changes = self._reads.changes(ChangeQuery(since=since, limit=_MOST))
        fresh = [row for row in reversed(changes) if row["id"] not in self._told_changes]
        self._told_changes = {row["id"] for row in changes}
        lines = list(self._changes(fresh))
        if fresh:
            self._count()
        lines += self._account_changes(since)
        moved = [row for row in reversed(runs) if _key(row) not in self._told_runs]
        self._told_runs = {_key(row) for row in runs}
        return [*lines, *(line for row in moved for line in self._run(row))]

    def _count(self) -> None:
        """Count the inventory anew."""
        rows = self._reads.resources(ResourceQuery(limit=_MOST))
        self.hosts = Counter((row["account"], row["region"], row["state"]) for row in rows)
        self._names = {row["resource_id"]: row["name"] for row in rows}

    def _changes(self, rows: Iterable[Row]) -> Iterator[Line]:
        """Tell changes one by one, or as a number where there are many of a kind."""
        groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
        for row in rows:
            groups[row["account"], row["region"], row["change"]].append(row)
            self.changes[row["change"]] += 1
        for (account, region, change), group in groups.items():
            self.last_change[account, region] = time.monotonic()
            if len(group) > _NAMED:
                yield Line(change, f"{len(group)} hosts in {region}", _moment(group[0]))
                continue
            for row in group:
                yield Line(change, f"{self._what(row)} in {region}", _moment(row))

    def _account_changes(self, since: datetime) -> list[Line]:
        """Tell what accounts of database servers gained and lost."""
        rows = self._reads.db_account_changes(DbAccountChangeQuery(since=since, limit=_MOST))
        fresh = [row for row in reversed(rows) if row["id"] not in self._told_account_changes]
        self._told_account_changes = {row["id"] for row in rows}
        return list(account_lines(fresh))

    def _what(self, row: Row) -> str:
        """Name a changed host and what changed: `web-17: status Running → Stopped`."""
        known = str(self._names.get(row["resource_id"], row["resource_id"]))
        if row["change"] != "updated":
            return readable(str(row["fields"].get("name") or known))
        pairs = (f"{name} {_pair(both)}" for name, both in row["fields"].items())
        return f"{readable(known)}: {', '.join(pairs)}"

    def _run(self, row: Row) -> Iterator[Line]:
        """Tell of a run that ended or is to be tried again; of an uneventful one nothing."""
        job, status = row["job"], row["status"]
        eventful = any(row[each] for each in ("added", "updated", "deleted", "errors"))
        if status == "success" and row["kind"] == "db_sizes":
            self.servers = self._reads.sizes(SizeQuery())["servers"]
        if status in ("success", "failed") and row["kind"] == "http":
            yield from call_lines(self._reads.run(row["id"]))
        elif status == "success" and row["kind"] == "consistency_check" and row["updated"]:
            yield Line(
                "mended", f"{job}: {row['updated']} of {row['total']} rows differed; copied again"
            )
        elif status == "success" and eventful:
            yield Line("run", f"{job}: {_counts(row)}")
            yield from self._problems(row)
        elif status in ("failed", "cancelled"):
            items = _NOUNS[row["kind"]].items
            of = f"{row['items_failed']} of {row['items_total']} {items} failed"
            yield Line("failed", f"{job}: {of if row['items_failed'] else row['error'] or status}")
            yield from self._problems(row)
        elif status == "pending" and row["attempt"]:
            yield Line("retry", f"{job}: attempt {row['attempt']} failed, the next one follows")

    def _problems(self, row: Row) -> Iterator[Line]:
        """Tell what failed in a run: regions, and single resources."""
        if not (row["items_failed"] or row["errors"]):
            return
        run = self._reads.run(row["id"])
        for item in run["items"]:
            if item["status"] == "failed" and item["error"]:
                table = item["target"] if row["kind"] in _OF_TABLES else None
                where = item["region"] or table or item["server"] or item["target"]
                yield Line("problem", f"{where}: {item['error_class']}: {item['error']}")
        for error in run["errors"][:_ERRORS_TOLD]:
            what = f"{error['resource_id'] or 'a resource'} {_NOUNS[row['kind']].aside}"
            yield Line("problem", f"{what}: {error['error_class']}: {error['error']}")


def _key(row: Row) -> tuple[str, int, str]:
    return row["id"], row["attempt"], row["status"]


def _moment(row: Row) -> datetime:
    return datetime.fromisoformat(row["changed_at"])


def _counts(row: Mapping[str, Any]) -> str:
    """Return `241 hosts in 0.16 s, +3 ~5 -2`."""
    counts = [f"{_MARKS[each]}{row[each]}" for each in _MARKS if row.get(each)]
    nouns = _NOUNS[row["kind"]]
    aside = [f"{row['errors']} {nouns.aside}"] if row["errors"] else []
    total = f"{row['total']} {nouns.rows} in {row['duration_seconds'] or 0:.2f} s"
    return ", ".join([total, *filter(None, [" ".join(counts)]), *aside])


def _pair(both: object) -> str:
    """Return `before → after` where that is short."""
    if not (isinstance(both, list) and len(both) == 2):
        return ""
    before, after = (shown(each) for each in both)
    return "differs" if len(before) + len(after) > _LONGEST else f"{before} → {after}"
