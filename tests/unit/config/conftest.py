"""The fixtures of the configuration's tests."""

import pytest
from config_folder import Folder

from syncd.config import secrets


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Give a folder; the secrets that its files hold are masked in no other test."""
    monkeypatch.setattr(secrets, "_known", set())
    monkeypatch.setattr(secrets, "_lent", {})
    return Folder(tmp_path)
