"""Checks of the embedded store's place on the disk, and of what its server has logged."""

import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from syncd.doctor.case import Case
from syncd.doctor.files import User
from syncd.doctor.finding import Finding, Unknown, failed, ok, warning
from syncd.store.embedded.binaries import find_binaries
from syncd.store.embedded.cluster import Cluster

_TAIL: Final = 256 * 1024  # bytes of each log
_CRASH: Final = re.compile(
    r"^(\S+ \S+) UTC .*(?:not properly shut down|terminated by signal|PANIC:)", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Directory:
    """The data directory as it lies there."""

    path: Path
    mode: int
    uid: int
    major: str


def begun(case: Case) -> float:
    """Return when the store was made, in seconds since 1970; raises Unknown."""
    version = _data(case) / "PG_VERSION"
    try:
        return version.stat().st_mtime
    except OSError as error:
        raise Unknown(f"{version} can't be looked at: {error.strerror}") from error


def _data(case: Case) -> Path:
    """Return the data directory; raises Unknown where there is none."""
    if not case.config.store.embedded:
        raise Unknown("the store is not the embedded one")
    data = Cluster(case.state_dir / "postgresql").data
    try:
        made = (data / "PG_VERSION").exists()
    except OSError as error:
        raise Unknown(f"{data} can't be looked at: {error.strerror}") from error
    if not made:
        raise Unknown("the store is not made yet: the first start of the daemon makes it")
    return data


def directory(case: Case) -> Finding:
    """Look at the data directory."""
    data = _data(case)
    try:
        status, major = data.stat(), (data / "PG_VERSION").read_text().strip()
    except OSError as error:
        raise Unknown(f"{data} can't be looked at: {error.strerror}") from error
    found = Directory(data, stat.S_IMODE(status.st_mode), status.st_uid, major)
    return judge_directory(found, find_binaries().major)


def judge_directory(found: Directory, installed: str) -> Finding:
    """Judge owner, mode and major version of the data."""
    if found.major != installed:
        return failed(
            f"data of PostgreSQL {found.major}, and PostgreSQL {installed} is installed",
            f"move {found.path} away and run `syncd backup restore latest`",
        )
    if found.mode & 0o027:  # its group may read (initdb --allow-group-access)
        return failed(
            f"mode {found.mode:04o}: PostgreSQL refuses to start", f"chmod 0700 {found.path}"
        )
    if found.uid == 0:
        return failed("root owns it", f"chown -R the service's user {found.path}")
    return ok(f"PostgreSQL {found.major}, mode {found.mode:04o}, owner {User.of(found.uid).name}")


def crash(case: Case) -> Finding:
    """Look for crashes in the logs, which hold a week."""
    folder = _data(case).parent / "log"
    try:
        texts = [_tail(path) for path in folder.glob("*.log")]
    except OSError as error:
        raise Unknown(f"{folder} can't be read: {error.strerror}") from error
    return judge_crashes(texts)


def judge_crashes(logs: Sequence[str]) -> Finding:
    """Judge the texts of the logs."""
    moments = sorted(moment for text in logs for moment in _CRASH.findall(text))
    if moments:
        return warning(
            f"{len(moments)} in the last week, the last one {moments[-1][:19]} UTC",
            "nothing is lost; look for a full disk, too little memory, or a kill -9",
        )
    return ok("none in the last week")


def _tail(path: Path) -> str:
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - _TAIL))
        return stream.read(_TAIL).decode(errors="replace")
