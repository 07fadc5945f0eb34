"""Which databases a login may see all of: what it may not see is not told to be missing.

information_schema leaves out what the login has no privilege on, without a word; only its own
grants tell that a list is not whole.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from syncd.engines.mysql.connection import Session
from syncd.engines.mysql.grants import ALL, parse
from syncd.model.privilege import Privilege

_SEEING: Final = frozenset({"SELECT", "REFERENCES", "SHOW VIEW", "TRIGGER", ALL})
"""A table is shown with its size to who has any privilege on it; all but SELECT keep its rows
closed (https://dev.mysql.com/doc/refman/8.4/en/information-schema-introduction.html)."""
_LISTING: Final = _SEEING | {"SHOW DATABASES"}


@dataclass(frozen=True, slots=True)
class Sight:
    """The privileges to see databases that a login has, by itself and by its roles."""

    privileges: tuple[Privilege, ...]

    @classmethod
    def of(cls, session: Session) -> Self:
        """Ask what the login may see."""
        lines = [row[0] for row in session.rows(own_grants(session))]
        granted = (each for line in lines for each in parse(line).privileges)
        return cls(tuple(each for each in granted if each.privilege in _LISTING))

    @property
    def lists_all(self) -> bool:
        """Tell whether all databases are listed."""
        return any(p.on == "server" for p in self.privileges)

    def covers(self, database: str) -> bool:
        """Tell whether all tables of a database may be seen."""
        seeing = (p for p in self.privileges if p.privilege in _SEEING)
        told = [p for p in seeing if p.on == "server" or matches(p, database)]
        return bool(told) and not any(p.restricts for p in told)


def own_grants(session: Session) -> str:
    """Return the statement that shows the login's grants; MySQL leaves out those of roles."""
    if session.dialect.mysql8:
        roles: str = session.rows("SELECT current_role()")[0][0]
        if roles != "NONE":
            return f"SHOW GRANTS FOR CURRENT_USER() USING {roles}"
    return "SHOW GRANTS"


def matches(privilege: Privilege, database: str) -> bool:
    r"""Tell whether a privilege is on a database: % and _ stand for any, but for \% and \_."""
    if privilege.on != "database":
        return False
    parts = re.findall(r"\\.|.", privilege.name[0], re.DOTALL)
    wild = {"%": ".*", "_": "."}
    pattern = "".join(wild.get(part) or re.escape(part[-1]) for part in parts)
    return re.fullmatch(pattern, database, re.DOTALL) is not None
