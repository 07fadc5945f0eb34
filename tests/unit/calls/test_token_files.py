"""Files of tokens: private, whole or void, and never in the way of a login."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_server import ApiServer
from token_helpers import KEY, TokenBench, token_of

from syncd.calls.tokens import Tokens
from syncd.config import secrets
from syncd.errors import Authentication


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


@pytest.fixture
def bench(tmp_path: Path) -> TokenBench:
    return TokenBench(tmp_path / "tokens")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_token_outlives_the_process_in_a_private_file(bench: TokenBench, api: ApiServer) -> None:
    token = token_of(api.url)
    first = bench.get(token)
    assert (mode(bench.file), mode(bench.file.parent)) == (0o600, 0o700)
    assert sorted(each.name for each in bench.file.parent.iterdir()) == ["iam.json", "iam.lock"]
    assert bench.again().get(token) == first
    assert api.logins == 1


def test_a_token_of_a_file_is_known_to_the_log(
    bench: TokenBench, api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bench.get(token_of(api.url))
    monkeypatch.setattr(secrets, "_lent", {})
    bench.again().get(token_of(api.url))
    assert first in secrets.known()


def test_a_folder_that_others_can_enter_is_closed(bench: TokenBench, api: ApiServer) -> None:
    bench.file.parent.mkdir(mode=0o755)
    bench.get(token_of(api.url))
    assert mode(bench.file.parent) == 0o700


def test_another_password_address_or_directory_makes_a_file_void(
    bench: TokenBench, api: ApiServer, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text("right")
    token = token_of(api.url, password)
    tokens = [bench.get(token)]
    password.write_text("other")
    api.password = "other"
    tokens.append(bench.again().get(token))
    tokens.append(bench.again().get(token_of(api.url, password, expires="x")))
    foreign = bench.again()
    foreign.tokens = Tokens(
        bench.directory, KEY[::-1], bench.fetch, lambda *_: None, bench.clock, bench.heard,  # type: ignore[arg-type]
    )  # fmt: skip
    tokens.append(foreign.get(token))
    assert len(set(tokens)) == 4
    assert bench.warnings == []


def damaged(content: bytes) -> Iterator[bytes]:
    """Return all that a file may become: shorter, or another byte somewhere."""
    yield from (content[:length] for length in range(0, len(content), 7))
    for position in range(0, len(content), 3):
        yield content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]
    yield from (b"[" * 100_000, b"\xff" * 100, b"x" * 1_000_000, b"null", b"{}")


def test_a_damaged_file_costs_a_login_and_nothing_else(bench: TokenBench, api: ApiServer) -> None:
    token = token_of(api.url)
    bench.get(token)
    content = bench.file.read_bytes()
    for number, other in enumerate(damaged(content), 2):
        bench.file.write_bytes(other)
        bench.again()
        bench.get(token)
        assert api.logins == number
    assert set(bench.warnings) == {"the file of a token can't be read"}
    bench.file.write_bytes(content)
    bench.again().get(token)
    assert api.logins == number  # the first one is still good


@pytest.mark.parametrize("how", ["no folder", "a file for the folder", "a link", "a pipe"])
def test_where_no_file_can_be_the_memory_serves(
    bench: TokenBench, api: ApiServer, tmp_path: Path, how: str
) -> None:
    folder = bench.file.parent
    match how:
        case "no folder":
            bench.directory = tmp_path / "missing" / "tokens"
        case "a file for the folder":
            folder.write_text("x")
        case "a link":
            folder.mkdir()
            bench.file.symlink_to(tmp_path / "victim")
            (folder / "iam.lock").symlink_to(tmp_path / "victim")
        case "a pipe":
            folder.mkdir()
            os.mkfifo(bench.file)
            (folder / "iam.lock").mkdir()
    token = token_of(api.url)
    first = bench.again().get(token)
    assert bench.get(token) == first
    assert api.logins == 1
    assert bench.warnings
    assert not (tmp_path / "victim").exists()


def test_a_full_disk_costs_a_warning(bench: TokenBench, api: ApiServer) -> None:
    bench.directory = Path("/dev/full")
    token = token_of(api.url)
    assert bench.again().get(token) == bench.get(token)
    assert "a token can't be kept over a restart" in bench.warnings


def test_files_of_tokens_that_are_configured_no_longer_are_removed(
    bench: TokenBench, api: ApiServer
) -> None:
    bench.get(token_of(api.url), "old")
    bench.get(token_of(api.url), "iam")
    (bench.file.parent / "old.json.new").write_text("of one who was killed")
    (bench.file.parent / "odd").write_text("x")
    bench.tokens.keep_only(["iam"])
    assert sorted(each.name for each in bench.file.parent.iterdir()) == ["iam.json", "iam.lock"]
    bench.get(token_of(api.url), "iam")
    assert api.logins == 2


@pytest.mark.parametrize("how", ["missing", "a file", "a folder inside"])
def test_a_folder_that_cannot_be_cleared_is_no_hindrance(bench: TokenBench, how: str) -> None:
    folder = bench.file.parent
    if how == "a file":
        folder.write_text("x")
    elif how == "a folder inside":
        (folder / "x").mkdir(parents=True)
    bench.tokens.keep_only(["iam"])
    assert len(bench.warnings) == (how != "missing")


def test_a_refused_token_is_no_longer_in_its_file_though_no_other_came(
    bench: TokenBench, api: ApiServer
) -> None:
    token = token_of(api.url)
    first = bench.get(token)
    api.password = "other"
    with pytest.raises(Authentication):
        bench.renew(token, first)
    assert not bench.file.exists()


def test_an_old_file_that_cannot_be_replaced_is_not_taken_for_a_newer_token(
    bench: TokenBench, api: ApiServer
) -> None:
    token = token_of(api.url)
    first = bench.get(token)
    content = bench.file.read_bytes()
    second = bench.renew(token, first)
    bench.file.write_bytes(content)  # as where nothing can be written
    third = bench.renew(token, second)
    assert len({first, second, third}) == 3
    bench.file.write_bytes(content)
    bench.clock.pass_(0.9 * 3600)  # type: ignore[attr-defined]
    assert bench.get(token) not in (first, second, third)
    assert api.logins == 4


def test_what_another_process_renewed_long_ago_does_not_stand_in_for_a_refused_token(
    bench: TokenBench, api: ApiServer
) -> None:
    token, other = token_of(api.url), TokenBench(bench.directory, bench.clock)
    first = bench.get(token)
    second = other.renew(token, first)
    bench.clock.pass_(0.85 * 3600)  # type: ignore[attr-defined]
    assert bench.renew(token, first) not in (first, second)
    assert api.logins == 3


def test_a_failure_of_before_the_machine_was_started_anew_is_nobody_elses(
    bench: TokenBench, api: ApiServer
) -> None:
    api.password = "other"
    with pytest.raises(Authentication):
        bench.get(token_of(api.url))
    lock = bench.file.with_suffix(".lock")
    left = json.loads(lock.read_bytes())
    lock.write_text(json.dumps(left | {"at": left["at"] + 1e9}))
    api.password = "right"
    assert bench.get(token_of(api.url))


def test_a_link_in_place_of_a_file_is_not_followed(
    bench: TokenBench, api: ApiServer, tmp_path: Path
) -> None:
    first = bench.get(token_of(api.url))
    elsewhere = bench.file.rename(tmp_path / "elsewhere.json")
    content = elsewhere.read_bytes()
    bench.file.symlink_to(elsewhere)
    assert bench.again().get(token_of(api.url)) != first
    assert not bench.file.is_symlink()
    assert elsewhere.read_bytes() == content


def test_a_token_that_another_process_renewed_is_taken_from_the_file(
    bench: TokenBench, api: ApiServer
) -> None:
    token, other = token_of(api.url), TokenBench(bench.directory, bench.clock)
    first = bench.get(token)
    assert other.get(token) == first
    second = other.renew(token, first)
    assert bench.renew(token, first) == second
    assert api.logins == 2
