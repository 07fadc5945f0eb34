"""One region of an emulated account: its hosts and disks, and what may happen to them."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import msgspec

from syncd.demo.emulator.made import CHANGES, Made, Maker, Raw
from syncd.demo.emulator.shelf import Entry, Shelf

encode = msgspec.json.encode
decode = msgspec.json.decode


PROTOTYPES: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Born:
    host: Entry
    disks: list[Entry]


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
        """Add new hosts in front of the listing and return their ids.

        Of more than PROTOTYPES at once the rest are copies with ids of their own, which takes a
        twentieth of the time.
        """
        generator = rng or self._rng
        with self.lock:
            born: dict[str, _Born] = {}
            prototypes: list[_Born] = []
            while len(born) < count:
                if len(prototypes) < PROTOTYPES:
                    one = _born(self._maker.make(generator, self.name))
                    prototypes.append(one)
                else:
                    one = _copy(generator, prototypes[len(born) % PROTOTYPES])
                if one.host[0] not in self.hosts:
                    born[one.host[0]] = one
            self._settle(list(born.values()))
            return list(born)

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

    def ids(self) -> list[str]:
        """Return the ids of all hosts in listing order."""
        with self.lock:
            return self.hosts.ids()

    def pick(self, rng: Random, count: int) -> list[str]:
        """Return random ids, all if there are fewer."""
        with self.lock:
            ids = self.hosts.ids()
            return rng.sample(ids, min(count, len(ids)))

    def churn(
        self,
        rng: Random | None = None,
        *,
        adds: int = 0,
        changes: int = 0,
        releases: int = 0,
        moves: int = 0,
    ) -> Churned:
        """Release, move, change and add random hosts; nothing is both changed and released.

        Like every method here it draws from the region's own generator unless one is given. One
        with a fixed seed would, called again, bring released ids back, which no cloud does.
        """
        draw = rng or self._rng
        with self.lock:
            picked = self.pick(draw, releases + changes)
            released, changed = picked[:releases], picked[releases:]
            self.release(released)
            for key in self.pick(draw, moves):
                self.move(key, to_front=draw.random() < 0.5)
            for key in changed:
                self.change(key, rng=draw)
            return Churned(self.add(adds, draw), changed, released)

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

    def _settle(self, born: list[_Born]) -> None:
        self.hosts.put_first([one.host for one in born])
        self.disks.put_first([disk for one in born for disk in one.disks])
        for one in born:
            if one.disks:
                self._disks_of[one.host[0]] = [key for key, _ in one.disks]

    def _made(self, host_id: str) -> Made:
        disks = [self.disks.get(key) or b"" for key in self._disks_of.get(host_id, ())]
        return Made(self.host(host_id), [decode(raw) for raw in disks])

    def _put_back(self, host_id: str, made: Made) -> None:
        self.hosts.replace(host_id, encode(made.host))
        for gone in set(self._disks_of.pop(host_id, ())) - {disk["DiskId"] for disk in made.disks}:
            self.disks.remove(gone)
        entries = _born(made).disks
        for key, raw in entries:
            if key in self.disks:
                self.disks.replace(key, raw)
        self.disks.put_first([entry for entry in entries if entry[0] not in self.disks])
        self._disks_of[host_id] = [key for key, _ in entries]

    def _detach(self, disk_id: str) -> None:
        left = self._maker.detach(decode(self.disks.get(disk_id) or b""))
        if left is None:
            self.disks.remove(disk_id)
        else:
            self.disks.replace(disk_id, encode(left))


def _born(made: Made) -> _Born:
    disks = [(disk["DiskId"], encode(disk)) for disk in made.disks]
    return _Born((made.host["InstanceId"], encode(made.host)), disks)


def _copy(rng: Random, one: _Born) -> _Born:
    old = one.host[0]
    new = _another_id(rng, old)
    host = one.host[1].replace(old.encode(), new.encode())
    disks = []
    for key, raw in one.disks:
        other = _another_id(rng, key)
        copied = raw.replace(key.encode(), other.encode()).replace(old.encode(), new.encode())
        disks.append((other, copied))
    return _Born((new, host), disks)


def _another_id(rng: Random, key: str) -> str:
    return f"{key[:-8]}{rng.getrandbits(32):08x}"
