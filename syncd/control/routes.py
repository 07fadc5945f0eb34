"""What each path answers; the same functions serve the control socket and the TCP listener."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Protocol
from uuid import UUID

import msgspec
from werkzeug.wrappers import Request, Response

from syncd.context import Deadline
from syncd.control.commands import Commands, Json
from syncd.control.reads import Reads, Rows
from syncd.control.run_log import LogReads
from syncd.control.wire import (
    ExaminationBody,
    Part,
    PauseBody,
    PriorityBody,
    RunBody,
    parse_body,
    parse_query,
)
from syncd.errors import BadRequest, Conflict, StoreError
from syncd.model.queries import (
    ChangeQuery,
    DbAccountChangeQuery,
    DbAccountQuery,
    ResourceQuery,
    RunQuery,
    SizeQuery,
    SizeStatQuery,
)
from syncd.model.run import FINAL, Selection
from syncd.telemetry.health import Health

LONGEST_WAIT: Final = 60.0
LONG_CALLS: Final = 6  # at once; each holds a thread of the listener
_SLICE: Final = 0.5  # of a wait, after which a closing server is noticed


class Page(Protocol):
    """What renders the metrics."""

    def render(self, accept: str) -> tuple[str, bytes]:
        """Return content type and body for the Accept header."""


@dataclass(slots=True)
class Offer:
    """Everything that the listeners answer from; `close` ends the waits of clients."""

    commands: Commands
    reads: Reads
    metrics: Page
    health: Health
    logs: LogReads
    closing: threading.Event = field(default_factory=threading.Event)
    _long_calls: threading.Semaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(LONG_CALLS)
    )

    @contextmanager
    def long_call(self) -> Iterator[bool]:
        """Tell whether there is room for a call that may take long, so that short ones find one."""
        free = self._long_calls.acquire(blocking=False)
        try:
            yield free
        finally:
            if free:
                self._long_calls.release()


def status(offer: Offer, _request: Request) -> Json:
    """Tell the daemon's state, with the inventory; a store that is gone is no error here."""
    state = offer.commands.status()
    try:
        overview = offer.reads.overview()
    except StoreError as error:
        return state | {"resources": None, "guarded": None, "store_error": str(error)}
    return state | {name: overview[name] for name in ("resources", "guarded")}


def jobs(offer: Offer, _request: Request) -> Rows:
    """List the enabled jobs, each with the outcome of its last run: null without the store too."""
    found = offer.commands.jobs()
    try:
        outcomes = {row["job"]: row for row in offer.reads.overview()["outcomes"]}
    except StoreError:  # why nothing runs is worth knowing just then
        outcomes = {}
    return [job | {"last": outcomes.get(job["name"])} for job in found]


def scheduler(offer: Offer, _request: Request) -> Json:
    """Tell what runs, what waits and why; needs no store."""
    return offer.commands.scheduler()


def runs(offer: Offer, request: Request) -> Rows:
    """List the runs that the parameters ask for."""
    return offer.reads.runs(parse_query(RunQuery, request.args.to_dict()))


def run(offer: Offer, request: Request, run: str) -> Json:
    """Show one run; with `wait`, once it has ended or the seconds have passed."""
    seconds = parse_query(_Wait, request.args.to_dict()).wait
    found = offer.reads.run(run)
    if seconds <= 0 or found["status"] in FINAL:
        return found
    _wait(offer, found["id"], min(seconds, LONGEST_WAIT))
    return offer.reads.run(str(found["id"]))


def log(offer: Offer, request: Request, run: str) -> Json:
    """Give a piece of a run's log; a run has not ended before its last line is written."""
    offset = parse_query(_Offset, request.args.to_dict()).offset
    active = offer.commands.progress()  # asked first, as the log asks for the status
    piece = offer.logs.log(run, offset)
    return piece | {"ended": piece["ended"] and str(piece["id"]) not in active}


def wait(offer: Offer, request: Request, run: UUID) -> Json:
    """Tell whether a run has ended, at the latest when the seconds have passed."""
    seconds = parse_query(_Wait, request.args.to_dict()).wait
    return {"ended": _wait(offer, run, min(seconds, LONGEST_WAIT))}


