"""What the state directory keeps for good."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from databases import reachable_directory

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


def test_an_instance_keeps_its_name_and_an_emptied_one_gets_another(tmp_path: Path) -> None:
    with locked(tmp_path) as name:
        pass
    with locked(tmp_path) as again:
        assert again == name
    (tmp_path / "instance").write_text("")
    with locked(tmp_path) as other:
        assert len(other.partition(":")[2]) == 16
        assert other != name


_ACT = """
import os, sys
from pathlib import Path
from syncd.state_dir import as_owner, become_owner, locked
place = Path(sys.argv[1])
with as_owner(place):
    (place / "for-a-while").touch()
(place.parent / "between").touch()
become_owner(place)
with locked(place):
    print(os.getresuid(), os.getresgid(), os.getgroups())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be somebody else")
@pytest.mark.parametrize("owner", [65534, 65533])
def test_root_acts_as_the_owner_of_a_directory_who_needs_no_name(owner: int) -> None:
    with reachable_directory() as folder:
        place = folder / "state"
        place.mkdir()
        os.chown(place, owner, owner)
        done = subprocess.run(
            [sys.executable, "-c", _ACT, str(place)], capture_output=True, text=True, check=False
        )
        assert done.stdout == f"{(owner,) * 3} {(owner,) * 3} [{owner}]\n", done.stderr
        assert {each.stat().st_uid for each in place.iterdir()} == {owner}
        assert (folder / "between").stat().st_uid == 0


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "lock").symlink_to(victim)
    with pytest.raises(StoreError, match="can't be used"), locked(tmp_path / "state"):
        pass
    assert victim.read_text() == "precious"
