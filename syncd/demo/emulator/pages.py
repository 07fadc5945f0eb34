"""Pages of a region as the faults let them be seen; the same for both clouds."""

import zlib
from collections.abc import Callable, Collection, Sequence
from typing import Final

from syncd.demo.emulator.faults import Fault, Hits
from syncd.demo.emulator.made import Raw
from syncd.demo.emulator.region import Region, decode, encode
from syncd.demo.emulator.shelf import Entry, Shelf
from syncd.demo.emulator.wire import ApiError, Call

ANOTHER_OWNER: Final = "9999999999999999"
DAMAGES: Final = ("wrong_type", "no_id", "nul_tag")


def visible(region: Region, hits: Hits, call: Call) -> Shelf:
    """Return the shelf that a call may see; hold the region's lock meanwhile."""
    shelf = region.hosts
    if hits.first("denied_empty"):
        return Shelf()
    kinds = ("gone",) if call.lookup else ("gone", "missing")
    for struck in hits.all(*kinds):
        shelf = shelf.without(_hidden(struck.fault, shelf))
    return shelf


def named(shelf: Shelf, ids: Sequence[str], hits: Hits, message: str) -> list[Entry]:
    """Return the entries of those ids that are there; the others are an error if a fault says."""
    found = [(key, raw) for key in ids if (raw := shelf.get(key))]
    if len(found) < len(ids) and hits.first("unknown_ids"):
        raise ApiError("InvalidInstanceId.NotFound", message, 404)
    return found


def render(page: list[Entry], region: Region, hits: Hits) -> list[bytes]:
    """Return the objects of a page, damaged as the faults say."""
    objects = page + _repeated(region, hits)
    for struck in hits.all(*DAMAGES):
        targets = _targets(struck.fault, region.hosts)
        objects = [
            (key, _damage(raw, struck.fault) if key in targets else raw) for key, raw in objects
        ]
    return [raw for _, raw in objects]


def owner_id(call: Call, hits: Hits) -> str:
    """Return the account's id at its cloud."""
    other = hits.first("other_owner")
    return str(other.value or ANOTHER_OWNER) if other else call.account.owner_id


def total_offset(hits: Hits) -> int:
    """Return by how much TotalCount lies."""
    return sum(struck.fault.by for struck in hits.all("total_count"))


def _repeated(region: Region, hits: Hits) -> list[Entry]:
    return region.hosts.slice(0, 1) if hits.first("duplicate") else []


def _hidden(fault: Fault, shelf: Shelf) -> Callable[[str], bool]:
    if fault.share:
        return lambda key: zlib.crc32(key.encode()) % 1000 < fault.share * 1000
    return _targets(fault, shelf).__contains__


def _targets(fault: Fault, shelf: Shelf) -> Collection[str]:
    return set(fault.hosts) or {key for key, _ in shelf.slice(0, 1)}


def _damage(raw: bytes, fault: Fault) -> bytes:
    host: Raw = decode(raw)
    if fault.kind == "wrong_type":
        host[fault.field] = "a lot" if fault.value is None else fault.value
    elif fault.kind == "no_id":
        del host["InstanceId"]
    elif "VpcAttributes" in host:
        host["Tags"] = {"Tag": [{"TagKey": "note", "TagValue": "before\0after"}]}
    else:
        host["Tags"] = [{"Key": "note", "Value": "before\0after"}]
    return encode(host)
