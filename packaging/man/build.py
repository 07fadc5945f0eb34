"""Make the manual pages: what is written by hand in *.in, and what the program knows of itself.

`build.py` writes them beside this file; `build.py --check` only tells whether they are as they
would be written.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import commands
import keys
import metrics
import pages

from syncd import __version__

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
PAGES: Final = ("syncd.8", "syncd.toml.5", "syncd-control.7", "syncd-metrics.7")

FILLED: Final[Mapping[str, Callable[[], Iterator[str]]]] = {
    "commands": commands.commands,
    "whole file": keys.whole_file,
    "tables": keys.tables,
    "account": keys.account,
    "server": keys.server,
    "token": keys.token,
    "channels": keys.channels,
    "job": keys.job,
    "kinds": keys.kinds,
    "metrics": metrics.metrics,
    "control": lambda: pages.sections(ROOT / "docs" / "control.md", "DESCRIPTION"),
}
"""What stands in place of a line `.\\" @NAME@`."""

_UNBROKEN: Final = (".nr HY 0", ".nh", ".if n .ad l")
"""What keeps names, paths and options whole, to be copied."""


def page(name: str) -> str:
    """Return a manual page."""
    lines = [f'.\\" Made from {name}.in by packaging/man/build.py (make man).']
    for line in (HERE / f"{name}.in").read_text().splitlines():
        marker = line.removeprefix('.\\" @').removesuffix("@")
        if marker in FILLED and line != marker:
            lines += FILLED[marker]()
        else:
            lines.append(line.replace("@VERSION@", __version__))
            lines += _UNBROKEN if line.startswith(".TH") else ()
    return "\n".join(_tidy(lines)) + "\n"


def _tidy(lines: list[str]) -> Iterator[str]:
    """Yield the lines without paragraphs that begin where a section does."""
    before = ""
    for line in lines:
        if not (line == ".PP" and before.startswith((".SH", ".SS"))):
            yield line
        before = line


def main() -> int:
    """Write the pages, or compare them."""
    outdated = [name for name in PAGES if _written(name) != page(name)]
    if "--check" in sys.argv[1:]:
        for name in outdated:
            print(f"packaging/man/{name} is not what it would be made; run: make man")  # noqa: T201
        return 1 if outdated else 0
    for name in outdated:
        (HERE / name).write_text(page(name))
    return 0


def _written(name: str) -> str:
    file = HERE / name
    return file.read_text() if file.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
