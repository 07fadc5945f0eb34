"""What table copies and checks refer to: servers, jobs, and keys that fit each other.

Servers and jobs are looked for in tables that nobody validated yet, so that one wrong key does not
hide the next; the rest needs keys that are valid by themselves.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from syncd.config import check_references
from syncd.config.configuration import Tables
from syncd.config.consistency_check import ConsistencyCheckJob
from syncd.config.problems import KeyPath, Places, Problem
from syncd.config.servers import Server
from syncd.config.spelling import hint, quoted
from syncd.config.table_copy import CopyTarget, PerTable, Place, TableCopyJob, where_is
from syncd.config.table_places import Told, of_place, too_long
from syncd.model.copy import STATE_TABLE

_SIDES: Final = ("source", "target", "left", "right")
_INCREMENTAL: Final = ("watermark", "lookback", "watermark_zone", "full_every")


def of_job(
    name: str,
    job: Mapping[str, Any],
    servers: Mapping[str, Any],
    jobs: Mapping[str, Any],
    places: Places,
) -> Iterator[Problem]:
    """Yield the servers and the job that a copy or a check names and nothing defines."""
    if job.get("kind") not in ("table_copy", "consistency_check"):
        return
    for key in _SIDES:
        server = _table(job.get(key)).get("server")
        if isinstance(server, str) and server not in servers:
            text = f"no table [servers.NAME] defines{hint(server, servers)}"
            yield places.problem(("jobs", name, key, "server"), text)
    copies = [each for each, of in jobs.items() if _table(of).get("kind") == "table_copy"]
    copied = job.get("copy")
    if isinstance(copied, str) and copied not in copies:
        text = f"no job of kind table_copy has the name{hint(copied, copies)}"
        yield places.problem(("jobs", name, "copy"), text)


def cross_checks(tables: Tables, places: Places) -> Iterator[Problem]:
    """Yield what does not fit in valid jobs; those that name an unknown server are passed over."""
    for name, job in tables.jobs.items():
        found: Told = iter(())
        if isinstance(job, TableCopyJob):
            if {job.source.server, job.target.server} <= tables.servers.keys():
                found = _of_copy(job, tables.servers)
        elif isinstance(job, ConsistencyCheckJob):
            found = check_references.of_check(job, tables)
        for path, message in found:
            yield places.problem(("jobs", name, *path), message)
    for name, path, message in _rivals(tables):
        yield places.problem(("jobs", name, *path), message)


def _rivals(tables: Tables) -> Iterator[tuple[str, KeyPath, str]]:
    """Yield the enabled jobs that would delete each other's rows, which their own source lacks.

    Two that read the same do not: a full copy each night, say, and what is new each hour.
    """
    first: dict[object, tuple[str, object]] = {}
    for name, job in tables.jobs.items():
        if not isinstance(job, TableCopyJob) or not job.enabled:
            continue
        if not {job.source.server, job.target.server} <= tables.servers.keys():
            continue
        source, target = (_place(side, tables.servers) for side in (job.source, job.target))
        for said in (_Said(job, item) for item in job.items):
            if said["delete"] == "none":
                continue
            table, read = job.target_table(said.item), (source, job.source.query or said.item)
            other, others = first.setdefault((target, table), (name, read))
            if others != read:
                text = f"job {quoted(other)} deletes in {quoted(table)} too, and reads something"
                yield name, said.path("delete"), f"{text} else: each would delete the other's rows"


def _of_copy(job: TableCopyJob, servers: Mapping[str, Server]) -> Told:
    for side, place in (("source", job.source), ("target", job.target)):
        yield from of_place(side, place, servers[place.server])
    yield from _names_fit(job, servers)
    yield from _of_increments(job)
    yield from _of_targets(job, servers)
    items = job.items if job.per_table else ("",)
    told = dict.fromkeys(each for item in items for each in _of_columns(_Said(job, item)))
    yield from told  # what is said of all tables once


def _names_fit(job: TableCopyJob, servers: Mapping[str, Server]) -> Told:
    """Yield the names that PostgreSQL would cut."""
    source, target = job.source, job.target
    if servers[source.server].engine == "postgresql":
        yield from too_long([(("source", "schema"), source.schema_)])
        yield from too_long(
            [(("source", "tables", n), each) for n, each in enumerate(source.tables)]
        )
    if servers[target.server].engine == "postgresql":
        keys = ("schema", "state_schema")
        yield from too_long([(("target", key), _of(target, key)) for key in keys])
        yield from too_long([(("target", "table"), job.target_table(i)) for i in job.items])
        yield from too_long([(("rename", key), each) for key, each in job.rename.items()])
        for item, own in job.per_table.items():
            path = ("per_table", item, "rename")
            yield from too_long([((*path, key), each) for key, each in (own.rename or {}).items()])
        if job.delete == "soft":
            yield from too_long([(("soft_delete_column",), job.soft_delete_column)])


def _of(target: CopyTarget, key: str) -> str | None:
    return target.schema_ if key == "schema" else target.state_schema


def _of_increments(job: TableCopyJob) -> Told:
    if job.mode == "full":
        for key in _INCREMENTAL:
            if getattr(job, key) is not None:
                yield (key,), 'has no meaning with mode = "full"'
        for item, own in job.per_table.items():
            for key in ("watermark", "lookback"):
                if getattr(own, key) is not None:
                    yield ("per_table", item, key), 'has no meaning with mode = "full"'
        return
    for item in job.items:
        if (job.per_table.get(item, PerTable()).watermark or job.watermark) is None:
            what = f", for table {quoted(item)}" if job.source.tables[1:] else ""
            yield ("mode",), f"incremental needs watermark, the column that grows{what}"


def _of_targets(job: TableCopyJob, servers: Mapping[str, Server]) -> Told:
    """Yield the tables that are not there, are written twice, or are copied onto themselves."""
    target, items = job.target, job.items
    for item in job.per_table:
        if item not in items:
            yield ("per_table", item), f"is none of the tables{hint(item, items)}"
    if job.source.query is not None and target.table is None:
        yield ("target",), "needs table: the result of a query has no name"
    if target.table is not None and len(items) > 1:
        yield ("target", "table"), "is of one table alone: see per_table.NAME.table"
        return
    names = [job.target_table(item) for item in items]
    for name, count in Counter(names).items():
        if count > 1:
            yield ("target",), f"{quoted(name)} is the target of {count} tables"
    schema = where_is(target, servers[target.server])[1]
    if target.state_schema in (None, schema) and STATE_TABLE in map(str.casefold, names):
        told = f"syncd keeps in {quoted(STATE_TABLE)} how far copies are: see target.state_schema"
        yield ("target",), told
    same = _place(job.source, servers) == _place(target, servers) and job.source.query is None
    for item, name in zip(items, names, strict=True):
        if same and item == name:
            yield ("target",), f"table {quoted(item)} would be copied onto itself"


def _place(of: Place, servers: Mapping[str, Server]) -> tuple[object, ...]:
    """Return what two places have in common that are the same, by whatever name of a server."""
    server = servers[of.server]
    return (server.host, server.port_number, *where_is(of, server))


@dataclass(frozen=True, slots=True)
class _Said:
    """What is said of the columns of a table, else of those of all, and where."""

    job: TableCopyJob
    item: str

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 - of any key
        own = self.job.per_table.get(self.item)
        return getattr(own if self._is_own(key) else self.job, key)

    def path(self, key: str, *rest: str) -> KeyPath:
        """Return where a key stands."""
        return (*(("per_table", self.item) if self._is_own(key) else ()), key, *rest)

    def leaves_out(self, column: str) -> str | None:
        """Return the key by which a column is not copied, None when it is."""
        if column in self["exclude"]:
            return "exclude"
        return "include" if self["include"] and column not in self["include"] else None

    def _is_own(self, key: str) -> bool:
        return getattr(self.job.per_table.get(self.item), key, None) is not None

    @property
    def key(self) -> tuple[str, ...]:
        """Return the columns that tell rows apart, as far as they are given."""
        own = self.job.per_table.get(self.item)
        return (own and own.key) or self.job.source.key


def _of_columns(said: _Said) -> Told:
    """Yield what clashes in what is said of columns."""
    for column in said["exclude"]:
        if column in said["include"]:
            yield said.path("exclude"), f"{quoted(column)} stands in include too"
    yield from _of_key(said)
    if column := said.job.on_conflict.column:
        if column in said["mask"]:
            yield said.path("mask", column), "decides in on_conflict: it can't be masked"
        if left_out := said.leaves_out(column):
            yield (
                said.path(left_out),
                f"{quoted(column)} decides in on_conflict: it has to be copied",
            )
    for column, name in said["rename"].items():
        if column in said["exclude"]:
            yield said.path("rename", column), "is a column that is left out"
        if said["delete"] == "soft" and name == said.job.soft_delete_column:
            yield said.path("rename", column), f"{quoted(name)} is soft_delete_column"


def _of_key(said: _Said) -> Told:
    """Yield the columns of a key that are not copied as they are."""
    for column in said.key:
        if left_out := said.leaves_out(column):
            yield said.path(left_out), f"{quoted(column)} is of the key: it has to be copied"
        if column in said["mask"]:
            yield said.path("mask", column), "is of the key: rows could not be told apart"
        if said["values"].get(column, "error") != "error":
            yield said.path("values", column), "is of the key: rows could not be told apart"


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
