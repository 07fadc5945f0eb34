"""`syncd config` and its like as root, as the owner of the state directory, and as nobody."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import reachable_directory

Result = subprocess.CompletedProcess[str]

OWNER, OTHER = 65534, 65533
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may be somebody else")


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a folder with a configuration of root's and a state directory of the owner's."""
    with reachable_directory() as folder:
        state = folder / "state"
        state.mkdir(mode=0o711)
        os.chown(state, OWNER, OWNER)
        main = folder / "syncd.toml"
        main.write_text(f"[daemon]\nstate_dir = '{state}'\n")
        main.chmod(0o644)
        keep(folder, user=OWNER)
        yield folder


_BECOME = """
import os, sys
import syncd.cli.config, syncd.cli.config_diff, syncd.cli.main, syncd.config.restore, rich.cells
import zoneinfo
from datetime import UTC, datetime
from pathlib import Path
from syncd.config.load import load
from syncd.config.versions import Version, Versions, content_digest
folder, user, *words = sys.argv[1:]
zoneinfo.ZoneInfo("UTC")
load(Path(folder, "syncd.toml"), {})
os.setgroups([])
os.setresgid(*[int(user)] * 3)
os.setresuid(*[int(user)] * 3)
"""
"""The interpreter may be where only root can go: it has all that it needs before it is another."""

_KEEP = """
folder = Path(folder)
versions = Versions(folder / "state")
files = {"syncd.toml": (folder / "syncd.toml").read_bytes()}
with versions.locked():
    number = versions.largest() + 1
    now = datetime.now(UTC).replace(microsecond=0)
    whole = content_digest(files)
    versions.write(Version(number, now, "the start", "d", whole, "syncd.toml"), files)
"""
_COMMAND = """
sys.argv[1:] = words
syncd.cli.main.main()
"""


def run(script: str, folder: Path, user: int, *words: str) -> Result:
    return subprocess.run(
        [sys.executable, "-c", _BECOME + script, str(folder), str(user), *words],
        check=False, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def keep(folder: Path, user: int) -> None:
    done = run(_KEEP, folder, user)
    assert done.returncode == 0, done.stderr


def syncd(folder: Path, *words: str, user: int = 0) -> Result:
    return run(_COMMAND, folder, user, "--config", str(folder / "syncd.toml"), *words)


def test_what_root_keeps_belongs_to_the_owner_of_the_directory(place: Path) -> None:
    before = (place / "syncd.toml").read_text()
    (place / "syncd.toml").write_text(before + "# changed\n")
    done = syncd(place, "config", "restore", "1", "--yes")
    assert done.returncode == 0, done.stderr
    assert (place / "syncd.toml").read_text() == before
    assert (place / "syncd.toml").stat().st_uid == 0
    for path in (place / "state").rglob("*"):
        assert (path.stat().st_uid, path.stat().st_gid) == (OWNER, OWNER), path
    keep(place, user=OWNER)  # goes on
    assert "in force" in syncd(place, "config", "history", user=OWNER).stdout.splitlines()[1]


def test_who_may_not_is_told_so(place: Path) -> None:
    for words in (("history",), ("diff", "1"), ("restore", "1", "--yes")):
        done = syncd(place, "config", *words, user=OTHER)
        assert done.returncode == 69, done
        assert "only the owner of" in done.stderr
        assert "Traceback" not in done.stderr
    (place / "syncd.toml").write_text((place / "syncd.toml").read_text() + "# changed\n")
    changed = (place / "syncd.toml").read_text()
    done = syncd(place, "config", "restore", "1", "--yes", user=OWNER)
    assert done.returncode == 1, done
    assert "syncd.toml: can't be replaced: Permission denied" in done.stderr
    assert (place / "syncd.toml").read_text() == changed


def test_root_follows_no_link_of_the_owners_to_what_the_owner_can_not_read(place: Path) -> None:
    (place / "secret").mkdir(mode=0o700)
    (place / "state" / "config").rename(place / "secret" / "config")
    (place / "state" / "config").symlink_to(place / "secret" / "config")
    done = syncd(place, "config", "diff", "1")
    assert done.returncode == 69, done
    assert "Permission denied" in done.stderr


@pytest.mark.parametrize(
    ("folder", "words", "status"),
    [("logs", ("logs", "0123"), 69), ("backups", ("backup", "list"), 1)],
)
def test_nor_does_it_follow_one_to_logs_or_dumps(
    place: Path, folder: str, words: tuple[str, ...], status: int
) -> None:
    secret = place / "secret"
    secret.mkdir(mode=0o700)
    (secret / folder).mkdir()
    (place / "state" / folder).symlink_to(secret / folder)
    done = syncd(place, *words)
    assert done.returncode == status, done
    assert "Permission denied" in done.stderr
    assert "Traceback" not in done.stderr
