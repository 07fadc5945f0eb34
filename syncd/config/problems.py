"""Problems of a configuration: where each stands and what is wrong, all of them told at once."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from syncd.config.configuration import Tables
from syncd.config.jobs import KINDS
from syncd.config.notify import CHANNELS
from syncd.config.spelling import hint
from syncd.errors import ConfigurationError

KeyPath = tuple[str | int, ...]

MOST: Final = 200
ENVIRONMENT: Final = "environment"

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_WORDING: Final = {
    "missing": "is required",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "float_type": "must be a number",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "tuple_type": "must be a list",
    "finite_number": "must be a finite number",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong; `line` is None where it is not known, `key` "" for a whole file."""

    file: str
    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (place, self.key, self.message) if part)


class ConfigInvalid(ConfigurationError):
    """A configuration that can't be used, with every reason."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        ordered = sorted(problems, key=lambda each: (each.file, each.line or 0, each.key))
        self.problems = tuple(ordered)
        super().__init__("\n".join(str(problem) for problem in ordered))


@dataclass(frozen=True, slots=True)
class Places:
    """Where each key path was set: the file and line, or the environment variable."""

    main: str
    lines: Mapping[tuple[str, ...], tuple[str, int]]
    variables: Mapping[tuple[str, ...], str]

    def problem(self, path: KeyPath, message: str) -> Problem:
        """Return the problem of a key, at the nearest place that is known."""
        parts = tuple(str(part) for part in path)
        for length in range(len(parts), 0, -1):
            if parts[:length] in self.variables:
                return Problem(ENVIRONMENT, None, self.variables[parts[:length]], message)
            if parts[:length] in self.lines:
                file, line = self.lines[parts[:length]]
                return Problem(file, line, key_path(path), message)
        return Problem(self.main, None, key_path(path), message)


def key_path(path: KeyPath) -> str:
    """Write a path as TOML would: `jobs."a.b".retries[1]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            quoted = part if _BARE.fullmatch(part) else f'"{part[:64]}"'
            text += f".{quoted}" if text else quoted
    return "".join(each if each.isprintable() else "?" for each in text)


def explain(error: ValidationError, tables: Mapping[str, Any], places: Places) -> list[Problem]:
    """Turn pydantic's complaints into ours; values are shown only where words are compared."""
    details = error.errors(include_url=False)
    found = [_explain_one(each, tables, places) for each in details[:MOST]]
    if len(details) > MOST:
        found.append(Problem(places.main, None, "", f"and {len(details) - MOST} more problems"))
    return found


def _explain_one(detail: ErrorDetails, tables: Mapping[str, Any], places: Places) -> Problem:
    path, context = detail["loc"], detail.get("ctx", {})
    # The name of a table is checked as the key of a mapping, which pydantic appends.
    path = path[:-1] if path and path[-1] == "[key]" else path
    match detail["type"]:
        case "extra_forbidden":
            message = f"unknown key{hint(str(path[-1]), _allowed(path[:-1], tables))}"
        case "literal_error":
            words = re.findall(r"'([^']*)'", str(context.get("expected", "")))
            message = f"unknown value{hint(str(detail['input']), words)}"
        case "job_kind":
            path, message = (*path, "kind"), detail["msg"]
        case "channel_kind":
            path, message = (*path, "channel"), detail["msg"]
        case "value_error":
            message = str(context["error"])
        case kind:
            message = _WORDING.get(kind, detail["msg"]).format(**context)
    return places.problem(path, message)


def _allowed(path: KeyPath, tables: Mapping[str, Any]) -> Iterable[str]:
    """Return the keys that the table at a path may have, as far as the schema names them."""
    model: type[BaseModel] | None = Tables
    match path:
        case ("jobs", str(name), *rest):
            model = KINDS.get(tables["jobs"][name].get("kind"))
        case ("notify", str(name), *rest):
            model = CHANNELS.get(tables["notify"][name].get("channel"))
        case _:
            rest = list(path)
    for key in rest:
        if model is not None and key in _keys(model):
            model = _table_in(_keys(model)[str(key)])
    return _keys(model) if model else ()


def _keys(model: type[BaseModel]) -> dict[str, Any]:
    """Return the keys of a table as they are written, with their types."""
    return {info.alias or name: info.annotation for name, info in model.model_fields.items()}


def _table_in(kind: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any annotation
    """Return the table that a type is, or holds."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    return next(filter(None, map(_table_in, get_args(kind))), None)
