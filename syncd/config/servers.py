"""The keys of a database server: how it is reached, and what is left out of it."""

from typing import Final, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from syncd.config.durations import parse_duration
from syncd.config.fields import (
    AbsolutePath,
    DatabaseName,
    DatabaseNames,
    PositiveDuration,
    PositiveSize,
    SecretValue,
    ServerHost,
    SessionOptions,
    Tags,
    UserName,
)
from syncd.config.schema import Table

EngineName = Literal["postgresql", "mysql", "redis"]
TlsMode = Literal["disable", "prefer", "require", "verify-ca", "verify-full"]

OURS: Final = {
    "postgresql": frozenset({
        "application_name", "client_encoding", "datestyle", "default_transaction_read_only",
        "intervalstyle", "quote_all_identifiers", "search_path", "statement_timeout",
        "timezone", "transaction_read_only",
    }),
    "mysql": frozenset({
        "autocommit", "character_set_client", "character_set_connection", "character_set_results",
        "information_schema_stats_expiry", "max_execution_time", "max_statement_time", "sql_mode",
        "sql_quote_show_create", "sql_select_limit", "time_zone", "transaction_read_only",
        "tx_read_only",
    }),
}  # fmt: skip
"""Settings of a session that a reading depends on."""

PORTS: Final = {"postgresql": 5432, "mysql": 3306, "redis": 6379}
RATE: Final = 1000
NOT_OF_REDIS: Final = ("database", "exclude_databases", "options", "capacity")


class Server(Table):
    """A database server with its credentials."""

    engine: EngineName = Field(
        description="postgresql, mysql (MariaDB too), or redis (for consistency checks alone)."
    )
    host: ServerHost = Field(
        description="Host name, IP address, or the absolute path of a Unix socket (of PostgreSQL: "
        "of its directory)."
    )
    port: int | None = Field(
        default=None, ge=1, le=65_535, description="Unset: 5432, 3306 of mysql, 6379 of redis."
    )
    user: UserName | None = Field(
        default=None,
        validate_default=True,
        description="The database user that syncd logs in as. Required, but of redis, whose "
        "default user it is where none is given.",
    )
    password: SecretValue | None = Field(
        default=None,
        description="Its password: { credential = ... }, { env = ... }, { file = ... }, or inline "
        "in a file that others can't read. Unset: the server asks for none.",
    )
    database: DatabaseName = Field(
        default="postgres",
        description="Of postgresql alone: the database that is connected to first.",
    )
    exclude_databases: DatabaseNames = Field(
        default=(), description="Databases left out, by their exact names."
    )
    tags: Tags = Field(default=(), description="Words by which jobs choose servers.")
    enabled: bool = Field(default=True, description="false takes the server out of every job.")
    tls: TlsMode = Field(
        default="prefer",
        description="disable, prefer (encrypt if the server can), require (encrypt), verify-ca "
        "(its certificate too), verify-full (and its name). Of redis, which has no prefer: disable "
        "where nothing is said.",
    )
    tls_ca: AbsolutePath | None = Field(
        default=None,
        description="File of the certificates that are trusted, in PEM; for verify-ca and "
        "verify-full. Unset: the system's, with verify-full alone.",
    )
    tls_cert: AbsolutePath | None = Field(
        default=None, description="File of a client certificate, in PEM; with tls_key."
    )
    tls_key: AbsolutePath | None = Field(
        default=None, description="File of the certificate's private key, in PEM."
    )
    connect_timeout: PositiveDuration = Field(
        default=parse_duration("5s"), description="Time limit of a connect, the log-in included."
    )
    statement_timeout: PositiveDuration = Field(
        default=parse_duration("300s"),
        description="Time limit of one statement, or of a batch of redis's commands.",
    )
    commands_per_second: int = Field(
        default=RATE,
        ge=1,
        le=1_000_000,
        description="Of redis alone: how many commands each check may send.",
    )
    options: SessionOptions = Field(
        default={},
        description='Settings of the session, such as { work_mem = "64MB" }: parameters of '
        "PostgreSQL, system variables of mysql.",
    )
    capacity: PositiveSize | None = Field(
        default=None,
        description="Bytes that the server has room for: the statistics forecast when it is full.",
    )

    @field_validator("user")
    @classmethod
    def _user_is_there(cls, user: str | None, info: ValidationInfo) -> str | None:
        if user is None and info.data.get("engine") != "redis":
            raise PydanticCustomError("missing", "is required")
        return user

    @model_validator(mode="after")
    def _tls_fits(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        if self.tls == "disable" and (self.tls_ca or self.tls_cert):
            raise ValueError('tls_ca, tls_cert and tls_key are of no use with tls = "disable"')
        verified = self.tls in ("verify-ca", "verify-full")
        if self.tls_ca and not verified:
            raise ValueError('tls_ca is looked at with tls = "verify-ca" or "verify-full" alone')
        if self.tls == "verify-ca" and not self.tls_ca:  # else anybody's certificate would do
            raise ValueError('tls = "verify-ca" needs tls_ca')
        if self.local and (verified or self.tls == "require"):
            raise ValueError(f'tls = "{self.tls}" is not for a socket, which never leaves here')
        return self

    @model_validator(mode="after")
    def _engine_fits(self) -> Self:
        if self.engine == "redis":
            return self._redis_fits()
        if self.engine != "postgresql" and "database" in self.model_fields_set:
            raise ValueError('database is of engine = "postgresql" alone')
        if self.commands_per_second != RATE:
            raise ValueError('commands_per_second is of engine = "redis" alone')
        ours = OURS[self.engine]
        if taken := [name for name in self.options if name in ours]:
            raise ValueError(f"options.{taken[0]} is set by syncd itself")
        return self

    def _redis_fits(self) -> Self:
        if wrong := [name for name in NOT_OF_REDIS if name in self.model_fields_set]:
            raise ValueError(f'{wrong[0]} is not of engine = "redis"')
        if self.tls == "prefer" and "tls" in self.model_fields_set:
            # a port of its either encrypts or does not; it can't be asked which
            raise ValueError('tls = "prefer" is not of engine = "redis": disable, or require')
        unencrypted = "tls" not in self.model_fields_set
        if unencrypted and (self.tls_ca or self.tls_cert):
            raise ValueError("tls_ca, tls_cert and tls_key are of no use without tls")
        return self

    @property
    def has_accounts(self) -> bool:
        """Tell whether jobs can read its accounts and the sizes of its databases."""
        return self.engine != "redis"

    @property
    def local(self) -> bool:
        """Tell whether it is reached over a Unix socket."""
        return self.host.startswith("/")

    @property
    def port_number(self) -> int:
        """Return the port, the engine's own one where none is given."""
        return self.port or PORTS[self.engine]
