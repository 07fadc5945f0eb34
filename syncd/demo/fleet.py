"""The life of the demonstration's database servers: people grant and revoke."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from syncd.control.client import Client
from syncd.demo import fleet_scenes as scenes
from syncd.demo.fleet_scenes import FleetScene
from syncd.demo.mariadb import MariaDb
from syncd.demo.part import Part
from syncd.demo.place import Place
from syncd.demo.sql import execute, postgresql
from syncd.model.run import Selection

_QUIET: Final = 5.0  # seconds between two scenes
_SECONDS: Final = 7.0  # of a scene: a run comes meanwhile
_BEFORE: Final = 1.0  # seconds from what is said to what is done


class Fleet(Part):
    """Makes the servers' databases, has them synced, and plays scenes.

    It is started when the daemon and with it the PostgreSQL is ready. A second server, a MariaDB,
    comes along where it is installed. `then` is told when all stand, with the last one's name.
    """

    def __init__(
        self, place: Place, client: Client, mariadb: MariaDb, then: Callable[[str], None]
    ) -> None:
        super().__init__("the database servers", fleet=self._live)
        self._place, self._client, self._mariadb, self._then = place, client, mariadb, then

    def _live(self) -> None:
        """Build all up, then play."""
        sockets = {scenes.POSTGRESQL: self._place.server.socket_directory}
        self._open_shop()
        self._sync(sockets)
        if self._mariadb.available and self._mariadb.start(self._stop):
            self._mariadb.execute(scenes.MARIADB_SHOP)
            sockets[scenes.MARIADB] = self._mariadb.socket
            self._sync(sockets)
        if not self._stop.is_set():
            self._then(list(sockets)[-1])
        self._play_all([scene for scene in scenes.SCENES if scene.server in sockets])

    def _open_shop(self) -> None:
        """Make databases and roles on the embedded server, unless they stand from last time."""
        self._postgresql(scenes.DATABASES, "postgres")
        self._postgresql(scenes.SHOP)
        self._postgresql(scenes.HISTORY, "syncd")

    def _sync(self, servers: Mapping[str, Path]) -> None:
        """Put servers into the configuration, and have it taken up."""
        self._place.configure_fleet(servers)
        self._client.reload("demo")
        names = " and ".join(servers)
        self._tell("demo", f"syncd looks at {names} now: who may do what, and how large they are")
        self._client.trigger("size-rollups", Selection(), "demo")

    def _play_all(self, playing: list[FleetScene]) -> None:
        """Play the scenes, over and over."""
        for scene in _forever(playing):
            if self._stop.wait(_QUIET):
                return
            self._tell("fault", f"{scene.server}: {scene.announce}")
            self._stop.wait(_BEFORE)
            self._begin(scene)
            try:
                self._stop.wait(_SECONDS)
            finally:
                self._end(scene)
            self._tell("healed", f"{scene.server}: {scene.after}")
            self._postgresql(scenes.ORDERS)

    def _begin(self, scene: FleetScene) -> None:
        if scene.begin:
            self._execute(scene.server, scene.begin)
        else:
            self._mariadb.freeze()

    def _end(self, scene: FleetScene) -> None:
        if scene.undo:
            self._execute(scene.server, scene.undo)
        else:
            self._mariadb.thaw()

    def _execute(self, server: str, script: str) -> None:
        if server == scenes.MARIADB:
            self._mariadb.execute(script)
        else:
            self._postgresql(script)

    def _postgresql(self, script: str, database: str = "shop") -> None:
        execute(postgresql(self._place.server.conninfo(database)), script)


def _forever(playing: list[FleetScene]) -> Iterator[FleetScene]:
    while playing:
        yield from playing
