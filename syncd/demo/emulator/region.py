"""One region of an emulated account: its hosts and disks, and what may happen to them."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec

from syncd.demo.emulator.made import CHANGES, Made, Maker, Raw
from syncd.demo.emulator.shelf import Entry, Shelf

encode = msgspec.json.encode
decode = msgspec.json.decode


@dataclass(frozen=True, slots=True)
class Churned:
    """The ids that one call of `churn` touched."""

    added: list[str]
    changed: list[str]
    released: list[str]


class Region:
    """Hosts and disks as bytes; every method may be called from any thread."""

    def __init__(self, name: str, maker: Maker, rng: Random) -> None:
        self.name = name
        self.lock = threading.RLock()
        self.hosts = Shelf()
        self.disks = Shelf()
        self._disks_of: dict[str, list[str]] = {}
        self._maker = maker
        self._rng = rng

    def add(self, count: int, rng: Random | None = None) -> list[str]:
        """Add new hosts in front of the listing and return their ids."""
        with self.lock:
            hosts: dict[str, bytes] = {}
            disks: list[Entry] = []
            while len(hosts) < count:
                made = self._maker.make(rng or self._rng, self.name)
                key = made.host["InstanceId"]
                if key in hosts or key in self.hosts:
                    continue
                hosts[key] = encode(made.host)
                disks += self._shelve(key, made.disks)
            self.hosts.put_first(list(hosts.items()))
            self.disks.put_first(disks)
            return list(hosts)

    def release(self, ids: Iterable[str]) -> None:
        """Release hosts; their disks go with them or stay behind, as each disk says."""
        with self.lock:
            for key in ids:
                self.hosts.remove(key)
                for disk in self._disks_of.pop(key, []):
                    self._detach(disk)

    def change(self, host_id: str, what: str | None = None, rng: Random | None = None) -> str:
        """Change a host in one of CHANGES, `order` or `noise`, and return in which."""
        generator = rng or self._rng
        with self.lock:
            chosen = what or generator.choice(CHANGES)
            made = self._made(host_id)
            self._maker.changes[chosen](generator, made)
            self._put_back(host_id, made)
            return chosen

    def edit(self, host_id: str, **fields: Any) -> None:  # noqa: ANN401 - any JSON
        """Set top-level fields of a raw host as they are given."""
        with self.lock:
            self.hosts.replace(host_id, encode(self.host(host_id) | fields))

    def move(self, host_id: str, *, to_front: bool = True) -> None:
        """Move a host to another place of the listing, as a cloud that resorts does."""
        with self.lock:
            self.hosts.move(host_id, to_front=to_front)

    def pick(self, rng: Random, count: int) -> list[str]:
        """Return random ids, all if there are fewer."""
        with self.lock:
            ids = self.hosts.ids()
            return rng.sample(ids, min(count, len(ids)))

    def churn(
        self, rng: Random, *, adds: int = 0, changes: int = 0, releases: int = 0, moves: int = 0
    ) -> Churned:
        """Release, move, change and add random hosts; nothing is both changed and released."""
        with self.lock:
            picked = self.pick(rng, releases + changes)
            released, changed = picked[:releases], picked[releases:]
            self.release(released)
            for key in self.pick(rng, moves):
                self.move(key, to_front=rng.random() < 0.5)
            for key in changed:
                self.change(key, rng=rng)
            return Churned(self.add(adds, rng), changed, released)

    def host(self, host_id: str) -> Raw:
        """Return one raw host; KeyError if there is none."""
        raw = self.hosts.get(host_id)
        if raw is None:
            raise KeyError(host_id)
        return dict(decode(raw))

    def truth(self) -> list[Raw]:
        """Return all hosts as they stand, in listing order."""
        with self.lock:
            return [decode(raw) for _, raw in self.hosts]

    def disk_truth(self) -> list[Raw]:
        """Return all data disks as they stand, those of no host among them."""
        with self.lock:
            return [decode(raw) for _, raw in self.disks]

    def disks_of(self, host_id: str) -> list[str]:
        """Return the ids of a host's data disks."""
        with self.lock:
            return list(self._disks_of.get(host_id, ()))

    def _made(self, host_id: str) -> Made:
        disks = [self.disks.get(key) or b"" for key in self._disks_of.get(host_id, ())]
        return Made(self.host(host_id), [decode(raw) for raw in disks])

    def _put_back(self, host_id: str, made: Made) -> None:
        self.hosts.replace(host_id, encode(made.host))
        for gone in set(self._disks_of.pop(host_id, ())) - {disk["DiskId"] for disk in made.disks}:
            self.disks.remove(gone)
        entries = self._shelve(host_id, made.disks)
        for key, raw in entries:
            if key in self.disks:
                self.disks.replace(key, raw)
        self.disks.put_first([entry for entry in entries if entry[0] not in self.disks])

    def _shelve(self, host_id: str, disks: list[Raw]) -> list[Entry]:
        if disks:
            self._disks_of[host_id] = [disk["DiskId"] for disk in disks]
        return [(disk["DiskId"], encode(disk)) for disk in disks]

    def _detach(self, disk_id: str) -> None:
        left = self._maker.detach(decode(self.disks.get(disk_id) or b""))
        if left is None:
            self.disks.remove(disk_id)
        else:
            self.disks.replace(disk_id, encode(left))
