"""Files as the configuration names them: who owns them, and who may read them."""

import grp
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from syncd.config.configuration import Config
from syncd.config.references import secret_references, tls_files
from syncd.doctor.finding import Finding, failed, ok, warning

Role = Literal["configuration", "folder", "secret", "certificate"]


@dataclass(frozen=True, slots=True)
class User:
    """The user that the service runs as."""

    name: str
    uid: int
    gids: frozenset[int]

    @classmethod
    def of(cls, uid: int) -> "User":
        """Return a user with its groups."""
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:
            return cls(str(uid), uid, frozenset())
        return cls(entry.pw_name, uid, frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid)))


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file or folder; `error` says why it can't be looked at."""

    path: str
    role: Role
    mode: int = 0
    uid: int = 0
    gid: int = 0
    error: str = ""


def service_user(state_dir: Path) -> User:
    """Return the user of the service: ourselves, or for root the owner of the state directory."""
    uid = os.geteuid()
    if uid == 0 and state_dir.is_dir():
        uid = state_dir.stat().st_uid
    return User.of(uid)


def measure(config: Config) -> list[FileFacts]:
    """Look at the files of a configuration, the `conf.d` beside them and the files it names."""
    folders = {file.parent for file in config.files if file.parent.name == "conf.d"}
    secrets = {each.place for each in secret_references(config).values() if each.source == "file"}
    tls = tls_files(config)
    keys = {str(file) for (*_, key), file in tls.items() if key == "tls_key"}
    certificates = {str(file) for file in tls.values()} - keys
    return [
        *(_look(file, "configuration") for file in config.files),
        *(_look(folder, "folder") for folder in sorted(folders)),
        *(_look(Path(place), "secret") for place in sorted(secrets | keys)),
        *(_look(Path(place), "certificate") for place in sorted(certificates)),
    ]


def judge(file: FileFacts, user: User) -> Finding:
    """Judge who may read and write a file."""
    rights = f"mode {stat.S_IMODE(file.mode):04o}, owner {_name(file.uid)}:{_group(file.gid)}"
    if file.error:
        return failed(file.error, f"make it readable for {user.name}", subject=file.path)
    if file.mode & stat.S_IWOTH and not file.mode & stat.S_ISVTX:
        return failed(
            f"{rights}: anybody may write it", f"chmod o-w {file.path}", subject=file.path
        )
    if not readable(file, user):
        advice = f"chgrp {user.name} {file.path} and chmod g+r it"
        return failed(f"{rights}: {user.name} can't read it", advice, subject=file.path)
    if file.role == "secret" and file.mode & stat.S_IROTH:
        return warning(f"{rights}: others can read it", f"chmod o-r {file.path}", subject=file.path)
    if file.uid not in (0, user.uid):
        return warning(
            f"{rights}: neither root nor {user.name} owns it",
            f"chown root {file.path}: its owner decides what the service does",
            subject=file.path,
        )
    return ok(rights, subject=file.path)


def readable(file: FileFacts, user: User) -> bool:
    """Tell whether a user may read a file by its mode; of a folder, list and enter it."""
    wanted = 0o5 if file.role == "folder" else 0o4
    if user.uid == 0:
        return True
    theirs = file.mode >> 3 if file.gid in user.gids else file.mode
    mode = file.mode >> 6 if file.uid == user.uid else theirs
    return mode & wanted == wanted


def _look(path: Path, role: Role) -> FileFacts:
    try:
        status = path.stat()
    except OSError as error:
        return FileFacts(str(path), role, error=f"can't be looked at: {error.strerror}")
    return FileFacts(str(path), role, status.st_mode, status.st_uid, status.st_gid)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
