"""The state directory: locked by the one process that uses it, and known by a name of its own."""

import fcntl
import os
import pwd
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from syncd.durable import write_whole
from syncd.errors import Conflict, StoreError

KEY_BYTES: Final = 32

_LOCK_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


@contextmanager
def locked(path: Path) -> Iterator[str]:
    """Hold the lock of a state directory, which is made if need be; give its instance's name.

    The kernel drops the lock with the process, however it ends (flock(2)); children don't inherit
    it. Raises Conflict with the pid of the process that has it, StoreError for a directory that
    can't be used.
    """
    try:
        path.mkdir(mode=0o711, parents=True, exist_ok=True)
        lock = os.open(path / "lock", _LOCK_FLAGS, 0o600)
    except OSError as error:
        raise StoreError(
            f"{path}: the state directory can't be used: {error.strerror} ({error.filename})"
        ) from error
    try:
        _take(lock, path)
        yield _instance(path)
    finally:
        os.close(lock)


def fingerprint_key(path: Path) -> bytes:
    """Return the 32 random bytes that belong to a state directory we hold; made when first asked.

    Raises StoreError when they can't be read or written, or are not 32 bytes.
    """
    file = path / "fingerprint.key"
    try:
        if not file.exists():
            write_whole(file, secrets.token_bytes(KEY_BYTES))
        key = file.read_bytes()
    except OSError as error:
        raise StoreError(f"{file}: the state directory can't be used: {error}") from error
    if len(key) != KEY_BYTES:
        raise StoreError(f"{file} is damaged; remove it, and a new one is made")
    return key


def _take(lock: int, path: Path) -> None:
    """Lock, and leave our pid for a person to find."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        raise Conflict(f"{path} is in use by another syncd, pid {pid}") from error
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        return  # a full disk: the lock holds all the same


def _instance(path: Path) -> str:
    """Return the name under which runs are owned: this machine's, and the directory's own."""
    file = path / "instance"
    try:
        own = file.read_text().strip() if file.exists() else ""
        if not own:  # new, or emptied by a power cut: without a name of its own it would be shared
            own = secrets.token_hex(8)
            write_whole(file, own.encode())
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{file}: the state directory can't be used: {error}") from error
    return f"{socket.gethostname()}:{own}"


@contextmanager
def as_owner(path: Path) -> Iterator[None]:
    """Let root act as the owner of a directory for a while, others as they are.

    So it leaves nothing there that the owner can't use, and follows no link of the owner's further
    than the owner could. For processes of one thread. Raises StoreError for a root who may not.
    """
    owner = _other_owner(path)
    if owner is None:
        yield
        return
    groups, group = os.getgroups(), os.getegid()
    with _refusal_told(path):
        os.setgroups(owner.groups)
        os.setegid(owner.gid)
        os.seteuid(owner.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def become_owner(path: Path) -> None:
    """Have root go on as the owner of a directory for good, as `as_owner` does for a while."""
    owner = _other_owner(path)
    if owner is None:
        return
    with _refusal_told(path):
        os.setgroups(owner.groups)
        os.setgid(owner.gid)
        os.setuid(owner.uid)


@dataclass(frozen=True, slots=True)
class _Owner:
    """Whom root is to act as."""

    uid: int
    gid: int
    groups: list[int]


def _other_owner(path: Path) -> _Owner | None:
    """Return the owner of a directory, if we are root and it is not root's; it needs no name."""
    try:
        status = path.stat()
    except OSError:  # there is none, or it is out of sight
        return None
    if os.geteuid() != 0 or status.st_uid == 0:
        return None
    try:
        entry = pwd.getpwuid(status.st_uid)
    except KeyError:
        return _Owner(status.st_uid, status.st_gid, [status.st_gid])
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return _Owner(entry.pw_uid, entry.pw_gid, groups)


@contextmanager
def _refusal_told(path: Path) -> Iterator[None]:
    """Raise StoreError where root has no such power, as in a sandbox without capabilities."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path}: can't act as its owner: {error.strerror}") from error
