"""The keys of a `consistency_check` job: which two sides are compared, and how."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from syncd.config.durations import parse_duration
from syncd.config.fields import Duration
from syncd.config.job import Job, Sources
from syncd.config.schema import Table, TableName
from syncd.config.servers import Server
from syncd.config.spelling import quoted
from syncd.config.table_copy import TableCopyJob
from syncd.config.table_fields import (
    ColumnName,
    ColumnNames,
    Comparisons,
    DatabaseOrNumber,
    KeyPattern,
    Query,
    RedisField,
    Renames,
    SchemaName,
    TableInDatabase,
    TablesInDatabase,
    Tolerances,
    places,
)
from syncd.model.check import OnDifference


class Side(Table):
    """One of the two sides: tables, the result of a query, or keys of Redis."""

    server: TableName = Field(description="Name of the server, of a table [servers.NAME].")
    database: DatabaseOrNumber | None = Field(
        default=None,
        description="The database. Unset: of postgresql the server's, of redis 0; of mysql it is "
        "what schema is, and one of the two is needed.",
    )
    schema_: SchemaName | None = Field(
        default=None, alias="schema", description="The schema. Unset: of postgresql, public."
    )
    table: TableInDatabase | None = Field(default=None, description="A table;")
    tables: TablesInDatabase = Field(
        default=(),
        description="or tables, each of them an item, in the order of the other side's. With "
        "neither, the right side's are called as the left side's;",
    )
    query: Query | None = Field(default=None, description="or a SELECT whose result is compared;")
    pattern: KeyPattern | None = Field(
        default=None,
        description="or, of redis, keys such as stock:{sku}: what stands in braces is the key of a "
        "row, by the name of its column.",
    )
    field: RedisField | None = Field(
        default=None, description="Of redis: field of the hashes; unset: the values are strings."
    )
    as_: ColumnName = Field(
        default="value", alias="as", description="Of redis: the column that the value is."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [
            key
            for key in ("table", "tables", "query", "pattern")
            if getattr(self, key) not in (None, ())
        ]
        if given[1:]:
            raise ValueError(f"{given[0]} and {given[1]}: only one of them may be")
        if self.pattern is None and {"field", "as_"} & self.model_fields_set:
            raise ValueError("field and as go with pattern")
        if self.pattern is not None and self.as_ in places(self.pattern):
            raise ValueError(f"as: {quoted(self.as_)} is a name in the pattern too")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Return the tables."""
        return (self.table,) if self.table else self.tables

    @property
    def is_open(self) -> bool:
        """Tell whether it does not say what of the server is meant."""
        return not self.names and self.query is None and self.pattern is None


class ConsistencyCheckJob(Job):
    """Compare tables of two servers, or a table with Redis."""

    kind: Literal["consistency_check"] = Field(
        description="Compare tables of two servers, or a table with Redis."
    )
    copy_: TableName | None = Field(
        default=None,
        alias="copy",
        description="The job of kind table_copy whose source and target are compared, each table "
        "an item, with its renames, left out and masked columns.",
    )
    tables: TablesInDatabase = Field(
        default=(), description="Of copy: only these of its tables. Unset: all."
    )
    left: Side | None = Field(default=None, description="Or the one side, which right goes with;")
    right: Side | None = Field(default=None, description="and the other one.")
    key: ColumnNames = Field(
        default=(), description="Columns of the left side that tell rows apart. Unset: the "
        "primary key."
    )  # fmt: skip
    columns: ColumnNames = Field(
        default=(), description="Columns of the left side that are compared. Unset: all of both."
    )
    exclude: ColumnNames = Field(default=(), description="Columns that are not compared.")
    rename: Renames = Field(
        default={}, description="Names of columns on the right side, by those of the left."
    )
    compare: Comparisons = Field(
        default=("checksum",),
        description="What is compared: count (of rows), aggregate (sum, least, greatest, average "
        "and NULLs of columns), checksum (each row, by ranges of the key).",
    )
    tolerance: Tolerances = Field(
        default={},
        description="By column, how far numbers may be apart: an amount, or a share such as "
        '"0.1%" of the larger one.',
    )
    age_column: ColumnName | None = Field(
        default=None, description="Column of the left side that tells when a row last changed."
    )
    min_age: Duration = Field(
        default=parse_duration("0s"),
        description="Rows that changed less than this long ago are left out; with age_column.",
    )
    recheck: Duration = Field(
        default=parse_duration("5s"),
        description="A difference is told when it is still there after this long.",
    )
    report_limit: int = Field(
        default=100, ge=0, le=10_000, description="Differing keys that are told at most."
    )
    mask: ColumnNames = Field(default=(), description="Columns whose values are not told.")
    on_difference: OnDifference = Field(
        default="fail", description="Of an item with differences: fail, or report and succeed."
    )
    repair: Literal["none", "copy"] = Field(
        default="none", description="copy copies the differing rows again; with the key copy."
    )
    max_concurrent_items: int = Field(
        default=4, ge=1, le=100, description="Items (tables) worked on at once in one run."
    )

    _copied: TableCopyJob | None = PrivateAttr(default=None)

    @property
    def copied(self) -> TableCopyJob | None:
        """Return the job that `copy` names, once the whole configuration is known."""
        return self._copied

    def beside(self, job: Job | None) -> Self:
        """Return the same with the job that `copy` names."""
        known = self.model_copy()
        known._copied = job if isinstance(job, TableCopyJob) else None
        return known

    @property
    def server_names(self) -> tuple[str, ...]:
        """Return the servers of both sides."""
        sides = [self.copied.source, self.copied.target] if self.copied else [self.left, self.right]
        return tuple(dict.fromkeys(side.server for side in sides if side))

    def enabled_servers(self, servers: Mapping[str, Server]) -> tuple[str, ...]:
        """Return the servers; none when one of them is disabled, for nothing can be compared."""
        both = self.server_names
        return both if all(servers[name].enabled for name in both) else ()

    def has_targets(self, sources: Sources) -> bool:
        """Tell whether both servers are enabled."""
        return bool(self.enabled_servers(sources.servers))

    @property
    def items(self) -> tuple[str, ...]:
        """Return the names of the items: those of the copy, or of the tables."""
        if self.copied:
            return self.tables or self.copied.items
        sides = [side for side in (self.left, self.right) if side]
        return next((side.names for side in sides if side.names), ("query",))
