"""The keys of a `table_copy` job: which tables are copied where, and how."""

from collections.abc import Mapping
from typing import Literal, Protocol, Self

from pydantic import Field, model_validator

from syncd.config.fields import DatabaseName, PositiveDuration, Zone
from syncd.config.job import Job, Sources
from syncd.config.schema import Table, TableName
from syncd.config.servers import Server
from syncd.config.table_fields import (
    ColumnName,
    ColumnNames,
    ConflictRule,
    Lookback,
    Masks,
    OnConflict,
    Query,
    Renames,
    SchemaName,
    TableInDatabase,
    TablesInDatabase,
    Values,
)
from syncd.model.copy import Delete, Mode, NewColumns


class Place(Table):
    """Where tables are."""

    server: TableName = Field(description="Name of the server, of a table [servers.NAME].")
    database: DatabaseName | None = Field(
        default=None,
        description="The database. Unset: of postgresql the server's; of mysql it is what schema "
        "is, and one of the two is needed.",
    )
    schema_: SchemaName | None = Field(
        default=None, alias="schema", description="The schema. Unset: of postgresql, public."
    )


class CopySource(Place):
    """What is read: tables, or the result of a query."""

    tables: TablesInDatabase = Field(default=(), description="The tables, each of them an item.")
    query: Query | None = Field(
        default=None, description="Or a SELECT whose result is copied; with key."
    )
    key: ColumnNames = Field(
        default=(),
        description="Columns that tell the rows apart. Unset: the primary key, which a query has "
        "not.",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.tables) == (self.query is not None):
            raise ValueError("needs tables or query: one of them")
        if self.query is not None and not self.key:
            raise ValueError("query needs key: the columns that tell its rows apart")
        return self


class CopyTarget(Place):
    """What is written."""

    table: TableInDatabase | None = Field(
        default=None,
        description="The table, of a query or of one table. Unset: called as in the source.",
    )
    state_schema: SchemaName | None = Field(
        default=None,
        description="Where syncd_watermark is kept, which tells how far each copy is. Unset: where "
        "the table is.",
    )


class PerTable(Table):
    """What is otherwise for one of the tables."""

    table: TableInDatabase | None = Field(default=None, description="Its name in the target.")
    key: ColumnNames | None = Field(default=None, description="Columns that tell its rows apart.")
    watermark: ColumnName | None = Field(default=None, description="As in the job.")
    lookback: Lookback | None = Field(default=None, description="As in the job.")
    include: ColumnNames | None = Field(default=None, description="As in the job.")
    exclude: ColumnNames | None = Field(default=None, description="As in the job.")
    rename: Renames | None = Field(default=None, description="As in the job.")
    mask: Masks | None = Field(default=None, description="As in the job.")
    values: Values | None = Field(default=None, description="As in the job.")
    delete: Delete | None = Field(default=None, description="As in the job.")
    max_rejected: int | None = Field(default=None, ge=0, le=1_000_000, description="As in the job.")
    page_rows: int | None = Field(default=None, ge=1, le=100_000, description="As in the job.")


