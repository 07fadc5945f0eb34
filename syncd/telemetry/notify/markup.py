"""Hostile names and messages, made harmless where a channel reads markup.

Neither DingTalk nor WeCom says how a character is escaped in its Markdown, so those that begin
markup are replaced by their full-width forms, which look alike. An address that stands there openly
stays: what is prevented is text that leads elsewhere than it says, and calling people.
"""

import re
from typing import Final

_ALIKE: Final = str.maketrans("<>[]*`~|\\", "＜＞［］＊｀～｜＼")
_CALL: Final = re.compile(r"(?<![\w'\"])@(?=\w)")
"""A mention begins a word; user@host and 'user'@'host' stay as they are."""
_ENTITY: Final = re.compile(r"&(?=#?\w+;)")


def harmless(text: str) -> str:
    """Return a line of which nothing is taken for Markdown, HTML or a mention."""
    return _ENTITY.sub("＆", quiet(text)).translate(_ALIKE)


def quiet(text: str) -> str:
    """Return a text that mentions nobody, whatever groups are called in it."""
    return _CALL.sub("＠", text)
