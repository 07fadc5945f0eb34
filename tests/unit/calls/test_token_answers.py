"""What answers of logins say: tokens and their lives, refusals, and what is neither."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from token_helpers import token_of
from urllib3 import HTTPHeaderDict

from syncd.calls.base import Answer, Times
from syncd.calls.token_answers import LONGEST, LONGEST_LIFE, read
from syncd.config import secrets
from syncd.errors import Authentication, Network, SyncdError, Throttled, Unexpected

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EPOCH = NOW.timestamp()


def answer(body: Any, status: int = 200, **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(
        status,
        HTTPHeaderDict(headers),
        data,
        cut=False,
        url="http://x/",
        times=Times(None, None, 0.1),
    )


def jwt(**claims: Any) -> str:
    parts = [{"alg": "none"}, claims]
    texts = [base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=") for each in parts]
    return b".".join([*texts, b"sig"]).decode()


def life(body: dict[str, Any], **keys: Any) -> float:
    told = {"access_token": "abcdef", **body}
    return read("iam", token_of("http://x", **keys), answer(told), NOW).life


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({"access_token": "good token"}, None),
        ({"token": "good token"}, None),
        ({"code": 0, "data": {"token": "good token"}}, None),
        ({"access_token": None, "token": "good token"}, None),
        ({"result": [{"jwt": "good token"}]}, ["nothing.here", "result.0.jwt"]),
    ],
)
def test_the_first_path_that_is_there_has_the_token(body: Any, paths: list[str] | None) -> None:
    keys = {"token": paths} if paths else {}
    assert read("iam", token_of("http://x", **keys), answer(body), NOW).token == "good token"
    assert "good token" in secrets.known()


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (600, 600),
        (600.5, 600.5),
        ("600", 600),
        (0, 0),
        (-5, -5),
        (EPOCH + 600, 600),
        (str(int(EPOCH + 600)), 600),
        ((EPOCH + 600) * 1000, 600),
        ("2026-03-01T12:10:00Z", 600),
        ("2026-03-01T20:10:00+08:00", 600),
        ("2026-03-01 12:10:00", 600),
        (2**31 - 1, LONGEST_LIFE),
        (2**63 - 1, 3600),
        (1e18, LONGEST_LIFE),
        ("soon", 3600),
        (True, 3600),
        (None, 3600),
        ([600], 3600),
        ("nan", 3600),
        ("inf", 3600),
        ("9" * 400, 3600),
    ],
)
def test_the_life_is_told_in_seconds_or_as_a_moment_else_it_is_that_of_the_table(
    told: Any, expected: float
) -> None:
    assert life({"expires_in": told}) == pytest.approx(expected, abs=0.01)


def test_a_jwt_tells_its_own_end_where_the_answer_does_not() -> None:
    assert life({"access_token": jwt(exp=EPOCH + 900)}) == pytest.approx(900)
    assert life({"access_token": jwt(exp=EPOCH + 900), "expires_in": 60}) == 60
    assert life({"access_token": jwt(exp="x")}, lifetime="5m") == 300
    assert life({"access_token": jwt(exp=12)}) < 0
    assert life({"access_token": "a.!!!.c"}) == 3600
    assert life({"access_token": "a.bm9uc2Vuc2U.c"}) == 3600


def test_moments_are_of_the_clock_of_the_server() -> None:
    body = {"access_token": "abcdef", "end": EPOCH + 7200 + 600}
    told = answer(body, Date="Sun, 01 Mar 2026 14:00:00 GMT")
    assert read("iam", token_of("http://x", expires="end"), told, NOW).life == pytest.approx(600)
    told = answer(body, date="no date")
    assert read("iam", token_of("http://x", expires="end"), told, NOW).life == pytest.approx(7800)


def failure(body: Any, status: int = 200) -> SyncdError:
    with pytest.raises(SyncdError) as caught:
        read("iam", token_of("http://x", "hunter2222"), answer(body, status), NOW)
    assert caught.value.__cause__ is None
    return caught.value


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b""),
        (403, {"message": "no"}),
        (400, {"error": "invalid_grant"}),
        (400, {"error": "invalid_client", "error_description": "who?"}),
        (400, {"msg": "wrong password"}),
        (422, {"error": {"message": "The user is locked"}}),
        (200, {"code": 401, "message": "no"}),
        (200, {"code": 7, "message": "Bad credentials"}),
    ],
)
def test_a_refused_login_is_held_by_the_token(status: int, body: Any) -> None:
    error = failure(body, status)
    assert isinstance(error, Authentication)
    assert error.holder == "token iam"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": "invalid_scope"}, Unexpected),
        (404, b"<html>", Unexpected),
        (302, b"", Unexpected),
        (408, b"", Throttled),
        (429, b"", Throttled),
        (500, b"", Network),
        (503, {"message": "the user service is refused"}, Network),
        (200, {"code": 500, "message": "no database"}, Unexpected),
        (200, [], Unexpected),
        (200, b"", Unexpected),
        (200, b"eyJhbGciOi", Unexpected),
        (200, b"[" * 100_000, Unexpected),
        (204, b"", Unexpected),
    ],
)
def test_other_answers_without_a_token_are_told_by_what_may_be_done(
    status: int, body: Any, kind: type[SyncdError]
) -> None:
    error = failure(body, status)
    assert type(error) is kind
    assert str(error).startswith("token iam: the ")


@pytest.mark.parametrize(
    "value",
    ["", 12, True, ["a"], {"a": 1}, "a\r\nX-Evil: 1", "a\nb", "a\0b", " a", "é", "x" * 1_000_000,
     "x" * (LONGEST + 1)],
)  # fmt: skip
def test_what_no_header_can_carry_is_no_token_and_is_not_told(value: Any) -> None:
    error = failure({"access_token": value})
    assert type(error) is Unexpected
    assert len(str(error)) < 200
    assert "Evil" not in str(error)


def test_the_words_of_an_answer_are_told_without_secrets() -> None:
    secrets.resolve(secrets.parse_secret("hunter2222"))
    error = failure({"error": f"user svc, password hunter2222, {jwt(a=1)}\n\x1b[31m"}, 401)
    text = str(error)
    assert text == "token iam: the login was answered 401: user svc, password ******, ****** [31m"
    assert len(str(failure({"error": "long " * 1000}, 401))) < 300


def test_a_token_in_an_unexpected_place_is_not_told() -> None:
    error = failure({"ticket": "s3cr3t-value", "code": 0})
    assert "s3cr3t" not in str(error)
