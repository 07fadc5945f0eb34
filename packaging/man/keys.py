"""The keys of syncd.toml(5), from the schema of the configuration."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

import roff
from annotated_types import Ge, Gt, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from syncd.config import fields, http_fields, schema, table_fields
from syncd.config.configuration import Tables
from syncd.config.durations import format_duration
from syncd.config.files import NAMED
from syncd.config.http import Connection, Token
from syncd.config.job import Job
from syncd.config.jobs import KINDS
from syncd.config.notify import CHANNELS, Channel
from syncd.config.schema import Account, Defaults
from syncd.config.secrets import Secret
from syncd.config.servers import Server
from syncd.config.sizes import parse_size
from syncd.triggers.windows import Windows

_WORDS: Final[tuple[tuple[Any, str], ...]] = (
    (fields.Zone, "name of a time zone"),
    (fields.Label, "string of at most 128 characters"),
    (fields.PositiveDuration, "duration, longer than 0s"),
    (fields.Duration, "duration"),
    (fields.Size, "size"),
    (fields.WeekWindows, "list of windows"),
    (fields.DatesFile, "path"),
    (fields.Ladder, "list of durations, at most 20"),
    (fields.SecretValue, "secret"),
    (fields.AbsolutePath, "absolute path"),
    (fields.SocketPath, f"absolute path of at most {fields.SOCKET_PATH_BYTES} bytes"),
    (fields.Address, '"address:port" or "off"'),
    (fields.Endpoint, "URL"),
    (fields.Proxy, "URL"),
    (fields.Regions, '"all" or a list of regions'),
    (fields.RegionList, "list of regions"),
    (fields.Names, "list of names"),
    (fields.Tags, "list of words"),
    (fields.Servers, '"all", a list of names, or `{ tags = ["..."] }`'),
    (fields.ServerHost, "host name, IP address or absolute path"),
    (fields.DatabaseNames, "list of names of databases"),
    (fields.SessionOptions, "table of strings"),
    (fields.PositiveSize, "size, more than 0B"),
    (schema.TableName, "name"),
    (http_fields.Text, "string"),
    (http_fields.User, "string"),
    (http_fields.Url, "URL"),
    (http_fields.SecretUrl, "URL, a secret"),
    (http_fields.MailAddress, "mail address"),
    (http_fields.MailAddresses, "list of mail addresses"),
    (http_fields.HeaderValue, "string of ASCII characters"),
    (http_fields.HeaderName, "name of a header"),
    (http_fields.KeyHeader, "name of a header, or `false`"),
    (http_fields.Headers, "table of strings and secrets"),
    (http_fields.Pairs, "table of strings, numbers and secrets"),
    (http_fields.Body, "table, list or string"),
    (http_fields.JsonPath, "path in JSON"),
    (http_fields.JsonPaths, "path in JSON, or a list of them"),
    (http_fields.JsonValues, "table of values by path in JSON"),
    (http_fields.SavedPaths, "table of paths in JSON by name"),
    (http_fields.Pattern, "regular expression"),
    (http_fields.Patterns, "table of regular expressions"),
    (http_fields.StatusCodes, "list of status codes"),
    (http_fields.FieldNames, "list of strings"),
    (http_fields.HostPatterns, "list of hosts"),
    (table_fields.SchemaName, "name of a schema"),
    (table_fields.TableInDatabase, "name of a table"),
    (table_fields.TablesInDatabase, "list of names of tables"),
    (table_fields.DatabaseOrNumber, "name of a database, or a number"),
    (table_fields.ColumnName, "name of a column"),
    (table_fields.ColumnNames, "list of names of columns"),
    (table_fields.Renames, "table of names by name"),
    (table_fields.Masks, 'table of `"hash"` or `"null"` by column'),
    (table_fields.Values, 'table of `"error"`, `"null"` or `"text"` by column'),
    (table_fields.Query, "SELECT statement"),
    (table_fields.Lookback, "duration, or a number"),
    (table_fields.OnConflict, '`"update"`, `"skip"`, `"error"` or `"newer(COLUMN)"`'),
    (table_fields.Tolerances, "table of numbers or shares by column"),
    (table_fields.KeyPattern, "pattern of keys"),
    (table_fields.RedisField, "name of a field"),
    (table_fields.Comparisons, 'list of `"count"`, `"aggregate"` and `"checksum"`'),
    (fields.DatabaseName, "name of a database"),
)
"""What a key may hold, in words, by the type that checks it."""

_PLAIN: Final[Mapping[Any, str]] = {
    bool: "`true` or `false`", str: "string", int: "integer", float: "number",
}  # fmt: skip

_MANY: Final[Mapping[Any, str]] = {tuple: "list", dict: "table"}

_SIZES: Final = ((1024**4, "TiB"), (1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"), (1, "B"))


def tables() -> Iterator[str]:
    """Yield the lines of every table and key, but for those of the tables of tables."""
    for name, info in Tables.model_fields.items():
        if model := _table(info.annotation):
            yield f".SS [{roff.literal(name)}]"
            yield from roff.paragraph(info.description or "")
            yield from _keys(model)


def whole_file() -> Iterator[str]:
    """Yield the keys that stand before all tables."""
    for name, info in Tables.model_fields.items():
        hint = _hints(Tables)[name]
        if name not in NAMED and not _table(hint):
            yield from _key(name, info, hint)


def account() -> Iterator[str]:
    """Yield the keys of an account."""
    yield from _keys(Account)


def server() -> Iterator[str]:
    """Yield the keys of a database server."""
    yield from _keys(Server)


def token() -> Iterator[str]:
    """Yield the keys of a token."""
    yield from _keys(Token)


def channels() -> Iterator[str]:
    """Yield the keys of all channels, then each channel with the keys that it alone has."""
    kind = Channel.model_fields["channel"]
    yield from roff.tagged(
        _tag("channel", _either(list(CHANNELS))), f"{kind.description} Required."
    )
    yield from _keys(Channel, {"channel"})
    for name, channel in CHANNELS.items():
        yield f".SS Channel {roff.literal(name)}"
        yield from roff.paragraph(channel.__doc__ or "")
        yield from _keys(channel, frozenset(Channel.model_fields))


def job() -> Iterator[str]:
    """Yield the keys that jobs of every kind have, beside those of [defaults]."""
    kind = Job.model_fields["kind"]
    words = _either(list(KINDS))
    yield from roff.tagged(_tag("kind", words), f"{kind.description} Required.")
    yield from _keys(Job, {"kind", *Defaults.model_fields})


def kinds() -> Iterator[str]:
    """Yield each kind of job with the keys that it alone has, or has another default of."""
    for name, kind in KINDS.items():
        yield f".SS Jobs of the kind {roff.literal(name)}"
        yield from roff.paragraph(kind.__doc__ or "")
        same = {
            key
            for key, info in Job.model_fields.items()
            if key == "kind" or info.default == kind.model_fields[key].default
        }
        yield from _keys(kind, same)


def _keys(
    model: type[BaseModel],
    without: frozenset[str] | set[str] = frozenset(),
    around: tuple[type[BaseModel], ...] = (),
) -> Iterator[str]:
    """Yield the keys of a table; `around` are the tables that it stands in."""
    hints = _hints(model)
    # How a server is reached matters less than what it is asked.
    ordered = sorted(
        model.model_fields.items(), key=lambda each: each[0] in Connection.model_fields
    )
    for name, info in ordered:
        if name not in without:
            yield from _key(info.alias or name, info, hints[name], (*around, model))


def _key(
    name: str, info: FieldInfo, hint: object, around: tuple[type[BaseModel], ...] = ()
) -> Iterator[str]:
    """Yield one key; a table within a table has its own keys below, unless they stand above."""
    text = info.description or ""
    default = "Required." if info.is_required() else _default(info)
    table = _table_inside(_without_none(hint))
    above = table and any(_is_described(table, each) for each in around[:-1])
    known = "Its keys stand above." if above else ""
    words = " ".join(part for part in (text, default, known) if part)
    yield from roff.tagged(_tag(name, _words(hint, info)), words)
    if table and not above:
        yield ".RS"
        yield from _keys(table, around=around)
        yield ".RE"


def _is_described(table: type[BaseModel], around: type[BaseModel]) -> bool:
    """Tell whether a table around has a key of the same table."""
    return any(_table_inside(_without_none(hint)) is table for hint in _hints(around).values())


def _tag(name: str, words: str) -> str:
    return rf"{roff.bold(name)} = {roff.inline(words)}"


def _hints(model: type[BaseModel]) -> Mapping[str, Any]:
    return get_type_hints(model, include_extras=True)


def _table(hint: object) -> type[BaseModel] | None:
    return hint if isinstance(hint, type) and issubclass(hint, BaseModel) else None


def _table_inside(hint: object) -> type[BaseModel] | None:
    """Return the table that a key holds, one, a list of them or a table of them."""
    inside = [each for each in get_args(hint) if _table(each)] if get_origin(hint) in _MANY else []
    return _table(inside[0] if inside else hint)


def _without_none(hint: object) -> object:
    """Return the type of a key that may be unset."""
    kinds = [each for each in get_args(hint) if each is not type(None)]
    return kinds[0] if type(None) in get_args(hint) and len(kinds) == 1 else hint


def _words(hint: object, info: FieldInfo) -> str:
    """Return in words what a key may hold; raises LookupError for a type that has none yet."""
    hint = _without_none(hint)
    base, *checks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    for known, words in _WORDS:
        if checks and checks[0] == get_args(known)[1]:
            return words
    if get_origin(base) in _MANY and _table_inside(base):
        return f"{_MANY[get_origin(base)]} of tables"
    if get_origin(base) is tuple:
        return f"list of {_either(get_args(get_args(base)[0]))}"
    if get_origin(base) is Literal:
        return _either(get_args(base))
    if base in _PLAIN:
        return _PLAIN[base] + _bounds(info)
    if _table(base):
        return "table"
    raise LookupError(f"no words for {hint}")


def _either(words: Sequence[str]) -> str:
    """Return the words that a key may hold."""
    *others, last = (f"`{_quoted(word)}`" for word in words)
    return f"{', '.join(others)} or {last}" if others else last


def _bounds(info: FieldInfo) -> str:
    """Return the bounds of a number in words."""
    low = next((f"{each.ge:,}" for each in info.metadata if isinstance(each, Ge)), None)
    high = next((f"{each.le:,}" for each in info.metadata if isinstance(each, Le)), None)
    above = next((f"{each.gt:,}" for each in info.metadata if isinstance(each, Gt)), None)
    if above is not None:
        return f" above {above}" + (f", at most {high}" if high else "")
    if low is None:
        return f" of at most {high}" if high else ""
    return f", {low} to {high}" if high else f" of at least {low}"


def _default(info: FieldInfo) -> str:
    """Return what a key that is not given is; nothing where its description tells."""
    if info.default is None or "unset:" in (info.description or ""):
        return ""
    return f"Default: `{_written(info.default, info)}`."


def _written(value: object, info: FieldInfo) -> str:  # noqa: PLR0911 - a table of types
    """Return a value as the file holds it; raises LookupError for one of another type."""
    match value:
        case bool():
            return str(value).lower()
        case int() if parse_size in _functions(info):
            return _quoted(_size(value))
        case int() | float():
            return str(value)
        case str() | Path() | table_fields.ConflictRule():
            return _quoted(str(value))
        case timedelta():
            return _quoted(format_duration(value))
        case Secret(source="inline"):
            return _quoted(value.inline.get_secret_value())
        case dict() if not value:
            return "{}"
        case tuple():
            return f"[{', '.join(_written(each, info) for each in value)}]"
        case Windows() if value == Windows():
            return "[]"
    raise LookupError(f"no way to write {value!r}")


def _functions(info: FieldInfo) -> list[object]:
    return [getattr(each, "func", None) for each in info.metadata]


def _size(value: int) -> str:
    size, unit = next(each for each in _SIZES if value % each[0] == 0)
    return f"{value // size}{unit}"


def _quoted(text: str) -> str:
    return f'"{text}"'