def progress(offer: Offer, _request: Request) -> Json:
    """Tell the progress of the active runs."""
    return dict(offer.commands.progress())


def run_progress(offer: Offer, _request: Request, run: str) -> Json:
    """Tell the progress of one run, null when it is not active."""
    found = offer.reads.run(run)
    return {"id": found["id"], "progress": offer.commands.progress().get(str(found["id"]))}


def resources(offer: Offer, request: Request) -> Rows:
    """List one page of the inventory."""
    return offer.reads.resources(parse_query(ResourceQuery, request.args.to_dict()))


def changes(offer: Offer, request: Request) -> Rows:
    """List the changes that the parameters ask for."""
    return offer.reads.changes(parse_query(ChangeQuery, request.args.to_dict()))


def db_accounts(offer: Offer, request: Request) -> Rows:
    """List one page of the accounts of database servers."""
    return offer.reads.db_accounts(parse_query(DbAccountQuery, request.args.to_dict()))


def db_account_changes(offer: Offer, request: Request) -> Rows:
    """List the changes of accounts that the parameters ask for."""
    return offer.reads.db_account_changes(parse_query(DbAccountChangeQuery, request.args.to_dict()))


def sizes(offer: Offer, request: Request) -> dict[str, Rows]:
    """Give the newest sizes of databases and servers."""
    return offer.reads.sizes(parse_query(SizeQuery, request.args.to_dict()))


def size_stats(offer: Offer, request: Request) -> dict[str, Rows]:
    """Give the statistics of databases and servers."""
    return offer.reads.size_stats(parse_query(SizeStatQuery, request.args.to_dict()))


def notifications(offer: Offer, _request: Request) -> dict[str, Rows]:
    """Tell how the channels are, and what lasts."""
    return offer.reads.notifications()


def overview(offer: Offer, _request: Request) -> dict[str, Rows]:
    """Give outcomes of all jobs that ever ran, counts of resources, guarded deletions."""
    return offer.reads.overview()


def trigger(offer: Offer, request: Request, job: str) -> Json:
    """Queue a run; the answer does not wait for it."""
    body = parse_body(RunBody, request.get_data())
    return {"id": offer.commands.trigger(job, _selection(body), _by(request), body.priority)}


def plan(offer: Offer, request: Request, job: str) -> Any:  # noqa: ANN401 - JSON
    """Find out what a run would change."""
    body = parse_body(Part, request.get_data())
    with offer.long_call() as free:
        if not free:
            raise Conflict("too many plans and waits at the same time: try again later")
        return offer.commands.plan(job, _selection(body), _by(request))


def cancel(offer: Offer, request: Request, run: str) -> Json:
    """Cancel a run."""
    found: UUID = offer.reads.run(run)["id"]
    offer.commands.cancel(found, _by(request))
    return {"id": found}


def prioritise(offer: Offer, request: Request, run: str) -> Json:
    """Move a waiting run to another priority."""
    body = parse_body(PriorityBody, request.get_data())
    found: UUID = offer.reads.run(run)["id"]
    offer.commands.prioritise(found, body.priority, _by(request))
    return {"id": found, "priority": body.priority}


def pause(offer: Offer, request: Request, job: str) -> Json:
    """Start no run of a job for a while."""
    body = parse_body(PauseBody, request.get_data())
    return offer.commands.pause(job, body.for_seconds, _by(request))


def resume(offer: Offer, request: Request, job: str) -> Json:
    """End the pause of a job and the hold of its accounts."""
    return offer.commands.resume(job, _by(request))


def approve(offer: Offer, request: Request, job: str) -> Json:
    """Let the guarded deletions of a job go in its next run."""
    return {"approved": offer.commands.approve(job, _by(request))}


def reload(offer: Offer, request: Request) -> Json:
    """Read the configuration again."""
    return {"restart_needed": list(offer.commands.reload(_by(request)))}


def doctor(offer: Offer, request: Request) -> Json:
    """Make every check there is."""
    body = parse_body(ExaminationBody, request.get_data())
    with offer.long_call() as free:
        if not free:
            raise Conflict("too many plans and waits at the same time: try again later")
        return offer.commands.examine(
            body.accounts, body.servers, body.version, offline=body.offline
        )


