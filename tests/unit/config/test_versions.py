"""The directory of versions, whatever happens to who writes it."""

import os
import signal
import stat
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from syncd.config.versions import Version, Versions, content_digest, in_force
from syncd.errors import NotFound, StoreError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FILES = {"syncd.toml": b"timezone = 'UTC'\r\n", "conf.d/a.toml": b"", "conf.d/\xe9.toml": b"\xff"}
TOUCHES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(tmp_path)


def version(number: int, files: dict[str, bytes] = FILES, digest: str | None = "d") -> Version:
    return Version(number, NOON, "me", digest, content_digest(files), "syncd.toml")


def write(versions: Versions, *numbers: int, digest: str | None = "d") -> None:
    for number in numbers:
        with versions.locked():
            versions.write(version(number, digest=digest), FILES)


def leftovers(versions: Versions) -> list[str]:
    return [each.name for each in versions.path.iterdir() if each.name.startswith(".")]


def test_what_is_written_is_read_again(versions: Versions) -> None:
    assert versions.all() == []
    assert versions.largest() == 0
    write(versions, 1, 10, 2)
    assert [each.number for each in versions.all()] == [1, 2, 10]
    assert versions.largest() == 10
    assert versions.get(2) == version(2)
    assert versions.files(versions.get(10)) == FILES
    assert next(iter(versions.files(versions.get(10)))) == "syncd.toml"
    assert (versions.path / "10-20260301T120000Z").is_dir()
    for path in versions.path.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_an_unknown_number_names_those_that_exist(versions: Versions) -> None:
    with pytest.raises(NotFound, match="there is no version in"):
        versions.get(1)
    write(versions, 1, 2, 3, 5, 8, 9)
    with pytest.raises(NotFound, match=r"no version 4 in .*; there are: 1-3, 5, 8-9"):
        versions.get(4)


def test_the_oldest_make_room_but_never_the_one_in_force(
    versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncd.config.versions.KEPT", 5)
    write(versions, 1)
    write(versions, *range(2, 8), digest=None)
    assert [each.number for each in versions.all()] == [1, 3, 4, 5, 6, 7]
    assert in_force(versions.all()) == version(1)
    write(versions, 8)
    write(versions, 9)
    assert [each.number for each in versions.all()] == [5, 6, 7, 8, 9]
    assert leftovers(versions) == []


def killed_at(event: int, versions: Versions, number: int) -> bool:
    """Write in a process that is killed before the nth time it touches a file; tell if it was."""
    if not (child := os.fork()):
        left = event

        def hook(name: str, _: object) -> None:
            nonlocal left
            if name in TOUCHES:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        write(versions, number)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_a_kill_at_any_moment_leaves_whole_versions_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncd.config.versions.KEPT", 2)
    left, killed, event = set(), True, 0
    while killed:
        versions = Versions(tmp_path / str(event))
        write(versions, 1, 2)
        killed = killed_at(event, versions, 3)
        there = [each.number for each in versions.all()]
        for number in there:
            assert versions.files(versions.get(number)) == FILES
        left.add(tuple(there))
        write(versions, 4)
        assert leftovers(versions) == []
        assert [each.number for each in versions.all()] == [there[-1], 4]
        event += 1
    assert left == {(1, 2), (1, 2, 3), (2, 3)}
    assert event > 10


def test_a_full_or_forbidden_disk_is_told_and_leaves_nothing(versions: Versions) -> None:
    write(versions, 1)
    too_long = "x" * 300 + ".toml"
    with versions.locked(), pytest.raises(StoreError, match="File name too long"):
        versions.write(version(2), {**FILES, f"conf.d/{too_long}": b""})
    assert leftovers(versions) == []
    with versions.locked(), pytest.raises(StoreError, match=r"\.version\.json can't be kept"):
        versions.write(version(2), {".version.json": b""})
    assert [each.number for each in versions.all()] == [1]


def test_a_file_in_the_place_of_the_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("")
    with pytest.raises(StoreError), Versions(tmp_path).locked():
        pass
    with pytest.raises(StoreError):
        Versions(tmp_path).all()


def test_what_was_tampered_with_is_damaged_and_links_are_not_followed(
    versions: Versions, tmp_path: Path
) -> None:
    write(versions, 1, 2, 3)
    folder = versions.path / "1-20260301T120000Z"
    (folder / "syncd.toml").write_text("other")
    with pytest.raises(StoreError, match="is damaged"):
        versions.files(versions.get(1))
    other = tmp_path / "other"
    other.write_bytes(FILES["syncd.toml"])
    linked = versions.path / "2-20260301T120000Z" / "syncd.toml"
    linked.unlink()
    linked.symlink_to(other)
    with pytest.raises(StoreError):
        versions.files(versions.get(2))
    (versions.path / "3-20260301T120000Z" / ".version.json").write_text("{}")
    assert [each.number for each in versions.all()] == [1, 2]
    assert versions.largest() == 3
