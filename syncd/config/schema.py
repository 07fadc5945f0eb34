"""Every table and key of the configuration: type, default, bounds and what it means.

The descriptions are the documentation: the shipped `etc/syncd.toml` is tested against them.
`config/servers.py` holds the database servers, `config/jobs.py` the job kinds, `config/load.py`
what fills these tables.
"""

from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, model_validator

from syncd.config.durations import parse_duration
from syncd.config.fields import (
    NAME,
    NAME_RULE,
    AbsolutePath,
    Address,
    Duration,
    Endpoint,
    Ladder,
    PositiveDuration,
    Proxy,
    RegionList,
    Regions,
    SecretValue,
    Size,
    SocketPath,
    WeekWindows,
)
from syncd.config.secrets import Secret, parse_secret
from syncd.config.sizes import parse_size
from syncd.model.run import Isolation, Overlap, Priority
from syncd.triggers.catch_up import Policy
from syncd.triggers.windows import Windows

Provider = Literal["aliyun", "tencent"]
PROVIDERS: tuple[str, ...] = get_args(Provider)
EMBEDDED = "embedded"


def _dsn(secret: Secret) -> Secret:
    text = secret.inline.get_secret_value()
    is_dsn = text.startswith(("postgresql://", "postgres://")) or "=" in text
    if secret.source == "inline" and text != EMBEDDED and not is_dsn:
        raise ValueError(
            'must be "embedded", a PostgreSQL DSN (postgresql://user@host/name) or a reference'
        )
    return secret


def _table_name(value: object) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise ValueError(f"the name {NAME_RULE}")
    return value


TableName = Annotated[str, PlainValidator(_table_name)]


