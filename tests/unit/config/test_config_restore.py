"""Files put back: whose they are, what is replaced, and what happens when they can't be."""

import os
import stat
from pathlib import Path

import pytest
from config_folder import ACCOUNT, JOB

from syncd.config.restore import carry_out, check_valid, current_files, plan
from syncd.errors import ConfigurationError, SyncdError

NOBODY = 65534
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


def test_current_files_are_read_valid_or_not(folder):
    assert current_files(folder.main) == {}
    folder.write("[x")
    folder.write(b"\xff\r\n", "conf.d/b.toml")
    folder.write("", "conf.d/.hidden.toml")
    folder.write("", "conf.d/b.toml~")
    assert current_files(folder.main) == {"syncd.toml": b"[x", "conf.d/b.toml": b"\xff\r\n"}
    (folder.path / "conf.d" / "c.toml").mkdir()
    with pytest.raises(SyncdError, match=r"c\.toml: is a directory"):
        current_files(folder.main)


def test_a_link_to_nothing_is_not_overlooked(folder):
    folder.main.symlink_to(folder.path / "gone")
    with pytest.raises(SyncdError, match="does not exist"):
        current_files(folder.main)


def restore(folder, files):
    carry_out(plan(folder.main, files, current_files(folder.main)))
    assert current_files(folder.main) == files
    assert [each.name for each in folder.path.rglob("*.restored")] == []


def test_only_what_differs_is_touched(folder):
    same = folder.write("a")
    folder.write("b", "conf.d/b.toml", mode=0o640)
    gone = folder.write("c", "conf.d/c.toml")
    inode = same.stat().st_ino
    files = {"syncd.toml": b"a", "conf.d/b.toml": b"B", "conf.d/d.toml": b"D"}
    todo = plan(folder.main, files, current_files(folder.main))
    assert (list(todo.written), todo.removed) == (
        ["conf.d/b.toml", "conf.d/d.toml"],
        ("conf.d/c.toml",),
    )
    restore(folder, files)
    assert same.stat().st_ino == inode
    assert not gone.exists()
    assert plan(folder.main, files, current_files(folder.main)).changes_nothing


def manners(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid


@root
def test_owner_and_mode_stay_and_a_new_file_is_closed_to_others(folder):
    main = folder.write("a", mode=0o644)
    os.chown(main, 0, NOBODY)
    other = folder.write("b", "conf.d/b.toml", mode=0o440)
    os.chown(other, NOBODY, 7)
    restore(folder, {"syncd.toml": b"A", "conf.d/b.toml": b"B", "conf.d/new.toml": b"N"})
    assert manners(main) == (0o644, 0, NOBODY)
    assert manners(other) == (0o440, NOBODY, 7)
    assert manners(folder.path / "conf.d" / "new.toml") == (0o640, 0, NOBODY)


@root
def test_files_that_are_all_gone_come_back_for_the_folders_owner(folder):
    os.chown(folder.path, NOBODY, NOBODY)
    folder.path.chmod(0o751)
    restore(folder, {"syncd.toml": b"A", "conf.d/b.toml": b"B"})
    assert manners(folder.main) == (0o600, NOBODY, NOBODY)
    assert manners(folder.path / "conf.d") == (0o751, NOBODY, NOBODY)


def test_a_link_stays_one(folder):
    elsewhere = folder.path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "real").write_text("a")
    folder.main.symlink_to(elsewhere / "real")
    restore(folder, {"syncd.toml": b"A"})
    assert folder.main.is_symlink()
    assert (elsewhere / "real").read_bytes() == b"A"


def test_nothing_is_replaced_when_one_can_not_be_written(folder):
    folder.write("a")
    folder.write("c", "conf.d/c.toml")
    current = current_files(folder.main)
    (folder.path / "conf.d" / ".b.toml.restored").mkdir()  # where the new file would be staged
    todo = plan(folder.main, {"syncd.toml": b"A", "conf.d/b.toml": b"B"}, current)
    with pytest.raises(SyncdError, match=r"conf\.d/b\.toml: can't be replaced"):
        carry_out(todo)
    assert current_files(folder.main) == current


def test_a_version_is_checked_as_if_it_stood_there(folder):
    folder.write("", mode=0o644)
    inline = (ACCOUNT.replace('{ env = "SECRET" }', '"inline"') + JOB).encode()
    with pytest.raises(ConfigurationError, match="version 3 can't be used by this program") as told:
        check_valid(folder.main, {"syncd.toml": inline + b"x = 1\n[store]\ny = 2"}, "version 3")
    text = str(told.value)
    assert "jobs.hosts.x: unknown key" in text
    assert "store.y: unknown key" in text
    assert "an inline secret in a file that others can read" in text
    folder.main.chmod(0o640)
    check_valid(folder.main, {"syncd.toml": inline}, "version 3")
    dates = JOB + "calendar = 'dates'\n"
    with pytest.raises(ConfigurationError, match=r"dates: jobs\.hosts\.calendar: does not exist"):
        check_valid(folder.main, {"syncd.toml": (ACCOUNT + dates).encode()}, "version 3")
