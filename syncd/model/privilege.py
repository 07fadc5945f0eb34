"""A privilege in a database, in one shape for every engine, and which part of a server it is in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Self

On = Literal[
    "server", "database", "schema", "table", "all_tables", "column", "sequence", "all_sequences",
    "function", "procedure", "all_functions", "package", "type", "language", "foreign_data_wrapper",
    "foreign_server", "large_object", "tablespace", "parameter", "default_tables",
    "default_sequences", "default_functions", "default_types", "default_schemas",
    "default_large_objects", "role", "proxy",
]  # fmt: skip
"""What a privilege is on. An `all_` kind stands for every object of a schema at the time of the
reading, two at least, each with the very same privilege."""

OWNER: Final = "OWNER"
"""The privilege of whoever owns the object."""
MEMBER: Final = "MEMBER"
"""The privilege of the members of a role; grantable is the admin option."""

_PLAIN: Final = re.compile(r"""[^\s.,"'`]+""")
_PLAIN_ALONE: Final = re.compile(r"""[^\s,"'`]+""")
"""A name that needs no quotes; a dot is no doubt in one that stands alone."""
_OF_SERVER: Final = frozenset({"server", "database", "tablespace", "parameter", "role", "proxy"})
"""What is read for a server as a whole, not in one database of it."""


@dataclass(frozen=True, slots=True, order=True)
class Privilege:
    r"""One privilege on one object, or on one column of it.

    `name` is the object's path as the server spells it, from the database down: ("shop", "public",
    "orders", "price") in PostgreSQL, ("shop", "orders", "price") in MySQL, () of a whole server,
    (account,) of a role. A MySQL database may be a pattern, with its escapes: `shop\_%`. Default
    privileges are named (database, creating role, schema or ""). `options` are words that further
    tell a membership: `default`, `inherit`, `set`. `restricts`: no privilege but the lack of one,
    which a wider grant gives (a partial revoke of MySQL), or which PostgreSQL or an extension gives
    without being asked. `only_options`, of changes alone: the grant option and the options came or
    went, the privilege itself stayed.
    """

    on: On
    name: tuple[str, ...]
    privilege: str
    grantable: bool = False
    options: tuple[str, ...] = ()
    restricts: bool = False
    only_options: bool = False

    @property
    def database(self) -> str | None:
        """Return the database in which it has to be read; None where the server tells it."""
        return None if self.on in _OF_SERVER else self.name[0]

    def document(self) -> dict[str, Any]:
        """Return it as the records hold it."""
        made: dict[str, Any] = {
            "on": self.on,
            "name": list(self.name),
            "privilege": self.privilege,
            "grantable": self.grantable,
        }
        if self.options:
            made["options"] = list(self.options)
        if self.restricts:
            made["restricts"] = True
        return made | {"only_options": True} if self.only_options else made

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Return the privilege that a record holds."""
        return cls(
            document["on"],
            tuple(document["name"]),
            document["privilege"],
            document["grantable"],
            tuple(document.get("options", ())),
            document.get("restricts", False),
            document.get("only_options", False),
        )


def describe(given: Privilege | Mapping[str, Any]) -> str:
    """Return a privilege, or the document of one, in words.

    `SELECT on column shop.public.orders.price, grantable`, `member of app_read, default`; of one
    that restricts `without EXECUTE on functions that app makes in shop`; of a
    change of options alone `only grantable: SELECT on table shop.public.orders`.
    """
    privilege = given if isinstance(given, Privilege) else Privilege.of(given)
    if privilege.on == "role":
        text = f"member of {_dotted(privilege.name)}"
        told = ["with admin option"] if privilege.grantable else []
    else:
        text = f"{privilege.privilege} on {_object(privilege)}"
        told = ["grantable"] if privilege.grantable else []
    text = f"without {text}" if privilege.restricts else text
    if privilege.only_options:
        return f"only {', '.join([*told, *privilege.options])}: {text}"
    return ", ".join([text, *told, *privilege.options])


def describe_change(given: Privilege | Mapping[str, Any]) -> str:
    """Return a privilege that was granted or revoked in words.

    Of one that restricts, which stands among the revoked when it is new, it says what was lost.
    """
    privilege = given if isinstance(given, Privilege) else Privilege.of(given)
    return describe(replace(privilege, restricts=False))


def _object(privilege: Privilege) -> str:
    """Return what a privilege is on: `the server`, `all tables of shop.public`."""
    group, _, rest = privilege.on.partition("_")
    match group, privilege.name:
        case "server", _:
            return "the server"
        case "proxy", name:
            return f"account {_dotted(name)}"
        case "all", name:
            return f"all {rest} of {_dotted(name)}"
        case "default", (database, creator, schema):
            place = (database, schema) if schema else (database,)
            return f"{rest.replace('_', ' ')} that {_dotted((creator,))} makes in {_dotted(place)}"
    return f"{privilege.on.replace('_', ' ')} {_dotted(privilege.name)}"


def _dotted(name: tuple[str, ...]) -> str:
    """Return a path with those of its names in quotes that are not plain."""
    plain = _PLAIN if len(name) > 1 else _PLAIN_ALONE
    return ".".join(n if plain.fullmatch(n) else '"{}"'.format(n.replace('"', '""')) for n in name)
