"""The versions of the configuration that a real daemon keeps, and the commands that look at them."""

import signal
import stat
from collections.abc import Iterator

import pytest
from daemon_helpers import Site, job, site, until

from syncd.cli.session import me
from syncd.errors import ConfigurationError


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
