"""The configuration that the README shows is a valid one, and the files that it names exist."""

import re
from pathlib import Path

from syncd.config.load import load

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_configuration_shown_is_valid(tmp_path: Path) -> None:
    main, fleet, copies, calls = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    file = tmp_path / "syncd.toml"
    file.write_text(main + fleet + copies + calls)
    config = load(file)
    assert list(config.enabled_jobs()) == [
        "hosts", "db-accounts", "db-sizes", "size-rollups", "orders", "orders-check", "stat-daily",
        "retention", "backup",
    ]  # fmt: skip
    assert config.warnings == ()


def test_every_file_that_is_linked_exists() -> None:
    linked = re.findall(r"\]\(([^):]+)\)", README)
    assert linked
    assert [name for name in linked if not (ROOT / name).exists()] == []
