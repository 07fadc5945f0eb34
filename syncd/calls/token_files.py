"""Tokens on disk: kept over restarts, and one login for all processes of a state directory.

A file that can't be read or written is told in the log and costs a login; memory serves on. Each is
sealed (HMAC) with the directory's own key over all that the token depends on, so that one of an
older password, of another directory, or a damaged one is void.
"""

import fcntl
import hashlib
import hmac
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from syncd import errors
from syncd.context import BoundLogger, CancelToken, Clock, Deadline
from syncd.durable import write_whole
from syncd.errors import SyncdError, describe

_LARGEST: Final = 128 * 1024
_PRIVATE_DIRECTORY: Final = 0o700
_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_LOCK: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_ENDS: Final = (".json", ".json.new", ".lock")
_TURN: Final = 0.05  # seconds between two tries for a lock: waiting in the kernel is not cancelled
_SHARED: Final = ("Authentication", "Network", "Throttled", "TimedOut", "Unexpected", "BadData")
"""Failures that all share who waited for the one that tried."""


class Stored(msgspec.Struct, frozen=True):
    """A token as a file holds it: when it came, and for how many seconds it is good since then."""

    token: str
    obtained: datetime
    life: float

    def __repr__(self) -> str:
        """Name it without the token."""
        return f"Stored(obtained={self.obtained}, life={self.life})"


class _Sealed(msgspec.Struct, frozen=True):
    stored: Stored
    seal: str


class _Failed(msgspec.Struct, frozen=True):
    """A login that failed, at a moment of the monotonic clock, which processes share."""

    fingerprint: str
    at: float
    error: str
    message: str
    holder: str | None


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to log in, held by one at a time; `failed` is how it went for who had it before."""

    failed: SyncdError | None
    leave: Callable[[SyncdError], None]


class TokenFiles:
    """The folder of the tokens; safe for threads and processes."""

    def __init__(self, directory: Path, clock: Clock, log: BoundLogger) -> None:
        self._directory, self._clock, self._log = directory, clock, log

    def load(self, name: str, key: bytes) -> Stored | None:
        """Return the token that was sealed with a key, None when there is none."""
        try:
            content = self._read(self._file(name))
            if content is None:
                return None
            sealed = msgspec.json.decode(content, type=_Sealed)
        except (OSError, ValueError, msgspec.MsgspecError, RecursionError) as error:
            self._warn("the file of a token can't be read", name, error)
            return None
        if not hmac.compare_digest(sealed.seal.encode(), _seal(sealed.stored, key).encode()):
            return None  # of another password, or of another address
        return sealed.stored

    def save(self, name: str, key: bytes, stored: Stored) -> None:
        """Keep a token, at once and for its owner alone."""
        sealed = _Sealed(stored, _seal(stored, key))
        try:
            self._make_directory()
            write_whole(self._file(name), msgspec.json.encode(sealed))
        except OSError as error:
            self._warn("a token can't be kept over a restart", name, error)

    def remove(self, name: str) -> None:
        """Remove a token that is refused."""
        try:
            self._file(name).unlink(missing_ok=True)
        except OSError as error:
            self._warn("the file of a token can't be removed", name, error)

    def forget_others(self, names: set[str]) -> None:
        """Remove what is not of these tokens."""
        kept = {f"{name}{end}" for name in names for end in _ENDS}
        try:
            for file in sorted(self._directory.iterdir()):
                if file.name not in kept:
                    file.unlink()
        except FileNotFoundError:
            return  # no token was kept yet, or another process removes them too
        except OSError as error:
            self._warn("files of tokens can't be removed", "", error)

    @contextmanager
    def turn(
        self, name: str, fingerprint: str, deadline: Deadline, cancel: CancelToken
    ) -> Iterator[Turn]:
        """Wait until no other process logs in, and hold them off; the kernel frees who is killed.

        Raises TimedOut and the token's error. Without a lock, of a full disk, each goes alone.
        """
        began = self._clock.monotonic()
        try:
            self._make_directory()
            handle = os.open(self._lock(name), _LOCK, 0o600)
        except OSError as error:
            self._warn("a token can't be locked", name, error)
            yield Turn(None, lambda _: None)
            return
        try:
            _take(handle, deadline, cancel)
            failed = _failed(handle, fingerprint, began, self._clock.monotonic())
            yield Turn(failed, lambda error: self._leave(handle, fingerprint, error))
        finally:
            os.close(handle)

    def _leave(self, handle: int, fingerprint: str, error: SyncdError) -> None:
        """Tell those who wait how it went; that may fail, and each finds out alone."""
        kind, holder = type(error).__name__, getattr(error, "holder", None)
        if kind not in _SHARED:
            return
        failed = _Failed(fingerprint, self._clock.monotonic(), kind, describe(error), holder)
        with suppress(OSError):
            os.ftruncate(handle, 0)
            os.pwrite(handle, msgspec.json.encode(failed), 0)

    def _file(self, name: str) -> Path:
        return (
            self._directory / f"{name}.json"
        )  # a table's name is a file's: no slash, no dot first

    def _lock(self, name: str) -> Path:
        return self._directory / f"{name}.lock"

    def _make_directory(self) -> None:
        self._directory.mkdir(mode=_PRIVATE_DIRECTORY, exist_ok=True)
        if stat.S_IMODE(self._directory.lstat().st_mode) != _PRIVATE_DIRECTORY:
            self._directory.chmod(_PRIVATE_DIRECTORY)

    def _read(self, file: Path) -> bytes | None:
        try:
            handle = os.open(file, _READ)
        except FileNotFoundError:
            return None
        with open(handle, "rb") as stream:  # noqa: PTH123 - of a descriptor
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ValueError("it is no regular file")
            content = stream.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ValueError(f"it is longer than {_LARGEST} bytes")
        return content

    def _warn(self, event: str, name: str, error: Exception) -> None:
        why = error.strerror if isinstance(error, OSError) else str(error)
        self._log.warning(event, token=name, error=why or type(error).__name__)


def _seal(stored: Stored, key: bytes) -> str:
    return hmac.digest(key, msgspec.json.encode(stored), hashlib.sha256).hex()


def _take(handle: int, deadline: Deadline, cancel: CancelToken) -> None:
    """Lock, as soon as nobody else does; raises TimedOut and the token's error."""
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        cancel.wait(min(_TURN, max(deadline.remaining(), 0)))
        cancel.check()
        deadline.check()


def _failed(handle: int, fingerprint: str, since: float, now: float) -> SyncdError | None:
    """Return how the last login failed, if that was while we waited for the same.

    One of the future is of before the machine was started anew.
    """
    try:
        left = msgspec.json.decode(os.pread(handle, _LARGEST, 0), type=_Failed)
    except (OSError, msgspec.MsgspecError, ValueError):
        return None
    if left.fingerprint != fingerprint or not since < left.at <= now or left.error not in _SHARED:
        return None
    error: SyncdError = getattr(errors, left.error)(left.message)
    if isinstance(error, errors.Authentication):
        error.holder = left.holder
    return error
