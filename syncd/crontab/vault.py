"""The secrets of a crontab: each gets a name, and is told of once however many lines share it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from syncd.crontab.names import Names
from syncd.crontab.secret_words import Sealed

_ODD: Final = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Kept:
    """A secret under its new name; `what` says what it was, `line` where it stands first."""

    name: str
    value: str
    what: str
    line: int

    def __repr__(self) -> str:
        """Name it, never the value."""
        return f"Kept({self.name!r})"


class Vault:
    """Gives references for secrets: to credentials of the service, or to files of a folder."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._names = Names()
        self.kept: dict[str, Kept] = {}

    def opened(self, value: Any, job: str, line: int, new: dict[str, Kept]) -> Any:  # noqa: ANN401
        """Return a tree with references in the place of secrets; those not kept yet go to `new`."""
        match value:
            case Sealed():
                return self._reference(value, job, line, new)
            case dict():
                return {key: self.opened(each, job, line, new) for key, each in value.items()}
            case list():
                return [self.opened(each, job, line, new) for each in value]
        return value

    def _reference(self, sealed: Sealed, job: str, line: int, new: dict[str, Kept]) -> Any:  # noqa: ANN401
        known = self.kept.get(sealed.value) or new.get(sealed.value)
        if known is None:
            role = _ODD.sub("-", sealed.role.lower()).strip("-")[:40] or "secret"
            name = self._names.free(f"{job}-{role}")
            self._names.take(name)
            known = new[sealed.value] = Kept(name, sealed.value, sealed.what, line)
        if self._folder is not None:
            return {"file": str(self._folder / known.name)}
        return {"credential": known.name}
