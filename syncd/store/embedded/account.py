"""The operating system account of the server: PostgreSQL refuses to run as root."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from syncd.errors import ConfigurationError

UNPRIVILEGED: Final = ("syncd", "postgres", "nobody")

_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
_CLOSED: Final = 'for p; do test -x "$p" || { printf %s "$p"; exit; }; done'


@dataclass(frozen=True, slots=True)
class Account:
    """The account that the server's processes run under; `switch` when it is not our own."""

    name: str
    uid: int
    gid: int
    switch: bool

    def spawn(
        self, command: list[str | Path], log: int, *inherited: int
    ) -> subprocess.Popen[bytes]:
        """Start a command in a session of its own, so that no signal meant for syncd reaches it."""
        return subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=inherited,
            cwd="/",
            env=_ENVIRONMENT,
            start_new_session=True,
            umask=0o077,
            user=self.uid if self.switch else None,
            group=self.gid if self.switch else None,
            extra_groups=[] if self.switch else None,
        )

    def run(self, command: list[str | Path], log: IO[bytes], seconds: float) -> int:
        """Run a command to its end and return its exit status; raise TimeoutExpired."""
        with self.spawn(command, log.fileno()) as process:
            try:
                return process.wait(timeout=max(seconds, 0.001))
            except subprocess.TimeoutExpired:
                process.kill()
                raise

    def own(self, directory: Path) -> Path:
        """Make a directory that only this account can use, unless it is there."""
        directory.mkdir(mode=0o700, exist_ok=True)
        if self.switch:
            os.chown(directory, self.uid, self.gid, follow_symlinks=False)
        return directory

    def closed(self, path: Path) -> Path | None:
        """Return the outermost part of a path that this account may not search or execute."""
        if not self.switch:
            return None
        answer = subprocess.run(  # noqa: S603
            ["/bin/sh", "-c", _CLOSED, "sh", *reversed(path.parents), path],
            stdout=subprocess.PIPE,
            check=True,
            cwd="/",
            env=_ENVIRONMENT,
            user=self.uid,
            group=self.gid,
            extra_groups=[],
        )
        return Path(os.fsdecode(answer.stdout)) if answer.stdout else None


def choose_account(*places: Path) -> Account:
    """Return the server's account: our own, or for root an unprivileged one.

    For root it is the owner of the first of the places that exists and is not root's, so that data
    stay with their owner; else the first known name. Raises ConfigurationError when there is none.
    """
    if os.geteuid() != 0:
        return _account(_entry(os.geteuid()), switch=False)
    owners = (place.stat().st_uid for place in places if place.exists())
    for uid in owners:
        if uid != 0:
            return _account(_entry(uid), switch=True)
    return _account(_first_known(), switch=True)


def our_name() -> str:
    """Return the name of the account that syncd itself runs under."""
    return _entry(os.geteuid()).pw_name


def _account(entry: pwd.struct_passwd, *, switch: bool) -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, switch)


def _entry(uid: int) -> pwd.struct_passwd:
    """Return the passwd entry of a user: PostgreSQL does not run without one."""
    try:
        return pwd.getpwuid(uid)
    except KeyError as error:
        raise ConfigurationError(
            f"user id {uid} has no name on this system, which the embedded store requires:"
            " add it to the passwd database, or set store.dsn"
        ) from error


def _first_known() -> pwd.struct_passwd:
    """Return the first unprivileged account that exists."""
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in UNPRIVILEGED:
        if name in known:
            return known[name]
    raise ConfigurationError(
        "PostgreSQL does not run as root, and there is none of the accounts"
        f" {', '.join(UNPRIVILEGED)}: create one, or set store.dsn"
    )
