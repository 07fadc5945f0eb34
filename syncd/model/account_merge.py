"""What is known of accounts of which not everything could be read: the rest stays as it was."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from syncd.model.account_row import PSEUDO
from syncd.model.db_account import AccountReading, DbAccount, Objects, Unread
from syncd.model.privilege import Privilege
from syncd.model.privilege_diff import MEMBER_OF_SET

_OF_SERVER: Final = frozenset(
    {"superuser", "create_user", "create_database", "replication", "bypass_rls"}
)
"""Capabilities that may come of privileges on the whole server."""


class Hidden:
    """The unread parts of a reading, found by what they hide."""

    def __init__(self, unread: Iterable[Unread]) -> None:
        self._parts: dict[tuple[str | None, str | None], list[Unread]] = defaultdict(list)
        self._of: dict[str | None, list[Unread]] = defaultdict(list)
        for part in unread:
            self._parts[part.account, part.database].append(part)
            self._of[part.account].append(part)

    def concerning(self, account: str) -> list[Unread]:
        """Return the parts that concern an account, in the order of the reading."""
        return self._of.get(None, []) + self._of.get(account, [])

    def privilege(self, account: str, privilege: Privilege) -> bool:
        """Tell whether an account may have a privilege that the reading lacks."""
        places = {(who, db) for who in (None, account) for db in (None, privilege.database)}
        return any(
            part.hides(account, privilege) or part.hides(account, _of_one(privilege))
            for place in places
            for part in self._parts.get(place, ())
        )

    def objects(self, database: str, schema: str, kind: Any) -> bool:  # noqa: ANN401 - On
        """Tell whether a schema may have objects that the reading lacks."""
        return any(
            part.hides("", Privilege(kind, (database, schema), ""))
            for place in ((None, None), (None, database))
            for part in self._parts.get(place, ())
        )


def merged(account: DbAccount, stored: DbAccount | None, hidden: Hidden) -> DbAccount:
    """Return an account with what could not be read of it as the store holds it.

    Among the attributes of a gap may be fields of the account, by the names of `PSEUDO`.
    """
    unread = hidden.concerning(account.account)
    if stored is None or not unread:
        return account
    names = {name for part in unread for name in part.attributes}
    attributes = {name: stored.attributes[name] for name in names if name in stored.attributes}
    kept = [each for each in stored.privileges if hidden.privilege(account.account, each)]
    told: dict[str, Any] = {
        "attributes": {**account.attributes, **attributes},
        "capabilities": _capabilities(account, stored, kept),
        "privileges": _privileges(account, kept),
    }
    fields = {field: getattr(stored, field) for name, field in PSEUDO.items() if name in names}
    return replace(account, **(told | fields))


def merged_objects(reading: AccountReading, stored: Objects, hidden: Hidden) -> Objects:
    """Return the objects of each schema; of a database that could not be read those of before."""
    kept = {key: names for key, names in stored.items() if hidden.objects(*key)}
    return {**kept, **reading.objects}


def _privileges(account: DbAccount, kept: Sequence[Privilege]) -> tuple[Privilege, ...]:
    """Return what was read beside what is kept, which may have been read in part."""
    if not kept:
        return account.privileges
    rights = {_right(each) for each in kept}
    read = (each for each in account.privileges if _right(each) not in rights)
    return tuple(sorted({*read, *kept}))


def _right(privilege: Privilege) -> tuple[object, ...]:
    return privilege.on, privilege.name, privilege.privilege, privilege.restricts


def _of_one(privilege: Privilege) -> Privilege:
    """Return a privilege of a set as that on one kind of object; others as they are."""
    member = MEMBER_OF_SET.get(privilege.on)
    return replace(privilege, on=member) if member else privilege


def _capabilities(
    account: DbAccount, stored: DbAccount, kept: Sequence[Privilege]
) -> tuple[str, ...]:
    """Return the capabilities, those that come of what is kept among them."""
    words: set[str] = set()
    if any(each.grantable for each in kept):
        words.add("grant")
    if any(each.on == "server" for each in kept):
        words |= _OF_SERVER
    return tuple(sorted({*account.capabilities, *words.intersection(stored.capabilities)}))
