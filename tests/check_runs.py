"""Checks of tables as they really run, beside the copy that they check."""

from collections.abc import Mapping
from typing import Any

from job_runs import Result
from table_runs import TableRuns

from syncd import assembly
from syncd.config.configuration import Config, Tables


class CheckRuns(TableRuns):
    """A job `check` of what the job `copy` copies."""

    main = "check"

    def check_with(self, copy: Mapping[str, Any] | None = None, **check: Any) -> None:
        """Put a configuration in force; `copy` are keys of the copy."""
        reads = {"server": "shop", **self.source.place, "tables": ["orders"]}
        writes = {"server": "house", **self.target.place}
        copies = {
            "kind": "table_copy", "source": reads, "target": writes, "retries": [], **(copy or {}),
        }  # fmt: skip
        checks = {
            "kind": "consistency_check", "copy": "copy", "retries": [], "recheck": "0s", **check,
        }  # fmt: skip
        servers = {"shop": self.source.server, "house": self.target.server}
        told = {"jobs": {"copy": copies, "check": checks}, "servers": servers}
        self.config = Config.of(Tables.model_validate(told))
        self.specs = assembly.job_specs(
            self.config, self.store, self.accounts, self.tokens, lambda *_: None
        )

    def checked(self, status: str = "success", **rest: Any) -> tuple[Result, dict[str, Any]]:
        """Make a check, and return its result with the details of its item."""
        result = self.run("check", **rest)
        assert result.run["status"] == status, result.run["error"]
        return result, result.items["orders"]["details"]
