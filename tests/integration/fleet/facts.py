"""Privileges as single facts, so that readings, catalogues and changes can be compared as sets.

A fact is: on what, which privilege, and one of its flags, which is "" for having it at all,
"grantable", or an option of a membership.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

Path = tuple[str, ...]
Members = Callable[[str, Path], Iterable[str]]
"""The names of all objects of a kind in a schema."""
SETS = {"all_tables": "table", "all_sequences": "sequence", "all_functions": "function"}


class Fact(NamedTuple):
    on: str
    name: Path
    privilege: str
    flag: str


def facts(documents: Iterable[Mapping[str, Any]], members: Members) -> set[Fact]:
    """Return the facts that privileges of the store stand for, sets taken apart."""
    return {
        Fact(on, name, each["privilege"], flag)
        for each in documents
        for on, name in _objects(each, members)
        for flag in ["", *each.get("options", ()), *(["grantable"] if each["grantable"] else [])]
    }


def _objects(each: Mapping[str, Any], members: Members) -> Iterable[tuple[str, Path]]:
    name = tuple(each["name"])
    member = SETS.get(each["on"])
    if member is None:
        return [(each["on"], name)]
    return [(member, (*name, one)) for one in members(member, name)]


def check_told(
    told: set[Fact], there: set[Fact], missing: set[Fact], optional: Iterable[Path] = ()
) -> None:
    """Check that a change tells just the facts of one reading that the other lacks.

    One that changed in a flag alone is told with the privilege itself. `optional` are objects that
    came or went in the round, whose privileges may be told or not.
    """
    free = {tuple(path) for path in optional}

    def fixed(facts: set[Fact]) -> set[Fact]:
        return {fact for fact in facts if not any(fact.name[: len(path)] == path for path in free)}

    assert fixed(told - missing) == fixed(there - missing)
    assert fixed(told) <= there