class TableCopyJob(Job):
    """Copy tables from one database server to another."""

    kind: Literal["table_copy"] = Field(description="Copy tables from one server to another.")
    source: CopySource = Field(description="What is read: tables, or the result of a query.")
    target: CopyTarget = Field(description="What is written.")
    mode: Mode = Field(
        default="full",
        description="full: the whole tables each time. incremental: what is new by the watermark, "
        "after a first full copy.",
    )
    watermark: ColumnName | None = Field(
        default=None,
        description="Of incremental: the column, of times or numbers, that grows whenever a row "
        "is added or updated.",
    )
    lookback: Lookback | None = Field(
        default=None,
        description="How far behind the last watermark reading begins: a duration, or a number for "
        "a numeric watermark. Unset: 10 minutes of times, 0 of numbers.",
    )
    watermark_zone: Zone | None = Field(
        default=None,
        description="Zone of a watermark whose type has none. Unset: the source server's own.",
    )
    full_every: PositiveDuration | None = Field(
        default=None,
        description="Of incremental: the whole tables are read again after so long. Unset: never.",
    )
    on_conflict: OnConflict = Field(
        default=ConflictRule("update"),
        description="What becomes of a row that the target has: update (where it differs), skip, "
        "error, or newer(COLUMN): the larger value wins.",
    )
    delete: Delete = Field(
        default="none",
        description="What becomes of rows that the source no longer has: none, soft (marked in "
        "soft_delete_column) or hard (deleted).",
    )
    soft_delete_column: ColumnName = Field(
        default="deleted_at", description="Column of the target that marks them, by the moment."
    )
    max_delete_percent: int = Field(
        default=30,
        ge=0,
        le=100,
        description="Guard: deletions of a table above this share and above max_delete_count "
        "are not made, and the item fails.",
    )
    max_delete_count: int = Field(
        default=10,
        ge=0,
        description="Guard: this many deletions of a table may always happen, "
        "unless they empty a table of several rows.",
    )
    new_columns: NewColumns = Field(
        default="freeze",
        description="What becomes of a column that the target lacks: freeze (left out, and told), "
        "evolve (added) or error.",
    )
    include: ColumnNames = Field(default=(), description="The columns copied. Unset: all.")
    exclude: ColumnNames = Field(default=(), description="Columns left out.")
    rename: Renames = Field(default={}, description="Names in the target, by those of the source.")
    mask: Masks = Field(
        default={},
        description="Columns whose values are not told: hash (SHA-256, in hexadecimal) or null.",
    )
    values: Values = Field(
        default={},
        description="By column, what becomes of a value that has no place in the target, such as "
        "a date 0000-00-00: error (the row is refused), null or text.",
    )
    max_rejected: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Rows of a table that the target may refuse in a run, which are put aside; "
        "more fail the item.",
    )
    page_rows: int = Field(
        default=50_000, ge=1, le=100_000, description="Rows of a page, which is one transaction."
    )
    per_table: dict[TableInDatabase, PerTable] = Field(
        default={}, description="What is otherwise for a table, by its name in the source."
    )
    max_concurrent_items: int = Field(
        default=4, ge=1, le=100, description="Items (tables) worked on at once in one run."
    )

    def enabled_servers(self, servers: Mapping[str, Server]) -> tuple[str, ...]:
        """Return both servers; none when one of them is disabled, for nothing can be copied."""
        both = tuple(dict.fromkeys((self.source.server, self.target.server)))
        return both if all(servers[name].enabled for name in both) else ()

    def has_targets(self, sources: Sources) -> bool:
        """Tell whether both servers are enabled."""
        return bool(self.enabled_servers(sources.servers))

    @property
    def items(self) -> tuple[str, ...]:
        """Return the names of the items: the tables, or the table that a query is copied into."""
        return self.source.tables or (self.target.table or "query",)

    def target_table(self, item: str) -> str:
        """Return what the table of an item is called in the target."""
        own = self.per_table[item].table if item in self.per_table else None
        return own or self.target.table or item

    def scopes(self, sources: Sources) -> list[str]:
        """Return each table that is written."""
        place, server = self.target, sources.servers[self.target.server]
        where = ".".join(filter(None, where_is(place, server)))
        return [
            f'table "{where}.{self.target_table(item)}" of server "{place.server}"'
            for item in self.items
        ]


class Located(Protocol):
    """What tells where it is, by the keys that it has in common with `Place`."""

    @property
    def database(self) -> str | int | None:
        """Return the database, None where it is unset."""

    @property
    def schema_(self) -> str | None:
        """Return the schema, None where it is unset."""


def where_is(place: Located, server: Server) -> tuple[str, str]:
    """Return database and schema of a place; of mysql they are the same, and "" where unset."""
    if server.engine == "mysql":
        name = str(place.database or place.schema_ or "")
        return name, name
    return str(place.database or server.database), place.schema_ or "public"
