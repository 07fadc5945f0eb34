"""Checks of the disk under the state directory, and of what lies there."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from syncd.doctor import embedded
from syncd.doctor.case import Case, now
from syncd.doctor.finding import Finding, Unknown, failed, many, ok, size, span, warning
from syncd.errors import SyncdError
from syncd.store.backups import Backups
from syncd.telemetry.run_logs import RunLogs

_LITTLE: Final = 0.1  # of a disk
_FEW: Final = 0.05  # of its inodes
_YOUNG: Final = 86_400.0  # seconds, of a store that no nightly job has met yet
_OLD: Final = 3 * 86_400.0  # seconds, of the newest dump


@dataclass(frozen=True, slots=True)
class Space:
    """A file system: bytes and inodes, those that are free for us and all."""

    free: int
    total: int
    inodes_free: int
    inodes: int
    read_only: bool


def _space(case: Case) -> Space:
    place = case.state_dir
    try:
        while not place.exists():  # made at the first start, on the disk of what is there
            place = place.parent
        found = os.statvfs(place)
    except OSError as error:
        raise Unknown(f"{place} can't be looked at: {error.strerror}") from error
    return Space(
        found.f_bavail * found.f_frsize,
        found.f_blocks * found.f_frsize,
        found.f_favail,
        found.f_files,
        bool(found.f_flag & os.ST_RDONLY),
    )


def space(case: Case) -> Finding:
    """Look at the free space."""
    return judge_space(_space(case), case.config.daemon.min_free_disk, case.state_dir)


def judge_space(found: Space, least: int, place: Path) -> Finding:
    """Judge the free space against the limit below which no run starts."""
    share = found.free / found.total if found.total else 1.0
    text = f"{size(found.free)} free ({share:.0%})"
    advice = f"make room on the disk of {place}"
    if found.free < least:
        return failed(f"{text}; below min_free_disk, {size(least)}: no run starts", advice)
    return warning(text, advice) if share < _LITTLE else ok(text)


def inodes(case: Case) -> Finding:
    """Look at the free inodes."""
    return judge_inodes(_space(case), case.state_dir)


def judge_inodes(found: Space, place: Path) -> Finding:
    """Judge how many files can still be made."""
    if not found.inodes:
        return ok("this file system has no fixed number of them")
    text = f"{found.inodes_free:,} free ({found.inodes_free / found.inodes:.0%})"
    if found.inodes_free == 0:
        return failed(text, f"remove files from the disk of {place}")
    few = found.inodes_free / found.inodes < _FEW
    return warning(text, f"remove files from the disk of {place}") if few else ok(text)


def writable(case: Case) -> Finding:
    """Write a file into the state directory, and remove it."""
    if _space(case).read_only:
        return failed("the file system is mounted read-only", "see dmesg, and mount it read-write")
    if not case.state_dir.exists():
        raise Unknown(f"{case.state_dir} is not made yet: the first start of the daemon makes it")
    try:
        with tempfile.NamedTemporaryFile(dir=case.state_dir, prefix=".doctor-") as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        advice = f"see who owns {case.state_dir}, and that its disk is well"
        return failed(f"a file can't be written: {error.strerror}", advice)
    return ok("a file was written and removed")


def outbox(case: Case) -> Finding:
    """Count the records that the store is owed."""
    if case.daemon is not None:
        return judge_outbox(case.daemon["status"]["outbox_records"])
    path = case.state_dir / "outbox" / "records"
    try:
        content = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise Unknown(f"{path} can't be read: {error.strerror}") from error
    return judge_outbox(content.split(b"\0", 1)[0].count(b"\n"))


def judge_outbox(count: int) -> Finding:
    """Judge the number of records that wait for the store."""
    if count:
        return warning(f"{count} wait for the store", "nothing, once the daemon reaches the store")
    return ok("none waits for the store")


def backups(case: Case) -> Finding:
    """Look for the newest dump of the embedded store."""
    if not case.config.store.embedded:
        raise Unknown("only the embedded store is dumped by syncd")
    try:
        dumps = Backups(case.state_dir).dumps()
    except SyncdError as error:
        raise Unknown(str(error)) from error
    moment, begun = now(), embedded.begun(case)
    regular = [dump.made_at for dump in dumps if dump.kind == "syncd"]
    made = [each.timestamp() for each in regular if each <= moment]  # by a clock that was right
    enabled = any(job.kind == "backup" for job in case.config.enabled_jobs().values())
    return judge_backups(made, begun, moment.timestamp(), enabled=enabled)


def judge_backups(made: Sequence[float], begun: float, moment: float, *, enabled: bool) -> Finding:
    """Judge the age of the newest dump; all times, the store's beginning too, since 1970."""
    advice = "syncd backup" if enabled else "enable a job of kind backup"
    if not made and enabled and moment - begun < _YOUNG:
        return ok("none yet: the store was made a short while ago")
    if not made:
        return warning("there is no dump of the store", advice)
    age = moment - max(made)
    text = f"{len(made)}, the newest {span(age)} old"
    return warning(text, advice) if age > _OLD else ok(text)


def logs(case: Case) -> Finding:
    """Look at the folder of the runs' logs."""
    folder = RunLogs(case.state_dir).path
    try:
        sizes = [each.lstat().st_size for each in folder.iterdir()]
    except FileNotFoundError as error:
        raise Unknown("no run has left one yet, or one was just removed") from error
    except OSError as error:
        raise Unknown(f"{folder} can't be looked at: {error.strerror}") from error
    if not folder.exists():
        raise Unknown("no run has left one yet")
    if not os.access(folder, os.W_OK) and case.daemon is not None:
        return failed(f"{folder} can't be written", f"chown it to {case.user.name}")
    return ok(f"{many(len(sizes), 'file')}, {size(sum(sizes))}")
