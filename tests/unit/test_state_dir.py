"""What the state directory keeps for good."""

import stat
from pathlib import Path

import pytest

from syncd.errors import StoreError
from syncd.state_dir import fingerprint_key, locked


def test_the_key_is_made_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    with locked(directory):
        key = fingerprint_key(directory)
        assert len(key) == 32
        assert fingerprint_key(directory) == key
    file = directory / "fingerprint.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {each.name for each in directory.iterdir()} == {"lock", "instance", file.name}
    with locked(tmp_path / "other"):
        assert fingerprint_key(tmp_path / "other") != key


def test_what_a_crash_left_half_written_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "fingerprint.key.new").write_bytes(b"half")
    assert len(fingerprint_key(tmp_path)) == 32


def test_a_damaged_key_is_told_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "fingerprint.key").write_bytes(b"short")
    with pytest.raises(StoreError, match=r"fingerprint.key is damaged; remove it"):
        fingerprint_key(tmp_path)


def test_a_file_that_keeps_the_directory_from_being_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with (
        pytest.raises(StoreError, match=r"can't be used: Is a directory \(.*/lock\)"),
        locked(tmp_path),
    ):
        pass
