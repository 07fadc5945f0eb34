"""A bare Debian 12 as a folder: made by debootstrap, kept outside the work tree, copied for use.

What `apt install` will ask for is downloaded into it too, so that the machine that is booted from
it needs no network.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

SUITE = "bookworm"
BARE = ("systemd", "systemd-sysv", "dbus", "ca-certificates")
CACHE = Path(os.environ.get("SYNCD_SYSTEM_TEST_CACHE", "/var/cache/syncd-system-test"))


def bare_root(wanted: Sequence[str]) -> Path:
    """Return the folder of a bare Debian 12 that has the packages `wanted` ready to be installed.

    It must not be changed: `copy_root` gives one that may be.
    """
    recipe = Path(__file__).read_text() + "\n".join(sorted(wanted))
    name = f"{SUITE}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    root = CACHE / name
    if root.exists():
        return root
    for old in CACHE.glob(f"{SUITE}-*"):
        shutil.rmtree(old)
    CACHE.mkdir(parents=True, exist_ok=True)
    fresh = CACHE / f"{name}.new"
    if fresh.exists():
        shutil.rmtree(fresh)
    _run("debootstrap", "--variant=minbase", f"--include={','.join(BARE)}", SUITE, str(fresh))
    apt = ("chroot", str(fresh), "apt-get", "--quiet", "--yes")
    _run(*apt, "update")
    _run(*apt, "--download-only", "--no-install-recommends", "install", *wanted)
    return fresh.rename(root)


def copy_root(root: Path, place: Path) -> Path:
    """Copy a root to a folder that does not exist yet."""
    _run("cp", "--archive", "--reflink=auto", str(root), str(place))
    return place


def _run(*command: str) -> None:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
