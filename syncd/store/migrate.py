"""Numbered SQL migrations, applied in order, each once, each in its own transaction.

A migration only expands the schema. Its first line names the lowest program version that can use
the store afterwards, so that a package can be rolled back and a program that is too old is refused.
"""

import hashlib
import re
from dataclasses import dataclass
from importlib import resources

from syncd import __version__
from syncd.errors import ConfigurationError
from syncd.store.database import Store, Transaction

_NAME = re.compile(r"(\d{4})_(\w+)\.sql")
_REQUIRES = re.compile(r"-- requires: (\d+(?:\.\d+)*)\n")
_LOCK = 0x73796E6364  # "syncd": the advisory lock that migrations are applied under

_PREPARE = """
create schema if not exists syncd;
create table if not exists syncd.migration (
    number     integer primary key,
    name       text not null,
    digest     text not null,
    requires   text not null,
    applied_at timestamptz not null default now(),
    applied_by text not null
);
comment on table syncd.migration is 'The migrations that made this schema.'
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    number: int
    name: str
    requires: str
    text: str

    @property
    def digest(self) -> str:
        """The SHA-256 of the file, hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def identity(self) -> tuple[int, str, str, str]:
        """What the store remembers: number, name, digest, required version."""
        return self.number, self.name, self.digest, self.requires


def shipped() -> list[Migration]:
    """Return the migrations that this program brings, in order."""
    found = []
    for file in (resources.files("syncd.store") / "migrations").iterdir():
        if name := _NAME.fullmatch(file.name):
            text = file.read_text(encoding="utf-8")
            requires = _REQUIRES.match(text)
            if requires is None:
                raise ConfigurationError(f"{file.name}: its first line must be '-- requires: X.Y'")
            found.append(Migration(int(name[1]), name[2], requires[1], text))
    return sorted(found, key=lambda migration: migration.number)


def migrate(store: Store, migrations: list[Migration] | None = None) -> list[Migration]:
    """Bring the store's schema up to date; return the migrations that were applied.

    Raises ConfigurationError when the store needs a newer program, can't hold every text, or when a
    migration that was applied differs from the one shipped; StoreError when one fails.
    """
    pending = shipped() if migrations is None else migrations
    with store.transaction() as tx:
        tx.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        if not _is_prepared(tx):  # a role that may not create schemas can use one that stands
            _refuse_encoding(tx)
            tx.execute(_PREPARE)
    return [migration for migration in pending if _apply(store, migration)]


def is_newer(version: str, than: str) -> bool:
    """Tell whether a version of the program comes after another."""
    return _version(version) > _version(than)


def is_current(tx: Transaction) -> bool:
    """Tell whether every migration that this program brings was applied."""
    if not _is_prepared(tx):
        return False
    rows = tx.execute("select number from syncd.migration").fetchall()
    return {migration.number for migration in shipped()} <= {row[0] for row in rows}


def _is_prepared(tx: Transaction) -> bool:
    """Tell whether the store remembers migrations."""
    return tx.execute("select to_regclass('syncd.migration')").fetchone() != (None,)


def _apply(store: Store, migration: Migration) -> bool:
    """Apply one migration unless it was applied; tell whether it was applied now."""
    with store.transaction() as tx:
        tx.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        _refuse_older_program(tx)
        known = tx.execute(
            "select digest from syncd.migration where number = %s", (migration.number,)
        ).fetchone()
        if known is None:
            tx.execute("set local statement_timeout = 0")
            tx.execute(migration.text.encode())
            tx.execute(
                "insert into syncd.migration (number, name, digest, requires, applied_by)"
                " values (%s, %s, %s, %s, %s)",
                (*migration.identity, __version__),
            )
        elif known[0] != migration.digest:
            raise ConfigurationError(
                f"migration {migration.number:04} ({migration.name}) of the store is not the one"
                f" of this program, version {__version__}: the schema can't be trusted"
            )
    return known is None


def _refuse_encoding(tx: Transaction) -> None:
    """Raise ConfigurationError for a database that has no room for the names of clouds."""
    encoding = tx.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise ConfigurationError(
            f"the database of store.dsn is encoded in {encoding}: syncd needs one made with"
            " `create database ... encoding 'UTF8'`"
        )


def _refuse_older_program(tx: Transaction) -> None:
    """Raise ConfigurationError when the store was migrated beyond what this program can use."""
    rows = tx.execute("select requires from syncd.migration").fetchall()
    needed = max((row[0] for row in rows), key=_version, default="0")
    if is_newer(needed, __version__):
        raise ConfigurationError(
            f"the store needs syncd {needed} or later, and this is syncd {__version__}:"
            " install the newer version again, or restore a backup from before its migration"
        )


def _version(text: str) -> tuple[int, ...]:
    """Return a version as numbers that compare."""
    return tuple(int(part) for part in text.split("."))
