"""What a reload changes: pure, so that the daemon and `syncd check` can tell it alike."""

from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel

from syncd.config.configuration import Config

FIXED: Final = ("store", "listen", "daemon")
"""The tables that are built into the running daemon."""
LIVE: Final = (
    "store.pool_min",
    "store.pool_max",  # with max_concurrent_runs, which would starve in a pool of before
    "daemon.max_concurrent_runs",
    "daemon.max_per_account",
    "daemon.max_per_server",
    "daemon.load_limit",
    "daemon.min_free_disk",
    "daemon.shutdown_grace",
)
"""Their keys that a running daemon takes up all the same."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Names of enabled jobs, in order, and the changed keys that wait for a restart."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]
    restart_needed: tuple[str, ...]


def difference(old: Config, new: Config) -> Difference:
    """Compare two configurations; a disabled job counts as absent."""
    before, after = old.enabled_jobs(), new.enabled_jobs()
    both = [name for name in after if name in before]
    return Difference(
        added=tuple(name for name in after if name not in before),
        changed=tuple(name for name in both if before[name] != after[name]),
        removed=tuple(name for name in before if name not in after),
        unchanged=tuple(name for name in both if before[name] == after[name]),
        restart_needed=tuple(
            key
            for table in FIXED
            for key in _changed_keys(table, getattr(old, table), getattr(new, table))
        ),
    )


def _changed_keys(table: str, old: BaseModel, new: BaseModel) -> list[str]:
    keys = [f"{table}.{name}" for name in type(old).model_fields]
    return [
        key
        for key in keys
        if key not in LIVE
        and getattr(old, key.partition(".")[2]) != getattr(new, key.partition(".")[2])
    ]
