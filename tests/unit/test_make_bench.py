"""`make bench` measures everything and fails at the end, naming what missed its goal."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path.stem for path in (ROOT / "tests/benchmarks").glob("[a-z]*.py"))


def bench(directory: Path, *missing: str) -> subprocess.CompletedProcess[str]:
    """Run it with an interpreter that only writes down what it is to run."""
    python = directory / "python"
    failing = "|".join(f"tests.benchmarks.{name}" for name in missing) or "none"
    python.write_text(
        f'#!/bin/sh\necho "$2" >> {directory}/ran\ncase "$2" in {failing}) exit 1;; esac\n'
    )
    python.chmod(0o700)
    # nothing of the make that runs the tests; and the environment is not made anew for this
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    command = ["make", "--old-file=.venv/dev.stamp", f"BIN={directory}", "bench"]
    return subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True, check=False)


def ran(directory: Path) -> list[str]:
    lines = (directory / "ran").read_text().split()
    return [line.removeprefix("tests.benchmarks.") for line in lines]


def test_what_misses_its_goal_is_named_after_all_have_run(tmp_path: Path) -> None:
    told = bench(tmp_path, "copies", "listing")
    assert told.returncode != 0
    assert "a script failed: copies listing\n" in told.stderr
    assert ran(tmp_path) == SCRIPTS


def test_it_succeeds_when_all_goals_are_reached(tmp_path: Path) -> None:
    told = bench(tmp_path)
    assert (told.returncode, told.stderr) == (0, "")
    assert ran(tmp_path) == SCRIPTS
