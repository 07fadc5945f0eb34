"""The versions of the configuration that a real daemon keeps, and the commands on them."""

import json
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from daemon_helpers import Site, job, secrets_of, site, until
from toml_text import toml

from syncd.cli.session import me
from syncd.errors import ConfigurationError

Result = subprocess.CompletedProcess[str]


@pytest.fixture
def place(migrated_dsn: str) -> Iterator[Site]:
    """Give a site whose store is a database of its own on the server of the tests."""
    with site(migrated_dsn, hosts=1) as made:
        yield made


def kept(place: Site) -> list[str]:
    """Return the names of the versions, by number."""
    names = [each.name for each in (place.state_dir / "config").glob("[0-9]*")]
    return sorted(names, key=lambda name: int(name.partition("-")[0]))


def await_versions(place: Site, count: int) -> list[str]:
    return until(lambda: (names := kept(place))[count - 1 :] and names, 20, f"{count} versions")


def syncd(
    place: Site, *words: str, status: int = 0, file: str = "syncd.toml", **options: Any
) -> Result:
    """Run a command; its exit status must be as said."""
    done = subprocess.run(
        [sys.executable, "-m", "syncd", "--config", str(place.directory / file), *words],
        check=False, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
        **options,
    )  # fmt: skip
    assert done.returncode == status, done
    for secret in secrets_of(place):
        assert secret not in done.stdout + done.stderr
    return done


def numbers(place: Site) -> list[int]:
    return [int(name.partition("-")[0]) for name in kept(place)]


def recorded(place: Site) -> list[dict[str, object]]:
    return place.rows("select * from syncd.config_version order by number")


def test_what_is_taken_up_is_kept_byte_for_byte_and_what_is_refused_is_not(place: Site) -> None:
    place.configure({"hosts": job()})
    extra = place.directory / "conf.d" / "more.toml"
    extra.parent.mkdir()
    extra.write_bytes("\ufeff# of windows: é\r\n[jobs.more]\r\nkind = 'cloud'\r\n"
                      "accounts = ['aliyun-demo']\r\n".encode())  # fmt: skip
    extra.chmod(0o600)
    first = {"syncd.toml": place.config.read_bytes(), "conf.d/more.toml": extra.read_bytes()}
    process = place.up()
    (name,) = await_versions(place, 1)
    assert name.startswith("1-")
    copy = place.state_dir / "config" / name
    assert {file: (copy / file).read_bytes() for file in first} == first
    for path in (copy, *copy.rglob("*"), copy.parent):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path

    place.write("[jobs.hosts]\nkind = 'clod'\n")
    with pytest.raises(ConfigurationError):
        place.client.reload("me")
    place.configure({"hosts": job(every="1h")})
    place.client.reload("me")
    await_versions(place, 2)
    place.client.reload("me")  # nothing has changed
    place.write(place.config.read_text() + "\n# a remark\n")
    process.send(signal.SIGHUP)
    await_versions(place, 3)

    assert numbers(place) == [1, 2, 3]
    rows = recorded(place)
    assert [row["number"] for row in rows] == [1, 2, 3]
    assert [row["accepted_by"] for row in rows] == ["the start", me(), "a signal"]
    assert rows[0]["files"] == list(first)
    assert rows[1]["digest"] == rows[2]["digest"] == place.client.status()["config_digest"]
    assert rows[1]["content_digest"] != rows[2]["content_digest"]


def test_history_diff_and_restore_lead_back_to_what_was_in_force(place: Site) -> None:
    folder = place.directory / "conf.d"
    folder.mkdir()
    place.configure({"hosts": job()})
    place.up()
    await_versions(place, 1)
    first = place.config.read_bytes()
    tables = place.tables({"hosts": job(every="1h")})
    tables["accounts"]["aliyun-demo"]["access_key_secret"] = "an entirely new secret"
    place.write(toml(tables))
    more = folder / "more.toml"
    more.write_text("[jobs.more]\nkind = 'cloud'\naccounts = ['aliyun-demo']\n")
    place.client.reload("me")
    await_versions(place, 2)

    rows = json.loads(syncd(place, "config", "history", "--json").stdout)
    assert [(row["number"], row["in_force"], row["by"]) for row in rows] == [
        (2, True, me()),
        (1, False, "the start"),
    ]
    assert rows[0]["changed"] == ["accounts.aliyun-demo", "jobs.hosts", "+jobs.more"]
    assert rows[0]["digest"] == place.client.status()["config_digest"]
    table = syncd(place, "config", "history").stdout
    assert "in force" in table
    assert "+jobs.more" in table

    told = syncd(place, "config", "diff", "1", "2").stdout
    assert '+every = "1h"' in told
    assert '-access_key_secret = "******"\n+access_key_secret = "******"' in told
    assert "entirely new" not in told
    assert "+++ conf.d/more.toml (version 2)" in told
    assert syncd(place, "config", "diff", "2").stdout == ""

    place.write(place.config.read_text() + "\n[nonsense")
    broken = place.config.read_bytes()
    told = syncd(place, "config", "diff", "2").stdout
    assert "+******" in told
    done = syncd(place, "config", "restore", "1", "--yes", "--reload", "--json")
    assert json.loads(done.stdout) == {
        "restored": 1, "kept": 3, "written": ["syncd.toml"], "removed": ["conf.d/more.toml"],
        "reloaded": True, "restart_needed": [],
    }  # fmt: skip
    assert place.config.read_bytes() == first
    assert stat.S_IMODE(place.config.stat().st_mode) == 0o600
    assert list(folder.iterdir()) == []
    assert [each["name"] for each in place.client.jobs()] == ["hosts"]
    await_versions(place, 4)
    rows = json.loads(syncd(place, "config", "history", "--json").stdout)
    assert [(row["number"], row["accepted"], row["in_force"]) for row in rows] == [
        (4, True, True), (3, False, False), (2, True, False), (1, True, False)
    ]  # fmt: skip
    (copy,) = (place.state_dir / "config").glob("3-*")
    assert (copy / "syncd.toml").read_bytes() == broken
    assert (copy / "conf.d" / "more.toml").exists()
    done = syncd(place, "config", "restore", "4", "--yes")
    assert "already" in done.stderr


def test_what_cannot_be_restored_is_told_and_changes_nothing(place: Site) -> None:
    place.configure({"hosts": job()})
    process = place.up()
    await_versions(place, 1)
    before = place.config.read_bytes()
    assert "there are: 1" in syncd(place, "config", "restore", "7", "--yes", status=1).stderr
    place.write(before + b"\n[jobs.x]\nkind = 'clod'\nevery = 7\n")
    syncd(place, "config", "restore", "1", "--yes")
    assert place.config.read_bytes() == before
    done = syncd(place, "config", "restore", "2", "--yes", status=78)
    assert "version 2 can't be used by this program" in done.stderr
    assert "jobs.x.kind" in done.stderr
    place.write(before + b"\n# other\n")
    assert "--yes" in syncd(place, "config", "restore", "1", status=2).stderr
    assert place.config.read_bytes() == before + b"\n# other\n"
    assert numbers(place) == [1, 2]
    place.config.rename(place.directory / "other.toml")
    done = syncd(place, "config", "restore", "1", "--yes", file="other.toml", status=2)
    assert "is of a main file syncd.toml" in done.stderr
    assert process.stop() == 0
