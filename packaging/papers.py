"""The papers of the package: control file, copyright, changelog, all made from what is packaged."""

import gzip
import re
import subprocess
import time
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path
from typing import Final

MAINTAINER: Final = "The syncd authors <syncd@syncd.example>"

_CONTROL: Final = """\
Package: syncd
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Installed-Size: {kilobytes}
Depends: {depends}
Recommends: tzdata
Section: admin
Priority: optional
Description: daemon that keeps an inventory of clouds true in PostgreSQL
 syncd lists the hosts of Alibaba Cloud and Tencent Cloud accounts, and the
 accounts and sizes of PostgreSQL and MySQL servers, on a schedule, compares
 them with what it knows, and records what was added, changed and deleted.
 It calls HTTP endpoints in place of cron and curl, and tells people of what
 fails. It needs one configuration file, brings its own PostgreSQL or uses
 yours, and is looked at with a few commands, SQL and Prometheus.
 .
 It is installed as a systemd service, with its Python packages in an
 environment of their own under /opt/syncd.
"""

_COPYRIGHT: Final = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: syncd
Comment: syncd and the packages that it is installed with, under /opt/syncd; the texts of their
 licenses are in the *.dist-info directories there.

Files: *
Copyright: 2026 the syncd authors
License: Apache-2.0

License: Apache-2.0
 The text is in /usr/share/common-licenses/Apache-2.0.
"""
_BUNDLED: Final = """\

Files: {files}
Copyright: {copyright}
License: {license}
 {name} {version}; its text is in {home}.
"""


def control(root: Path, version: str, architecture: str, python: str, work: Path) -> str:
    """Return the control file of a tree that is complete."""
    size = sum(path.stat().st_size for path in root.rglob("*") if not path.is_symlink())
    depends = [
        f"python{python}",
        "ca-certificates",
        "systemd | systemd-standalone-sysusers",
        "systemd | systemd-standalone-tmpfiles",
        *_libraries(root, work),
    ]
    return _CONTROL.format(
        version=version,
        architecture=architecture,
        maintainer=MAINTAINER,
        kilobytes=-(-size // 1024),
        depends=", ".join(depends),
    )


def copyright_file(packages: Path, home: Path) -> str:
    """Return the copyright file: what is bundled, under which license, and where its text is."""
    return _COPYRIGHT + "".join(_BUNDLED.format(**entry) for entry in _bundled(packages, home))


def changelog(version: str, epoch: int) -> str:
    """Return a changelog in Debian's form; what changed stands in CHANGELOG.md beside it."""
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(epoch))
    return (
        f"syncd ({version}) stable; urgency=medium\n\n"
        f"  * Built from {version}; CHANGELOG.md.gz tells what changed.\n\n"
        f" -- {MAINTAINER}  {date}\n"
    )


def write_compressed(path: Path, text: str) -> None:
    """Write a .gz file that is the same in each build."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))


def _libraries(root: Path, work: Path) -> list[str]:
    """Return Debian's packages of the shared libraries that what is under `root` is linked with."""
    elves = [path for path in root.rglob("*") if not path.is_symlink() and _is_elf(path)]
    (root / "DEBIAN").mkdir()  # a sign to it of where the root is, for libraries found by $ORIGIN
    (work / "debian").mkdir()
    (work / "debian" / "control").write_text("Source: syncd\n\nPackage: syncd\nArchitecture: any\n")
    private = sorted({str(path.parent) for path in elves if ".so" in path.name})
    answer = subprocess.run(
        [
            *("dpkg-shlibdeps", "-O", "--ignore-missing-info"),
            *(f"-l{directory}" for directory in private),
            *(f"-e{path}" for path in elves),
        ],
        cwd=work, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if answer.returncode != 0:
        raise SystemExit(f"dpkg-shlibdeps fails: {answer.stderr.strip().splitlines()[-1]}")
    return sorted(answer.stdout.strip().removeprefix("shlibs:Depends=").split(", "))


def _is_elf(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(4) == b"\x7fELF"


def _bundled(packages: Path, home: Path) -> Iterator[dict[str, str]]:
    for info in sorted(packages.glob("*.dist-info")):
        metadata = HeaderParser().parsestr((info / "METADATA").read_text())
        name = metadata["Name"]
        if name == "syncd":
            continue
        license_name = metadata["License-Expression"] or _short(metadata["License"]) or "other"
        yield {
            "name": name,
            "version": metadata["Version"],
            "copyright": metadata["Author"] or metadata["Author-email"] or f"the {name} authors",
            "license": re.sub(r"[^A-Za-z0-9.+]+", "-", license_name),
            "files": f"{home}/{info.name.partition('-')[0]}*",
            "home": f"{home}/{info.name}",
        }


def _short(text: str | None) -> str:
    """Return a license's name, where the field holds one rather than the whole text."""
    line = (text or "").strip().splitlines()[:1]
    return line[0] if line else ""
