"""What the checks look at: the configuration, and measurements that are made when asked for."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from syncd.config.configuration import Config
from syncd.config.jobs import CloudJob, DbSizesJob
from syncd.config.schema import Account
from syncd.config.secrets import Secret, for_service_alone
from syncd.config.servers import Server
from syncd.context import CancelSource, Deadline, RunContext
from syncd.doctor.files import FileFacts, User
from syncd.doctor.finding import Finding, Unknown
from syncd.doctor.side_by_side import Once
from syncd.doctor.used import Read, Used
from syncd.engines.base import Engine, ServerIdentity
from syncd.engines.rights import Rights, Writing
from syncd.errors import SyncdError
from syncd.http_client import HttpClient
from syncd.model.resource import ResourceType
from syncd.model.run import Claim, Selection, new_run_id
from syncd.providers.base import ApiObserver, Needs, Provider
from syncd.store import inspection
from syncd.store.database import Store
from syncd.store.inspection import Records, StoreFacts
from syncd.telemetry.logging import get_logger

CALL_LIMIT: Final = 8.0  # seconds for one question to a cloud

Json = Mapping[str, Any]
ProviderOf = Callable[[str, ApiObserver], Provider]
"""Returns the provider of an account, whose calls are heard of."""
EngineOf = Callable[[str], Engine]
"""Returns the engine of a server."""
RightsOf = Callable[[str], Rights]
"""Returns what tells of our rights on a server."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How an endpoint answered a request without meaning; `date` is its own idea of the time."""

    seconds: float
    date: datetime | None
    at: datetime


class Meter:
    """Hears of the calls that are made to an account's cloud."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, float]] = []

    def __call__(self, api: str, outcome: str, seconds: float) -> None:
        """Note a call."""
        del api
        self.calls.append((outcome, seconds))


@dataclass(frozen=True, slots=True)
class AccountCase:
    """One enabled account, and what its cloud says."""

    name: str
    account: Account
    types: Sequence[ResourceType]
    provider: Once[Provider]
    regions: Once[Sequence[str]]
    needs: Once[Needs]
    answer: Once[Answer]
    meter: Meter


@dataclass(frozen=True, slots=True)
class LogIn:
    """Who answered when we logged in to a server, and after how many seconds."""

    identity: ServerIdentity
    seconds: float


@dataclass(frozen=True, slots=True)
class ServerCase:
    """One enabled database server, and what it says; `kinds` are those of the jobs that read it.

    `reads` and `writes` are what they copy and compare of its tables.
    """

    name: str
    server: Server
    kinds: frozenset[str]
    largest_tables: int
    engine: Once[Engine]
    log_in: Once[LogIn]
    rights: Once[Rights]
    reads: Sequence[Read]
    writes: Sequence[Writing]


@dataclass(frozen=True, slots=True)
class TokenFound:
    """A token that could be had: good for `left` seconds; `kept` if it was there before."""

    left: float
    until: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that a check may look at.

    `daemon` is what the daemon, which then looks itself, says of itself: its `status`, `scheduler`,
    `ailment`, `reload_error`, whether it is `managed` by a service manager and how often it feeds
    its watchdog, and the version of the `command` that asks; None where none looks, of which
    `silence` tells.
    """

    config: Config
    file: Path
    environ: Mapping[str, str]
    user: User
    files: Sequence[FileFacts]
    daemon: Json | None
    silence: Finding | None
    store: Once[StoreFacts]
    records: Once[Records]
    accounts: Mapping[str, AccountCase]
    servers: Mapping[str, ServerCase]
    tokens: Mapping[str, Once[TokenFound]]
    offline: bool

    @property
    def state_dir(self) -> Path:
        """Return the state directory."""
        return Path(self.config.daemon.state_dir)

    def unknowable(self, secret: Secret) -> bool:
        """Tell whether only the service can read a secret."""
        return for_service_alone(secret, self.environ)


def now() -> datetime:
    """Return the moment."""
    return datetime.now(UTC)


def records_of(open_store: Callable[[], Store], facts: Once[StoreFacts]) -> Records:
    """Return what the store remembers; raises Unknown when its tables are not as we know them."""
    try:
        schema = facts().schema
    except SyncdError as error:
        raise Unknown("the store can't be asked") from error
    if schema is None or schema.pending or schema.too_new:
        raise Unknown("the store's tables can't be read, or are not those of this program")
    return inspection.records(open_store())


