"""Versions of the configuration on full disks, in new places, of several daemons on one store."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from daemon_helpers import Site, job, neighbour, site, until


@pytest.fixture
def place(migrated_dsn: str) -> Iterator[Site]:
    """Give a site whose store is a database of its own on the server of the tests."""
    with site(migrated_dsn, hosts=1) as made:
        yield made


def numbers(place: Site) -> list[int]:
    names = [each.name for each in (place.state_dir / "config").glob("[0-9]*")]
    return sorted(int(name.partition("-")[0]) for name in names)


def await_numbers(place: Site, expected: list[int]) -> None:
    until(lambda: numbers(place) == expected, 20, f"versions {expected}")


def recorded(place: Site) -> list[tuple[int, str]]:
    """Return number and state directory of each configuration that the store knows of."""
    rows = place.rows("select number, instance from syncd.config_version order by number")
    return [(row["number"], row["instance"].rpartition(":")[2]) for row in rows]


def own_name(place: Site) -> str:
    return (place.state_dir / "instance").read_text()


@contextmanager
def full_disk(folder: Path) -> Iterator[Path]:
    """Put a disk in place of a folder, with a file that takes all its space."""
    folder.mkdir(parents=True, mode=0o711)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", folder],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if mounted.returncode != 0:
        pytest.skip(f"a small disk can't be mounted here: {mounted.stderr.strip()}")
    filler = folder / "filler"
    try:
        with filler.open("wb", buffering=0) as taken, suppress(OSError):
            while True:
                taken.write(bytes(4096))
        yield filler
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount command")
def test_a_full_disk_fails_neither_start_nor_reload_and_is_made_up_for(place: Site) -> None:
    with full_disk(place.state_dir / "config") as filler:
        place.configure({"hosts": job()})
        process = place.up()
        process.await_line("the configuration can't be kept yet", "No space left on device")
        place.configure({"hosts": job(), "more": job()})
        assert place.client.reload("me") == []
        assert numbers(place) == []
        assert process.metric("syncd_config_last_reload_successful") == 1
        filler.unlink()
        place.client.reload("me")
        await_numbers(place, [1, 2])
        process.await_line("configuration kept", "version=2")
        assert len(process.lines("can't be kept yet")) == 1
        assert recorded(place) == [(1, own_name(place)), (2, own_name(place))]
        copies = sorted((place.state_dir / "config").glob("[0-9]*/syncd.toml"))
        assert ["[jobs.more]" in copy.read_text() for copy in copies] == [False, True]
        assert list((place.state_dir / "config").glob(".*")) == []
        assert process.stop() == 0


def test_what_stands_in_the_way_is_told_and_the_last_chance_is_the_end(place: Site) -> None:
    place.configure({"hosts": job()})
    place.state_dir.mkdir(mode=0o711)
    obstacle = place.state_dir / "config"
    obstacle.write_text("")
    process = place.up()
    process.await_line("the configuration can't be kept yet", "level=warning")
    obstacle.unlink()
    assert process.stop() == 0
    assert numbers(place) == [1]


def test_a_killed_daemon_goes_on_where_it_was(place: Site) -> None:
    place.configure({"hosts": job()})
    process = place.up()
    await_numbers(place, [1])
    for name in ("b", "c", "d"):
        place.configure({"hosts": job(), name: job()})
        place.client.reload("me")
        process.kill()
        before = numbers(place)
        process = place.up()
        largest = max(n for n, _ in recorded(place))
        until(lambda: max(numbers(place)) >= largest, 20, "the version is there")  # noqa: B023
        assert numbers(place)[: len(before)] == before
    assert process.stop() == 0
    (newest,) = (place.state_dir / "config").glob(f"{numbers(place)[-1]}-*")
    assert (newest / "syncd.toml").read_bytes() == place.config.read_bytes()


def test_daemons_on_one_store_never_give_one_number_twice(place: Site) -> None:
    place.configure({"hosts": job()})
    process = place.up()
    await_numbers(place, [1])
    with neighbour(place) as other:
        other.configure({"hosts": job()})
        second = other.start()
        second.await_line("another daemon leads")
        assert process.stop() == 0
        second.await_ready()
        await_numbers(other, [2])
        other.configure({"hosts": job(every="1h")})
        other.client.reload("me")
        await_numbers(other, [2, 3])
        assert second.stop() == 0
        place.configure({"hosts": job(every="2h")})
        process = place.up()
        await_numbers(place, [1, 4])
        assert process.stop() == 0
        mine, its = own_name(place), own_name(other)
        assert recorded(place) == [(1, mine), (2, its), (3, its), (4, mine)]


def test_numbers_go_on_in_a_new_store_and_in_a_new_state_directory(place: Site) -> None:
    place.configure({"hosts": job()})
    process = place.up()
    await_numbers(place, [1])
    place.configure({"hosts": job(every="1h")})
    place.client.reload("me")
    await_numbers(place, [1, 2])
    assert process.stop() == 0

    with psycopg.connect(place.dsn) as connection:  # as in a store that was made anew
        connection.execute("delete from syncd.config_version")
    process = place.up()
    until(lambda: [number for number, _ in recorded(place)] == [2], 20, "it is recorded again")
    assert numbers(place) == [1, 2]
    place.configure({"hosts": job(every="2h")})
    place.client.reload("me")
    await_numbers(place, [1, 2, 3])
    assert process.stop() == 0

    shutil.rmtree(place.state_dir)
    process = place.up()
    await_numbers(place, [4])
    assert [number for number, _ in recorded(place)] == [2, 3, 4]
    assert process.stop() == 0
