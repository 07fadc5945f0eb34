"""A resource of a cloud, normalised: the same columns and words whatever cloud it stands in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Final, Literal

import msgspec

from syncd.errors import BadData
from syncd.model.diff import Digest, Row, short_hash
from syncd.model.document import LONGEST_KEY, encode, has_nul

ResourceType = Literal["host"]
ScopeType = ResourceType | Literal["db_account"]
State = Literal["running", "stopped", "transient", "isolated", "failed", "unknown"]

OPTIONAL: Final = ("data_disks",)
CARRIED: Final = ("attributes",)
_MAX_INT: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Scope:
    """The unit that is listed completely or not at all.

    The accounts of a database server are one too: of the type `db_account`, with the server's name
    for the account, and no region.
    """

    account: str
    region: str
    type: ScopeType


class Resource(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One resource, its fields named as the columns of `syncd.resource`.

    A Struct, since making and taking apart a dataclass of so many fields costs three times as much.

    Lists are sets: they are kept sorted and without repetition. `status` is the cloud's own word,
    `state` ours. `data_disks` is None where the cloud could not be asked. `attributes` is the raw
    object, JSON in UTF-8, without the fields that change by themselves.
    """

    resource_id: str
    name: str
    status: str
    state: State
    instance_type: str | None
    cpu: int | None
    memory_mib: int | None
    zone: str | None
    vpc_id: str | None
    image_id: str | None
    public_ips: tuple[str, ...]
    private_ips: tuple[str, ...]
    security_groups: tuple[str, ...]
    data_disks: tuple[Mapping[str, object], ...] | None
    tags: Mapping[str, str]
    charge_type: str | None
    created_at: datetime | None
    expires_at: datetime | None
    attributes: bytes

    def to_row(self, seal: bytes) -> Row:
        """Return the row for the store, checked; raises BadData for what no table can hold."""
        values = msgspec.structs.asdict(self)
        del values["resource_id"]
        compared = encode(_compared(values))
        disks = None if self.data_disks is None else encode(self.data_disks)
        values["data_disks"] = disks
        _refuse_unstorable(self, compared)
        return Row(
            self.resource_id,
            values,
            Digest(
                short_hash(compared),
                None if disks is None else short_hash(disks, 6),
                short_hash(self.attributes),
                seal,
            ),
        )


COLUMNS: Final = tuple(name for name in Resource.__struct_fields__ if name != "resource_id")
COMPARED: Final = tuple(name for name in COLUMNS if name not in OPTIONAL + CARRIED)
_compared: Final = itemgetter(*COMPARED)


def _refuse_unstorable(resource: Resource, compared: bytes) -> None:
    """Raise BadData for what PostgreSQL refuses: NUL in a text or in jsonb, a number out of range.

    https://www.postgresql.org/docs/current/datatype-json.html
    """
    if len(resource.resource_id) > LONGEST_KEY:
        raise BadData("the id is too long")
    if has_nul(compared) or has_nul(resource.attributes):
        raise BadData("a text holds NUL, which PostgreSQL refuses")
    for number in (resource.cpu, resource.memory_mib):
        if number is not None and not 0 <= number <= _MAX_INT:
            raise BadData(f"the number {number} is out of range")
