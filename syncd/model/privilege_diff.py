"""What an account gained and lost between two readings, as a database administrator would say it.

A set (`all_tables`) names no objects: two readings may mean different ones by it. One that both
hold is the same, whatever tables came and went. Any other is taken apart into the objects that
stood at its time, so that a new table without the privilege, which breaks the set up, is no
revocation, and one table of 500 that loses it is exactly one. A member of a set that was dropped
since is passed over in silence: nothing was revoked on it. A privilege that was listed by itself
is told as revoked when its object is gone, since it was granted on this very object and would not
come back with another of its name. What is left is put together to sets again where it covers all
objects of a schema.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache
from typing import Final, NamedTuple

from syncd.model.db_account import Objects
from syncd.model.privilege import On, Privilege

Difference = tuple[tuple[Privilege, ...], tuple[Privilege, ...]]
"""Granted and revoked, each sorted."""

MEMBER_OF_SET: Final[Mapping[On, On]] = {
    "all_tables": "table",
    "all_sequences": "sequence",
    "all_functions": "function",
}
_SET_OF: Final[Mapping[On, On]] = {member: whole for whole, member in MEMBER_OF_SET.items()}


class _Right(NamedTuple):
    """Which right on what: a privilege without its extent."""

    on: On
    name: tuple[str, ...]
    privilege: str
    restricts: bool


class _Extent(NamedTuple):
    """How far a right goes."""

    grantable: bool
    options: frozenset[str]


_Rights = dict[_Right, _Extent]
_Key = tuple[str, str, On]
_Names = Callable[[_Key], tuple[str, ...]]


def difference(
    before: Collection[Privilege],
    after: Collection[Privilege],
    objects_before: Objects,
    objects_after: Objects,
) -> Difference:
    """Return what was granted and what was revoked.

    A grant option or an option of a membership that changed by itself is told by the privilege with
    just that option and `only_options`: it leaves the privilege. One that
    `restricts` takes something away: a new one is in `revoked`, one that ended in `granted`.
    """
    if before == after:
        return (), ()
    kept = {each for each in set(before) & set(after) if each.on in MEMBER_OF_SET}
    stood, now = _stood(objects_before, objects_after), _now(objects_after)
    had = _rights((each for each in before if each not in kept), objects_before, stood)
    has = _rights((each for each in after if each not in kept), objects_after, now)
    gained, lost = list(_beyond(has, had)), list(_beyond(had, has))
    granted = [p for p in gained if not p.restricts] + [p for p in lost if p.restricts]
    revoked = [p for p in lost if not p.restricts] + [p for p in gained if p.restricts]
    return _collapsed(granted, now), _collapsed(revoked, stood)


def _stood(before: Objects, after: Objects) -> _Names:
    """Return what tells which objects of a schema stood before and after."""

    @cache
    def names(key: _Key) -> tuple[str, ...]:
        still = frozenset(after.get(key, ()))
        return tuple(name for name in before.get(key, ()) if name in still)

    return names


def _now(objects: Objects) -> _Names:
    """Return what tells which objects a schema has."""
    return lambda key: objects.get(key, ())


def _rights(privileges: Iterable[Privilege], known: Objects, names: _Names) -> _Rights:
    """Return rights with their extent, sets taken apart; several grants of one right add up."""
    rights: _Rights = {}
    for each in privileges:
        extent = _Extent(each.grantable, frozenset(each.options))
        for right in _apart(each, known, names):
            other = rights.get(right)
            rights[right] = extent if other is None else _sum(extent, other)
    return rights


def _sum(one: _Extent, other: _Extent) -> _Extent:
    return _Extent(one.grantable or other.grantable, one.options | other.options)


def _apart(privilege: Privilege, known: Objects, names: _Names) -> Iterator[_Right]:
    """Yield the rights of a privilege: of a set those on its members that still stand.

    A set whose objects were never told stays as it is.
    """
    member = MEMBER_OF_SET.get(privilege.on)
    if member is None or (*privilege.name, member) not in known:
        yield _Right(privilege.on, privilege.name, privilege.privilege, privilege.restricts)
        return
    database, schema = privilege.name
    for name in names((database, schema, member)):
        yield _Right(member, (database, schema, name), privilege.privilege, privilege.restricts)


def _beyond(mine: _Rights, theirs: _Rights) -> Iterator[Privilege]:
    """Yield what one side has that the other lacks."""
    for right, extent in mine.items():
        other = theirs.get(right)
        more = extent
        if other is not None:
            more = _Extent(extent.grantable and not other.grantable, extent.options - other.options)
            if not any(more):
                continue
        yield Privilege(
            right.on, right.name, right.privilege, more.grantable, tuple(sorted(more.options)),
            right.restricts, only_options=other is not None,
        )  # fmt: skip


def _collapsed(privileges: list[Privilege], names: _Names) -> tuple[Privilege, ...]:
    """Return privileges sorted, those that cover all of two or more objects as sets."""
    found: set[Privilege] = set(privileges)
    members: dict[Privilege, set[str]] = defaultdict(set)
    for each in privileges:
        if each.on in _SET_OF and len(each.name) == 3:
            members[_set_of(each)].add(each.name[2])
    for whole, told in members.items():
        database, schema = whole.name
        every = names((database, schema, MEMBER_OF_SET[whole.on]))
        if len(every) > 1 and told.issuperset(every):
            found.difference_update(_member(whole, name) for name in every)
            found.add(whole)
    return tuple(sorted(found))


def _set_of(member: Privilege) -> Privilege:
    """Return the set that a privilege on one object may be a part of."""
    return _on(member, _SET_OF[member.on], member.name[:2])


def _member(whole: Privilege, name: str) -> Privilege:
    """Return what a set means for one of its objects."""
    return _on(whole, MEMBER_OF_SET[whole.on], (*whole.name, name))


def _on(privilege: Privilege, on: On, name: tuple[str, ...]) -> Privilege:
    """Return the same privilege on something else."""
    return Privilege(
        on, name, privilege.privilege, privilege.grantable, privilege.options, privilege.restricts,
        privilege.only_options,
    )  # fmt: skip
