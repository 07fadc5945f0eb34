"""`SYNCD_` variables: they win over the files for everything but the named tables."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel

from syncd.config.configuration import Tables
from syncd.config.files import NAMED
from syncd.config.problems import ENVIRONMENT, Problem
from syncd.config.spelling import hint

PREFIX: Final = "SYNCD_"
STATE_DIR: Final = "/var/lib/syncd"
CONTROL: Final = "control.sock"


@dataclass(slots=True)
class Variables:
    """What the environment says; `names` gives the variable of each key path."""

    tables: dict[str, Any] = field(default_factory=dict)
    names: dict[tuple[str, ...], str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def variable_paths() -> dict[str, tuple[str, ...]]:
    """Return every variable that exists with its key path: `SYNCD_STORE__DSN`: (store, dsn)."""
    paths: list[tuple[str, ...]] = []
    for name, info in Tables.model_fields.items():
        model = info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            paths += [(name, key) for key in model.model_fields]
        elif name not in NAMED:
            paths.append((name,))
    return {PREFIX + "__".join(path).upper(): path for path in paths}


def read_variables(environ: Mapping[str, str]) -> Variables:
    """Read the `SYNCD_` variables; an unknown one is a problem."""
    found = Variables()
    paths = variable_paths()
    for name in sorted(name for name in environ if name.startswith(PREFIX)):
        if name not in paths:
            found.problems.append(Problem(ENVIRONMENT, None, name, _unknown(name, paths)))
            continue
        path = paths[name]
        table = found.tables
        for part in path[:-1]:
            table = table.setdefault(part, {})
        table[path[-1]] = _value(environ[name])
        found.names[path] = name
    return found


def directories(environ: Mapping[str, str], tables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the directories that systemd or the state directory give, where nothing names them.

    `tables` is what files and variables say. STATE_DIRECTORY may hold several, colon-separated
    (systemd.exec(5)); the first is ours.
    """
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0] or STATE_DIR
    daemon = tables.get("daemon")
    named = daemon.get("state_dir") if isinstance(daemon, dict) else None
    state_dir = named if isinstance(named, str) and named.startswith("/") else given
    runtime = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if not runtime:
        runtime = "/run/syncd" if state_dir == STATE_DIR else state_dir
    return {"daemon": {"state_dir": given}, "listen": {"control": f"{runtime}/{CONTROL}"}}


def _unknown(name: str, paths: Mapping[str, tuple[str, ...]]) -> str:
    table = name.removeprefix(PREFIX).partition("__")[0].lower()
    if table in NAMED:
        return f"{table} can't be set by variables, only in the files"
    return f"unknown variable{hint(name, paths)}"


def _value(text: str) -> Any:  # noqa: ANN401 - any TOML value
    """Read a variable as a TOML value, and as plain text when it is none."""
    try:
        document = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return document["value"] if document.keys() == {"value"} else text
