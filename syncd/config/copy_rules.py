"""What table copies and checks are asked, made of their jobs and the servers: pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from syncd.config.consistency_check import ConsistencyCheckJob, Side
from syncd.config.servers import Server
from syncd.config.table_copy import PerTable, TableCopyJob, where_is
from syncd.model.check import CheckRules, RedisKeys
from syncd.model.copy import ColumnRules, CopyRules, Watermark
from syncd.model.deletion import DeletionPolicy
from syncd.model.table import Relation

Servers = Mapping[str, Server]


def copy_rules(job: TableCopyJob, servers: Servers) -> tuple[CopyRules, ...]:
    """Return the rules of each table of a copy."""
    return tuple(_of_table(job, item, servers) for item in job.items)


def _of_table(job: TableCopyJob, item: str, servers: Servers) -> CopyRules:
    own = job.per_table.get(item, PerTable())
    target = _target(job, item, servers)
    return CopyRules(
        name=item,
        source=_source(job, item, own, servers),
        target=target,
        state_schema=job.target.state_schema or target.schema,
        mode=job.mode,
        watermark=_watermark(job, own),
        full_every=job.full_every,
        conflict=job.on_conflict.kind,
        newer=job.on_conflict.column,
        delete=_either(own, job, "delete"),
        soft_column=job.soft_delete_column,
        deletions=DeletionPolicy(
            max_percent=job.max_delete_percent, max_count=job.max_delete_count
        ),
        columns=_columns(job, own),
        max_rejected=_either(own, job, "max_rejected"),
        page_rows=_either(own, job, "page_rows"),
    )


def _source(job: TableCopyJob, item: str, own: PerTable, servers: Servers) -> Relation:
    source = job.source
    database, schema = where_is(source, servers[source.server])
    key = source.key if own.key is None else own.key
    return Relation(source.server, database, schema, item, source.query or "", key)


def _target(job: TableCopyJob, item: str, servers: Servers) -> Relation:
    server = job.target.server
    database, schema = where_is(job.target, servers[server])
    return Relation(server, database, schema, job.target_table(item))


def _watermark(job: TableCopyJob, own: PerTable) -> Watermark | None:
    column = own.watermark or job.watermark
    if job.mode == "full" or column is None:
        return None
    return Watermark(column, _either(own, job, "lookback"), job.watermark_zone or "")


def _columns(job: TableCopyJob, own: PerTable) -> ColumnRules:
    return ColumnRules(
        include=_either(own, job, "include"),
        exclude=_either(own, job, "exclude"),
        rename=_either(own, job, "rename"),
        mask=_either(own, job, "mask"),
        values=_either(own, job, "values"),
        new=job.new_columns,
    )


def _either(own: PerTable, job: TableCopyJob, key: str) -> Any:  # noqa: ANN401 - of any key
    """Return what is said of the table, else of all."""
    value = getattr(own, key)
    return getattr(job, key) if value is None else value


def check_rules(job: ConsistencyCheckJob, servers: Servers) -> tuple[CheckRules, ...]:
    """Return the rules of each item of a check."""
    if job.copied:
        wanted = set(job.items)
        rules = [each for each in copy_rules(job.copied, servers) if each.name in wanted]
        return tuple(_of_copy(job, each) for each in rules)
    return tuple(
        CheckRules(name, left, right, job.key, exclude=job.exclude, rename=job.rename, **_how(job))
        for name, left, right in _pairs(job, servers)
    )


def _of_copy(job: ConsistencyCheckJob, copied: CopyRules) -> CheckRules:
    """Return how a copy is checked: what it masks differs on purpose, and is left out."""
    columns = copied.columns
    without = dict.fromkeys((*job.exclude, *columns.exclude, *columns.mask))
    return CheckRules(
        copied.name,
        copied.source,
        copied.target,
        job.key or copied.source.key,
        exclude=tuple(without),
        rename=columns.rename,
        soft_column=copied.soft_column if copied.delete == "soft" else "",
        **_how(job) | ({} if job.columns else {"columns": columns.include}),
    )


def _how(job: ConsistencyCheckJob) -> dict[str, Any]:
    return {
        "columns": job.columns,
        "compare": job.compare,
        "tolerance": job.tolerance,
        "age_column": job.age_column or "",
        "min_age": job.min_age,
        "recheck": job.recheck,
        "report_limit": job.report_limit,
        "masked": frozenset(job.mask),
        "on_difference": job.on_difference,
        "repair": job.repair == "copy",
        "alone": len(job.items) == 1,
    }


def _pairs(
    job: ConsistencyCheckJob, servers: Servers
) -> Iterator[tuple[str, Relation | RedisKeys, Relation | RedisKeys]]:
    """Yield the items with their sides; a side that names no table has those of the other."""
    left, right = job.left, job.right
    if left is None or right is None:
        return
    for number, item in enumerate(job.items):
        yield item, _side(left, number, item, servers), _side(right, number, item, servers)


def _side(side: Side, number: int, item: str, servers: Servers) -> Relation | RedisKeys:
    if side.pattern is not None:
        number = side.database if isinstance(side.database, int) else 0
        return RedisKeys(side.server, number, side.pattern, side.field or "", side.as_)
    database, schema = where_is(side, servers[side.server])
    table = side.names[number] if side.names else item
    return Relation(side.server, database, schema, table, side.query or "")
