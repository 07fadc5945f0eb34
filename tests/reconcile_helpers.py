"""A scratch table of another shape than the resources', and ways to reconcile it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import psycopg
import structlog
from psycopg.rows import dict_row

from syncd.context import CancelSource, Deadline, RunContext
from syncd.dispatch.progress import ItemReport, RunProgress
from syncd.model.diff import Digest, Row, short_hash
from syncd.model.run import Claim, Selection, new_run_id
from syncd.store.database import Store
from syncd.store.reconcile import Reconcile, Write, Written
from syncd.store.reconcile_sql import Shape

GRANTS = Shape(
    table="grant of",  # names that need quotes
    stage="grant stage",
    change_table="grant_change",
    scope=("server",),
    key="login",
    label="owner",
    constants=("kind",),
    compared=("owner", "roles", "level"),
    optional=("limits",),
    carried=("raw",),
)
SCHEMA = """
    create table syncd."grant of" (
        server text, login text, kind text, owner text not null, roles text[] not null, level int,
        limits jsonb, raw jsonb not null, digest bytea not null, first_seen_at timestamptz not null,
        changed_at timestamptz not null, missing_since timestamptz,
        missing_runs int not null default 0, deleted_at timestamptz, primary key (server, login));
    create unlogged table syncd."grant stage" (
        stage uuid not null, login text not null, owner text, roles text[], level int, limits jsonb,
        raw jsonb, digest bytea not null);
    create index on syncd."grant stage" (stage, login);
    create table syncd.grant_change (
        id bigint generated always as identity, run_id uuid not null, server text, login text,
        change text not null, changed_at timestamptz not null, fields jsonb not null);
"""


@dataclass(frozen=True)
class Grant:
    """One entry of a listing; `limits` None means that the listing did not tell them."""

    key: str
    owner: str = "ops"
    roles: tuple[str, ...] = ("read",)
    level: int | None = 1
    limits: Any = field(default_factory=dict)
    raw: bytes = b"{}"

    @property
    def seal(self) -> bytes:
        return short_hash(repr(self).encode(errors="surrogatepass"))

    def row(self) -> Row:
        values = {
            "owner": self.owner, "roles": self.roles, "level": self.level, "limits": self.limits,
            "raw": self.raw,
        }  # fmt: skip
        compared = repr((self.owner, self.roles, self.level)).encode(errors="surrogatepass")
        optional = None if self.limits is None else short_hash(repr(self.limits).encode(), 6)
        return Row(
            self.key,
            values,
            Digest(short_hash(compared), optional, short_hash(self.raw), self.seal),
        )


class Bench:
    """A scratch table and ways to reconcile it."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.store = Store(dsn, pool_min=1)
        self.ctx = RunContext(
            Claim(new_run_id(datetime.now(UTC)), "test", 1, 1), "grants", datetime.now(UTC),
            Deadline.after(60), CancelSource().token, Selection(), {}, structlog.get_logger(),
            ItemReport(RunProgress(), "a"),
        )  # fmt: skip
        self.bad: list[str] = []
        self.numbers = count()

    def open(self, server: str = "db1") -> tuple[Reconcile, Any]:
        reconcile = Reconcile(self.store, GRANTS, {"server": server})
        return reconcile, reconcile.begin(self.ctx)

    def listed(
        self, *grants: Grant, server: str = "db1", page: int = 1000, **fates: Any
    ) -> Written:
        """Reconcile a server with what was listed of it."""
        reconcile, standing = self.open(server)
        comparison = standing.comparison
        for start in range(0, len(grants), page):
            differences = list(comparison.offer(grants[start : start + page]))
            self.bad += [key for key, _ in reconcile.stage(self.ctx, differences)]
        self.unchanged, self.unseen = comparison.unchanged, comparison.unseen()
        return self.apply(reconcile, returned=comparison.returned, **fates)

    def apply(self, reconcile: Reconcile, **fates: Any) -> Written:
        self.run_id = new_run_id(datetime.now(UTC))
        with self.store.transaction() as tx:
            written = reconcile.apply(tx, Write(self.run_id, {"kind": "pg"}, **fates))
            self.changes = reconcile.changes(tx, self.run_id, None)
        assert self.rows('select 1 from syncd."grant stage"') == []
        return written

    def rows(self, query: str) -> list[dict[str, Any]]:
        with psycopg.connect(self.dsn, row_factory=dict_row) as connection:
            return connection.execute(query.encode()).fetchall()

    def living(self) -> dict[str, dict[str, Any]]:
        rows = self.rows('select * from syncd."grant of" where deleted_at is null')
        return {row["login"]: row for row in rows}

    def versions(self) -> list[dict[str, Any]]:
        """Return where each row lies and who wrote it last: the same when nothing was written."""
        return self.rows('select login, ctid::text, xmin::text from syncd."grant of" order by 1')
