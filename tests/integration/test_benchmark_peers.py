"""The benchmark of copies measures its peers, checks what they copied, and tells of failures."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.benchmarks._peers import SCHEMA, Copy, Peer, compare, found
from tests.benchmarks._tables import TABLE, Postgres

ALL = f"create table {SCHEMA}.{TABLE} as table {TABLE}"
ONCE = f"create table if not exists {SCHEMA}.{TABLE} as table {TABLE}"
ANEW = f"drop table if exists {SCHEMA}.{TABLE}; {ALL}"


@pytest.fixture
def side(dsn: str) -> Postgres:
    made = Postgres(dsn)
    made.make(100)
    return made


def peer(*command: str, tells_seconds: bool = False) -> Peer:
    return Peer("Copier", lambda _: command, merges=True, tells_seconds=tells_seconds)


def touching(side: Postgres) -> Callable[[int], object]:
    return lambda number: side.execute(f"update {TABLE} set note = 'touched' where id = {number}")


def ratios(peer: Peer, copy: Copy, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the last line of two rounds against a pipe of 2 s, of which ours takes the double."""
    compare(peer, "case", copy, lambda: 2.0, 2, 2.0)
    return capsys.readouterr().out.splitlines()[-1]


def test_a_peer_is_compared_with_the_pipe_and_with_ours(
    side: Postgres, capsys: pytest.CaptureFixture[str]
) -> None:
    told = peer(
        "sh", "-c", '"$@" && echo copied in 10', "sh", *side.command(ALL), tells_seconds=True
    )
    assert ratios(told, Copy(side, side), capsys) == "case, Copier: 5.00 of the pipe, 2.5 of syncd"


def test_the_process_is_timed_where_it_does_not_tell(
    side: Postgres, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ratios(peer(*side.command(ALL)), Copy(side, side), capsys)
    assert line.startswith("case, Copier: ")
    assert line.endswith(" of syncd")


def test_a_row_too_few_is_a_failure(side: Postgres, capsys: pytest.CaptureFixture[str]) -> None:
    line = ratios(peer(*side.command(f"{ALL} limit 99")), Copy(side, side), capsys)
    assert line.startswith("case, Copier: failed: rows, bytes and last of the notes are 99 ")


def test_a_merge_that_did_nothing_is_a_failure(
    side: Postgres, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Copy(side, side, touching(side))
    assert "failed: rows, bytes" in ratios(peer(*side.command(ONCE)), copy, capsys)
    assert "of the pipe" in ratios(peer(*side.command(ANEW)), copy, capsys)


def test_why_a_peer_failed_is_told(side: Postgres, capsys: pytest.CaptureFixture[str]) -> None:
    broken = peer("sh", "-c", "echo no licence >&2; exit 3")
    line = ratios(broken, Copy(side, side), capsys)
    assert line == "case, Copier: failed: status 3: no licence"
    assert "No such file" in ratios(peer("/no/such/program"), Copy(side, side), capsys)


def test_peers_are_found_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert found() == []
    assert capsys.readouterr().out.splitlines() == [
        "sling is not on the PATH: not measured", "dlt is not on the PATH: not measured"
    ]  # fmt: skip
    for name in ("sling", "dlt"):
        (tmp_path / name).write_text("#!/bin/sh\necho version 7\n")
        (tmp_path / name).chmod(0o700)
    assert [peer.name for peer in found()] == [
        "Sling", "dlt by default", "dlt with pyarrow", "dlt with connectorx"
    ]  # fmt: skip
    assert capsys.readouterr().out.splitlines() == ["sling: version 7", "dlt: version 7"]
