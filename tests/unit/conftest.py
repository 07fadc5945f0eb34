"""What every unit test is given."""

import pytest

from syncd.config import secrets


@pytest.fixture(autouse=True)
def no_secret_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test mask what another one has read: a secret of theirs may be a word here."""
    monkeypatch.setattr(secrets, "_known", set())
    monkeypatch.setattr(secrets, "_lent", {})