def account_cases(
    config: Config, names: Sequence[str], provider_of: ProviderOf
) -> dict[str, AccountCase]:
    """Return the enabled accounts that are asked for, all by default."""
    return {
        name: _account_case(config, name, account, provider_of)
        for name, account in config.accounts.items()
        if account.enabled and (not names or name in names)
    }


def _account_case(
    config: Config, name: str, account: Account, provider_of: ProviderOf
) -> AccountCase:
    types, meter = _types(config, name), Meter()
    provider = Once(partial(provider_of, name, meter))
    needs = Once(lambda: provider().needs(types))

    def regions() -> Sequence[str]:
        named = account.regions
        found = provider().regions(context()) if named == "all" else named
        return sorted(set(found) - set(account.exclude_regions))

    def answer() -> Answer:
        return _ask(needs().endpoint, account.proxy)

    return AccountCase(name, account, types, provider, Once(regions), needs, Once(answer), meter)


def server_cases(
    config: Config, names: Sequence[str], engine_of: EngineOf, rights_of: RightsOf
) -> dict[str, ServerCase]:
    """Return the enabled servers that are asked for, all by default."""
    return {
        name: _server_case(config, name, server, engine_of, rights_of)
        for name, server in config.servers.items()
        if server.enabled and (not names or name in names)
    }


def _server_case(
    config: Config, name: str, server: Server, engine_of: EngineOf, rights_of: RightsOf
) -> ServerCase:
    jobs = [
        job for job in config.enabled_jobs().values()
        if name in job.enabled_servers(config.servers)
    ]  # fmt: skip
    tables = max((job.largest_tables for job in jobs if isinstance(job, DbSizesJob)), default=0)
    engine = Once(partial(engine_of, name))

    def log_in() -> LogIn:
        asked, began = engine(), time.monotonic()
        return LogIn(asked.identify(context()), time.monotonic() - began)

    kinds = frozenset(job.kind for job in jobs)
    used = Used.of(jobs, config.servers)
    return ServerCase(
        name, server, kinds, tables, engine, Once(log_in), Once(partial(rights_of, name)),
        used.reads(name), used.writes(name),
    )  # fmt: skip


def _types(config: Config, account: str) -> list[ResourceType]:
    """Return the types of resources that enabled jobs list in an account."""
    return sorted(
        {
            kind
            for job in config.enabled_jobs().values()
            if isinstance(job, CloudJob) and account in job.accounts
            for kind in job.resources
        }
    )


def _ask(endpoint: str, proxy: str | None) -> Answer:
    """Ask an endpoint for nothing: that it answers at all is what counts, and its clock."""
    http = HttpClient(proxy)
    try:
        began = now()
        response = http.request(
            "GET",
            f"{endpoint}/",
            headers={},
            body=None,
            deadline=Deadline.after(CALL_LIMIT),
            cancel=CancelSource().token,
        )
        took = now() - began
    finally:
        http.close()
    return Answer(took.total_seconds(), _date(response.headers.get("Date", "")), began + took / 2)


def _date(text: str) -> datetime | None:
    """Return the moment of an HTTP date (RFC 9110, 5.6.7), None for what is none."""
    try:
        return datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    except ValueError:
        return None


class _Silent:
    """A reporter that keeps nothing."""

    def progress(self, done: int, of: int | None = None) -> None:
        """Hear of progress."""

    def error(self, resource_id: str, error: SyncdError) -> None:
        """Hear of an error."""

    def detail(self, name: str, value: object) -> None:
        """Hear of a fact."""

    def meanwhile(self, name: str, value: object) -> None:
        """Hear of a fact that may change."""


def context(seconds: float = CALL_LIMIT) -> RunContext:
    """Return what the calls of a check are made in: a plan's context, with a short deadline."""
    moment = now()
    return RunContext(
        claim=Claim(new_run_id(moment), "doctor", 0, 0),
        job_name="doctor",
        scheduled_for=moment,
        deadline=Deadline.after(seconds),
        cancel=CancelSource().token,
        selection=Selection(),
        held={},
        log=get_logger().bind(by="syncd doctor"),
        report=_Silent(),
    )
