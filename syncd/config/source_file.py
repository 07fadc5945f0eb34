"""A file of the configuration as it was read: what was validated is what is kept."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SourceFile:
    """Its bytes may hold secrets; `name` is relative to the main file's folder."""

    path: Path
    name: str
    content: bytes = field(repr=False)
    open_to_others: bool
