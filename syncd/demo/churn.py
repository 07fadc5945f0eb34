"""The life of the emulated clouds: hosts come, change and go, and at times something breaks."""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from random import Random
from types import TracebackType
from typing import Final, Self

from syncd.demo.emulator import Emulator
from syncd.demo.line import Line
from syncd.demo.scenes import CLOUDS, SCENES, Scene, Spot

_PAUSE: Final = (1.5, 4.0)  # seconds between two changes
_QUIET: Final = 9.0  # seconds between two scenes
_FEWEST, _MOST_HOSTS = 25, 60
_BEFORE: Final = 1.5  # seconds from an announcement to the trouble


class Churn:
    """Changes the clouds in a thread of its own, from `start` to the end of the `with` block.

    `approve` lets the held back deletions of all jobs go, as a person would.
    """

    def __init__(self, emulator: Emulator, seed: int, approve: Callable[[], int]) -> None:
        self.lines: SimpleQueue[Line] = SimpleQueue()
        self._emulator, self._approve = emulator, approve
        self._rng = Random(seed)  # noqa: S311 - not for secrets
        self._spots = [
            Spot(account.name, account.provider, region)
            for account in emulator.world.accounts.values()
            for region in account.regions
        ]
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._live, name="demo-churn"),
            threading.Thread(target=self._break, name="demo-scenes"),
        ]

    def __enter__(self) -> Self:
        return self

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

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
        self.lines.put(Line("fault", scene.announce.format(**words)))
        self._stop.wait(_BEFORE)
        end = scene.begin(self._emulator, spot, self._rng)
        self._stop.wait(scene.seconds)
        if scene.approve and not self._stop.is_set():
            count = self._approve()
            text = f"an operator looked, and approves {count} deletions: syncd approve"
            self.lines.put(Line("approve", text))
            self._stop.wait(scene.seconds)
        end()
        self.lines.put(Line("healed", scene.healed.format(**words)))
