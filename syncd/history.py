"""The configurations that the daemon took up: copies in the state directory, digests in the store.

A thread of its own keeps them, since a disk may hang, be full or closed to us: that neither holds
up a start or a reload nor fails it. What can't be kept is tried again until it is.
"""

import threading
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Final, Self

from syncd.config.configuration import Config
from syncd.config.versions import KEPT, Version, Versions, content_digest, in_force
from syncd.context import BoundLogger, Clock
from syncd.errors import SyncdError, describe
from syncd.store import config_versions
from syncd.store.config_versions import Accepted
from syncd.store.database import Store

_AGAIN: Final = 30.0  # seconds
_LAST_WAIT: Final = 5.0
"""Seconds that the end of the daemon waits for the disk."""
_RECORDING: Final = 5.0
"""Seconds that the store may take: the directory is locked meanwhile."""


@dataclass(slots=True)
class _Owed:
    """A configuration that is to be kept; `number` once the store gave it one."""

    files: dict[str, bytes]
    main: str
    digest: str
    at: datetime
    by: str
    number: int = 0


class History:
    """Keeps what is accepted, in order, while the context lasts."""

    def __init__(
        self, versions: Versions, store: Store, instance: str, clock: Clock, log: BoundLogger
    ) -> None:
        self._versions, self._store, self._instance = versions, store, instance
        self._clock, self._log = clock, log
        self._owed: deque[_Owed] = deque(maxlen=KEPT)
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._told = ""
        self._thread = threading.Thread(target=self._work, name="config-history", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Keep what is owed, if that can be done soon."""
        self._closing = True
        self._wake.set()
        self._thread.join(_LAST_WAIT)

    def accepted(self, config: Config, by: str) -> None:
        """Have a configuration kept that is in force from now on; returns at once."""
        files = {source.name: source.content for source in config.sources}
        main = config.sources[0].name
        with self._lock:
            self._owed.append(_Owed(files, main, config.digest, self._clock.now(), by))
        self._wake.set()

    def _work(self) -> None:
        while not self._closing:
            self._wake.wait(_AGAIN if self._owed else None)
            self._wake.clear()
            self._keep_all()
        self._keep_all()

    def _keep_all(self) -> None:
        while owed := self._next():
            try:
                self._keep(owed)
            except SyncdError as error:
                self._tell(describe(error))
                return
            except Exception:  # noqa: BLE001 - a bug here must not end the daemon, nor last
                self._log.exception("a version of the configuration is lost")
            self._told = ""
            with self._lock:
                if self._owed and self._owed[0] is owed:
                    self._owed.popleft()

    def _next(self) -> _Owed | None:
        with self._lock:
            return self._owed[0] if self._owed else None

    def _tell(self, reason: str) -> None:
        """Warn, once for each reason."""
        if reason != self._told:
            self._log.warning("the configuration can't be kept yet", error=reason)
        self._told = reason

    def _keep(self, owed: _Owed) -> None:
        """Keep a configuration, unless it is the one kept before it; raises SyncdError."""
        content = content_digest(owed.files)
        accepted = Accepted(
            owed.digest, content, owed.at, owed.by, self._instance, list(owed.files)
        )
        with self._versions.locked():
            last = in_force(self._versions.all())
            if last and (last.digest, last.content) == (owed.digest, content):
                with self._store.transaction(limit=_RECORDING) as tx:
                    config_versions.remember(tx, last.number, accepted)
                return
            largest = self._versions.largest()
            if owed.number <= largest:
                with self._store.transaction(limit=_RECORDING) as tx:
                    owed.number = config_versions.record(tx, accepted, largest)
            version = Version(owed.number, owed.at, owed.by, owed.digest, content, owed.main)
            self._versions.write(version, owed.files)
        self._log.info("configuration kept", version=owed.number, digest=owed.digest[:12])
