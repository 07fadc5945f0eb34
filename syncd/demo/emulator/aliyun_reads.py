"""The calls of Alibaba Cloud that read: regions, instances, disks, identity."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from syncd.demo.emulator.faults import Hits
from syncd.demo.emulator.hosts_aliyun import system_disk
from syncd.demo.emulator.pages import named, owner_id, render, visible
from syncd.demo.emulator.region import Region, decode, encode
from syncd.demo.emulator.shelf import Entry, Shelf
from syncd.demo.emulator.wire import ApiError, Call, enclose, request_id

INSTANCES_LIMIT: Final = 100
DISKS_LIMIT: Final = 500
FEWEST: Final = 10
IDS_LIMIT: Final = 100
KNOWN: Final = frozenset(
    (
        "Action",
        "Version",
        "Format",
        "AccessKeyId",
        "Signature",
        "SignatureMethod",
        "SignatureNonce",
        "SignatureType",
        "SignatureVersion",
        "Timestamp",
        "SecurityToken",
        "RegionId",
        "MaxResults",
        "NextToken",
        "DryRun",
        "InstanceIds",
        "InstanceId",
        "DiskIds",
        "DiskType",
        "AcceptLanguage",
    )
)
"""A filter that were ignored would let a wrong client look right, so others are refused."""


@dataclass(frozen=True, slots=True)
class Token:
    """Where a listing goes on: the page's number, its part, the place behind which it starts."""

    page: int = 0
    part: str = ""
    cursor: int | None = None

    def write(self) -> str:
        """Return the token in the opaque form that clients see."""
        return base64.urlsafe_b64encode(f"{self.page}/{self.part}/{self.cursor}".encode()).decode()


def read_token(text: str) -> Token:
    """Read a NextToken, ApiError when it is none of ours."""
    if not text:
        return Token()
    try:
        page, part, cursor = base64.urlsafe_b64decode(text).decode().split("/")
        return Token(int(page), part, None if cursor == "None" else int(cursor))
    except (ValueError, binascii.Error) as error:
        raise _invalid("NextToken") from error


def answer(call: Call, hits: Hits) -> bytes:
    """Return the body of a good answer, ApiError for the others."""
    handler = HANDLERS.get((call.service, call.action))
    if handler is None:
        message = "Specified api is not found, please check your url and method."
        raise ApiError("InvalidAction.NotFound", message, 404)
    if unknown := sorted(call.parameters.keys() - KNOWN):
        raise ApiError("InvalidParameter", f"The emulator does not know {', '.join(unknown)}.")
    return handler(call, hits)


def _regions(call: Call, _: Hits) -> bytes:
    names = [*call.account.regions, *call.account.unopened]
    regions = [
        {
            "RegionId": name,
            "LocalName": f"地域 {name}",
            "RegionEndpoint": f"ecs.{name}.aliyuncs.com",
        }
        for name in names
    ]
    return encode({"RequestId": request_id().upper(), "Regions": {"Region": regions}})


def _identity(call: Call, hits: Hits) -> bytes:
    owner = owner_id(call, hits)
    user = "204859301928374650"
    return encode({
        "RequestId": request_id().upper(),
        "IdentityType": "RAMUser",
        "AccountId": owner,
        "UserId": user,
        "PrincipalId": user,
        "Arn": f"acs:ram::{owner}:user/syncd",
    })  # fmt: skip


def _instances(call: Call, hits: Hits) -> bytes:
    region = _region(call)
    _dry_run(call, hits)
    ids = _ids(call, "InstanceIds")
    token, limit = read_token(_text(call, "NextToken")), _limit(call, INSTANCES_LIMIT)
    with region.lock:
        shelf = visible(region, hits, call)
        if ids is not None:
            found = named(shelf, ids, hits, "The specified InstanceId does not exist.")
            page, cursor = _part(found, token.cursor or 0, limit)
        else:
            page, cursor = shelf.after(token.cursor, limit)
        objects = render(page, region, hits)
    following = None if cursor is None else Token(token.page + 1, "", cursor)
    return _listing("Instances", "Instance", objects, following)


