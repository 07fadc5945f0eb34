"""Reads keys and their values from a Redis: in batches, each key once or more often, as SCAN does.

SCAN gives every key that is there from its beginning to its end, some of them more than once, and
of the others some (https://redis.io/docs/latest/commands/scan/).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from redis.exceptions import ResponseError

from syncd.context import RunContext
from syncd.engines.redis.connection import Answer, Session
from syncd.engines.redis.failures import WRONG_TYPE, mapped
from syncd.engines.redis.pattern import Pattern
from syncd.errors import BadData
from syncd.model.check import RedisKeys
from syncd.model.table import Value

SCANNED: Final = 1_000
"""Keys of the whole database that a SCAN looks at."""
MOST: Final = 500
"""Keys whose values are asked for together, fewer where they are large."""
_WEIGHT: Final = 4 << 20  # bytes that such values should have together


@dataclass(frozen=True, slots=True)
class Entry:
    """What a key has: a value, None where it holds no such value. `type`: it is another type."""

    value: Value
    type: str = ""


class Reader:
    """Reads over one session; `received` counts the bytes of all that came."""

    def __init__(self, ctx: RunContext, session: Session, keys: RedisKeys) -> None:
        self._ctx, self._session, self._keys = ctx, session, keys
        self._most = MOST
        self.received = 0

    def names(self, pattern: Pattern) -> Iterator[list[bytes]]:
        """Yield the names of all keys that fit a pattern, in batches."""
        cursor = b"0"
        while True:
            self._ctx.check()
            answer = self._session.ask("SCAN", cursor, "MATCH", pattern.glob, "COUNT", SCANNED)
            self.received += self._session.received
            cursor, names = _page(answer)
            if fitting := [name for name in names if pattern.read(name) is not None]:
                yield fitting
            if cursor == b"0":
                return

    def entries(self, names: Sequence[bytes]) -> Iterator[dict[bytes, Entry]]:
        """Yield what keys have now, in batches; those that are gone are left out."""
        start = 0
        while start < len(names):
            self._ctx.check()
            batch = names[start : start + self._most]
            start += len(batch)
            yield self._fields(batch) if self._keys.field else self._strings(batch)

    def _strings(self, names: Sequence[bytes]) -> dict[bytes, Entry]:
        """Read strings; MGET says the same of a key that is gone and of one of another type."""
        values = self._session.ask("MGET", *names)
        self._weigh(len(names))
        if not isinstance(values, list) or len(values) != len(names):
            raise BadData("the answer to MGET is not a value for each key")
        found = {n: Entry(v) for n, v in zip(names, values, strict=True) if v is not None}
        return found | self._others([name for name in names if name not in found])

    def _fields(self, names: Sequence[bytes]) -> dict[bytes, Entry]:
        """Read a field of hashes."""
        field = self._keys.field.encode()
        answers = self._session.each([("HGET", name, field) for name in names])
        self._weigh(len(names))
        found = {}
        for name, answer in zip(names, answers, strict=True):
            if answer is not None and not _is_wrong(answer):
                found[name] = Entry(_raised(answer))
        return found | self._others([name for name in names if name not in found])

    def _others(self, names: Sequence[bytes]) -> dict[bytes, Entry]:
        """Tell keys without such a value: of another type, without the field, or gone."""
        if not names:
            return {}
        wanted = "hash" if self._keys.field else "string"
        answers = self._session.each([("TYPE", name) for name in names])
        self.received += self._session.received
        types = [bytes(_raised(answer)).decode("utf-8", "replace") for answer in answers]
        return {
            name: Entry(None, "" if kind == wanted else kind)
            for name, kind in zip(names, types, strict=True)
            if kind != "none" and not (kind == wanted == "string")  # made meanwhile: seen later
        }

    def _weigh(self, keys: int) -> None:
        """Ask for fewer values the next time when these were large."""
        weight = self._session.received
        self.received += weight
        fit = keys * _WEIGHT // max(weight, 1)
        self._most = min(max(fit, 1), 2 * self._most, MOST)


def _page(answer: Answer) -> tuple[bytes, list[bytes]]:
    match answer:
        case [bytes(cursor), list(names)]:
            return cursor, names
    raise BadData("the answer to SCAN is no cursor and keys")


def _is_wrong(answer: Answer) -> bool:
    return isinstance(answer, ResponseError) and WRONG_TYPE in str(answer)


def _raised(answer: Answer) -> bytes:
    """Return an answer that is bytes; raises what else it says."""
    if isinstance(answer, ResponseError):
        raise mapped(answer) from answer
    if not isinstance(answer, bytes):
        raise BadData("an answer is no text")
    return answer
