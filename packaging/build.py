"""Build dist/syncd_<version>_<architecture>.deb: `make package`.

With Debian's own tools (dpkg-deb, dpkg-shlibdeps) and the packages that requirements/run.txt locks
by their hashes. The same sources give the same file, byte by byte: every time in it is that of the
last commit (or SOURCE_DATE_EPOCH, or else of CHANGELOG.md), every file root's, every list sorted.

PACKAGE_PYTHON is the version of the target's interpreter (3.11, Debian 12's), PACKAGE_VERSION
another version than that of the sources.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import papers
from environment import build_environment

SOURCE: Final = Path(__file__).resolve().parent.parent
OUTPUT: Final = SOURCE / "dist"

_DOC: Final = Path("usr/share/doc/syncd")
_CONFFILE_MODE: Final = 0o640  # of root and, after postinst, the group syncd: secrets may be inline
_CLOSED: Final = ("etc/syncd", "etc/syncd/conf.d")

_PLACES: Final = {
    "systemd/syncd.service": "usr/lib/systemd/system/syncd.service",
    "systemd/syncd.sysusers": "usr/lib/sysusers.d/syncd.conf",
    "systemd/syncd.tmpfiles": "usr/lib/tmpfiles.d/syncd.conf",
    "systemd/notify-reload.conf": f"{_DOC}/examples/notify-reload.conf",
    "etc/syncd.toml": "etc/syncd/syncd.toml",
    "packaging/conf.d.README": "etc/syncd/conf.d/README",
    "packaging/debian/lintian-overrides": "usr/share/lintian/overrides/syncd",
}
_PLACES_WHERE_PRESENT: Final = {
    "etc/conf.d/*": f"{_DOC}/examples/conf.d",
    "packaging/completions/syncd.bash": "usr/share/bash-completion/completions/syncd",
    "packaging/completions/_syncd": "usr/share/zsh/vendor-completions/_syncd",
    "packaging/completions/syncd.fish": "usr/share/fish/vendor_completions.d/syncd.fish",
    "packaging/prometheus/*.rules.yml": "usr/share/syncd/prometheus",
    "packaging/grafana/*.json": "usr/share/syncd/grafana",
}


def main() -> None:
    """Build the package and print where it is."""
    python = os.environ.get("PACKAGE_PYTHON") or "3.11"
    version = os.environ.get("PACKAGE_VERSION") or _version()
    architecture = _output("dpkg", "--print-architecture")
    os.environ["SOURCE_DATE_EPOCH"] = str(_epoch())  # of dpkg-deb and setuptools too
    with tempfile.TemporaryDirectory(prefix="syncd-package-") as temporary:
        root, work = Path(temporary, "root"), Path(temporary, "work")
        work.mkdir()
        packages = build_environment(SOURCE, root, work, python, architecture)
        install_files(SOURCE, root)
        _write_papers(root, packages, version)
        normalise(root)
        text = papers.control(root, version, architecture, python, work)
        _write_control(root, text)
        print(_pack(root, f"syncd_{version}_{architecture}.deb"))  # noqa: T201


def install_files(source: Path, root: Path) -> None:
    """Put what is not the program itself in its place; all of it but the manual as it stands."""
    for name, place in _PLACES.items():
        _copy(source / name, root / place)
    for pattern, place in _PLACES_WHERE_PRESENT.items():
        for path in sorted(source.glob(pattern)):
            _copy(path, root / place / path.name if "*" in pattern else root / place)
    for page in sorted(source.glob("packaging/man/*.[1-8]")):
        target = root / "usr/share/man" / f"man{page.suffix[1:]}" / f"{page.name}.gz"
        papers.write_compressed(target, page.read_text())


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _write_papers(root: Path, packages: Path, version: str) -> None:
    doc = root / _DOC
    home = Path("/", packages.relative_to(root))
    (doc / "copyright").write_text(papers.copyright_file(packages, home))
    papers.write_compressed(doc / "changelog.gz", papers.changelog(version, _epoch()))
    papers.write_compressed(doc / "CHANGELOG.md.gz", (SOURCE / "CHANGELOG.md").read_text())
    for path in sorted(SOURCE.glob("docs/*.md")):
        if path.name != "decisions.md":
            _copy(path, doc / path.name)


def normalise(root: Path) -> None:
    """Give everything the rights and the time that it is to have."""
    for path in root.rglob("*"):
        if not path.is_symlink():
            path.chmod(_mode(path, path.relative_to(root)))
    for path in (*root.rglob("*"), root):
        os.utime(path, (_epoch(), _epoch()), follow_symlinks=False)


def _mode(path: Path, place: Path) -> int:
    if path.is_dir():
        return 0o750 if place.as_posix() in _CLOSED else 0o755
    if place.parts[0] == "etc":
        return _CONFFILE_MODE
    return 0o755 if place.parent.name == "bin" else 0o644


def _write_control(root: Path, control: str) -> None:
    """Write the DEBIAN directory; the sums and the conffiles are those of the tree."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    names = {path: path.relative_to(root).as_posix() for path in files}
    sums = {
        name: hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        for path, name in names.items()
    }
    conffiles = [name for name in sums if name.startswith("etc/")]
    lines = [f"{digest}  {name}\n" for name, digest in sums.items() if name not in conffiles]
    place = root / "DEBIAN"
    (place / "control").write_text(control)
    (place / "conffiles").write_text("".join(f"/{name}\n" for name in conffiles))
    (place / "md5sums").write_text("".join(lines))
    for script in ("postinst", "prerm", "postrm"):
        shutil.copyfile(SOURCE / "packaging" / "debian" / script, place / script)
    for path in place.iterdir():
        path.chmod(0o755 if path.name in ("postinst", "prerm", "postrm") else 0o644)


def _pack(root: Path, name: str) -> Path:
    """Make the file, whole or not at all."""
    OUTPUT.mkdir(exist_ok=True)
    unfinished = OUTPUT / f".{name}"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(root), str(unfinished)],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return unfinished.replace(OUTPUT / name)


def _version() -> str:
    """Return the version of the sources, without importing them."""
    text = (SOURCE / "syncd" / "__init__.py").read_text()
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    if found is None:
        raise SystemExit("syncd/__init__.py has no __version__")
    return found[1]


def _epoch() -> int:
    """Return the time of everything in the package."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        return int(given or _output("git", "-C", str(SOURCE), "log", "-1", "--format=%ct"))
    except (OSError, subprocess.CalledProcessError):  # not a checkout, or somebody else's
        return int((SOURCE / "CHANGELOG.md").stat().st_mtime)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    main()
