"""The life of the emulated clouds: hosts come, change and go, and at times something breaks."""

from collections.abc import Callable
from random import Random
from typing import Final

from syncd.demo.emulator import Emulator
from syncd.demo.part import Part
from syncd.demo.scenes import CLOUDS, SCENES, Scene, Spot

_PAUSE: Final = (1.5, 4.0)  # seconds between two changes
_QUIET: Final = 9.0  # seconds between two scenes
_FEWEST, _MOST_HOSTS = 25, 60
_BEFORE: Final = 1.5  # seconds from an announcement to the trouble


class Churn(Part):
    """Changes the clouds; `approve` lets held back deletions of all jobs go, as a person would."""

    def __init__(self, emulator: Emulator, seed: int, approve: Callable[[], int]) -> None:
        super().__init__("the clouds", churn=self._live, scenes=self._break)
        self._emulator, self._approve = emulator, approve
        self._rng = Random(seed)  # noqa: S311 - not for secrets
        self._spots = [
            Spot(account.name, account.provider, region)
            for account in emulator.world.accounts.values()
            for region in account.regions
        ]

    def _live(self) -> None:
        """Add, change and release hosts."""
        rng = Random(self._rng.random())  # noqa: S311
        while not self._stop.wait(rng.uniform(*_PAUSE)):
            spot = rng.choice(self._spots)
            region = self._emulator.world.region(spot.account, spot.region)
            standing = len(region.ids())
            region.churn(
                adds=rng.randint(0, 2) if standing < _MOST_HOSTS else 0,
                changes=rng.randint(1, 2),
                releases=rng.randint(0, 2) if standing > _FEWEST else 0,
            )

    def _break(self) -> None:
        """Play the scenes, over and over."""
        while True:
            for scene in SCENES:
                if self._stop.wait(_QUIET):
                    return
                self._play(scene, self._rng.choice(self._spots))

    def _play(self, scene: Scene, spot: Spot) -> None:
        """Announce a scene, let it happen, and heal it."""
        words = {"cloud": CLOUDS[spot.provider], "region": spot.region}
        self._tell("fault", scene.announce.format(**words))
        self._stop.wait(_BEFORE)
        end = scene.begin(self._emulator, spot, self._rng)
        self._stop.wait(scene.seconds)
        if scene.approve and not self._stop.is_set():
            count = self._approve()
            text = f"an operator looked, and approves {count} deletions: syncd approve"
            self._tell("approve", text)
            self._stop.wait(scene.seconds)
        end()
        self._tell("healed", scene.healed.format(**words))
