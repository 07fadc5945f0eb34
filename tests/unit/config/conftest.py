"""The fixture of the configuration's tests."""

import pytest
from config_folder import Folder


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)