def test_channel(offer: Offer, request: Request, channel: str) -> Json:
    """Send a message to a channel of notifications."""
    with offer.long_call() as free:
        if not free:
            raise Conflict("too many plans and waits at the same time: try again later")
        return offer.commands.test_channel(channel, _by(request))


def metrics(offer: Offer, request: Request) -> Response:
    """Render the page that Prometheus reads."""
    content_type, page = offer.metrics.render(request.headers.get("Accept", ""))
    return Response(page, content_type=content_type)


def healthz(offer: Offer, _request: Request) -> Response:
    """Tell whether the process does its work."""
    answer = offer.health.healthz()
    return as_json(answer.body, answer.status)


def readyz(offer: Offer, _request: Request) -> Response:
    """Tell whether the daemon can do what it is for."""
    answer = offer.health.readyz()
    return as_json(answer.body, answer.status)


def index(_offer: Offer, _request: Request) -> Response:
    """Name the paths of the TCP listener."""
    paths = "\n".join(path for path in PUBLIC if path != "GET /")
    return Response(f"syncd\n\n{paths}\n", content_type="text/plain; charset=utf-8")


def as_json(value: object, status: int = 200) -> Response:
    """Return an answer of JSON in UTF-8; times are RFC 3339."""
    body = msgspec.json.encode(value) + b"\n"
    return Response(body, status=status, content_type="application/json")


View = Callable[..., Any]

_BOTH: Final[dict[str, View]] = {
    "GET /metrics": metrics,
    "GET /healthz": healthz,
    "GET /readyz": readyz,
}
CONTROL: Final[dict[str, View]] = _BOTH | {
    "GET /status": status,
    "GET /overview": overview,
    "GET /jobs": jobs,
    "GET /scheduler": scheduler,
    "GET /runs": runs,
    "GET /runs/<run>": run,
    "GET /runs/<uuid:run>/wait": wait,
    "GET /runs/<run>/progress": run_progress,
    "GET /runs/<run>/log": log,
    "GET /progress": progress,
    "GET /resources": resources,
    "GET /changes": changes,
    "GET /db-accounts": db_accounts,
    "GET /db-account-changes": db_account_changes,
    "GET /sizes": sizes,
    "GET /size-stats": size_stats,
    "GET /notifications": notifications,
    "POST /jobs/<job>/run": trigger,
    "POST /jobs/<job>/plan": plan,
    "POST /jobs/<job>/approve": approve,
    "POST /jobs/<job>/pause": pause,
    "POST /jobs/<job>/resume": resume,
    "POST /runs/<run>/cancel": cancel,
    "POST /runs/<run>/priority": prioritise,
    "POST /reload": reload,
    "POST /doctor": doctor,
    "POST /notify/<channel>/test": test_channel,
}
PUBLIC: Final[dict[str, View]] = _BOTH | {
    "GET /": index,
    "GET /api/jobs": jobs,
    "GET /api/runs": runs,
    "GET /api/scheduler": scheduler,
}


@dataclass(frozen=True, slots=True)
class _Wait:
    wait: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 0.0  # NaN passes no bound


@dataclass(frozen=True, slots=True)
class _Offset:
    offset: Annotated[int, msgspec.Meta(ge=0, le=1 << 40)] = 0


def _wait(offer: Offer, run_id: UUID, seconds: float) -> bool:
    """Wait for a run in slices, as long as nobody closes us; only one when too many wait.

    A run of another process, or one whose end the store is owed, is no wait for the daemon: it
    answers at once, and the rest of the slice is waited for here.
    """
    with offer.long_call() as free:
        deadline = Deadline.after(seconds if free else min(seconds, _SLICE))
        while True:
            turn = deadline.sooner(_SLICE)
            if offer.commands.wait(run_id, max(0.0, turn.remaining())):
                return True
            if offer.closing.wait(max(0.0, turn.remaining())) or deadline.remaining() <= 0:
                return False


def _selection(part: Part) -> Selection:
    return Selection(*(frozenset(getattr(part, name)) for name in Selection.PARTS))


def _by(request: Request) -> str:
    """Return who asks: the user behind the other end of the socket."""
    name = request.environ.get("syncd.by")
    if not isinstance(name, str):
        raise BadRequest("it is not known who asks")
    return name
