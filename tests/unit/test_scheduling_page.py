"""The page of the schedule's rules names tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = sorted(set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "scheduling.md").read_text())))
SOURCES = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))


@pytest.mark.parametrize("name", NAMED)
def test_each_named_test_exists(name: str) -> None:
    assert f"def {name}(" in SOURCES
