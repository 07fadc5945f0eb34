"""Names as statements of MySQL have them; https://dev.mysql.com/doc/refman/8.4/en/identifiers.html."""

from collections.abc import Iterable
from typing import Final

from syncd.errors import BadData

_LONGEST: Final = 64  # characters


def quoted(*path: str) -> str:
    """Return a name in backticks, of a database and a table in it where two are given.

    Raises BadData for what can be no name there: the catalogues have no characters beyond the
    basic plane, and a name has at most 64.
    """
    return ".".join(_quoted(each) for each in path)


def listed(names: Iterable[str], prefix: str = "") -> str:
    """Return names with commas between them."""
    return ", ".join(f"{prefix}{_quoted(each)}" for each in names)


def _quoted(name: str) -> str:
    if not name or len(name) > _LONGEST:
        raise BadData(f"MySQL takes names of 1 to {_LONGEST} characters: {name!r}")
    if "\0" in name or name[-1] == " " or max(name) > "\uffff":
        raise BadData(f"MySQL takes no such name: {name!r}")
    return "`" + name.replace("`", "``") + "`"
