"""The lines that the demonstration shows."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

_LONGEST: Final = 48  # characters of a name or a value


@dataclass(frozen=True, slots=True)
class Line:
    """One line: what kind of thing happened (added, failed, fault ...), and what."""

    kind: str
    text: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


def readable(text: str, longest: int = _LONGEST) -> str:
    """Return a text that can do nothing to a terminal, and is not long: names come from clouds."""
    clean = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return clean if len(clean) <= longest else f"{clean[: longest - 1]}…"


def shown(value: object) -> str:
    """Return a value of a field: of what has parts of its own, only how many there are."""
    if isinstance(value, dict) or (
        isinstance(value, list) and value and isinstance(value[0], dict)
    ):
        return str(len(value))
    if isinstance(value, list):
        return "+".join(map(str, value)) or "none"
    return "none" if value is None else readable(str(value))
