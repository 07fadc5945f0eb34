"""Who is listed in the grant tables: everything of an account but its privileges.

MariaDB: https://mariadb.com/docs/server/reference/system-tables/the-mysql-database-tables/mysql-global_priv-table,
MySQL: https://dev.mysql.com/doc/refman/8.4/en/grant-tables.html. Hashes of passwords stand in the
same rows, and inside the JSON of MariaDB's: only what is named here is ever asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from syncd.engines.mysql.connection import Row, Session
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
       CAST(JSON_VALUE(Priv, '$.password_lifetime') AS SIGNED),
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
       UNIX_TIMESTAMP(password_last_changed),
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
        return [_listed(row, hostless=bool(row[2])) for row in session.rows(_MARIADB)]
    return [_listed(row, hostless=False) for row in session.rows(_MYSQL)]


def _listed(row: Row, *, hostless: bool) -> Listed:
    user, host, role, locked, expired, *rest, default_role = row
    host = None if hostless else host
    return Listed(
        account=account_name(user, host),
        user=user,
        host=host,
        kind="role" if role else "user",
        locked=bool(locked),
        password_expired=bool(expired),
        default_role=default_role,
        attributes={} if hostless else _attributes(bool(locked), bool(expired), rest),
    )


def _attributes(locked: bool, expired: bool, row: list[Any]) -> dict[str, object]:  # noqa: FBT001
    """Return what is recorded of a user; limits of 0 and what is not asked for are left out."""
    changed, lifetime, plugin, others, tls, cipher, issuer, subject, *limits = row
    names = ("max_questions", "max_updates", "max_connections", "max_user_connections")
    told: dict[str, object] = {
        "locked": locked,
        "password_expired": expired,
        "tls": _TLS[tls],
    }
    optional: dict[str, object] = {
        "plugin": plugin,
        "other_plugins": msgspec.json.decode(others) if others else None,
        "password_last_changed": _moment(changed),
        "tls_cipher": cipher,
        "tls_issuer": issuer,
        "tls_subject": subject,
        **dict(zip(names, limits, strict=False)),
        "max_statement_time": float(limits[-1]),
    }
    if lifetime is not None:
        told["password_lifetime"] = lifetime
    return told | {name: value for name, value in optional.items() if value}


def _moment(seconds: float | None) -> str | None:
    """Return seconds since 1970 as text in UTC; 0 stands for never."""
    if not seconds:
        return None
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()


def _name(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
