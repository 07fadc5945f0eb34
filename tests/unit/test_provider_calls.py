"""How a call is tried again, and how a limiter spaces calls; no network, no real waiting."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from syncd.context import CancelSource, Deadline, RunContext
from syncd.errors import BadData, Cancelled, Network, Permission, SyncdError, Throttled, TimedOut
from syncd.http_client import HttpClient, Response
from syncd.model.run import Claim, Selection, new_run_id
from syncd.providers.base import AccountAccess, RegionNotOpen
from syncd.providers.calls import (
    Caller,
    Patience,
    Refused,
    classified,
    decoded,
    from_status,
    retry_after,
)
from syncd.providers.entries import RawEntry, find_each
from syncd.providers.limiter import Limiter, Limiters

HASTE = Patience(tries=3, throttled_tries=5, base=0.001, cap=0.001, quota=0.001)


class Silent:
    def progress(self, done: int, of: int | None = None) -> None: ...
    def error(self, resource_id: str, error: SyncdError) -> None: ...
    def detail(self, name: str, value: object) -> None: ...
    def meanwhile(self, name: str, value: object) -> None: ...


def context(seconds: float = 30, source: CancelSource | None = None) -> RunContext:
    now = datetime.now(UTC)
    return RunContext(
        Claim(new_run_id(now), "test", 1, 1), "hosts", now, Deadline.after(seconds),
        (source or CancelSource()).token, Selection(), {}, structlog.get_logger(), Silent(),
    )  # fmt: skip


class Script:
    """An attempt that raises errors in turn and then succeeds."""

    def __init__(self, *errors: SyncdError) -> None:
        self.errors = list(errors)
        self.tries = 0
        self.outcomes: list[str] = []

    def __call__(self, deadline: Deadline) -> str:
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)
        return "fine"

    def observe(self, api: str, outcome: str, seconds: float) -> None:
        self.outcomes.append(outcome)


def run(script: Callable[[Deadline], str], ctx: RunContext | None = None, **options: Any) -> str:
    access = AccountAccess("a", "aliyun", "id", lambda: "secret", api_timeout=5)
    observe = getattr(script, "observe", lambda *_: None)
    patience = options.get("patience", HASTE)
    caller = Caller(access, HttpClient(), Limiters(1e6), patience, observe)
    return caller.call(ctx or context(), "Api", "region", script)


@pytest.mark.parametrize("error", [Network("x"), BadData("x"), TimedOut("x"), Throttled("x", 0.0)])
def test_what_may_pass_is_tried_again(error: SyncdError) -> None:
    script = Script(error, error)
    assert run(script) == "fine"
    assert script.outcomes == [error.error_class, error.error_class, "ok"]


@pytest.mark.parametrize("error", [Permission("x"), RegionNotOpen("x"), Refused("x", "Code")])
def test_what_will_not_pass_is_raised_at_once(error: SyncdError) -> None:
    script = Script(error)
    with pytest.raises(type(error)):
        run(script)
    assert script.tries == 1


@pytest.mark.parametrize(("error", "tries"), [(Network("x"), 3), (Throttled("x"), 5)])
def test_tries_come_to_an_end(error: SyncdError, tries: int) -> None:
    script = Script(*[error] * 99)
    with pytest.raises(type(error)):
        run(script)
    assert script.tries == tries


def test_throttling_uses_up_no_tries_of_network_errors() -> None:
    script = Script(*[Throttled("x", 0.0)] * 4, Network("x"))
    assert run(script) == "fine"


def test_no_wait_goes_beyond_the_run() -> None:
    script = Script(Throttled("x", 60.0))
    with pytest.raises(Throttled):
        run(script, context(seconds=30))
    assert script.tries == 1


def test_cancelling_ends_a_wait() -> None:
    source = CancelSource()

    def attempt(deadline: Deadline) -> str:
        source.cancel(Cancelled("by hand"))
        raise Throttled("x", 20.0)

    with pytest.raises(Cancelled):
        run(attempt, context(source=source))


def test_a_try_has_its_own_limit_within_that_of_the_run() -> None:
    left: list[float] = []

    def attempt(deadline: Deadline) -> str:
        left.append(deadline.remaining())
        return "fine"

    run(attempt, context(seconds=100))
    run(attempt, context(seconds=2))
    assert left == [pytest.approx(5, abs=0.5), pytest.approx(2, abs=0.5)]


@given(failures=st.integers(1, 100))
def test_backoff_grows_to_its_cap(failures: int) -> None:
    patience = Patience(base=0.5, cap=8)
    assert 0 <= patience.backoff(failures) <= min(8, 0.5 * 2 ** (failures - 1))


@given(now=st.floats(0, 4e9), failures=st.integers(2, 9))
def test_a_used_up_quota_is_waited_for(now: float, failures: int) -> None:
    wait = Patience(base=0.0).throttled(Throttled("x"), failures, now)
    assert 0 < wait <= 60
    assert (now + wait) % 60 == pytest.approx(0, abs=1e-3) or (now + wait) % 60 > 59.999


def test_the_first_throttling_waits_briefly_and_the_cloud_s_word_counts() -> None:
    patience = Patience()
    assert 0.5 <= patience.throttled(Throttled("x"), 1, 0.0) <= 1.5
    assert patience.throttled(Throttled("x", 7.0), 1, 0.0) == 7.0


@pytest.mark.parametrize(
    ("status", "kind"), [(500, Network), (502, Network), (429, Throttled), (403, Refused)]
)
def test_an_answer_without_a_code_is_classified_by_its_status(
    status: int, kind: type[SyncdError]
) -> None:
    assert type(from_status(Response(status, {}, b""), "Api")) is kind


@pytest.mark.parametrize(
    ("text", "seconds"), [("7", 7.0), ("", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)]
)
def test_retry_after_counts_in_seconds(text: str, seconds: float | None) -> None:
    headers = {"Retry-After": text} if text else {}
    assert retry_after(Response(429, headers, b"")) == seconds


def test_the_first_pattern_that_fits_decides() -> None:
    table = {"Forbidden.Key": Network, "Forbidden*": Permission}
    assert isinstance(classified(table, "Api", "Forbidden.Key", ""), Network)
    assert isinstance(classified(table, "Api", "Forbidden.RAM", ""), Permission)
    unknown = classified(table, "Api", "Odd", "what?")
    assert isinstance(unknown, Refused)
    assert (unknown.code, str(unknown)) == ("Odd", "Api: Odd: what?")


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def waits(limiter: Limiter, number: int) -> list[float]:
    return [max(limiter._reserve(), 0) for _ in range(number)]


def test_a_limiter_lets_a_second_s_worth_through_and_spaces_the_rest() -> None:
    limiter = Limiter(4, Hand())
    assert waits(limiter, 7) == [0, 0, 0, 0, 0.25, 0.5, 0.75]


def test_a_slow_limiter_lets_one_through() -> None:
    assert waits(Limiter(0.5, Hand()), 3) == [0, 2, 4]


def test_a_rested_limiter_is_full_and_not_fuller() -> None:
    clock = Hand()
    limiter = Limiter(4, clock)
    waits(limiter, 4)
    clock.now += 1000
    assert waits(limiter, 6) == [0, 0, 0, 0, 0.25, 0.5]


def test_a_throttled_limiter_slows_down_and_recovers() -> None:
    limiter = Limiter(8, Hand())
    limiter.throttled()
    assert limiter.rate == 4
    assert waits(limiter, 2) == [0.25, 0.5]
    for _ in range(10):
        limiter.throttled()
    assert limiter.rate == 0.25
    for _ in range(100):
        limiter.succeeded()
    assert limiter.rate == 8


@given(rate=st.floats(0.1, 100), steps=st.lists(st.floats(0, 2), min_size=5, max_size=50))
def test_no_window_holds_more_calls_than_the_rate_allows(rate: float, steps: list[float]) -> None:
    clock = Hand()
    limiter = Limiter(rate, clock)
    times = []
    for step in steps:
        clock.now += step
        times.append(clock.now + max(limiter._reserve(), 0))
    for first in range(len(times)):
        for last in range(first, len(times)):
            window = times[last] - times[first]
            assert last - first + 1 <= max(rate, 1) + rate * window + 1.001


def test_apis_and_regions_have_limiters_of_their_own() -> None:
    limiters = Limiters(5)
    assert limiters.of("A", "x") is limiters.of("A", "x")
    assert len({id(limiters.of(api, region)) for api in "AB" for region in "xy"}) == 4


@given(
    known=st.sets(st.integers(0, 60)), wanted=st.lists(st.integers(0, 60), unique=True),
    batch=st.integers(1, 20),
)  # fmt: skip
def test_ids_are_found_though_a_batch_with_an_unknown_one_is_refused(
    known: set[int], wanted: list[int], batch: int
) -> None:
    def find(ids: Any) -> list[RawEntry]:
        assert 0 < len(ids) <= batch
        if not {int(one) for one in ids} <= known:
            raise Refused("no such id", "NotFound")
        return [RawEntry(one, b"", b"", None, lambda *_: None) for one in ids]  # type: ignore[arg-type,return-value]

    found = find_each([str(one) for one in wanted], find, batch, "NotFound")
    assert {key for key, entry in found.items() if entry} == {str(one) for one in known & {*wanted}}
    assert list(found) == [str(one) for one in wanted]


def test_other_refusals_of_a_lookup_are_raised() -> None:
    def find(ids: object) -> list[RawEntry]:
        raise Refused("odd", "Odd")

    with pytest.raises(Refused):
        find_each(["a"], find, 10, "NotFound")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r'"web \ud83d"', "web \ufffd"),
        (r'"\udc00 web"', "\ufffd web"),
        (r'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
        (r'"\\ud83d \ud83d"', "\\ud83d \ufffd"),  # the first is a backslash and letters
    ],
)
def test_half_a_surrogate_pair_costs_a_character_not_the_page(written, read):
    assert decoded(msgspec.json.Decoder(str), written.encode(), "test") == read


def test_what_is_no_json_for_another_reason_is_bad_data():
    with pytest.raises(BadData, match="can't be read"):
        decoded(msgspec.json.Decoder(str), rb'"\ud83d', "test")
