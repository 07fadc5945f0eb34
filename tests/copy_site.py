"""A real daemon that copies tables, and what must hold between two tables however often it dies."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from copy_sides import Side, content, rows_query
from copy_writers import COLUMNS, KEY
from daemon_helpers import Process, Row, Site, site, until
from toml_text import toml

from syncd.model.run import Selection

RUN_SECONDS = 60.0
_INCREMENTAL = ("mode", "watermark", "lookback")


@dataclass
class CopySite:
    """A site whose jobs copy from one side to the other."""

    place: Site
    source: Side
    target: Side
    jobs: dict[str, Row] = field(default_factory=dict)
    servers: dict[str, Row] = field(default_factory=dict)
    checked: int = 0
    """How often a watermark was there to be checked."""

    def copies(self, name: str, *tables: str, **keys: Any) -> None:
        """Add a job that copies tables, by hand only unless it says otherwise."""
        self.jobs[name] = {
            "kind": "table_copy",
            "source": {"server": "source", "tables": list(tables), **_place(self.source)},
            "target": {"server": "target", **_place(self.target)},
            "retries": [],
            **keys,
        }

    def configure(self, **daemon: Any) -> None:
        """Write the configuration file."""
        tables = self.place.tables({}, **daemon)
        tables["accounts"] = {}
        tables["servers"] = {
            "source": self.source.table(), "target": self.target.table(), **self.servers
        }  # fmt: skip
        tables["jobs"] = tables["jobs"] | self.jobs
        self.place.write(toml(tables))

    def change_to_full(self, name: str, **keys: Any) -> None:
        """Have the running daemon copy the whole tables in a job's next runs."""
        told = {key: value for key, value in self.jobs[name].items() if key not in _INCREMENTAL}
        self.jobs[name] = told | keys
        self.configure()
        assert self.place.client.reload("me") == []

    def up(self) -> Process:
        return self.place.up()

    def run(self, job: str, seconds: float = RUN_SECONDS) -> Row:
        """Trigger a run and wait for its end; return its record."""
        number = self.place.client.trigger(job, Selection(), "me")
        until(lambda: self.place.client.wait(number, 5), seconds, f"the end of a run of {job}")
        (row,) = self.place.runs("id = %s", number)
        return row

    def succeed(self, job: str, seconds: float = RUN_SECONDS) -> Row:
        """Do the same, and check that it went well."""
        row = self.run(job, seconds)
        assert row["status"] == "success", (row, self.items(row))
        return row

    def items(self, run: Row) -> list[Row]:
        return self.place.rows(
            "select * from syncd.run_item where run_id = %s order by target", run["id"]
        )

    def difference(
        self, table: str, where: str = "true", columns: Mapping[str, Any] = COLUMNS
    ) -> tuple[list[str], list[str]]:
        """Return rows of the source that are not in the target, and the other way, by psql & co."""
        theirs = content(self.source, table, columns, KEY, where)
        ours = content(self.target, table, columns, KEY, where)
        return sorted(set(theirs) - set(ours))[:5], sorted(set(ours) - set(theirs))[:5]

    def equal(self, table: str) -> bool:
        """Tell whether both tables hold the same rows, in the same number."""
        theirs, ours = (content(side, table, COLUMNS, KEY) for side in (self.source, self.target))
        return theirs == ours

    def count(self, table: str) -> int:
        return int(self.target.lines(f"select count(*) from {table}")[0])

    def check_watermark(self, job: str, table: str) -> None:
        """Check that every row below the watermark is in the target, as it is.

        The target is seen first, in one snapshot; a row that changed since has a later stamp, if
        its writer stamps it no earlier than its transaction begins.
        """
        if not self.has_state():
            return
        ours, watermark = self._seen(job, table)
        if watermark is not None:
            below = f"updated_at < {self.source.instant(watermark)}"
            theirs = content(self.source, table, COLUMNS, KEY, below)
            missing = sorted(set(theirs) - ours)
            assert not missing, f"{len(missing)} rows are behind {watermark}: {missing[:3]}"
            self.checked += 1

    def is_under_way(self, job: str) -> bool:
        """Tell whether a copy has begun that has not ended."""
        query = f"select count(*) from syncd_watermark where job = '{job}' and phase <> 'done'"
        return self.has_state() and self.target.lines(query) != ["0"]

    def has_state(self) -> bool:
        """Tell whether the table of states is there."""
        return self.target.lines(
            "select count(*) from information_schema.tables where table_name = 'syncd_watermark'"
            f" and table_schema = '{_place(self.target)['schema']}'"
        ) == ["1"]

    def _seen(self, job: str, table: str) -> tuple[set[str], str | None]:
        """Return the rows of the target, and the watermark at that moment."""
        rows = rows_query(self.target, table, COLUMNS)
        lines = self.target.lines(
            f"select concat('watermark ', watermark) from syncd_watermark"
            f" where job = '{job}' and item = '{table}' and watermark is not null union all {rows}"
        )
        known = {line for line in lines if line.startswith("watermark ")}
        return set(lines) - known, next((each.removeprefix("watermark ") for each in known), None)


def _place(side: Side) -> Row:
    if side.engine == "postgresql":
        return {"database": side.database, "schema": "public"}
    return {"schema": side.database}


@contextmanager
def copy_site(dsn: str, source: Side, target: Side) -> Iterator[CopySite]:
    """Give a site with its store at `dsn`."""
    with site(dsn, hosts=1) as place:
        yield CopySite(place, source, target)
