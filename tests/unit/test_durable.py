"""What is written to outlive a power cut."""

import os
import stat
from pathlib import Path

import pytest

from syncd.durable import write_new, write_whole


def test_a_file_gets_its_name_when_the_disk_has_it_and_the_folder_is_written_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced = tmp_path / "key", []
    fsync = os.fsync

    def watched(handle: int) -> None:
        synced.append((str(Path(f"/proc/self/fd/{handle}").readlink()), path.exists()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    write_whole(path, b"new")
    assert synced == [(f"{path}.new", False), (str(tmp_path), True)]


def test_a_file_is_replaced_whole_and_what_a_killed_writer_left_is_no_hindrance(
    tmp_path: Path,
) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"old")
    (tmp_path / "key.new").write_bytes(b"half")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_replaces_nothing_and_follows_no_link(tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / "link"
    victim.write_bytes(b"precious")
    link.symlink_to(victim)
    for path in (victim, link):
        with pytest.raises(FileExistsError):
            write_new(path, b"other")
    assert victim.read_bytes() == b"precious"


def test_a_new_file_has_the_mode_that_it_is_given_whatever_the_umask(tmp_path: Path) -> None:
    write_new(tmp_path / "file", b"", 0o666)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666
