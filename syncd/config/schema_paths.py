"""What the schema says of a key, given where it stands in a file that nobody validated."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from syncd.config.configuration import Tables
from syncd.config.jobs import KINDS
from syncd.config.notify import CHANNELS
from syncd.config.secrets import Secret

Models = tuple[type[BaseModel], ...]


def fields_at(path: tuple[str, ...]) -> list[tuple[str, FieldInfo, tuple[str, ...]]]:
    """Return the keys that a path of keys may lead to: name, field, and what the path has left.

    Of jobs and channels all kinds are looked at; a path to no key of the schema has none.
    """
    return list(_fields((Tables,), path))


@cache
def keys_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the keys of a table as they are written."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def all_models() -> set[type[BaseModel]]:
    """Return every kind of table that the schema has."""
    found: set[type[BaseModel]] = set()
    waiting: list[Any] = [Tables, *KINDS.values(), *CHANNELS.values()]
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if kind not in found:
                found.add(kind)
                waiting += [info.annotation for info in kind.model_fields.values()]
        else:
            waiting += get_args(kind)
    return found


@cache
def secret_keys() -> frozenset[str]:
    """Return the keys that the schema knows as secrets."""
    return frozenset(
        name
        for model in all_models()
        for name, info in keys_of(model).items()
        if holds_secret(info) and not is_sent(name)
    )


@cache
def known_names() -> tuple[frozenset[str], frozenset[str]]:
    """Return the names of the tables, and the keys of all of them."""
    keys = {name for model in all_models() for name in keys_of(model)}
    return frozenset(Tables.model_fields), frozenset(keys)


def holds_secret(info: FieldInfo) -> bool:
    """Tell whether a key holds secrets: `Secret | None` too, and tables of them."""
    return _names(info.annotation, Secret)


def is_sent(name: str) -> bool:
    """Tell whether a key holds what the other side gets, under names of its own."""
    return name in ("body", "form", "headers", "query")


def _fields(
    models: Iterable[type[BaseModel]], path: tuple[str, ...]
) -> Iterator[tuple[str, FieldInfo, tuple[str, ...]]]:
    for model in models:
        info = keys_of(model).get(path[0]) if path else None
        if info is None:
            continue
        inside = _inside(path[0], info) if model is Tables else _tables(info.annotation)
        named = model is Tables and isinstance(info.default, dict)  # a table of tables
        if inside:
            yield from _fields(inside, path[2 if named else 1 :])
        else:
            yield path[0], info, path[1:]


def _inside(table: str, info: FieldInfo) -> Models:
    """Return the tables that one of the top level holds."""
    kinds: dict[str, Mapping[str, type[BaseModel]]] = {"jobs": KINDS, "notify": CHANNELS}
    return tuple(kinds[table].values()) if table in kinds else _tables(info.annotation)


def _tables(kind: Any) -> Models:  # noqa: ANN401 - any annotation
    """Return the tables that a type is, or holds."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return (kind,)
    return tuple(model for each in get_args(kind) for model in _tables(each))


def _names(kind: Any, wanted: type) -> bool:  # noqa: ANN401 - any annotation
    return kind is wanted or any(_names(each, wanted) for each in get_args(kind))
