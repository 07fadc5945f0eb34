"""Putting the files of a version in place of those that stand there."""

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from syncd.config.files import CONF_D, of_sources, read_files
from syncd.config.load import ConfigInvalid, validate
from syncd.config.source_file import SourceFile
from syncd.durable import PRIVATE, sync_directory, write_new
from syncd.errors import ConfigurationError, SyncdError

_OTHERS: Final = 0o007


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a file goes, and whose it is to be."""

    path: Path
    mode: int
    owner: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Restore:
    """What is to be done to the files beside `main`; names are relative to its folder."""

    main: Path
    written: Mapping[str, bytes]
    removed: tuple[str, ...]

    @property
    def changes_nothing(self) -> bool:
        """Tell whether the files are so already."""
        return not self.written and not self.removed


def current_files(main: Path) -> dict[str, bytes]:
    """Return the files as they are now, valid or not, by name; none where there are none.

    Raises SyncdError when one that stands there can't be read.
    """
    found = read_files(main)
    if found.unread:
        raise SyncdError("\n".join(str(problem) for problem in found.unread))
    return {source.name: source.content for source in found.sources}


def check_valid(main: Path, files: Mapping[str, bytes], what: str) -> None:
    """Raise ConfigurationError, with all problems, if files could not be used in place of `main`.

    Secrets that they refer to are not looked for: the service may have what a shell has not.
    """
    sources = []
    for name, content in files.items():
        with _problems_told(main.parent / name):
            target = _target(main, name)
        open_to_others = bool(target.mode & stat.S_IROTH)
        sources.append(SourceFile(main.parent / name, name, content, open_to_others))
    try:
        validate(main, of_sources(sources))
    except ConfigInvalid as error:
        raise ConfigurationError(f"{what} can't be used by this program:\n{error}") from error


def plan(main: Path, files: Mapping[str, bytes], current: Mapping[str, bytes]) -> Restore:
    """Return what makes the files out of the current ones."""
    return Restore(
        main,
        {name: content for name, content in files.items() if current.get(name) != content},
        tuple(name for name in current if name not in files),
    )


def carry_out(restore: Restore) -> None:
    """Write and remove the files, each at once and with owner and mode of the one it replaces.

    Nothing is replaced before all of them are on the disk. Raises SyncdError.
    """
    folder = restore.main.parent
    if any(name.startswith(CONF_D) for name in restore.written):
        _make_folder(folder / CONF_D)
    staged: list[tuple[Path, Path]] = []
    try:
        for name, content in restore.written.items():
            with _problems_told(folder / name):
                target = _target(restore.main, name)
                staged.append((_beside(target.path), target.path))
                _stage(staged[-1][0], content, target)
        for fresh, path in staged:
            with _problems_told(path):
                fresh.replace(path)
    finally:
        for fresh, _ in staged:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
    for name in restore.removed:
        with _problems_told(folder / name):
            (folder / name).unlink(missing_ok=True)
    for touched in {path.parent for _, path in staged} | {folder / n for n in _folders(restore)}:
        with _problems_told(touched):
            sync_directory(touched)


def _folders(restore: Restore) -> set[Path]:
    return {Path(name).parent for name in restore.removed}


def _target(main: Path, name: str) -> _Target:
    """Return where a file goes; a new one belongs to whom the main one does, closed to others."""
    path = (main.parent / name).resolve()  # a link stays one: what it leads to is replaced
    with suppress(FileNotFoundError):
        return _Target(path, *_manners(path))
    with suppress(FileNotFoundError):
        mode, owner = _manners(main)
        return _Target(path, mode & ~_OTHERS, owner)
    return _Target(path, PRIVATE, _manners(main.parent)[1])


def _manners(path: Path) -> tuple[int, tuple[int, int]]:
    found = path.stat()
    return stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid)


def _beside(path: Path) -> Path:
    """Return a name in the same folder that is no configuration file's."""
    return path.with_name(f".{path.name}.restored")


def _stage(fresh: Path, content: bytes, target: _Target) -> None:
    """Write a file beside the one that it is to replace, and wait until the disk has it."""
    fresh.unlink(missing_ok=True)  # of one who was killed here
    write_new(fresh, content, target.mode, target.owner)


def _make_folder(path: Path) -> None:
    """Make conf.d, if there is none, with owner and mode of the folder that it is in."""
    if path.exists():
        return
    with _problems_told(path):
        mode, owner = _manners(path.parent)
        path.mkdir(mode=mode & 0o755)
        if _manners(path)[1] != owner:
            os.chown(path, *owner)
        sync_directory(path.parent)


@contextmanager
def _problems_told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SyncdError(f"{path}: can't be replaced: {error.strerror}") from error
