"""HTTP jobs as they really run, without a daemon: an API server, a store, configuration, Runner."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from api_server import ApiServer
from job_runs import JobRuns, Result, Row

from syncd import assembly
from syncd.config.configuration import Config, Tables
from syncd.model.run import RunId

SECRET = "s3cr3t-of-nobody"
AT_ONCE = timedelta(milliseconds=1)


class HttpRuns(JobRuns):
    """A server, a store, and jobs that call the one and record in the other.

    The one job is `call`; without other keys it sends a POST to /effect. `counted` are requests as
    the metrics hear of them.
    """

    main = "call"

    def __init__(self, api: ApiServer, dsn: str, directory: Path) -> None:
        super().__init__(dsn, directory)
        self.api = api
        self.accounts = assembly.Accounts(self.store, lambda *_: None, b"key")
        self.tokens = assembly.open_tokens(None, b"key", lambda *_: None)
        self.counted: list[tuple[str, str, str]] = []
        self.configure()

    def configure(
        self,
        request: Mapping[str, Any] | None = None,
        http: Mapping[str, Any] | None = None,
        tokens: Mapping[str, Any] | None = None,
        **job: Any,
    ) -> None:
        """Put a configuration in force: a request, or `calls`; URLs may be paths of the server."""
        if "calls" not in job:
            job["request"] = self.sends(**(request or {}))
        else:
            job["calls"] = [
                {**call, "request": self.sends(**call["request"])} for call in job["calls"]
            ]
        tables = {
            "jobs": {"call": {"kind": "http", "retries": [], **job}},
            "tokens": dict(tokens or {}),
            "http": dict(http or {}),
        }
        self.config = Config.of(Tables.model_validate(tables))
        self.specs = assembly.job_specs(
            self.config, self.store, self.accounts, self.tokens,
            lambda *told: self.counted.append(told[:3]),
        )  # fmt: skip

    def sends(self, url: str = "/effect", method: str = "POST", **keys: Any) -> Row:
        """Return a request of this server."""
        return {"url": self.url(url), "method": method, **keys}

    def url(self, path: str) -> str:
        return self.api.url + path if path.startswith("/") else path

    def login(self, **keys: Any) -> Row:
        """Return the table of a token of this server."""
        body = {"username": self.api.user, "password": self.api.password}
        return {"login": {"url": self.url("/login"), "body": body}, **keys}

    def calls(self, result: Result | RunId) -> list[Row]:
        """Return the records of a run's calls, in their order."""
        run_id = result.run["id"] if isinstance(result, Result) else result
        return self.rows(
            "select * from syncd.http_call where run_id = %s order by position, attempt", run_id
        )

    def ended(self, result: Result) -> tuple[str, str | None]:
        """Return how a run ended, which must be how its item ended too."""
        run, item = result.run, result.items["calls"]
        if run["status"] != "pending":
            assert (item["status"], item["error_class"]) == (run["status"], run["error_class"])
        return run["status"], run["error_class"]
