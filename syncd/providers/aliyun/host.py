"""ECS instances as hosts: https://help.aliyun.com/document_detail/25506.html."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec
from aliyunsdkecs.request.v20140526.DescribeInstancesRequest import DescribeInstancesRequest

from syncd.context import RunContext
from syncd.errors import BadData
from syncd.model.diff import Entry
from syncd.model.resource import Resource, State
from syncd.providers.aliyun import disks
from syncd.providers.aliyun.client import Client
from syncd.providers.aliyun.dry_run import allowed
from syncd.providers.base import Page, Probe
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

PAGE: Final = 100
UNKNOWN_ID: Final = "InvalidInstanceId.NotFound"
_UNKNOWN_DISKS: Final = b"?"  # in place of packed disks, which begin with a bracket or are empty

STATES: Final[Mapping[str, State]] = {
    "Running": "running",
    "Stopped": "stopped",
    "Pending": "transient",
    "Starting": "transient",
    "Stopping": "transient",
}


class _Id(msgspec.Struct, rename="pascal", gc=False):
    instance_id: str


class _HostList(msgspec.Struct, rename="pascal", gc=False):
    instance: list[msgspec.Raw]


class _Answer(msgspec.Struct, rename="pascal", gc=False):
    instances: _HostList
    next_token: str | None = None


class _Addresses(msgspec.Struct, rename="pascal", gc=False):
    ip_address: list[str] | None = None


class _Vpc(msgspec.Struct, rename="pascal", gc=False):
    vpc_id: str | None = None
    private_ip_address: _Addresses | None = None


class _Eip(msgspec.Struct, rename="pascal", gc=False):
    ip_address: str | None = None


class _CardIp(msgspec.Struct, rename="pascal", gc=False):
    private_ip_address: str | None = None


class _CardIps(msgspec.Struct, rename="pascal", gc=False):
    private_ip_set: list[_CardIp] | None = None


class _Ipv6(msgspec.Struct, rename="pascal", gc=False):
    ipv6_address: str | None = None


class _Ipv6s(msgspec.Struct, rename="pascal", gc=False):
    ipv6_set: list[_Ipv6] | None = None


class _Card(msgspec.Struct, rename="pascal", gc=False):
    primary_ip_address: str | None = None
    private_ip_sets: _CardIps | None = None
    ipv6_sets: _Ipv6s | None = None

    def addresses(self) -> Iterator[str | None]:
        """Yield the private addresses of a network card; IPv6 stays in the VPC by default."""
        yield self.primary_ip_address
        for ip in (self.private_ip_sets and self.private_ip_sets.private_ip_set) or ():
            yield ip.private_ip_address
        for ipv6 in (self.ipv6_sets and self.ipv6_sets.ipv6_set) or ():
            yield ipv6.ipv6_address


class _Cards(msgspec.Struct, rename="pascal", gc=False):
    network_interface: list[_Card] | None = None


class _Groups(msgspec.Struct, rename="pascal", gc=False):
    security_group_id: list[str] | None = None


class _Tag(msgspec.Struct, rename="pascal", gc=False):
    tag_key: str
    tag_value: str | None = None


class _Tags(msgspec.Struct, rename="pascal", gc=False):
    tag: list[_Tag] | None = None


class _Host(msgspec.Struct, rename="pascal", gc=False):
    instance_id: Id
    instance_name: str | None = None
    status: str | None = None
    instance_type: str | None = None
    cpu: Count | None = None
    memory: Count | None = None
    zone_id: str | None = None
    image_id: str | None = None
    instance_charge_type: str | None = None
    creation_time: str | None = None
    expired_time: str | None = None
    vpc_attributes: _Vpc | None = None
    public_ip_address: _Addresses | None = None
    inner_ip_address: _Addresses | None = None
    eip_address: _Eip | None = None
    security_group_ids: _Groups | None = None
    network_interfaces: _Cards | None = None
    tags: _Tags | None = None

    def public_ips(self) -> set[str | None]:
        """Return the addresses that the internet sees: the host's own and the elastic one."""
        own = (self.public_ip_address and self.public_ip_address.ip_address) or ()
        return {*own, self.eip_address.ip_address if self.eip_address else None}

    def private_ips(self) -> set[str | None]:
        """Return the addresses inside: of the VPC, of the classic network, of all cards."""
        vpc = self.vpc_attributes and self.vpc_attributes.private_ip_address
        found: set[str | None] = set((vpc and vpc.ip_address) or ())
        found.update((self.inner_ip_address and self.inner_ip_address.ip_address) or ())
        for card in (self.network_interfaces and self.network_interfaces.network_interface) or ():
            found.update(card.addresses())
        return found