class Table(BaseModel):
    """A table of the file: frozen, of known keys only, without conversions between types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class Store(Table):
    """The PostgreSQL database in which syncd keeps everything."""

    dsn: Annotated[SecretValue, AfterValidator(_dsn)] = Field(
        default=parse_secret(EMBEDDED),
        description='"embedded": a PostgreSQL of syncd\'s own under state_dir; or a DSN, '
        "inline or as a secret reference.",
    )
    pool_min: int = Field(default=2, ge=1, le=1000, description="Connections kept open.")
    pool_max: int = Field(default=20, ge=1, le=1000, description="Connections at most.")
    pool_idle: PositiveDuration = Field(
        default=parse_duration("30s"), description="A spare connection is closed after this long."
    )
    connect_timeout: PositiveDuration = Field(
        default=parse_duration("2s"), description="Time limit of one connect."
    )

    @model_validator(mode="after")
    def _pool_bounds(self) -> Self:
        if self.pool_min > self.pool_max:
            raise ValueError("pool_min must not be above pool_max")
        return self

    @property
    def embedded(self) -> bool:
        """Tell whether syncd brings its own PostgreSQL."""
        return self.dsn.source == "inline" and self.dsn.inline.get_secret_value() == EMBEDDED


class Daemon(Table):
    """The daemon itself."""

    state_dir: AbsolutePath = Field(
        default="/var/lib/syncd",
        validate_default=True,
        description="Where the daemon keeps its state; STATE_DIRECTORY when systemd sets it.",
    )
    max_concurrent_runs: int = Field(
        default=3, ge=1, le=1000, description="Runs at the same time, one worker thread each."
    )
    max_per_account: int = Field(
        default=1, ge=1, le=1000, description="Runs at the same time that use the same account."
    )
    max_per_server: int = Field(
        default=1, ge=1, le=1000, description="Runs at the same time that use the same server."
    )
    load_limit: float = Field(
        default=0.8,
        ge=0,
        allow_inf_nan=False,
        description="No run but an urgent one starts while the machine's load (1-minute average, "
        "for each processor) is above this; 0 for any load.",
    )
    min_free_disk: Size = Field(
        default=parse_size("100MiB"),
        description="No run starts while the disk of state_dir has less free space.",
    )
    shutdown_grace: Duration = Field(
        default=parse_duration("60s"),
        description="How long running attempts may go on after a stop was asked for.",
    )


class Listen(Table):
    """Where the daemon answers."""

    http: Address = Field(
        default="127.0.0.1:9464",
        validate_default=True,
        description='Metrics, health and read-only pages; "off" for none.',
    )
    control: SocketPath = Field(
        default="/run/syncd/control.sock",
        validate_default=True,
        description="The control socket; in RUNTIME_DIRECTORY when systemd sets it, "
        "in state_dir when that is not /var/lib/syncd.",
    )


class Backup(Table):
    """Dumps of the embedded store, made by the job of kind backup."""

    keep: int = Field(default=7, ge=1, le=1000, description="Dumps kept; older ones are removed.")


class Retention(Table):
    """How long records are kept; the job of kind retention removes what is older."""

    runs: PositiveDuration = Field(
        default=parse_duration("90d"),
        description="Runs, with their items and errors, and notifications.",
    )
    changes: PositiveDuration = Field(
        default=parse_duration("400d"),
        description="Changes of resources, which tell the inventory of the past, and those of "
        "database accounts.",
    )
    deleted_resources: PositiveDuration = Field(
        default=parse_duration("30d"),
        description="Resources and database accounts that are marked as deleted.",
    )
    run_logs: PositiveDuration = Field(
        default=parse_duration("30d"), description="The log of each run, in state_dir/logs."
    )
    sizes: PositiveDuration = Field(
        default=parse_duration("800d"),
        description="Sizes of databases and servers, by whole months; their statistics stay.",
    )


class Metrics(Table):
    """What the metrics tell that not everybody wants."""

    database_sizes: bool = Field(
        default=False,
        description="A series for the size of each database, which are many in a large fleet.",
    )


class Defaults(Table):
    """What every job takes unless it says otherwise; each of these keys may stand in a job too."""

    timeout: PositiveDuration = Field(
        default=parse_duration("30m"), description="Time limit of one attempt of a run."
    )
    api_timeout: PositiveDuration = Field(
        default=parse_duration("30s"), description="Time limit of one call over the network."
    )
    overrun_after: PositiveDuration | None = Field(
        default=None,
        description="A run that goes on for longer is told of as an overrun. Unset: none is.",
    )
    retries: Ladder = Field(
        default=(parse_duration("1m"), parse_duration("5m"), parse_duration("15m")),
        description="Waits before the second, third, ... attempt; [] for one attempt only.",
    )
    priority: Priority = Field(
        default="normal",
        description="Which waiting run starts first: urgent, high, normal, low.",
    )
    overlap: Overlap = Field(
        default="skip",
        description="When due while the job's previous run is active: skip, queue one run, or "
        "replace (cancel the active one).",
    )
    start_deadline: PositiveDuration | None = Field(
        default=None,
        description="A scheduled run that has not started so long after its due time is given up. "
        "Unset: one that is held back is given up at the job's next due time.",
    )
    interruptible: bool | None = Field(
        default=None,
        description="Whether an urgent run may interrupt the job's runs when all workers are busy. "
        "Unset: true for low and normal priority.",
    )
    isolation: Isolation = Field(
        default="thread", description="Where an attempt runs: thread, or process (can be killed)."
    )
    spread: Duration = Field(
        default=parse_duration("0s"),
        description="Due times are later by an offset below this, always the same for a job's "
        "name, so that jobs of one schedule don't start at once.",
    )
    windows: WeekWindows = Field(
        default=Windows(),
        description="Times in which no run is started, such as "
        '"22:00-02:00" or "MON-FRI 09:00-12:00": it waits for their end.',
    )
    catch_up: Policy = Field(
        default="latest",
        description="Due times missed while the daemon was down: none is made up for, one run for "
        "all of them (latest), or each (all; 100 at most).",
    )
    catch_up_window: PositiveDuration = Field(
        default=parse_duration("1d"), description='With catch_up = "all": none older than this.'
    )


class AdaptiveInterval(Table):
    """Bounds of an interval that follows how much changes."""

    min: PositiveDuration = Field(description="The shortest interval, and the first.")
    max: PositiveDuration = Field(description="The longest interval.")

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.min > self.max:
            raise ValueError("min must not be above max")
        return self


class Account(Table):
    """A cloud account with its credentials."""

    provider: Provider = Field(description="The cloud: aliyun or tencent.")
    access_key_id: SecretValue = Field(description="Id of the access key; inline or a reference.")
    access_key_secret: SecretValue = Field(
        description="Secret of the access key: { credential = ... }, { env = ... }, "
        "{ file = ... }, or inline in a file that others can't read."
    )
    regions: Regions = Field(default="all", description='"all" that the cloud names, or a list.')
    exclude_regions: RegionList = Field(default=(), description="Regions left out.")
    enabled: bool = Field(default=True, description="false takes the account out of every job.")
    endpoint: Endpoint | None = Field(
        default=None,
        description="One URL for all of the account's APIs; http:// only on loopback. "
        "Unset: the cloud's own.",
    )
    proxy: Proxy | None = Field(
        default=None, description="URL of an HTTP proxy without a password. Unset: none."
    )
    requests_per_second: float | None = Field(
        default=None,
        gt=0,
        le=10_000,
        allow_inf_nan=False,
        description="Limit of calls for each API and region. Unset: the provider's, "
        "below the cloud's documented limits.",
    )
