"""What `syncd config` shows of versions that stand in a directory, without any daemon."""

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from syncd.cli.main import cli
from syncd.config.versions import Version, Versions, content_digest

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Place:
    """A configuration file and a state directory with versions of it."""

    def __init__(self, path: Path) -> None:
        self.main, self.state = path / "syncd.toml", path / "state"
        self.versions = Versions(self.state)
        self.write("[daemon]\n")

    def write(self, text: str) -> None:
        self.main.write_text(
            f"timezone = 'Asia/Shanghai'\ndaemon.state_dir = '{self.state}'\n" + text
        )
        self.main.chmod(0o600)

    def keep(self, text: str, digest: str | None = "d", by: str = "alice") -> None:
        files = {"syncd.toml": text.encode()}
        with self.versions.locked():
            number = self.versions.largest() + 1
            at = NOON + timedelta(minutes=number)
            about = Version(number, at, by, digest, content_digest(files), "syncd.toml")
            self.versions.write(about, files)

    def syncd(self, *words: str, status: int = 0) -> Result:
        result = CliRunner().invoke(cli, ["--config", str(self.main), "config", *words])
        assert result.exit_code == status, result.output
        return result


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    made = Place(tmp_path)
    made.write("")
    return made


def test_history_tells_when_by_whom_and_what_changed_the_newest_first(place: Place) -> None:
    place.keep("[jobs.a]\n")
    place.keep("[jobs.a]\nevery = '1h'\n[jobs.b]\n", by="bob")
    place.keep("[jobs.a]\nevery = '1h'\n[jobs.b]\n", digest="e", by="the start")
    place.keep("[jobs.a", digest=None, by="root, restoring 1")
    lines = place.syncd("history").stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["version", "time", "by", "digest", "state", "changed"],
        ["4", "2026-03-01", "20:04:00+08:00", "root,", "restoring", "1",
         content_digest({"syncd.toml": b"[jobs.a"})[:12], "was", "replaced",
         "syncd.toml"],
        ["3", "2026-03-01", "20:03:00+08:00", "the", "start", "e", "in", "force",
         "what", "the", "same", "files", "mean"],
        ["2", "2026-03-01", "20:02:00+08:00", "bob", "d", "was", "in", "force",
         "jobs.a,", "+jobs.b"],
        ["1", "2026-03-01", "20:01:00+08:00", "alice", "d", "was", "in", "force", "-"],
    ]  # fmt: skip
    rows = json.loads(place.syncd("history", "--json").stdout)
    assert [row["number"] for row in rows] == [4, 3, 2, 1]
    assert [row["in_force"] for row in rows] == [False, True, False, False]
    assert rows[3]["changed"] == ["+jobs.a"]


def test_a_number_is_shown_as_it_has_to_be_typed(place: Place) -> None:
    for number in (1000, 1001):
        files = {"syncd.toml": f"# {number}".encode()}
        with place.versions.locked():
            about = Version(number, NOON, "alice", "d", content_digest(files), "syncd.toml")
            place.versions.write(about, files)
    lines = place.syncd("history").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["1001", "1000"]


def test_a_damaged_version_hides_no_other(place: Place) -> None:
    place.keep("a = 1\n")
    place.keep("a = 2\n")
    place.keep("a = 3\n")
    (folder,) = place.versions.path.glob("2-*")
    (folder / "syncd.toml").write_text("a = 7\n")
    table = place.syncd("history").stdout
    assert "damaged" in table
    assert table.count("in force") == 2
    assert "-a = 1\n+a = 3\n" in place.syncd("diff", "1", "3").stdout
    assert "is damaged" in place.syncd("diff", "1", "2", status=69).stderr
    assert "is damaged" in place.syncd("restore", "2", "--yes", status=69).stderr


def test_where_no_version_is_kept_that_is_said(place: Place) -> None:
    result = place.syncd("history")
    assert result.stdout == ""
    assert "no version of the configuration is kept yet" in result.stderr
    assert json.loads(place.syncd("history", "--json").stdout) == []
    assert "there is no version in" in place.syncd("diff", "1", status=1).stderr
    place.syncd("diff", "0", status=2)
    place.syncd("diff", "one", status=2)


def test_the_versions_are_found_while_the_configuration_is_broken(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.keep("a = 1\n")
    place.write("evry = 1\n")
    assert "in force" in place.syncd("history").stdout
    place.write("[jobs.x\n")
    assert "in force" in place.syncd("history").stdout
    place.main.write_text("[jobs.x\n")
    assert "see --state-dir" in place.syncd("history").stderr
    assert "see --state-dir" in place.syncd("diff", "1", status=1).stderr
    assert "in force" in place.syncd("--state-dir", str(place.state), "history").stdout
    monkeypatch.setenv("SYNCD_DAEMON__STATE_DIR", str(place.state))
    assert "in force" in place.syncd("history").stdout


@pytest.mark.parametrize("answer", ["y", "n"])
def test_at_a_terminal_a_person_is_asked_first(place: Place, answer: str) -> None:
    before = place.main.read_bytes()
    place.keep(before.decode())
    place.write("# changed\n")
    changed = place.main.read_bytes()
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    words = ["--config", str(place.main), "config", "restore", "1"]
    done = subprocess.run([sys.executable, "-m", "syncd", *words], check=False, stdin=theirs,
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    os.close(ours)
    os.close(theirs)
    assert "syncd.toml is to be replaced" in done.stderr
    if answer == "y":
        assert done.returncode == 0, done
        assert place.main.read_bytes() == before
        assert place.versions.files(place.versions.get(2)) == {"syncd.toml": changed}
    else:
        assert done.returncode == 1, done
        assert place.main.read_bytes() == changed
        assert place.versions.largest() == 1


def test_what_changes_while_it_is_kept_is_not_replaced(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.keep(place.main.read_text())
    place.write("# changed\n")
    write = Versions.write

    def edited_meanwhile(*arguments: Any) -> None:
        write(*arguments)
        place.write("# changed again\n")

    monkeypatch.setattr(Versions, "write", edited_meanwhile)
    done = place.syncd("restore", "1", "--yes", status=1)
    assert "the files have changed meanwhile" in done.stderr
    assert place.main.read_text().endswith("# changed again\n")


def test_a_diff_tells_files_by_name_and_in_json(place: Place) -> None:
    place.keep("access_key_secret = 'first-secret'\ngroup = '\u202e'\n")
    place.main.write_text("access_key_secret = 'other-secret'\ngroup = '\u202e'\n")
    place.main.chmod(0o600)
    lines = place.syncd("--state-dir", str(place.state), "diff", "1").stdout.splitlines()
    assert lines[:2] == ["--- syncd.toml (version 1)", "+++ syncd.toml (now)"]
    assert "\u202e" not in "".join(lines)
    found = json.loads(place.syncd("--state-dir", str(place.state), "diff", "1", "--json").stdout)
    assert (found["from"], found["to"]) == (1, None)
    assert found["files"][0]["lines"][1:3] == [
        '-access_key_secret = "******"', '+access_key_secret = "******"'
    ]  # fmt: skip
    place.keep("x = 1\n")
    assert (
        "the files are the same"
        in place.syncd("--state-dir", str(place.state), "diff", "2", "2").stderr
    )
