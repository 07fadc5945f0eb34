"""A configuration whose jobs copy and check tables, run by hand as a person runs them."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from toml_text import toml

from syncd.cli.main import cli

Tables = dict[str, Any]


class House:
    """A configuration without a daemon; `servers` are its database servers."""

    def __init__(self, file: Path, tables: Tables) -> None:
        self.file, self.tables = file, tables
        self.servers: Tables = tables.setdefault("servers", {})

    def configure(self, **jobs: Tables) -> None:
        """Write the configuration with these jobs."""
        self.file.write_text(toml(self.tables | {"jobs": jobs}))
        self.file.chmod(0o600)

    def syncd(self, *words: str, fails: bool = False) -> list[str]:
        """Run a command; return the lines that it printed."""
        result = CliRunner().invoke(cli, ["--config", str(self.file), *words])
        assert bool(result.exit_code) == fails, result.output
        return (result.output if fails else result.stdout).splitlines()

    def sync(self, *words: str, fails: bool = False) -> Any:
        """Run a job; return its run."""
        result = CliRunner().invoke(cli, ["--config", str(self.file), "sync", *words, "--json"])
        assert bool(result.exit_code) == fails, result.output
        return json.loads(result.stdout)[0]


@contextmanager
def opened(store_dsn: str) -> Iterator[House]:
    """Give one whose store is a database with our tables."""
    with tempfile.TemporaryDirectory(prefix="syncd-") as directory:
        tables = {
            "store": {"dsn": store_dsn},
            "listen": {"control": f"{directory}/control.sock"},
            "daemon": {"state_dir": f"{directory}/state"},
        }
        yield House(Path(directory, "syncd.toml"), tables)