def _disks(call: Call, hits: Hits) -> bytes:
    region = _region(call)
    _dry_run(call, hits)
    kind = _text(call, "DiskType") or "all"
    if hits.first("denied_empty"):
        return _listing("Disks", "Disk", [], None)
    with region.lock:
        if call.lookup:
            return _listing("Disks", "Disk", _named_disks(call, region, kind), None)
        return _disk_page(call, region, kind)


def _disk_page(call: Call, region: Region, kind: str) -> bytes:
    token = read_token(_text(call, "NextToken"))
    part = token.part or ("data" if kind == "data" else "system")
    shelf = region.disks if part == "data" else region.hosts
    page, cursor = shelf.after(token.cursor, _limit(call, DISKS_LIMIT))
    objects = [raw if part == "data" else encode(system_disk(decode(raw))) for _, raw in page]
    following = None
    if cursor is not None:
        following = Token(token.page + 1, part, cursor)
    elif (part, kind) == ("system", "all"):
        following = Token(token.page + 1, "data", None)
    return _listing("Disks", "Disk", objects, following)


def _named_disks(call: Call, region: Region, kind: str) -> list[bytes]:
    keys = _ids(call, "DiskIds")
    host_id = _text(call, "InstanceId")
    found = _present(region.disks, region.disks_of(host_id) if keys is None else keys)
    host = region.hosts.get(host_id)
    if kind != "data" and host is not None:
        found.append(encode(system_disk(decode(host))))
    return [] if kind == "system" else found


def _present(shelf: Shelf, keys: Sequence[str]) -> list[bytes]:
    return [raw for key in keys if (raw := shelf.get(key))]


def _listing(outer: str, inner: str, objects: list[bytes], following: Token | None) -> bytes:
    token = following.write() if following else ""
    head = f'{{"{outer}":{{"{inner}":['
    tail = f']}},"TotalCount":{len(objects)},"PageNumber":1,"PageSize":{len(objects)}'
    end = f',"NextToken":"{token}","RequestId":"{request_id().upper()}"}}'
    return enclose(head, objects, tail + end)


def _region(call: Call) -> Region:
    if not call.region:
        raise ApiError("MissingParameter", "The input parameter RegionId is missing.")
    region = call.account.regions.get(call.region)
    if region is None:
        raise ApiError("InvalidRegionId.NotFound", "The specified RegionId does not exist.", 404)
    return region


def _dry_run(call: Call, hits: Hits) -> None:
    if not call.dry_run or hits.first("dry_run_ignored"):
        return
    if hits.first("denied_empty"):
        raise ApiError("Forbidden.RAM", "User not authorized to operate on the resource.", 403)
    message = "Request validation has been passed with DryRun flag set."
    raise ApiError("DryRunOperation", message)


def _part(found: list[Entry], start: int, limit: int) -> tuple[list[Entry], int | None]:
    """Return a page of named instances: the limit, by default 10, counts for them too."""
    more = start + limit < len(found)
    return found[start : start + limit], start + limit if more else None


def _limit(call: Call, most: int) -> int:
    text = _text(call, "MaxResults") or str(FEWEST)
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise _invalid("MaxResults")
    return max(FEWEST, int(text))


def _ids(call: Call, name: str) -> list[str] | None:
    if name not in call.parameters:
        return None
    try:
        ids = msgspec.json.decode(_text(call, name), type=list[str])
    except msgspec.DecodeError as error:
        raise ApiError(f"Invalid{name}.Malformed", f"The specified {name} is not valid.") from error
    if len(ids) > IDS_LIMIT:
        raise _invalid(name)
    return ids


def _text(call: Call, name: str) -> str:
    return str(call.parameters.get(name, ""))


def _invalid(name: str) -> ApiError:
    return ApiError("InvalidParameter", f"The specified parameter {name} is not valid.")


HANDLERS: Final[dict[tuple[str, str], Callable[[Call, Hits], bytes]]] = {
    ("ecs", "DescribeRegions"): _regions,
    ("ecs", "DescribeInstances"): _instances,
    ("ecs", "DescribeDisks"): _disks,
    ("sts", "GetCallerIdentity"): _identity,
}
