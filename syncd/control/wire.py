"""How questions and errors travel: the same table read by the server and by the client."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

from syncd import errors
from syncd.config.durations import LONGEST
from syncd.config.problems import ConfigInvalid, Problem
from syncd.errors import BadRequest, SyncdError
from syncd.model.run import Priority

Q = TypeVar("Q")
Json = dict[str, Any]

_STATUSES: Final[tuple[tuple[type[SyncdError], str, int], ...]] = (
    (errors.NotFound, "not_found", 404),
    (errors.BadRequest, "bad_request", 400),
    (errors.Conflict, "conflict", 409),
    (errors.Guarded, "guard", 409),
    (errors.ConfigurationError, "configuration", 422),
    (errors.StoreError, "store", 503),
    (errors.TimedOut, "timeout", 504),
    (errors.Interrupted, "interrupted", 503),
    (errors.Throttled, "throttled", 503),
    (errors.Authentication, "authentication", 502),
    (errors.Permission, "permission", 502),
    (errors.BadData, "bad_data", 400),
    (errors.Network, "network", 502),
)
"""An error, its word on the wire, and the HTTP status (RFC 9110) that fits it best."""


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a job's targets is asked for; the body of a plan. Empty means all."""

    accounts: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunBody(Part):
    """What is to be run, and before which others."""

    priority: Priority | None = None


@dataclass(frozen=True, slots=True)
class PriorityBody:
    """Before which others a run comes."""

    priority: Priority


@dataclass(frozen=True, slots=True)
class ExaminationBody:
    """Which checks are asked for, and by which version of the program."""

    accounts: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    offline: bool = False
    version: str = ""


@dataclass(frozen=True, slots=True)
class PauseBody:
    """For how long a job is paused: None until it is resumed. NaN passes no bound."""

    for_seconds: Annotated[float, msgspec.Meta(gt=0, le=LONGEST.total_seconds())] | None = None


def error_answer(error: SyncdError) -> tuple[int, Json]:
    """Return the HTTP status and the document of an error."""
    word, status = next(
        ((word, status) for kind, word, status in _STATUSES if isinstance(error, kind)),
        ("internal", 500),
    )
    return status, error_document(word, str(error), getattr(error, "problems", ()))


def error_document(word: str, message: str, problems: tuple[Problem, ...] = ()) -> Json:
    """Return {"error": {"class", "message"}}, with `problems` where there are any."""
    told: Json = {"class": word, "message": message}
    return {"error": told | ({"problems": [asdict(each) for each in problems]} if problems else {})}


def error_from(status: int, body: bytes) -> SyncdError:
    """Return the error that an answer stands for; one of another shape becomes a SyncdError."""
    try:
        told = msgspec.json.decode(body)["error"]
        if told.get("problems"):
            return ConfigInvalid([Problem(**each) for each in told["problems"]])
        kinds = {word: kind for kind, word, _ in _STATUSES}
        return kinds.get(told["class"], SyncdError)(told["message"])
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        text = body[:200].decode(errors="replace").strip()
        return BadRequest(text) if status < 500 else SyncdError(f"HTTP {status}: {text}")


def parse_query(kind: type[Q], given: Mapping[str, str]) -> Q:
    """Read a query from parameters; raises BadRequest that says what is allowed."""
    types = get_type_hints(kind, include_extras=True)
    if unknown := sorted(given.keys() - types.keys()):
        raise BadRequest(f"unknown parameter {unknown[0]!r}; allowed: {', '.join(types)}")
    for each in fields(cast(Any, kind)):
        if each.default is MISSING and each.name not in given:
            words = _allowed(_words(types[each.name]))
            raise BadRequest(f"the parameter {each.name!r} is required{words}")
    return kind(**{name: _parse(name, types[name], text) for name, text in given.items()})


def query_parameters(query: Any) -> dict[str, str]:  # noqa: ANN401 - any dataclass of queries
    """Return the parameters from which `parse_query` makes an equal query."""
    values = {each.name: getattr(query, each.name) for each in fields(query)}
    return {name: _text(value) for name, value in values.items() if value is not None}


def parse_body(kind: type[Q], body: bytes) -> Q:
    """Read the JSON body of a request, an empty one as {}; raises BadRequest."""
    try:
        given = msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, RecursionError) as error:  # the latter for "[[[[[…"
        raise BadRequest(f"the body is not JSON: {error}") from error
    names = get_type_hints(kind)
    if not isinstance(given, dict) or given.keys() - names.keys():
        raise BadRequest(f"the body must be a JSON object; allowed keys: {', '.join(names)}")
    return _converted(given, kind)


def write_body(body: object) -> bytes:
    """Return the JSON of a body; raises BadRequest for one that `parse_body` would refuse."""
    return msgspec.json.encode(_converted(msgspec.to_builtins(body), type(body)))


def _converted(given: Json, kind: type[Q]) -> Q:
    """Return a body; raises BadRequest, with the words that are allowed where one was wrong."""
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        types = get_type_hints(kind).items()
        words = [word for name, each in types if name in str(error) for word in _words(each)]
        raise BadRequest(f"the body: {error}{_allowed(words)}") from error


def _parse(name: str, kind: Any, text: str) -> Any:  # noqa: ANN401 - a type, and a value of it
    """Read one parameter; a list is written as JSON."""
    try:
        is_list = any(get_origin(each) is tuple for each in (kind, *get_args(kind)))
        value = msgspec.json.decode(text.encode()) if is_list else text
        return msgspec.convert(value, kind, strict=False)
    except (msgspec.DecodeError, RecursionError) as error:  # ValidationError is a DecodeError
        raise BadRequest(f"{name}={text!r:.100}: {error}{_allowed(_words(kind))}") from error


def _text(value: object) -> str:
    plain = msgspec.to_builtins(value)
    return plain if isinstance(plain, str) else msgspec.json.encode(plain).decode()


def _words(kind: Any) -> list[str]:  # noqa: ANN401 - a type
    """Return the words that a type allows, also where it allows None besides."""
    literals = [each for each in (kind, *get_args(kind)) if get_origin(each) is Literal]
    return [word for each in literals for word in get_args(each)]


def _allowed(words: Sequence[str]) -> str:
    return f"; allowed: {', '.join(words)}" if words else ""
