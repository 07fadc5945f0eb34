"""`syncd doctor` as a process, and what its report says."""

import json
import os
import subprocess
import sys
from typing import Any

from daemon_helpers import Site, secrets_of

Report = dict[str, Any]


def doctor(place: Site, *options: str, status: int) -> Report:
    """Run the command; return its report, which holds no secret."""
    result = subprocess.run(
        [sys.executable, "-m", "syncd", "--config", str(place.config), "doctor", "--json",
         *options],
        capture_output=True, text=True, timeout=90, check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith("SYNCD_")},
    )  # fmt: skip
    assert result.returncode == status, result.stdout + result.stderr
    assert not any(secret in result.stdout + result.stderr for secret in secrets_of(place))
    report: Report = json.loads(result.stdout)
    return report


def found(report: Report, name: str, subject: str | None = None) -> Report:
    """Return the one row of a check, or of one of its subjects."""
    (row,) = [
        each
        for each in report["checks"]
        if each["name"] == name and subject in (None, each["subject"])
    ]
    return row


def states(report: Report, *names: str) -> dict[str, str]:
    return {name: found(report, name)["state"] for name in names}
