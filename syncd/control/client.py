"""The client of the control socket: the same calls as in the daemon, the same errors."""

import http.client
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode
from uuid import UUID

import msgspec

from syncd.control.commands import Json
from syncd.control.reads import Rows
from syncd.control.wire import (
    ExaminationBody,
    Part,
    PauseBody,
    PriorityBody,
    RunBody,
    error_from,
    query_parameters,
    write_body,
)
from syncd.errors import Unreachable
from syncd.model.queries import (
    ChangeQuery,
    DbAccountChangeQuery,
    DbAccountQuery,
    ResourceQuery,
    RunQuery,
    SizeQuery,
    SizeStatQuery,
)
from syncd.model.run import Priority, Selection

T = TypeVar("T")

EXAMINATION_TIMEOUT: Final = 300.0  # seconds; each check has a limit of its own
TIMEOUT: Final = 70.0  # seconds without a byte; over the statement limit of the store


class Client:
    """Asks the daemon behind a control socket; is both its `Commands` and its `Reads`.

    All raise Unreachable when nobody answers, and the errors that the daemon's own calls raise.
    `by` is not sent: the daemon knows from the kernel who asks.
    """

    def __init__(self, path: Path, timeout: float = TIMEOUT) -> None:
        self._path, self._timeout = path, timeout

    def probe(self) -> None:
        """Raise Unreachable unless somebody listens on the socket."""
        connection = _Connection(self._path, self._timeout)
        try:
            connection.connect()
        except OSError as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()

    def status(self) -> Json:
        """Return the state of the daemon."""
        return _object(self._get("/status"))

    def jobs(self) -> Rows:
        """Return each enabled job; `last` is the outcome of its last run."""
        return _rows(self._get("/jobs"))

    def scheduler(self) -> Json:
        """Return what runs, what waits and why."""
        return _object(self._get("/scheduler"))

    def waiting(self) -> Rows:
        """Return the runs that wait, each with why."""
        rows: Rows = self.scheduler()["waiting"]
        return rows

    def progress(self) -> Mapping[str, Json]:
        """Return the progress of the active runs by run id."""
        return _object(self._get("/progress"))

    def trigger(
        self,
        job: str,
        selection: Selection,
        by: str,  # noqa: ARG002
        priority: Priority | None = None,
    ) -> UUID:
        """Queue a run and return its id."""
        body = RunBody(**_part(selection), priority=priority)
        return UUID(_object(self._post(f"/jobs/{_quoted(job)}/run", body))["id"])

    def wait(self, run_id: UUID, seconds: float) -> bool:
        """Wait until a run has a final status; tell whether it has."""
        answer = self._get(f"/runs/{run_id}/wait", {"wait": str(seconds)})
        return bool(_object(answer)["ended"])

    def plan(self, job: str, selection: Selection, by: str) -> Sequence[Json]:  # noqa: ARG002
        """Return what a run would change; takes as long as the run."""
        path = f"/jobs/{_quoted(job)}/plan"
        return _rows(self._ask("POST", path, Part(**_part(selection)), timeout=None))

    def cancel(self, run_id: UUID, by: str) -> None:  # noqa: ARG002
        """Cancel a pending or running run."""
        self._post(f"/runs/{run_id}/cancel")

    def prioritise(self, run_id: UUID, priority: Priority, by: str) -> None:  # noqa: ARG002
        """Move a waiting run to another priority."""
        self._post(f"/runs/{run_id}/priority", PriorityBody(priority))

    def pause(self, job: str, seconds: float | None, by: str) -> Json:  # noqa: ARG002
        """Start no run of a job for so long, or until it is resumed."""
        return _object(self._post(f"/jobs/{_quoted(job)}/pause", PauseBody(seconds)))

    def resume(self, job: str, by: str) -> Json:  # noqa: ARG002
        """End the pause of a job, and the hold of its accounts."""
        return _object(self._post(f"/jobs/{_quoted(job)}/resume"))

    def approve(self, job: str, by: str) -> int:  # noqa: ARG002
        """Let the guarded deletions of a job go in its next run; return how many."""
        return int(_object(self._post(f"/jobs/{_quoted(job)}/approve"))["approved"])

    def reload(self, by: str) -> Sequence[str]:  # noqa: ARG002
        """Have the configuration read again; return what needs a restart."""
        return list(_object(self._post("/reload"))["restart_needed"])

    def examine(
        self, accounts: Sequence[str], servers: Sequence[str], version: str, *, offline: bool
    ) -> Json:
        """Have every check made by the daemon; return what they found."""
        body = ExaminationBody(tuple(accounts), tuple(servers), offline, version)
        return _object(self._ask("POST", "/doctor", body, EXAMINATION_TIMEOUT))

    def test_channel(self, channel: str, by: str) -> Json:  # noqa: ARG002
        """Have a message sent to a channel; takes as long as its time limit."""
        return _object(self._ask("POST", f"/notify/{_quoted(channel)}/test", None, timeout=None))

    def runs(self, query: RunQuery) -> Rows:
        """Return runs, the newest first."""
        return _rows(self._get("/runs", query_parameters(query)))

    def run(self, run: str) -> Json:
        """Return a run with its items, errors and calls."""
        return _object(self._get(f"/runs/{_quoted(run)}"))

    def log(self, run: str, offset: int) -> Json:
        """Return a piece of a run's log, as `LogReads` says."""
        return _object(self._get(f"/runs/{_quoted(run)}/log", {"offset": str(offset)}))

    def resources(self, query: ResourceQuery) -> Rows:
        """Return one page of the living resources."""
        return _rows(self._get("/resources", query_parameters(query)))

    def changes(self, query: ChangeQuery) -> Rows:
        """Return changes, the newest first."""
        return _rows(self._get("/changes", query_parameters(query)))

    def db_accounts(self, query: DbAccountQuery) -> Rows:
        """Return one page of the living accounts of database servers."""
        return _rows(self._get("/db-accounts", query_parameters(query)))

    def db_account_changes(self, query: DbAccountChangeQuery) -> Rows:
        """Return changes of accounts, the newest first."""
        return _rows(self._get("/db-account-changes", query_parameters(query)))

    def sizes(self, query: SizeQuery) -> dict[str, Rows]:
        """Return the newest sizes of databases and servers."""
        return _object(self._get("/sizes", query_parameters(query)))

    def size_stats(self, query: SizeStatQuery) -> dict[str, Rows]:
        """Return the statistics of databases and servers."""
        return _object(self._get("/size-stats", query_parameters(query)))

    def notifications(self) -> dict[str, Rows]:
        """Return how the channels are, and what lasts."""
        return _object(self._get("/notifications"))

    def overview(self) -> dict[str, Rows]:
        """Return how the jobs went, what stands, and what is held back."""
        return _object(self._get("/overview"))

    def _get(self, path: str, parameters: Mapping[str, str] | None = None) -> bytes:
        query = f"?{urlencode(parameters)}" if parameters else ""
        return self._ask("GET", path + query, None, self._timeout)

    def _post(self, path: str, body: object = None) -> bytes:
        return self._ask("POST", path, body, self._timeout)

    def _ask(self, method: str, path: str, body: object, timeout: float | None) -> bytes:
        """Send one request on a connection of its own; return the body of a good answer."""
        content = None if body is None else write_body(body)
        connection = _Connection(self._path, timeout)
        try:
            connection.request(method, path, content)
            answer = connection.getresponse()
            told = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise error_from(answer.status, told)
        return told

    def _unreachable(self, error: Exception) -> Unreachable:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Unreachable(f"the daemon does not answer on {self._path}: {reason}")


class _Connection(http.client.HTTPConnection):
    """A connection over a Unix socket."""

    def __init__(self, path: Path, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _part(selection: Selection) -> dict[str, Any]:
    return {name: tuple(sorted(getattr(selection, name))) for name in Selection.PARTS}


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _object(content: bytes) -> dict[str, Any]:
    return _decode(content, dict[str, Any])


def _rows(content: bytes) -> Rows:
    return _decode(content, list[dict[str, Any]])


def _decode(content: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise Unreachable(f"what answers on the control socket is not syncd: {error}") from error
