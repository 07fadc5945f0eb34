r"""What the statements of SHOW GRANTS mean, word by word; whatever is not known is an error.

Forms: https://dev.mysql.com/doc/refman/8.4/en/show-grants.html and
https://mariadb.com/docs/server/reference/sql-statements/administrative-sql-statements/show/show-grants.
Names come in backticks, those inside doubled, and nothing else is escaped: `shop\_%` is a pattern
as the grant tables hold it. What stands between the grantee and WITH (passwords' hashes, what TLS
has to show) is gone through and let go.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from syncd.engines.mysql.tokens import Tokens
from syncd.errors import BadData
from syncd.model.privilege import MEMBER, On, Privilege

T = TypeVar("T")

ALL: Final = "ALL PRIVILEGES"
USAGE: Final = "USAGE"
"""No privilege; it says that the account may grant on, when it is grantable."""
PROXY: Final = "PROXY"
BODY: Final = "body"
"""The option that tells the privilege on a package's body from that on its specification."""

_ROUTINES: Final[dict[str, On]] = {
    "FUNCTION": "function",
    "PROCEDURE": "procedure",
    "PACKAGE": "package",
}
_LIMITS: Final = (
    "MAX_QUERIES_PER_HOUR",
    "MAX_UPDATES_PER_HOUR",
    "MAX_CONNECTIONS_PER_HOUR",
    "MAX_USER_CONNECTIONS",
    "MAX_STATEMENT_TIME",
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One line of SHOW GRANTS: whose it is, and what it gives."""

    grantee: str
    privileges: tuple[Privilege, ...]


def privileges_of(account: str, lines: Iterable[str], roles: Collection[str]) -> set[Privilege]:
    """Return the privileges that the lines give to an account itself.

    MariaDB tells of a role also what the roles inside it may do: lines of other `roles` are let go,
    since those are accounts of their own. Raises BadData for a line that is not understood.
    """
    privileges: set[Privilege] = set()
    for statement in map(parse, lines):
        if statement.grantee == account:
            privileges.update(statement.privileges)
        elif statement.grantee not in roles:
            raise BadData(f"SHOW GRANTS for {account} tells of {statement.grantee}")
    return privileges


def account_name(user: str, host: str | None) -> str:
    """Return how an account is called: `user@host`, or a role of MariaDB without a host.

    Such a role is put in backticks when there is an @ in its name: else it could be a user.
    """
    if host is not None:
        return f"{user}@{host}"
    return f"`{user}`" if "@" in user else user


def parse(statement: str) -> Statement:
    """Return what a statement gives; raises BadData for one that is not understood."""
    tokens = Tokens(statement)
    if tokens.accept("SET", "DEFAULT", "ROLE"):  # the tables tell it of all accounts
        _account(tokens)
        tokens.expect("FOR")
        read = Statement(_account(tokens), ())
    elif tokens.accept("REVOKE"):
        read = _revoke(tokens)
    else:
        tokens.expect("GRANT")
        read = _grant(tokens)
    if tokens.next.kind != "end":
        tokens.fail()
    return read


def _grant(tokens: Tokens) -> Statement:
    if tokens.next.kind in ("name", "text"):
        given = [Privilege("role", (role,), MEMBER) for role in _list(tokens, _account)]
    elif tokens.accept("PROXY", "ON"):
        given = [Privilege("proxy", (_account(tokens),), PROXY)]
    else:
        given = list(_privileges(tokens))
    tokens.expect("TO")
    grantee = _account(tokens)
    if _grantable(tokens):
        return Statement(grantee, tuple(replace(each, grantable=True) for each in given))
    return Statement(grantee, tuple(each for each in given if each.privilege != USAGE))


def _revoke(tokens: Tokens) -> Statement:
    """Read a restriction, as MySQL shows it when `partial_revokes` is on."""
    taken = tuple(replace(each, restricts=True) for each in _privileges(tokens))
    tokens.expect("FROM")
    return Statement(_account(tokens), taken)


def _privileges(tokens: Tokens) -> Iterator[Privilege]:
    """Read privileges and what they are on: `SELECT, INSERT (a, b) ON TABLE shop.orders`."""
    words = list(_list(tokens, _privilege))
    tokens.expect("ON")
    on, name, options = _object(tokens)
    for word, columns in words:
        if columns and on != "table":
            tokens.fail()
        for column in columns:
            yield Privilege("column", (*name, column), word)
        if not columns:
            yield Privilege(on, name, word, options=options)


def _privilege(tokens: Tokens) -> tuple[str, tuple[str, ...]]:
    words = [tokens.take_any("word")]
    while tokens.next.kind == "word" and tokens.next.value != "ON":
        words.append(tokens.take().value)
    columns: tuple[str, ...] = ()
    if tokens.accept("("):
        columns = tuple(_list(tokens, lambda t: t.take_any("name")))
        tokens.expect(")")
    return " ".join(words), columns


def _object(tokens: Tokens) -> tuple[On, tuple[str, ...], tuple[str, ...]]:
    """Read `*.*`, `db`.*, `db`.`table` or FUNCTION `db`.`name`: its kind, name and options."""
    kind: On | None = None
    options: tuple[str, ...] = ()
    if tokens.next.kind == "word" and not tokens.accept("TABLE"):
        word = tokens.take_any("word")
        if word not in _ROUTINES:
            tokens.fail()
        kind = _ROUTINES[word]
        options = (BODY,) if word == "PACKAGE" and tokens.accept("BODY") else ()
    if kind is None and tokens.accept("*", ".", "*"):
        return "server", (), ()
    database = tokens.take_any("name")
    tokens.expect(".")
    if kind is None and tokens.accept("*"):
        return "database", (database,), ()
    return kind or "table", (database, tokens.take_any("name")), options


def _account(tokens: Tokens) -> str:
    """Read `user`@`host`, in quotes of either kind; a role of MariaDB has no host."""
    if tokens.accept("PUBLIC"):
        return "PUBLIC"
    user = tokens.take_any("name", "text")
    return account_name(user, tokens.take_any("name", "text") if tokens.accept("@") else None)


def _grantable(tokens: Tokens) -> bool:
    """Go through what follows a grantee; tell whether it may grant on what it is given."""
    if tokens.accept("IDENTIFIED"):
        _identified(tokens)
    if tokens.accept("REQUIRE"):
        _required(tokens)
    grantable = False
    if tokens.accept("WITH"):
        while tokens.next.kind != "end":
            if tokens.accept("GRANT", "OPTION") or tokens.accept("ADMIN", "OPTION"):
                grantable = True
            elif any(tokens.accept(limit) for limit in _LIMITS):
                _number(tokens)
            else:
                tokens.fail()
    return grantable


def _identified(tokens: Tokens) -> None:
    if tokens.accept("BY"):
        tokens.accept("PASSWORD")
        tokens.take_any("text")
        return
    if not tokens.accept("VIA"):
        tokens.expect("WITH")
    while True:
        tokens.take_any("word", "name", "text")
        if tokens.accept("USING") or tokens.accept("AS"):
            tokens.take_any("text")
        if not tokens.accept("OR"):
            return


def _required(tokens: Tokens) -> None:
    if any(tokens.accept(word) for word in ("NONE", "SSL", "X509")):
        return
    while any(tokens.accept(word) for word in ("ISSUER", "SUBJECT", "CIPHER")):
        tokens.take_any("text")
        tokens.accept("AND")


def _number(tokens: Tokens) -> None:
    """Go past a number, which may have a fraction."""
    tokens.take_any("word")
    if tokens.accept("."):
        tokens.take_any("word")


def _list(tokens: Tokens, read: Callable[[Tokens], T]) -> Iterator[T]:
    """Read what is set apart by commas."""
    yield read(tokens)
    while tokens.accept(","):
        yield read(tokens)
