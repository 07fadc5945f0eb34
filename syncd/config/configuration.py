"""The whole configuration: the tables as they are read, and the frozen value made of them."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, PlainValidator, field_validator

from syncd.config import http_advice
from syncd.config.advice import warnings
from syncd.config.consistency_check import ConsistencyCheckJob
from syncd.config.durations import format_duration
from syncd.config.fields import Zone
from syncd.config.http import Http, Token
from syncd.config.job import Job, Sources
from syncd.config.jobs import UPKEEP, built_in, parse_job
from syncd.config.notify import Channel, parse_channel
from syncd.config.schema import (
    Account,
    Backup,
    Daemon,
    Defaults,
    Listen,
    Metrics,
    Retention,
    Store,
    Table,
    TableName,
)
from syncd.config.secrets import Secret
from syncd.config.servers import Server
from syncd.config.source_file import SourceFile
from syncd.errors import ConfigurationError


class Tables(Table):
    """The top level of the file."""

    timezone: Zone = Field(default="UTC", description="Default zone of every schedule.")
    store: Store = Field(default_factory=Store, description=str(Store.__doc__))
    daemon: Daemon = Field(default_factory=Daemon, description=str(Daemon.__doc__))
    backup: Backup = Field(default_factory=Backup, description=str(Backup.__doc__))
    listen: Listen = Field(default_factory=Listen, description=str(Listen.__doc__))
    retention: Retention = Field(default_factory=Retention, description=str(Retention.__doc__))
    defaults: Defaults = Field(default_factory=Defaults, description=str(Defaults.__doc__))
    metrics: Metrics = Field(default_factory=Metrics, description=str(Metrics.__doc__))
    http: Http = Field(default_factory=Http, description=str(Http.__doc__))
    accounts: dict[TableName, Account] = Field(default={}, description=str(Account.__doc__))
    servers: dict[TableName, Server] = Field(default={}, description=str(Server.__doc__))
    tokens: dict[TableName, Token] = Field(default={}, description=str(Token.__doc__))
    notify: dict[TableName, Annotated[Channel, PlainValidator(parse_channel)]] = Field(
        default={}, description=str(Channel.__doc__)
    )
    jobs: dict[TableName, Annotated[Job, PlainValidator(parse_job)]] = Field(
        default={}, description="A named unit of work."
    )

    @field_validator("jobs", mode="before")
    @classmethod
    def _name_says_kind(cls, jobs: Any) -> Any:  # noqa: ANN401 - not validated yet
        """Let `[jobs.retention]` go without its kind, which no other job of that name may have."""
        if not isinstance(jobs, dict):
            return jobs
        return {
            name: {"kind": name, **job} if name in UPKEEP and isinstance(job, dict) else job
            for name, job in jobs.items()
        }


@dataclass(frozen=True, slots=True)
class Config:
    """A valid configuration; each job holds all its keys, those of [defaults] included.

    `digest` is the SHA-256 of the content (secrets by reference, inline ones hashed), the same
    for the same meaning however it is written and spread over `sources`, the files as they were
    read.
    """

    timezone: str
    store: Store
    daemon: Daemon
    backup: Backup
    listen: Listen
    retention: Retention
    defaults: Defaults
    metrics: Metrics
    http: Http
    accounts: Mapping[str, Account]
    servers: Mapping[str, Server]
    tokens: Mapping[str, Token]
    notify: Mapping[str, Channel]
    jobs: Mapping[str, Job]
    digest: str
    sources: tuple[SourceFile, ...] = field(repr=False)
    warnings: tuple[str, ...]

    @classmethod
    def of(
        cls, tables: Tables, sources: tuple[SourceFile, ...] = (), now: datetime | None = None
    ) -> Self:
        """Freeze valid tables, whose references exist; the warnings are those at `now`."""
        written = tables.jobs | built_in(tables.jobs, embedded=tables.store.embedded)
        jobs = {name: _complete(job, tables) for name, job in written.items()}
        jobs |= {
            name: job.beside(jobs.get(job.copy_ or ""))
            for name, job in jobs.items()
            if isinstance(job, ConsistencyCheckJob)
        }
        looked_at = Sources(tables.accounts, tables.servers, tables.tokens)
        return cls(
            timezone=tables.timezone,
            store=tables.store,
            daemon=tables.daemon,
            backup=tables.backup,
            listen=tables.listen,
            retention=tables.retention,
            defaults=tables.defaults,
            metrics=tables.metrics,
            http=tables.http,
            accounts=MappingProxyType(tables.accounts),
            servers=MappingProxyType(tables.servers),
            tokens=MappingProxyType(tables.tokens),
            notify=MappingProxyType(tables.notify),
            jobs=MappingProxyType(jobs),
            digest=digest(tables),
            sources=sources,
            warnings=(
                *warnings(written, jobs, looked_at, now or datetime.now(UTC)),
                *http_advice.warnings(jobs, tables.tokens, tables.notify),
            ),
        )

    @property
    def files(self) -> tuple[Path, ...]:
        """Return the paths of the files."""
        return tuple(source.path for source in self.sources)

    @property
    def defines_nothing(self) -> bool:
        """Tell whether there is no account, no server and no job but syncd's own upkeep."""
        return not (self.accounts or self.servers) and all(job.upkeep for job in self.jobs.values())

    def enabled_jobs(self) -> dict[str, Job]:
        """Return the jobs that are not taken out, by name, in the order of the files."""
        return {name: job for name, job in self.jobs.items() if job.enabled}

    def account(self, name: str) -> Account:
        """Return an account; raises ConfigurationError when there is none of that name."""
        if name not in self.accounts:
            raise ConfigurationError(f'no account "{name}" in the configuration')
        return self.accounts[name]

    def token(self, name: str) -> Token:
        """Return a token; raises ConfigurationError when there is none of that name."""
        if name not in self.tokens:
            raise ConfigurationError(f'no token "{name}" in the configuration')
        return self.tokens[name]

    def server(self, name: str) -> Server:
        """Return a server; raises ConfigurationError when there is none of that name."""
        if name not in self.servers:
            raise ConfigurationError(f'no server "{name}" in the configuration')
        return self.servers[name]


def digest(model: BaseModel) -> str:
    """Return the SHA-256, in hex, of the meaning of a table or of all of them."""
    text = json.dumps(_plain(model), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _complete(job: Job, tables: Tables) -> Job:
    """Return the job with what it does not say itself taken from [defaults]."""
    inherited = {name: getattr(tables.defaults, name) for name in Defaults.model_fields}
    inherited["timezone"] = tables.timezone
    return job.model_copy(
        update={key: value for key, value in inherited.items() if key not in job.model_fields_set}
    )


def _plain(value: Any) -> Any:  # noqa: ANN401, PLR0911 - a table of types
    match value:
        case BaseModel():
            return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
        case Mapping():
            return {name: _plain(each) for name, each in value.items()}
        case tuple() | list():
            return [_plain(each) for each in value]
        case Secret(source="inline"):
            written = value.inline.get_secret_value().encode(errors="surrogateescape")
            return hashlib.sha256(written).hexdigest()
        case timedelta():
            return format_duration(value)
        case re.Pattern():
            return value.pattern
        case None | bool() | int() | float() | str():
            return value
    return str(value)
