"""CVM instances as hosts: https://cloud.tencent.com/document/api/213/15753#Instance."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Annotated, Final

import msgspec
from tencentcloud.cvm.v20170312.models import (
    DescribeInstancesRequest,
    DescribeInstancesStatusRequest,
)

from syncd.context import RunContext
from syncd.errors import Permission
from syncd.model.diff import Entry
from syncd.model.resource import Resource, State
from syncd.providers.base import ListMoved, Page, Probe
from syncd.providers.calls import Refused, granted
from syncd.providers.entries import (
    Count,
    Id,
    RawEntry,
    find_each,
    ids_of,
    known,
    moment,
    seal,
    utf8,
)
from syncd.providers.tencent.client import ABSENT, CVM, Client, Enclosed, Said

PAGE: Final = 100
UNKNOWN_ID: Final = "InvalidInstanceId.NotFound"
MIB: Final = 1024  # in a GiB, CVM's unit of memory

STATES: Final[Mapping[str, State]] = {
    "RUNNING": "running",
    "STOPPED": "stopped",
    "PENDING": "transient",
    "STARTING": "transient",
    "STOPPING": "transient",
    "REBOOTING": "transient",
    "TERMINATING": "transient",
    "SHUTDOWN": "isolated",  # stopped and waiting to be destroyed
    "LAUNCH_FAILED": "failed",
}
ISOLATED: Final = frozenset({"EXPIRED", "PROTECTIVELY_ISOLATED"})
NOISE: Final = re.compile(
    rb',"LatestOperation(?:State|RequestId|ErrorMsg)?":(?:null|"(?:[^"\\]|\\.)*")(?=[,}])'
)
"""Fields that tell what somebody did last, not what the host is.

In JSON a quote behind a bare comma begins a text, and a text before a colon is a key, so that
nothing else can match; what is written in another way only stays.
"""


Memory = Annotated[float, msgspec.Meta(ge=0, lt=2**21)]
"""In GiB, so that it fits PostgreSQL's integer in MiB."""


class _Id(msgspec.Struct, rename="pascal", gc=False):
    instance_id: str


class _Answer(Said, rename="pascal", gc=False):
    total_count: int = ABSENT
    instance_set: list[msgspec.Raw] = ABSENT


class _Status(Said, rename="pascal", gc=False):
    total_count: int = ABSENT


class _Placement(msgspec.Struct, rename="pascal", gc=False):
    zone: str | None = None


class _Vpc(msgspec.Struct, rename="pascal", gc=False):
    vpc_id: str | None = None


class _Disk(msgspec.Struct, rename="pascal", gc=False):
    disk_id: str
    disk_size: Count
    disk_type: str | None = None


class _Tag(msgspec.Struct, rename="pascal", gc=False):
    key: str
    value: str | None = None


class _Host(msgspec.Struct, rename="pascal", gc=False):
    instance_id: Id
    instance_name: str | None = None
    instance_state: str | None = None
    restrict_state: str | None = None
    instance_type: str | None = None
    cpu: Count | None = msgspec.field(default=None, name="CPU")
    memory: Memory | None = None
    placement: _Placement | None = None
    virtual_private_cloud: _Vpc | None = None
    image_id: str | None = None
    public_ip_addresses: list[str] | None = None
    private_ip_addresses: list[str] | None = None
    ipv6_addresses: list[str] | None = msgspec.field(default=None, name="IPv6Addresses")
    public_ipv6_addresses: list[str] | None = msgspec.field(
        default=None, name="PublicIPv6Addresses"
    )
    security_group_ids: list[str] | None = None
    data_disks: list[_Disk] | None = None
    tags: list[_Tag] | None = None
    instance_charge_type: str | None = None
    created_time: str | None = None
    expired_time: str | None = None


_id: Final = msgspec.json.Decoder(_Id)
_answer: Final = msgspec.json.Decoder(Enclosed[_Answer])
_status: Final = msgspec.json.Decoder(Enclosed[_Status])
_host: Final = msgspec.json.Decoder(_Host)


