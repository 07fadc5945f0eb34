"""Files that outlive a power cut: whole under their name, or not there (fsync(2), rename(2))."""

import os
from pathlib import Path
from typing import Final

PRIVATE: Final = 0o600


def write_new(
    path: Path, content: bytes, mode: int = PRIVATE, owner: tuple[int, int] | None = None
) -> None:
    """Write a file that is not there yet, and wait until the disk has it; its name comes later.

    It has its owner (user and group id) before it has its mode and content. Raises OSError.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    with open(handle, "wb") as stream:  # noqa: PTH123 - of a descriptor
        status = os.fstat(handle)
        if owner not in (None, (status.st_uid, status.st_gid)):
            os.fchown(handle, *owner)
        os.fchmod(handle, mode)
        stream.write(content)
        stream.flush()
        os.fsync(handle)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file for its owner alone, at once, in place of one that may be there.

    For one writer at a time. Raises OSError.
    """
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)  # of one who was killed here
    write_new(fresh, content)
    fresh.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Wait until the disk has the names in a directory; raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
