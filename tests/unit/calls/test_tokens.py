"""Tokens of a real login: fetched once for all, renewed in time, and after a refusal."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from api_faults import answers, hang, hold, reset_unread
from api_server import ApiServer
from api_wire import Answer
from dispatch_helpers import HandClock
from token_helpers import SECONDS, TokenBench, limits, token_of

from syncd.config import secrets
from syncd.context import CancelSource
from syncd.errors import Authentication, Cancelled, Network, TimedOut

HOUR = 3600.0


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


@pytest.fixture
def bench(tmp_path: Path) -> TokenBench:
    return TokenBench(tmp_path / "tokens")


@pytest.fixture
def clock(bench: TokenBench) -> HandClock:
    assert isinstance(bench.clock, HandClock)
    return bench.clock


def until(condition: object) -> None:
    """Wait until a condition holds."""
    over = threading.Event()
    for _ in range(2000):
        if condition():  # type: ignore[operator]
            return
        over.wait(0.01)
    raise AssertionError("it did not come")


def test_a_hundred_that_begin_at_once_make_one_login(bench: TokenBench, api: ApiServer) -> None:
    token, start = token_of(api.url), threading.Barrier(100)

    def ask(_: int) -> str:
        start.wait(SECONDS)
        return bench.get(token)

    with ThreadPoolExecutor(100) as pool:
        found = set(pool.map(ask, range(100)))
    assert len(found) == 1
    assert len(api.log) == 1
    assert bench.calls == [("token", "iam", "ok")]


def test_a_token_is_carried_as_its_table_says_and_known_to_the_log(
    bench: TokenBench, api: ApiServer
) -> None:
    found = bench.tokens.get("iam", token_of(api.url), limits())
    assert (found.header, found.value) == ("Authorization", f"Bearer {found.token}")
    assert found.token in secrets.known()
    plain = token_of(api.url, header="X-Token", scheme="")
    found = bench.tokens.get("iam", plain, limits())
    assert (found.header, found.value) == ("X-Token", found.token)


def test_a_token_is_renewed_when_four_fifths_of_its_life_are_over(
    bench: TokenBench, api: ApiServer, clock: HandClock
) -> None:
    token = token_of(api.url)
    first = bench.get(token)
    clock.pass_(0.8 * HOUR - 1)
    assert bench.get(token) == first
    clock.pass_(2)
    second = bench.get(token)
    assert second != first
    assert bench.get(token) == second
    assert api.logins == 2


def test_while_one_renews_early_the_others_use_the_old_token(
    bench: TokenBench, api: ApiServer, clock: HandClock
) -> None:
    token, let_go = token_of(api.url), threading.Event()
    first = bench.get(token)
    clock.pass_(0.9 * HOUR)
    api.fault("/login", hold(let_go), times=1)
    with ThreadPoolExecutor(1) as pool:
        renewal = pool.submit(bench.get, token)
        until(lambda: len(api.log) == 2)
        assert [bench.get(token) for _ in range(10)] == [first] * 10
        let_go.set()
        second = renewal.result(SECONDS)
    assert second != first
    assert bench.get(token) == second


def test_a_renewal_that_fails_early_is_tried_again_at_half_of_what_is_left(
    bench: TokenBench, api: ApiServer, clock: HandClock
) -> None:
    token = token_of(api.url)
    first = bench.get(token)
    clock.pass_(0.8 * HOUR + 1)
    api.fault("/login", reset_unread())
    assert [bench.get(token) for _ in range(5)] == [first] * 5
    assert bench.outcomes == ["ok", "network"]
    clock.pass_(0.1 * HOUR)
    assert bench.get(token) == first
    assert bench.outcomes == ["ok", "network", "network"]
    clock.pass_(0.1 * HOUR)
    with pytest.raises(Network):
        bench.get(token)
    assert bench.warnings == ["a token can't be renewed before it ends"] * 2


def test_a_renewal_that_is_refused_early_is_not_tried_again_before_the_end(
    bench: TokenBench, api: ApiServer, clock: HandClock
) -> None:
    token = token_of(api.url)
    first = bench.get(token)
    api.password = "other"
    clock.pass_(0.8 * HOUR + 1)
    assert bench.get(token) == first
    clock.pass_(0.19 * HOUR)
    assert bench.get(token) == first
    assert bench.outcomes == ["ok", "authentication"]
    clock.pass_(0.01 * HOUR)
    with pytest.raises(Authentication):
        bench.get(token)


def test_after_a_refused_renewal_and_a_new_login_tokens_are_renewed_in_time_again(
    bench: TokenBench, api: ApiServer, clock: HandClock
) -> None:
    token = token_of(api.url)
    bench.get(token)
    api.password = "other"
    clock.pass_(0.9 * HOUR)
    bench.get(token)
    api.password = "right"
    clock.pass_(0.1 * HOUR)
    third = bench.get(token)
    clock.pass_(0.9 * HOUR)
    assert bench.get(token) != third
    assert bench.outcomes == ["ok", "authentication", "ok", "ok"]


def test_a_renewal_that_brings_a_token_that_has_ended_leaves_the_old_one(
    bench: TokenBench, api: ApiServer, clock: HandClock
) -> None:
    token = token_of(api.url)
    first = bench.get(token)
    clock.pass_(0.9 * HOUR)
    api.token_lifetime = timedelta(0)
    assert [bench.get(token) for _ in range(5)] == [first] * 5
    assert api.logins == 2


def test_a_login_that_gives_the_same_token_again_is_made_once_for_a_storm(
    bench: TokenBench, api: ApiServer
) -> None:
    api.new_token = lambda: "always the same"
    token = token_of(api.url)
    first, let_go = bench.get(token), threading.Event()
    api.fault("/login", hold(let_go))
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(bench.renew, token, first) for _ in range(20)]
        slot = bench.tokens._slot("iam", token)
        until(lambda: slot.flight and len(slot.flight._waiting) == 19)
        let_go.set()
        assert {each.result(SECONDS) for each in asked} == {first}
    assert api.logins == 2


def test_a_refused_login_is_shared_by_all_who_wait_and_names_the_token(
    bench: TokenBench, api: ApiServer
) -> None:
    api.password, let_go = "other", threading.Event()
    api.fault("/login", hold(let_go))
    token = token_of(api.url)

    def ask(_: int) -> str | None:
        with pytest.raises(Authentication, match="token iam: the login was answered 401") as caught:
            bench.get(token)
        return caught.value.holder

    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(ask, n) for n in range(20)]
        flight = bench.tokens._slot("iam", token)
        until(lambda: flight.flight and len(flight.flight._waiting) == 19)
        let_go.set()
        assert {each.result(SECONDS) for each in asked} == {"token iam"}
    assert len(api.log) == 1


def test_who_waits_is_cancelled_at_once_and_keeps_his_own_deadline(
    bench: TokenBench, api: ApiServer
) -> None:
    let_go, source, token = threading.Event(), CancelSource(), token_of(api.url)
    api.fault("/login", hold(let_go), times=1)
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(bench.get, token)
        until(lambda: len(api.log) == 1)
        cancelled = pool.submit(bench.get, token, source=source)
        with pytest.raises(TimedOut):
            bench.get(token, seconds=0.05)
        source.cancel(Cancelled("by hand"))
        with pytest.raises(Cancelled):
            cancelled.result(SECONDS)
        let_go.set()
        assert leader.result(SECONDS)


@pytest.mark.parametrize("how", ["cancelled", "out of time"])
def test_the_next_takes_over_from_one_who_is_cancelled_or_out_of_time(
    bench: TokenBench, api: ApiServer, how: str
) -> None:
    source, token = CancelSource(), token_of(api.url)
    api.fault("/login", hang(), times=1)
    with ThreadPoolExecutor(4) as pool:
        leader = pool.submit(
            bench.get, token, source=source, seconds=SECONDS if how == "cancelled" else 0.5
        )
        until(lambda: len(api.log) == 1)
        others = [pool.submit(bench.get, token) for _ in range(3)]
        if how == "cancelled":
            source.cancel(Cancelled("by hand"))
        with pytest.raises(Cancelled if how == "cancelled" else TimedOut):
            leader.result(SECONDS)
        assert len({each.result(SECONDS) for each in others}) == 1
    assert len(api.log) == 2


def test_a_login_that_hangs_costs_all_who_wait_its_own_time_limit_once(
    bench: TokenBench, api: ApiServer
) -> None:
    api.fault("/login", hang())
    token = token_of(api.url)
    with ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(bench.get, token, timeout=0.5) for _ in range(5)]
        for each in asked:
            with pytest.raises(TimedOut):
                each.result(SECONDS)
    assert len(api.log) <= 2  # one more if a thread came late


def test_a_storm_of_refused_calls_renews_a_token_once(bench: TokenBench, api: ApiServer) -> None:
    token = token_of(api.url)
    first = bench.get(token)
    start = threading.Barrier(50)

    def refused(_: int) -> str:
        start.wait(SECONDS)
        return bench.renew(token, first)

    with ThreadPoolExecutor(50) as pool:
        found = set(pool.map(refused, range(50)))
    assert len(found) == 1
    assert first not in found
    assert api.logins == 2
    assert bench.renew(token, first) in found  # one who is late gets the newer one
    assert api.logins == 2


def test_tokens_that_are_refused_again_and_again_are_not_renewed_for_ever(
    bench: TokenBench, api: ApiServer, clock: HandClock
) -> None:
    token = token_of(api.url)
    carried = bench.get(token)
    for _ in range(5):
        carried = bench.renew(token, carried)
    with pytest.raises(Authentication, match="however often") as caught:
        bench.renew(token, carried)
    assert caught.value.holder is None
    assert bench.get(token) == carried
    assert api.logins == 6
    clock.pass_(60)
    assert bench.renew(token, carried) != carried


def test_a_clock_that_is_set_back_does_not_make_a_token_eternal(
    bench: TokenBench, api: ApiServer, clock: HandClock
) -> None:
    token = token_of(api.url)
    first = bench.get(token)
    clock.set(clock.wall - timedelta(days=1))
    clock.ticked += HOUR
    assert bench.get(token) != first
    second = bench.get(token)
    assert bench.again().get(token) == second  # of the file, which is of the new time
    clock.set(clock.wall - timedelta(days=1))
    assert bench.again().get(token) != second  # a file of the future is void


def test_a_clock_that_is_set_forward_costs_one_login(
    bench: TokenBench, api: ApiServer, clock: HandClock
) -> None:
    token = token_of(api.url)
    first = bench.get(token)
    clock.set(clock.wall + timedelta(days=400))
    second = bench.get(token)
    assert second != first
    assert [bench.get(token) for _ in range(5)] == [second] * 5
    assert api.logins == 2


def test_a_token_that_had_ended_when_it_came_is_used_once(
    bench: TokenBench, api: ApiServer
) -> None:
    token = token_of(api.url)
    api.token_lifetime = timedelta(seconds=-5)
    assert bench.get(token) != bench.get(token)
    assert bench.warnings == ["a token had ended when it came: it is used once"] * 2
    assert not bench.file.exists()


def test_another_password_or_address_makes_a_token_void(
    bench: TokenBench, api: ApiServer, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text("right")
    first = bench.get(token_of(api.url, password))
    password.write_text("new one")
    api.password = "new one"
    second = bench.get(token_of(api.url, password))
    assert second != first
    assert bench.get(token_of(api.url, password, lifetime="2h")) not in (first, second)
    assert api.logins == 3


def test_a_failed_login_is_counted_and_the_next_one_tries_anew(
    bench: TokenBench, api: ApiServer
) -> None:
    token = token_of(api.url)
    api.fault("/login", answers(Answer(503)), times=1)
    with pytest.raises(Network, match="503"):
        bench.get(token)
    assert bench.get(token)
    assert bench.outcomes == ["network", "ok"]
