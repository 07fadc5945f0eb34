"""SQL for the servers of the demonstration, through their own command-line clients."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Final

from syncd.errors import StoreError
from syncd.store.embedded.binaries import find_binaries

_PATIENCE: Final = 30.0  # seconds for a script
_KEPT_OUT: Final = ("PG", "MYSQL_", "MARIADB_")


def psql() -> str:
    """Return the psql of the system, or the one that comes with the embedded server."""
    return shutil.which("psql") or str(find_binaries().root / "bin" / "psql")


def postgresql(conninfo: str) -> list[str]:
    """Return the client of a PostgreSQL database: quiet, and done at the first error."""
    return [psql(), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", conninfo]


def execute(client: Sequence[str], script: str) -> None:
    """Execute statements; raises StoreError with what the client says, or when it takes too long.

    Nothing of the environment makes them go elsewhere.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_KEPT_OUT)}
    try:
        done = subprocess.run(  # noqa: S603 - a client of our choice
            client, input=script, capture_output=True, text=True, timeout=_PATIENCE, check=False,
            env=kept | {"PGOPTIONS": "-c client_min_messages=error"}, start_new_session=True,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StoreError(f"{client[0]}: {error}") from error
    if done.returncode != 0:
        raise StoreError(f"{client[0]}: {done.stderr.strip()[-500:]}")
