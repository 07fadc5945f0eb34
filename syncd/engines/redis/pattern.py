"""Keys of Redis by a pattern: `stock:{sku}` stands for `stock:17`, in which sku is 17."""

import re
from typing import Final, Self

from syncd.errors import ConfigurationError
from syncd.model.table import Key

_PLACE: Final = re.compile(r"\{([^{}]+)\}")
_SPECIAL: Final = re.compile(rb"([\\*?\[\]])")


class Pattern:
    """Text with places in braces. A place takes all up to the next text, and may be empty.

    Of a key in which the text comes more often, the first way to read it is the only one.
    """

    def __init__(self, names: tuple[str, ...], texts: tuple[bytes, ...]) -> None:
        self.names = names
        self._texts = texts
        places = b"(.*?)".join(re.escape(text) for text in texts)
        self._regex = re.compile(places, re.DOTALL)

    @classmethod
    def parse(cls, pattern: str) -> Self:
        """Return the pattern of a text; raises ConfigurationError for one that tells no key."""
        texts = _PLACE.split(pattern)
        names, fixed = tuple(texts[1::2]), texts[::2]
        if not names or any("{" in text or "}" in text for text in fixed):
            raise ConfigurationError(f"pattern {pattern!r}: needs a key in braces: stock:{{sku}}")
        if len(set(names)) < len(names):
            raise ConfigurationError(f"pattern {pattern!r}: has the same name twice")
        if not all(fixed[1:-1]):
            raise ConfigurationError(f"pattern {pattern!r}: nothing stands between two names")
        return cls(names, tuple(text.encode() for text in fixed))

    @property
    def glob(self) -> bytes:
        """Return the pattern as SCAN takes it."""
        return b"*".join(_SPECIAL.sub(rb"\\\1", text) for text in self._texts)

    def read(self, name: bytes) -> Key | None:
        """Return what stands in the places of a key's name, None where it does not fit."""
        match = self._regex.fullmatch(name)
        return match.groups() if match else None

    def write(self, key: Key) -> bytes | None:
        """Return the name with this in its places; None where it would be read otherwise."""
        parts = [self._texts[0]]
        for value, text in zip(key, self._texts[1:], strict=True):
            parts += [value, text]
        name = b"".join(parts)
        return name if self.read(name) == tuple(key) else None
