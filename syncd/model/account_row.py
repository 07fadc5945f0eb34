"""An account of a database server as the store keeps it, and as its changes are told."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from syncd.errors import BadData, SyncdError, describe
from syncd.model.db_account import DbAccount, Objects, Unread
from syncd.model.diff import Digest, Row, short_hash
from syncd.model.document import LONGEST_KEY, encode, has_nul
from syncd.model.privilege import Privilege
from syncd.model.privilege_diff import difference

COMPARED: Final = ("kind", "active", "attributes", "capabilities", "privileges")
CARRIED: Final = ("read_errors",)
CHANGES: Final = ("granted", "revoked", "attributes_changed")
NOTHING: Final = {"granted": "[]", "revoked": "[]", "attributes_changed": "{}"}
"""What the columns of a change hold when there is none."""

PSEUDO: Final = {
    "account.kind": "kind",
    "account.active": "active",
    "account.capabilities": "capabilities",
}
"""Fields of an account that changes tell of like attributes, of which none has a dot."""


@dataclass(frozen=True, slots=True)
class AccountEntry:
    """One account of a listing, not yet looked into.

    `unread` is what concerns it of what could not be read; `repeated`: the server told of two
    accounts by one name, of which neither can be trusted.
    """

    account: DbAccount
    engine: str
    unread: Sequence[Unread] = ()
    repeated: bool = False

    @property
    def key(self) -> str:
        """The key inside the server."""
        return self.account.account

    @property
    def seal(self) -> bytes:
        """8 bytes of all that the store keeps of it; none when it can't be kept."""
        try:
            return b"" if self.repeated else short_hash(self._compared() + self._carried())
        except BadData:
            return b""

    def row(self) -> Row:
        """Return the row for the store; raises BadData for what no table can hold."""
        account, compared, carried = self.account, self._compared(), self._carried()
        if self.repeated:
            raise BadData("the server names two accounts so")
        if len(self.key) > LONGEST_KEY:
            raise BadData("the name is too long")
        if has_nul(compared):
            raise BadData("a text holds NUL, which PostgreSQL refuses")
        values = {
            "kind": account.kind,
            "active": account.active,
            "attributes": encode(account.attributes),
            "capabilities": account.capabilities,
            "privileges": _documents(account.privileges),
            "read_errors": encode(self._read_errors()),
            **dict.fromkeys(CHANGES),
        }
        digest = Digest(
            short_hash(compared), None, short_hash(carried), short_hash(compared + carried)
        )
        return Row(self.key, values, digest)

    def _compared(self) -> bytes:
        """Return a document of all whose change is a change of the account, and of its name."""
        return encode(self.account)

    def _carried(self) -> bytes:
        return encode((self.engine, self._read_errors()))

    def _read_errors(self) -> list[dict[str, str]]:
        return [
            {"part": part, "error_class": error.error_class, "error": describe(error)}
            for part, error in parts_of(self.unread)
        ]


def parts_of(unread: Iterable[Unread]) -> list[tuple[str, SyncdError]]:
    """Return the parts that could not be read, with why: one that hides several things once."""
    found = {(each.part, describe(each.error)): each.error for each in unread}
    return [(part, error) for (part, _), error in found.items()]


def changes(
    before: DbAccount, after: DbAccount, objects_before: Objects, objects_after: Objects
) -> dict[str, bytes]:
    """Return the columns of a change from one state of an account to another, JSON documents."""
    granted, revoked = difference(
        before.privileges, after.privileges, objects_before, objects_after
    )
    return {
        "granted": _documents(granted),
        "revoked": _documents(revoked),
        "attributes_changed": encode(_attributes_changed(_facts(before), _facts(after))),
    }


def _attributes_changed(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, list[object]]:
    """Return {"name": [before, after]} of what differs; what is not there is null."""
    pairs = {name: [before.get(name), after.get(name)] for name in [*before, *after]}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _facts(account: DbAccount) -> dict[str, Any]:
    """Return the attributes of an account with its fields among them, as JSON has them."""
    fields = {name: getattr(account, field) for name, field in PSEUDO.items()}
    facts: dict[str, Any] = msgspec.json.decode(encode({**account.attributes, **fields}))
    return facts


def _documents(privileges: Sequence[Privilege]) -> bytes:
    return encode([privilege.document() for privilege in privileges])
