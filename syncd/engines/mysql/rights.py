"""What our login may do with tables, as MySQL and MariaDB show its grants."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from syncd.context import RunContext
from syncd.engines.base import ServerAccess
from syncd.engines.mysql.bounds import follows
from syncd.engines.mysql.connection import Session, connected
from syncd.engines.mysql.databases import account, is_there
from syncd.engines.mysql.grants import ALL, parse
from syncd.engines.mysql.names import listed, quoted
from syncd.engines.mysql.shapes import query_shape, relation_shape, table_shape
from syncd.engines.mysql.sight import matches, own_grants
from syncd.engines.rights import WORTH_AN_INDEX, Lack, Looker, Readable, Writable, Writing
from syncd.errors import Permission
from syncd.model.copy import STATE_TABLE
from syncd.model.privilege import Privilege
from syncd.model.table import Relation, Shape

_INDEXED: Final = """
SELECT 1 FROM information_schema.STATISTICS
 WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s AND COLUMN_NAME = %s AND SEQ_IN_INDEX = 1
"""
_STATE_VERBS: Final = ("SELECT", "INSERT", "UPDATE")
_LONGEST: Final = 60


@dataclass(frozen=True, slots=True)
class Granted:
    """The privileges of a login, by itself and by its roles."""

    privileges: tuple[Privilege, ...]

    def on_server(self, verb: str) -> bool:
        """Tell whether a privilege is on the whole server."""
        return any(p.on == "server" and p.privilege in (verb, ALL) for p in self.privileges)

    def allows(self, verb: str, database: str, table: str = "") -> bool:
        """Tell whether a privilege covers a whole database, or a table in it."""
        told = [each for each in self.privileges if each.privilege in (verb, ALL)]
        inside = [each for each in told if each.on == "server" or matches(each, database)]
        if any(each.restricts for each in inside):
            return False
        return bool(inside) or any(
            each.on == "table" and each.name == (database, table) for each in told
        )


class MySQLRights:
    """What our login may do on a server."""

    def __init__(self, access: ServerAccess) -> None:
        self._access = access

    @contextmanager
    def looking(self, ctx: RunContext, database: str) -> Iterator[Looker]:  # noqa: ARG002
        """Begin a session that looks; it sees all databases."""
        with connected(self._access, ctx) as session:
            yield MySQLLooker(session)


class MySQLLooker:
    """A session that looks; it is read-only."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._user = account(session.identity.user)
        lines = [row[0] for row in session.rows(own_grants(session))]
        self._granted = Granted(tuple(each for line in lines for each in parse(line).privileges))

    def readable(
        self, relation: Relation, columns: Sequence[str], without: Sequence[str], watermark: str
    ) -> Readable:
        """Look at a table, or at a query, which is asked for no row."""
        unseen = self._unseen() if watermark else None
        if relation.query:
            if relation.database:
                self._session.use(relation.database)
            return Readable(self._of_query(relation), unseen=unseen)
        place = (relation.schema, relation.table)
        shape = self._shape(relation)
        if shape is None:
            sees = self._granted.allows("SELECT", *place)
            return Readable(None, () if sees else (self._lack("SELECT", place, "see it"),))
        named = [each.name for each in shape.columns if not columns or each.name in columns]
        lacks = self._unread(place, [name for name in named if name not in without])
        return Readable(shape, lacks, unseen, self._index(place, shape, watermark))

    def writable(self, writing: Writing) -> Writable:
        """Look at a table, its database, and the table of states."""
        relation = writing.relation
        place, state = (relation.schema, relation.table), (writing.state_schema, STATE_TABLE)
        shape, kept = table_shape(self._session, *place), table_shape(self._session, *state)
        wanted = (*writing.verbs, "UPDATE", *(["ALTER"] if writing.extends and shape else []))
        verbs = tuple(dict.fromkeys(wanted))  # rows are locked, whatever is done with them
        needs = [(place, verbs, shape is not None), (state, _STATE_VERBS, kept is not None)]
        denied: dict[tuple[str, ...], dict[str, None]] = {}
        for (database, table), wanted, there in needs:
            on = (database, table) if there else (database,)
            for verb in wanted if there else (*wanted, "CREATE"):
                if not self._granted.allows(verb, database, table):
                    denied.setdefault(on, {})[verb] = None
        lacks = [self._lack(", ".join(verbs), on) for on, verbs in denied.items()]
        if not self._granted.allows("CREATE TEMPORARY TABLES", relation.schema):
            what = "make temporary tables"
            lacks.append(self._lack("CREATE TEMPORARY TABLES", (relation.schema,), what))
        makes = [each for place, _, there in needs if not there for each in self._missing(place)]
        return Writable(shape, tuple(dict.fromkeys(makes)), tuple(lacks))

    def _of_query(self, relation: Relation) -> Shape:
        shape = query_shape(self._session, relation.query)
        return relation_shape(self._session, relation) if relation.key else shape

    def _shape(self, relation: Relation) -> Shape | None:
        if table_shape(self._session, relation.schema, relation.table) is None:
            return None
        return relation_shape(self._session, relation)

    def _unread(self, place: tuple[str, str], names: Sequence[str]) -> tuple[Lack, ...]:
        """Try to read no row of some columns."""
        try:
            self._session.rows(f"SELECT {listed(names)} FROM {quoted(*place)} LIMIT 0")  # noqa: S608
        except Permission:
            return (self._lack("SELECT", place, "read it"),)
        return ()

    def _unseen(self) -> Lack | None:
        """Tell why nobody can say which transactions are open."""
        if follows(self._session):
            return Lack("its rows come from another server, whose open transactions are not seen")
        if self._granted.on_server("PROCESS"):
            return None
        return self._lack("PROCESS", (), "it may not see which transactions are open")

    def _index(self, place: tuple[str, str], shape: Shape, watermark: str) -> str:
        """Return the statement for an index that a table of some size lacks."""
        if not watermark or shape.trouble or shape.bytes < WORTH_AN_INDEX:
            return ""
        if shape.column(watermark) is None or self._session.rows(_INDEXED, *place, watermark):
            return ""
        name = quoted(f"by_{watermark}"[:_LONGEST])
        return f"CREATE INDEX {name} ON {quoted(*place)} ({quoted(watermark)})"

    def _missing(self, place: tuple[str, str]) -> list[str]:
        """Return what would be made: a table, and its database where that is not there."""
        there = is_there(self._session, place[0])
        return [*([] if there else [f"the database {place[0]}"]), ".".join(place)]

    def _lack(self, right: str, place: Sequence[str], what: str = "") -> Lack:
        """Return a right that is missing on the server, a database or a table."""
        told = what or f"{right} in {'.'.join(place)}"
        where = {0: "*.*", 1: f"{quoted(*place)}.*" if place else ""}.get(len(place))
        return Lack(told, f"GRANT {right} ON {where or quoted(*place)} TO {self._user}")
