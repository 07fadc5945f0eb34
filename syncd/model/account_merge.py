"""What is known of accounts of which not everything could be read: the rest stays as it was."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from syncd.model.db_account import AccountReading, DbAccount, Objects, Unread
from syncd.model.privilege import Privilege
from syncd.model.privilege_diff import MEMBER_OF_SET


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
    """Return an account with what could not be read of it as the store holds it."""
    unread = hidden.concerning(account.account)
    if stored is None or not unread:
        return account
    attributes = {
        name: stored.attributes[name]
        for part in unread
        for name in part.attributes
        if name in stored.attributes
    }
    return replace(
        account,
        attributes={**account.attributes, **attributes},
        capabilities=_capabilities(account, stored, unread),
        privileges=_privileges(account, stored, hidden),
    )


def merged_objects(reading: AccountReading, stored: Objects, hidden: Hidden) -> Objects:
    """Return the objects of each schema; of a database that could not be read those of before."""
    kept = {key: names for key, names in stored.items() if hidden.objects(*key)}
    return {**kept, **reading.objects}


def _privileges(account: DbAccount, stored: DbAccount, hidden: Hidden) -> tuple[Privilege, ...]:
    """Return what was read, and what is hidden of what was known, unless it was read otherwise."""
    read = {_right(each) for each in account.privileges}
    kept = [
        each
        for each in stored.privileges
        if _right(each) not in read and hidden.privilege(account.account, each)
    ]
    return tuple(sorted({*account.privileges, *kept})) if kept else account.privileges


def _right(privilege: Privilege) -> tuple[object, ...]:
    return privilege.on, privilege.name, privilege.privilege, privilege.restricts


def _of_one(privilege: Privilege) -> Privilege:
    """Return a privilege of a set as that on one kind of object; others as they are."""
    member = MEMBER_OF_SET.get(privilege.on)
    return replace(privilege, on=member) if member else privilege


def _capabilities(
    account: DbAccount, stored: DbAccount, unread: Sequence[Unread]
) -> tuple[str, ...]:
    """Return the capabilities; where they may come of what is unread, none is lost."""
    if all(part.database is not None for part in unread):
        return account.capabilities
    return tuple(sorted({*account.capabilities, *stored.capabilities}))
