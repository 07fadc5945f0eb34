"""Who is listed in the grant tables: everything of an account but its privileges.

MariaDB: https://mariadb.com/docs/server/reference/system-tables/the-mysql-database-tables/mysql-global_priv-table,
MySQL: https://dev.mysql.com/doc/refman/8.4/en/grant-tables.html. Hashes of passwords stand in the
same rows, and inside the JSON of MariaDB's: only what is named here is ever asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from syncd.engines.mysql.connection import Session
from syncd.engines.mysql.grants import account_name
from syncd.model.db_account import Kind

PUBLIC: Final = "PUBLIC"
"""The role of MariaDB that everybody has, from 10.11 on."""

_SYSTEM: Final = frozenset(
    {
        "mysql.sys@localhost",
        "mysql.session@localhost",
        "mysql.infoschema@localhost",
        "mariadb.sys@localhost",
        PUBLIC,
    }
)
_TLS: Final = ("none", "any", "x509", "specified")

_MARIADB: Final = """
SELECT User, Host,
       COALESCE(JSON_VALUE(Priv, '$.is_role'), 0) IN ('1', 'true'),
       COALESCE(JSON_VALUE(Priv, '$.account_locked'), 0) IN ('1', 'true'),
       COALESCE(JSON_VALUE(Priv, '$.password_last_changed'), 1) = 0,
       CAST(JSON_VALUE(Priv, '$.password_last_changed') AS SIGNED),
       NULLIF(CAST(JSON_VALUE(Priv, '$.password_lifetime') AS SIGNED), -1),
       COALESCE(JSON_VALUE(Priv, '$.plugin'), ''),
       JSON_EXTRACT(Priv, '$.auth_or[*].plugin'),
       CAST(COALESCE(JSON_VALUE(Priv, '$.ssl_type'), 0) AS SIGNED),
       COALESCE(JSON_VALUE(Priv, '$.ssl_cipher'), ''),
       COALESCE(JSON_VALUE(Priv, '$.x509_issuer'), ''),
       COALESCE(JSON_VALUE(Priv, '$.x509_subject'), ''),
       CAST(COALESCE(JSON_VALUE(Priv, '$.max_questions'), 0) AS SIGNED),
       CAST(COALESCE(JSON_VALUE(Priv, '$.max_updates'), 0) AS SIGNED),
       CAST(COALESCE(JSON_VALUE(Priv, '$.max_connections'), 0) AS SIGNED),
       CAST(COALESCE(JSON_VALUE(Priv, '$.max_user_connections'), 0) AS SIGNED),
       COALESCE(JSON_VALUE(Priv, '$.max_statement_time'), 0) + 0.0,
       COALESCE(JSON_VALUE(Priv, '$.default_role'), '')
  FROM mysql.global_priv
"""
_MYSQL: Final = """
SELECT User, Host,
       account_locked = 'Y' AND password_expired = 'Y' AND COALESCE(authentication_string, '') = '',
       account_locked = 'Y',
       password_expired = 'Y',
       CAST(UNIX_TIMESTAMP(password_last_changed) AS SIGNED),
       password_lifetime,
       plugin,
       NULL,
       FIELD(ssl_type, 'ANY', 'X509', 'SPECIFIED'),
       CONVERT(ssl_cipher USING utf8mb4),
       CONVERT(x509_issuer USING utf8mb4),
       CONVERT(x509_subject USING utf8mb4),
       max_questions,
       max_updates,
       max_connections,
       max_user_connections,
       0,
       ''
  FROM mysql.user
"""


class _Row(NamedTuple):
    """A row as both statements give it; numbers are whole, or None."""

    user: str
    host: str
    role: int
    locked: int
    expired: int
    changed: int | None
    lifetime: int | None
    plugin: str
    others: str | None
    tls: int
    cipher: str
    issuer: str
    subject: str
    questions: int
    updates: int
    connections: int
    user_connections: int
    statement_time: float
    default_role: str


@dataclass(frozen=True, slots=True)
class Listed:
    """An account as the grant tables list it; `host` is None of a role of MariaDB."""

    account: str
    user: str
    host: str | None
    kind: Kind
    locked: bool
    password_expired: bool
    default_role: str
    attributes: Mapping[str, object]

    @property
    def system(self) -> bool:
        """Tell whether it is one of the server's own."""
        return self.account in _SYSTEM

    @property
    def quoted(self) -> str:
        """Return it as SQL spells it."""
        if self.account == PUBLIC:
            return PUBLIC
        return _name(self.user) if self.host is None else f"{_name(self.user)}@{_name(self.host)}"


def listed(session: Session) -> list[Listed]:
    """Return all accounts of the server, roles among them.

    In MySQL a role is an account like any other. Here it is one that is as CREATE ROLE makes it:
    locked, expired, and without a password. Raises Permission when the tables may not be read.
    """
    if session.dialect.mariadb:
        rows = [_Row(*row) for row in session.rows(_MARIADB)]
        return [_listed(row, None if row.role else row.host) for row in rows]
    rows = [_Row(*row) for row in session.rows(_MYSQL)]
    return [_listed(row, row.host) for row in rows]


def _listed(row: _Row, host: str | None) -> Listed:
    return Listed(
        account=account_name(row.user, host),
        user=row.user,
        host=host,
        kind="role" if row.role else "user",
        locked=bool(row.locked),
        password_expired=bool(row.expired),
        default_role=row.default_role,
        attributes={} if host is None else _attributes(row),
    )


def _attributes(row: _Row) -> dict[str, object]:
    """Return what is recorded of a user; limits of 0 and what is not asked for are left out."""
    told: dict[str, object] = {
        "locked": bool(row.locked),
        "password_expired": bool(row.expired),
        "tls": _TLS[row.tls],
    }
    optional: dict[str, object] = {
        "plugin": row.plugin,
        "other_plugins": msgspec.json.decode(row.others) if row.others else None,
        "password_last_changed": _moment(row.changed),
        "tls_cipher": row.cipher,
        "tls_issuer": row.issuer,
        "tls_subject": row.subject,
        "max_questions": row.questions,
        "max_updates": row.updates,
        "max_connections": row.connections,
        "max_user_connections": row.user_connections,
        "max_statement_time": float(row.statement_time),
    }
    if row.lifetime is not None:
        told["password_lifetime"] = row.lifetime  # 0: it never ends
    return told | {name: value for name, value in optional.items() if value}


def _moment(seconds: int | None) -> str | None:
    """Return seconds since 1970 as text in UTC; 0 stands for never."""
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _name(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
