"""What goes wrong in the emulated clouds now and then: announced first, and healed again."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from syncd.demo.emulator import Emulator, Fault

CLOUDS: Final = {"aliyun": "Alibaba Cloud", "tencent": "Tencent Cloud"}


@dataclass(frozen=True, slots=True)
class Spot:
    """The region where something happens."""

    account: str
    provider: str
    region: str


@dataclass(frozen=True, slots=True)
class Scene:
    """One trouble: `announce` is said before it begins, `healed` when it is over."""

    announce: str
    healed: str
    seconds: float
    begin: Callable[[Emulator, Spot, Random], Callable[[], None]]
    """Begins it, and returns what ends it."""
    approve: bool = False
    """Whether a person lets the held back deletions go before the end."""


def _fault(kind: str, **settings: float) -> Callable[[Emulator, Spot, Random], Callable[[], None]]:
    """Return how a scene begins that is one fault of the emulator."""

    def begin(emulator: Emulator, spot: Spot, _: Random) -> Callable[[], None]:
        fault = Fault(kind=kind, account=spot.account, region=spot.region, **settings)  # type: ignore[arg-type]  # settings are the fault's own
        number = emulator.faults.add(fault)
        return lambda: emulator.faults.clear(number)

    return begin


def _lacking(emulator: Emulator, spot: Spot, rng: Random) -> Callable[[], None]:
    """Leave three hosts out of the pages."""
    hosts = tuple(emulator.world.region(spot.account, spot.region).pick(rng, 3))
    fault = Fault(kind="missing", account=spot.account, region=spot.region, hosts=hosts)
    number = emulator.faults.add(fault)
    return lambda: emulator.faults.clear(number)


def _mass_release(emulator: Emulator, spot: Spot, rng: Random) -> Callable[[], None]:
    """Release most of a region for good; new hosts take their place at the end."""
    region = emulator.world.region(spot.account, spot.region)
    gone = region.pick(rng, round(len(region.ids()) * 0.6))
    region.release(gone)
    return lambda: None if not gone else _refill(emulator, spot, len(gone))


def _refill(emulator: Emulator, spot: Spot, count: int) -> None:
    emulator.world.region(spot.account, spot.region).add(count)


SCENES: Final = (
    Scene(
        "{cloud} throttles {region}: syncd waits and asks again",
        "{region} answers as before",
        6,
        _fault("throttled", times=1),
    ),
    Scene(
        "60% of the hosts of {region} vanish from every answer: syncd must not believe it at once",
        "the hosts of {region} are back; none was deleted",
        11,
        _fault("gone", share=0.6),
    ),
    Scene(
        "{region} answers with server errors: its item fails, the other regions go on",
        "{region} answers again",
        11,
        _fault("unavailable"),
    ),
    Scene(
        "one host of {region} comes with a broken field: it is kept aside, the rest is stored",
        "the broken host of {region} is whole again",
        9,
        _fault("wrong_type"),
    ),
    Scene(
        "a permission is missing: {region} answers an empty list, as if nothing stood there",
        "the permission for {region} is granted; no host was lost",
        9,
        _fault("denied_empty"),
    ),
    Scene(
        "the pages of {region} lack three hosts that live: syncd looks them up by id",
        "the pages of {region} are complete again",
        9,
        _lacking,
    ),
    Scene(
        "somebody releases 60% of {region}, for good: syncd holds the deletions back",
        "new hosts take the place of those of {region}",
        9,
        _mass_release,
        approve=True,
    ),
    Scene(
        "the connection to {region} breaks in the middle of an answer: syncd asks again",
        "the connection to {region} holds",
        6,
        _fault("reset_in_body", times=1),
    ),
)
