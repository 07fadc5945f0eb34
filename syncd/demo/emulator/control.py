"""The control path: what tests and the demonstration in other processes can ask for.

`POST /_emulator/OPERATION` with a JSON object; the answer is JSON, with status 400 and `error` when
the request makes no sense.
"""

from collections.abc import Callable
from random import Random
from typing import Final

import msgspec

from syncd.demo.emulator.faults import Fault, Faults
from syncd.demo.emulator.log import RequestLog
from syncd.demo.emulator.region import Region, encode
from syncd.demo.emulator.wire import Answer, Request
from syncd.demo.emulator.world import World

PREFIX: Final = "/_emulator/"


class _Where(msgspec.Struct, forbid_unknown_fields=True):
    """What any operation may say; each uses what it needs."""

    account: str = ""
    region: str = ""
    host: str = ""
    hosts: list[str] = []
    count: int = 1
    what: str | None = None
    fields: dict[str, object] = {}
    to_front: bool = True
    seed: int | None = None
    adds: int = 0
    changes: int = 0
    releases: int = 0
    moves: int = 0
    owner_id: str = ""
    number: int | None = None


class Control:
    """Carries out operations on the world, the faults and the log."""

    def __init__(self, world: World, faults: Faults, log: RequestLog) -> None:
        self._world = world
        self._faults = faults
        self._log = log
        self._operations: dict[str, Callable[[_Where], object]] = {
            "accounts": self._accounts,
            "add": lambda w: self._region(w).add(w.count),
            "release": lambda w: self._region(w).release(w.hosts),
            "change": lambda w: self._region(w).change(w.host, w.what),
            "edit": lambda w: self._region(w).edit(w.host, **w.fields),
            "move": lambda w: self._region(w).move(w.host, to_front=w.to_front),
            "churn": self._churn,
            "truth": lambda w: self._region(w).truth(),
            "disks": lambda w: self._region(w).disk_truth(),
            "owner": self._owner,
            "clear_faults": lambda w: self._faults.clear(w.number),
            "log": lambda _: self._log.snapshot(),
            "reset_log": lambda _: self._log.reset(),
        }

    def answer(self, request: Request) -> Answer:
        """Carry out one request."""
        try:
            return Answer(200, encode(self._run(request.path.removeprefix(PREFIX), request.body)))
        except (KeyError, ValueError, TypeError) as error:
            return Answer(400, encode({"error": repr(error)}))

    def _run(self, operation: str, body: bytes) -> object:
        if operation == "faults":
            return self._faults.add(msgspec.json.decode(body, type=Fault))
        where = msgspec.json.decode(body or b"{}", type=_Where)
        return self._operations[operation](where)

    def _region(self, where: _Where) -> Region:
        return self._world.region(where.account, where.region)

    def _accounts(self, _: _Where) -> object:
        return [
            {"name": account.name, "provider": account.provider, "regions": list(account.regions)}
            for account in self._world.accounts.values()
        ]

    def _churn(self, where: _Where) -> object:
        return self._region(where).churn(
            None if where.seed is None else Random(where.seed),  # noqa: S311 - not for secrets
            adds=where.adds,
            changes=where.changes,
            releases=where.releases,
            moves=where.moves,
        )

    def _owner(self, where: _Where) -> None:
        self._world.accounts[where.account].owner_id = where.owner_id