_id: Final = msgspec.json.Decoder(_Id)
_answer: Final = msgspec.json.Decoder(_Answer)
_host: Final = msgspec.json.Decoder(_Host)


class Hosts:
    """Lists and looks up the hosts of one account."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self, ctx: RunContext, region: str) -> Iterator[Page]:
        """Yield pages of hosts with their data disks, which are read before."""
        packed = disks.data_disks(self._client, ctx, region)
        unsure = packed is not None and not packed
        token: str | None = None
        while True:
            answer = self._read(ctx, region, token)
            if unsure and answer.instances.instance:
                packed = disks.confirmed(self._client, ctx, region)
                unsure = False
            yield _page(answer, packed)
            if not answer.next_token:
                return
            if answer.next_token == token:
                raise BadData(f"DescribeInstances in {region}: the same page comes again and again")
            token = answer.next_token

    def lookup(
        self, ctx: RunContext, region: str, ids: Sequence[str]
    ) -> Mapping[str, Entry | None]:
        """Look hosts up by id; their data disks are not asked for."""

        def some(batch: Sequence[str]) -> Sequence[Entry]:
            request = DescribeInstancesRequest()
            request.set_InstanceIds(msgspec.json.encode(batch).decode())
            request.set_MaxResults(PAGE)
            return _page(self._client.call(ctx, request, region, _answer), None).entries

        return find_each(ids, some, PAGE, UNKNOWN_ID)

    def can_list(self, ctx: RunContext, region: str) -> bool | None:
        """Tell whether the account may list its hosts."""
        return allowed(self._client, ctx, DescribeInstancesRequest(), region, _answer)

    def probes(self) -> Sequence[Probe]:
        """Return what listing hosts needs."""
        return (
            Probe("ecs:DescribeInstances", self.can_list),
            Probe(
                "ecs:DescribeDisks",
                partial(disks.may_list, self._client),
                needed=False,
                without="the data disks of hosts stay unknown",
            ),
        )

    def _read(self, ctx: RunContext, region: str, token: str | None) -> _Answer:
        request = DescribeInstancesRequest()
        request.set_MaxResults(PAGE)
        if token:
            request.set_NextToken(token)
        return self._client.call(ctx, request, region, _answer)


def _page(answer: _Answer, packed: disks.PackedDisks | None) -> Page:
    raws = answer.instances.instance
    entries = []
    for key, raw in ids_of(raws, lambda raw: _id.decode(raw).instance_id):
        beside = None if packed is None else packed.get(key, b"")
        sealed = seal(raw, _UNKNOWN_DISKS if beside is None else beside)
        entries.append(RawEntry(key, sealed, raw, beside, normalise))
    return Page(entries, nameless=len(raws) - len(entries))


def normalise(raw: bytes, packed: bytes | None) -> Resource:
    """Turn a raw instance and its packed data disks, None if unknown, into a resource.

    Raises BadData, or ValueError (msgspec's, Unicode's). Sizes of memory are MiB already.
    """
    host = _host.decode(raw)
    tags = (host.tags and host.tags.tag) or ()
    return Resource(
        resource_id=host.instance_id,
        name=host.instance_name or "",
        status=host.status or "",
        state=STATES.get(host.status or "", "unknown"),
        instance_type=host.instance_type or None,
        cpu=host.cpu,
        memory_mib=host.memory,
        zone=host.zone_id or None,
        vpc_id=(host.vpc_attributes and host.vpc_attributes.vpc_id) or None,
        image_id=host.image_id or None,
        public_ips=known(host.public_ips()),
        private_ips=known(host.private_ips()),
        security_groups=known((host.security_group_ids or _Groups()).security_group_id or ()),
        data_disks=None if packed is None else disks.unpack(packed),
        tags={tag.tag_key: tag.tag_value or "" for tag in tags},
        charge_type=host.instance_charge_type or None,
        created_at=moment(host.creation_time, "CreationTime"),
        expires_at=moment(host.expired_time, "ExpiredTime"),
        attributes=utf8(raw),
    )
