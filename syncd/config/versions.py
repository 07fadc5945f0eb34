"""The copies of configurations in `state_dir/config`, a directory each: `7-20260301T120000Z`.

A directory gets its name only when all of it is on the disk, and loses it before it is removed, so
that whoever reads finds whole versions, however a process that wrote them ended.
"""

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from syncd.config.files import CONF_D
from syncd.durable import sync_directory, write_new
from syncd.errors import NotFound, StoreError

KEPT: Final = 100
"""Versions in the directory; older ones are removed, but never the one in force."""

_NAME: Final = re.compile(r"([1-9][0-9]{0,8})-[0-9]{8}T[0-9]{6}Z", re.ASCII)
_ABOUT: Final = ".version.json"
_NEW, _OLD = ".new-", ".old-"


@dataclass(frozen=True, slots=True)
class Version:
    """What is known of a copy; `digest` is of its meaning, `content` the SHA-256 of its files.

    One without `digest` was taken up by no daemon: `syncd config restore` kept it.
    """

    number: int
    kept_at: datetime
    by: str
    digest: str | None
    content: str
    main: str

    @property
    def accepted(self) -> bool:
        """Tell whether a daemon took it up."""
        return self.digest is not None

    @property
    def directory(self) -> str:
        """Return the name of its directory."""
        return f"{self.number}-{self.kept_at:%Y%m%dT%H%M%SZ}"


def content_digest(files: Mapping[str, bytes]) -> str:
    """Return the SHA-256, in hex, of files and their names."""
    whole = hashlib.sha256()
    for name, content in sorted(files.items()):
        for part in (os.fsencode(name), content):
            whole.update(b"%d:" % len(part) + part)
    return whole.hexdigest()


def in_force(versions: list[Version]) -> Version | None:
    """Return the last one that a daemon took up."""
    return next((each for each in reversed(versions) if each.accepted), None)


class Versions:
    """The versions of one state directory. All methods raise StoreError where it can't be used."""

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / "config"

    def all(self) -> list[Version]:
        """Return all versions, by number; one whose description is damaged is left out."""
        return [found for _, name in self._names() if (found := self._about(name))]

    def largest(self) -> int:
        """Return the largest number that is taken, 0 where there is none."""
        return max((number for number, _ in self._names()), default=0)

    def get(self, number: int) -> Version:
        """Return a version; raises NotFound, which names those that exist."""
        versions = self.all()
        for version in versions:
            if version.number == number:
                return version
        there = _ranges([each.number for each in versions])
        raise NotFound(
            f"there is no version {number} in {self.path}; there are: {there}"
            if there
            else f"there is no version in {self.path} yet"
        )

    def files(self, version: Version) -> dict[str, bytes]:
        """Return the files by their names, the main one first; raises StoreError when damaged."""
        place = self.path / version.directory
        with self._usable():
            extra = sorted((place / CONF_D).glob("*.toml"))
            paths = [place / version.main, *extra]
            found = {
                str(each.relative_to(place)): _read(each)
                for each in paths
                if each in extra or each.exists()
            }
        if content_digest(found) != version.content:
            raise StoreError(f"{place} is damaged: its files are not those that were kept")
        return found

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let nobody else write meanwhile; what an interrupted writer left is removed."""
        with self._usable():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with self._usable():
                fcntl.flock(lock, fcntl.LOCK_EX)  # of the directory: no file that root might own
                for each in self.path.iterdir():
                    if each.name.startswith((_NEW, _OLD)):
                        shutil.rmtree(each)
            yield
        finally:
            os.close(lock)

    def write(self, version: Version, files: Mapping[str, bytes]) -> None:
        """Keep a version, under the lock; the oldest ones make room for it."""
        if _ABOUT in files:
            raise StoreError(f"a configuration file named {_ABOUT} can't be kept")
        with self._usable():
            fresh = Path(tempfile.mkdtemp(prefix=_NEW, dir=self.path))
            try:
                _fill(fresh, {**files, _ABOUT: msgspec.json.encode(version) + b"\n"})
                fresh.rename(self.path / version.directory)
            except BaseException:
                with suppress(OSError):
                    shutil.rmtree(fresh)
                raise
            sync_directory(self.path)
        with suppress(StoreError):  # it is kept; what is too old goes with the next one
            self._prune()

    def _prune(self) -> None:
        """Remove what is too old: a removal that is interrupted leaves no half version."""
        current = in_force(self.all())
        with self._usable():
            for number, name in self._names()[:-KEPT]:
                if current is None or number != current.number:
                    gone = self.path / (_OLD + name)
                    (self.path / name).rename(gone)
                    shutil.rmtree(gone)

    def _names(self) -> list[tuple[int, str]]:
        """Return number and name of each version's directory, by number."""
        with self._usable():
            try:
                names = [each.name for each in self.path.iterdir()]
            except FileNotFoundError:
                return []
        return sorted((int(found[1]), name) for name in names if (found := _NAME.fullmatch(name)))

    def _about(self, name: str) -> Version | None:
        with self._usable():
            try:
                found = msgspec.json.decode(_read(self.path / name / _ABOUT), type=Version)
            except (FileNotFoundError, msgspec.MsgspecError):
                return None
        return found if found.directory == name and "/" not in found.main else None

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            place = error.filename or self.path
            raise StoreError(
                f"{place}: {error.strerror}: only the owner of {self.path} and root can use it"
            ) from error
        except OSError as error:
            raise StoreError(f"{error.filename or self.path}: {error.strerror}") from error


def _fill(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write files, for their owner alone, and wait until the disk has them."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_new(path, content)
    for folder in {(directory / name).parent for name in files} | {directory}:
        sync_directory(folder)


def _read(path: Path) -> bytes:
    """Read a file that is no link: root must not follow those of the directory's owner."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as stream:  # noqa: PTH123
        return stream.read()


def _ranges(numbers: list[int]) -> str:
    """Return rising numbers as people write them: `1-5, 7`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)
