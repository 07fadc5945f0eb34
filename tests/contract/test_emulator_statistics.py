"""The emulated API with login, asked by the standard library alone."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from syncd.demo.emulator.statistics import HOOK, PASSWORD, SYNC, USER, StatisticsApi


class Watch:
    """A clock that the test moves."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def api(watch: Watch) -> Iterator[StatisticsApi]:
    with StatisticsApi(20.0, watch) as served:
        yield served


def ask(
    api: StatisticsApi, path: str, body: Any = None, method: str = "POST", **headers: str
) -> tuple[int, Any, Any]:
    """Return status, headers and what the JSON says."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    data = json.dumps(body or {}).encode() if method == "POST" else None
    request = urllib.request.Request(api.url + path, data, named, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, json.load(error)


def token(api: StatisticsApi) -> dict[str, str]:
    _, _, told = ask(api, "/login", {"username": USER, "password": PASSWORD})
    return {"Authorization": f"Bearer {told['access_token']}"}


def test_a_token_is_good_for_its_time_or_until_it_is_forgotten(
    api: StatisticsApi, watch: Watch
) -> None:
    assert ask(api, SYNC + "daily")[0] == 401
    assert ask(api, "/login", {"username": USER, "password": "wrong"})[0] == 401
    first = token(api)
    assert ask(api, SYNC + "daily", **first)[0] == 200
    watch.seconds += 20
    assert ask(api, SYNC + "daily", **first)[0] == 401
    second = token(api)
    api.forget_tokens()
    assert ask(api, SYNC + "daily", **second)[0] == 401
    assert (api.logins, api.effects["daily"]) == (2, 1)


def test_a_key_takes_effect_once_even_where_the_answer_was_lost(api: StatisticsApi) -> None:
    headers = {**token(api), "Idempotency_Key": "k"}
    api.trouble("daily", "loses", 1)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        ask(api, SYNC + "daily", **headers)
    assert ask(api, SYNC + "daily", **headers)[2]["code"] == 0
    assert api.effects["daily"] == 1


def test_troubles_come_as_often_as_they_are_asked_for(api: StatisticsApi) -> None:
    headers = token(api)
    api.trouble("daily", "busy", 1)
    api.trouble("weekly", "refuses", 1)
    status, answered, _ = ask(api, SYNC + "daily", **headers)
    assert (status, answered["Retry-After"]) == (503, "2")
    status, _, told = ask(api, SYNC + "weekly", **headers)
    assert (status, told["code"]) == (200, 1)
    assert [ask(api, SYNC + each, **headers)[0] for each in ("daily", "weekly")] == [200, 200]
    assert api.effects == {"daily": 1, "weekly": 1}


def test_slow_statistics_are_accepted_and_done_after_some_looks(api: StatisticsApi) -> None:
    headers = token(api)
    status, answered, _ = ask(api, SYNC + "quarterly", **headers)
    assert status == 202
    looks = [ask(api, answered["Location"], method="GET", **headers)[2] for _ in range(3)]
    assert [each["state"] for each in looks] == ["running", "running", "done"]
    assert ask(api, "/api/v1/nothing", **headers)[0] == 404


def test_the_webhook_keeps_what_it_hears(api: StatisticsApi) -> None:
    ask(api, HOOK, {"title": "job x failed"})
    assert api.told.get(timeout=5) == {"title": "job x failed"}
