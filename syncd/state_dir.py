"""The state directory: locked by the one process that uses it, and known by a name of its own."""

import fcntl
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from syncd.errors import Conflict, StoreError

KEY_BYTES: Final = 32


@contextmanager
def locked(path: Path) -> Iterator[str]:
    """Hold the lock of a state directory, which is made if need be; give its instance's name.

    The kernel drops the lock with the process, however it ends (flock(2)); children don't inherit
    it. Raises Conflict with the pid of the process that has it, StoreError for a directory that
    can't be used.
    """
    try:
        path.mkdir(mode=0o711, parents=True, exist_ok=True)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
            fresh = path / "fingerprint.key.new"
            fresh.touch(mode=0o600)
            fresh.write_bytes(secrets.token_bytes(KEY_BYTES))
            fresh.replace(file)
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
        if not file.exists():
            fresh = path / "instance.new"
            fresh.write_text(secrets.token_hex(8))
            fresh.replace(file)
        own = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{file}: the state directory can't be used: {error}") from error
    return f"{socket.gethostname()}:{own}"


@contextmanager
def as_owner(path: Path) -> Iterator[None]:
    """Let root act as the owner of a directory for a while, others as they are.

    So it leaves nothing there that the owner can't use, and follows no link of the owner's further
    than the owner could. For processes of one thread. Raises StoreError for a root who may not.
    """
    owner = _owner(path)
    if os.geteuid() != 0 or owner is None or owner.st_uid == 0:
        yield
        return
    groups, group = os.getgroups(), os.getegid()
    try:
        os.setgroups([owner.st_gid])
        os.setegid(owner.st_gid)
        os.seteuid(owner.st_uid)
    except OSError as error:  # in a sandbox without capabilities; nothing is done as this process
        raise StoreError(f"{path}: can't act as its owner: {error.strerror}") from error
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def _owner(path: Path) -> os.stat_result | None:
    """Return the status of a directory, None where there is none or it is out of sight."""
    try:
        return path.stat()
    except OSError:
        return None
