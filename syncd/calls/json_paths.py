"""Values inside JSON by path (`data.items.0.id`), compared with their types: 0 is not false."""

import json
from collections.abc import Mapping
from typing import Any, Final

from syncd.calls.base import Answer
from syncd.calls.masked import body_text
from syncd.errors import Unexpected

NOTHING: Final = object()
"""What `find` returns when nothing stands at a path: null is something."""
_LONGEST_INDEX: Final = 9


def document(answer: Answer) -> Any:  # noqa: ANN401 - JSON
    """Return what an answer's JSON says; raises Unexpected when it is none, or cut."""
    if answer.flaw:
        raise Unexpected(f"the answer can't be read: {answer.flaw}")
    if answer.cut:
        raise Unexpected("the answer is longer than max_answer: what it says is not known")
    try:
        return json.loads(_text(answer), parse_constant=_refuse)
    except RecursionError as error:
        raise Unexpected("the answer is JSON that is nested too deeply") from error
    except ValueError:  # the chained error would hold the whole text
        raise Unexpected("the answer is no JSON") from None


def find(value: Any, path: str) -> Any:  # noqa: ANN401 - JSON
    """Return what stands at a path, or NOTHING; numbers count the entries of a list from 0."""
    for step in path.split("."):
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list) and _is_index(step) and int(step) < len(value):
            value = value[int(step)]
        else:
            return NOTHING
    return value


def same(wanted: object, value: object) -> bool:
    """Tell whether two values are equal in JSON: 1 is 1.0, but neither "1" nor true."""
    if isinstance(wanted, Mapping) and isinstance(value, Mapping):
        return wanted.keys() == value.keys() and all(same(wanted[n], value[n]) for n in wanted)
    if isinstance(wanted, list | tuple) and isinstance(value, list | tuple):
        return len(wanted) == len(value) and all(map(same, wanted, value))
    if isinstance(wanted, bool) or isinstance(value, bool):
        return wanted is value
    if isinstance(wanted, int | float) and isinstance(value, int | float):
        return wanted == value
    return type(wanted) is type(value) and wanted == value


def _text(answer: Answer) -> str:
    """Return the text of JSON, which is UTF-8 (RFC 8259, 8.1) whatever the header says."""
    try:
        return answer.body.decode(json.detect_encoding(answer.body))
    except UnicodeDecodeError:
        return body_text(answer.body, answer.headers)


def _is_index(step: str) -> bool:
    return step.isascii() and step.isdigit() and len(step) <= _LONGEST_INDEX


def _refuse(word: str) -> object:
    raise ValueError(f"{word} is no JSON")
