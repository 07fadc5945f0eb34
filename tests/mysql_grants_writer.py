"""The canonical privileges of MySQL and MariaDB turned into the statements that grant them."""

from collections.abc import Iterable, Iterator

from mysql_helpers import ident

from syncd.model.privilege import Privilege

_ROUTINES = {"function": "FUNCTION", "procedure": "PROCEDURE", "package": "PACKAGE"}


def statements(account: str, privileges: Iterable[Privilege]) -> Iterator[str]:
    """Give the statements that make an account, which has nothing, have these privileges."""
    privileges = list(privileges)
    grantee = spelt(account)
    for each in privileges:
        oracle = each.on == "package"  # only there MariaDB knows packages
        if oracle:
            yield "SET sql_mode = 'ORACLE'"
        yield f"{_granted(each)} TO {grantee}{_option(each)}"
        if oracle:
            yield "SET sql_mode = DEFAULT"
    for each in privileges:
        if "default" in each.options:
            yield f"SET DEFAULT ROLE {spelt(each.name[0])} FOR {grantee}"


def spelt(account: str) -> str:
    """Return an account as SQL has it."""
    if account == "PUBLIC":
        return account
    if account.startswith("`"):
        return ident(account[1:-1])
    user, at, host = account.rpartition("@")
    return f"{ident(user)}@{ident(host)}" if at else ident(account)


def _granted(each: Privilege) -> str:
    if each.on == "role":
        return f"GRANT {spelt(each.name[0])}"
    if each.on == "proxy":
        return f"GRANT PROXY ON {spelt(each.name[0])}"
    if each.on == "column":
        database, table, column = map(ident, each.name)
        return f"GRANT {each.privilege} ({column}) ON TABLE {database}.{table}"
    return f"GRANT {each.privilege} ON {_object(each)}"


def _object(each: Privilege) -> str:
    if each.on == "server":
        return "*.*"
    if each.on == "database":
        return f"{ident(each.name[0])}.*"
    kind = _ROUTINES.get(each.on, "TABLE") + (" BODY" if "body" in each.options else "")
    return f"{kind} {'.'.join(map(ident, each.name))}"


def _option(each: Privilege) -> str:
    if not each.grantable:
        return ""
    return f" WITH {'ADMIN' if each.on == 'role' else 'GRANT'} OPTION"