class Hosts:
    """Lists and looks up the hosts of one account."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self, ctx: RunContext, region: str) -> Iterator[Page]:
        """Yield pages of hosts; offsets may hide a host when the list moves under them.

        So the list counts as whole only if TotalCount stayed the same and as many different hosts
        were seen; ListMoved is raised after the last page otherwise. Nameless hosts are part of the
        count, since nobody can say which they are.
        """
        seen: set[int] = set()  # hashes: half the memory of the ids
        totals: set[int] = set()
        nameless = 0
        for offset in count(0, PAGE):
            total, page = self._read(ctx, region, offset)
            totals.add(total)
            seen.update(hash(entry.key) for entry in page.entries)
            nameless += page.nameless
            yield page
            if offset + PAGE >= total or not page.entries:
                break
        if totals != {len(seen) + nameless}:
            raise ListMoved(
                f"DescribeInstances in {region}: {len(seen) + nameless} different hosts listed,"
                f" {' or '.join(map(str, sorted(totals)))} counted"
            )

    def lookup(
        self, ctx: RunContext, region: str, ids: Sequence[str]
    ) -> Mapping[str, Entry | None]:
        """Look hosts up by id."""

        def some(batch: Sequence[str]) -> Sequence[Entry]:
            request = DescribeInstancesRequest()
            request.InstanceIds = list(batch)
            request.Limit = PAGE
            return self._call(ctx, region, request)[1].entries

        return find_each(ids, some, PAGE, UNKNOWN_ID)

    def can_list(self, ctx: RunContext, region: str) -> bool | None:
        """Tell whether an empty list is true: DescribeInstancesStatus must find nothing either.

        It says so when the permission is missing; None if it finds hosts or is not there.
        """
        try:
            return True if self._count(ctx, region) == 0 else None
        except Permission:
            return False
        except Refused:
            return None

    def probes(self) -> Sequence[Probe]:
        """Return what listing hosts needs."""
        return (
            Probe("cvm:DescribeInstances", self._may_list),
            Probe(
                "cvm:DescribeInstancesStatus",
                self._may_list_states,
                needed=False,
                without="an empty list of hosts can't be confirmed, and nothing is deleted then",
            ),
        )

    def _may_list(self, ctx: RunContext, region: str) -> bool | None:
        request = DescribeInstancesRequest()
        request.Limit = 1
        return granted(lambda: self._call(ctx, region, request))

    def _may_list_states(self, ctx: RunContext, region: str) -> bool | None:
        return granted(lambda: self._count(ctx, region))

    def _count(self, ctx: RunContext, region: str) -> int:
        """Return how many hosts there are by their states."""
        request = DescribeInstancesStatusRequest()
        request.Limit = 1
        answer = self._client.call(
            ctx, CVM, "DescribeInstancesStatus", request._serialize(), region, _status
        )
        return answer.total_count

    def _read(self, ctx: RunContext, region: str, offset: int) -> tuple[int, Page]:
        request = DescribeInstancesRequest()
        request.Offset = offset
        request.Limit = PAGE
        return self._call(ctx, region, request)

    def _call(
        self, ctx: RunContext, region: str, request: DescribeInstancesRequest
    ) -> tuple[int, Page]:
        answer = self._client.call(
            ctx, CVM, "DescribeInstances", request._serialize(), region, _answer
        )
        return answer.total_count, _page(answer.total_count, answer.instance_set)


def _page(total: int, raws: Sequence[msgspec.Raw]) -> Page:
    entries = [
        RawEntry(key, seal(raw), raw, None, normalise)
        for key, raw in ids_of(raws, lambda raw: _id.decode(raw).instance_id)
    ]
    return Page(entries, total, nameless=len(raws) - len(entries))


def normalise(raw: bytes, _: bytes | None) -> Resource:
    """Turn a raw instance into a resource.

    Raises BadData, or ValueError (msgspec's, Unicode's).
    """
    host = _host.decode(raw)
    inside = (host.private_ip_addresses or []) + (host.ipv6_addresses or [])
    outside = (host.public_ip_addresses or []) + (host.public_ipv6_addresses or [])
    return Resource(
        resource_id=host.instance_id,
        name=host.instance_name or "",
        status=host.instance_state or "",
        state=_state(host),
        instance_type=host.instance_type or None,
        cpu=host.cpu,
        memory_mib=None if host.memory is None else round(host.memory * MIB),
        zone=(host.placement and host.placement.zone) or None,
        vpc_id=(host.virtual_private_cloud and host.virtual_private_cloud.vpc_id) or None,
        image_id=host.image_id or None,
        public_ips=known(outside),
        private_ips=known(set(inside) - set(outside)),
        security_groups=known(host.security_group_ids or ()),
        data_disks=_data_disks(host),
        tags={tag.key: tag.value or "" for tag in host.tags or ()},
        charge_type=host.instance_charge_type or None,
        created_at=moment(host.created_time, "CreatedTime"),
        expires_at=moment(host.expired_time, "ExpiredTime"),
        attributes=utf8(NOISE.sub(b"", raw, count=4)),
    )


def _state(host: _Host) -> State:
    if host.restrict_state in ISOLATED:
        return "isolated"
    return STATES.get(host.instance_state or "", "unknown")


def _data_disks(host: _Host) -> tuple[Mapping[str, object], ...]:
    disks = sorted(host.data_disks or (), key=lambda disk: disk.disk_id)
    return tuple(
        {"id": disk.disk_id, "size_gib": disk.disk_size}
        | ({"category": disk.disk_type} if disk.disk_type else {})
        for disk in disks
    )
