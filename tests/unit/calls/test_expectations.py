"""Whether an answer is what was expected, and what is to be done if not."""

import json
import re
import time
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime

import pytest
from exchange_helpers import NOW, answer
from hypothesis import given
from hypothesis import strategies as st

from syncd.calls.expectations import judge, met, retry_after, saved
from syncd.calls.json_paths import NOTHING, find, same
from syncd.calls.patterns import found
from syncd.config.http import Expect
from syncd.errors import (
    Authentication,
    Network,
    Permission,
    SyncdError,
    Throttled,
    Unexpected,
)  # fmt: skip


def error_of(came, /, masked=frozenset(), **expect) -> SyncdError | None:
    try:
        judge(Expect(**expect), came, NOW, masked)
    except SyncdError as error:
        return error
    return None


def of_json(value: object, **keys) -> object:
    return answer(json.dumps(value).encode(), **keys)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, None), (201, None), (202, None), (204, None), (299, None), (101, Unexpected),
        (301, Unexpected), (304, Unexpected), (400, Unexpected), (401, Authentication),
        (403, Permission), (404, Unexpected), (407, Unexpected), (408, Throttled),
        (409, Unexpected), (422, Unexpected), (425, Throttled), (429, Throttled), (500, Network),
        (502, Network), (503, Network), (504, Network), (599, Network), (999, Network),
    ],
)  # fmt: skip
def test_a_status_tells_what_to_do(status, kind) -> None:
    error = error_of(answer(b"why", status))
    assert type(error) is (kind or type(None))
    assert not error or f"answered {status}, expected 2xx: why" in str(error)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
def test_a_pause_that_is_asked_for_is_told(status) -> None:
    error = error_of(answer(b"", status, retry_after="7"))
    assert isinstance(error, Throttled)
    assert error.retry_after == 7.0


def test_only_named_statuses_count_if_any_are() -> None:
    assert error_of(answer(status=404), status=[404, 202]) is None
    error = error_of(answer(status=200), status=[404, 202])
    assert str(error) == "answered 200, expected 404 or 202"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0), ("120", 120), (" 5 ", 5), ("99999999999", 86_400), ("-1", None), ("1.5", None),
        ("soon", None), ("", None), ("9" * 5000, None), ("٣", None), ("1e3", None),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(days=9), usegmt=True), 0),
        (format_datetime(NOW + timedelta(days=9999), usegmt=True), 86_400),
        ("Sunday, 01-Mar-26 12:01:00 GMT", 60), ("Sun Mar  1 12:01:00 2026", 60),
        ("Sun, 01 Mar 2026 13:01:00 +0100", 60), ("Sun, 99 Mar 2026 12:01:00 GMT", None),
        ("Sun, 01 Mar 99999999999 12:01:00 GMT", None), ("Sun, 01 Mar 2026 12:01:00 +9999", None),
    ],
)  # fmt: skip
def test_both_forms_of_a_pause_are_understood(text, seconds) -> None:
    assert retry_after(answer(retry_after=text), NOW) == seconds


def test_a_moment_is_one_of_the_servers_clock() -> None:
    theirs = NOW + timedelta(hours=5)
    came = answer(
        retry_after=format_datetime(theirs + timedelta(seconds=30), usegmt=True),
        date=format_datetime(theirs, usegmt=True),
    )
    assert retry_after(came, NOW) == 30


@given(text=st.text(max_size=80))
def test_any_pause_is_understood_or_not(text) -> None:
    seconds = retry_after(answer(retry_after=text, date=text), NOW)
    assert seconds is None or 0 <= seconds <= 86_400


@pytest.mark.parametrize(
    ("expected", "came", "good"),
    [
        (0, 0, True), (0, False, False), (0, "0", False), (0, None, False), (0, 0.0, True),
        (1, True, False), (True, True, True), (True, 1, False), (False, 0, False), (1, 1.0, True),
        (1.5, 1.5, True), ("done", "done", True), ("done", "Done", False), ("1", 1, False),
        (["a", "b"], "b", True), (["a", "b"], "c", False), (["a", 1], True, False),
        ([], "a", False), ([[1, 2]], [1, 2], True), ([[1, 2]], [1, True], False),
        ({"a": 1, "b": [0]}, {"b": [0], "a": 1}, True),
        ({"a": 1, "b": [0]}, {"b": [False], "a": 1}, False), ({"a": 1, "b": 2}, {"a": 1}, False),
        ("x", {"x": 1}, False), (2**62, 2**62, True), (2**53, 2**53 + 1, False),
    ],
)  # fmt: skip
def test_values_are_compared_with_their_types(expected, came, good) -> None:
    error = error_of(of_json({"d": {"x": came}}), json={"d.x": expected})
    assert (error is None) is good
    if error:
        assert isinstance(error, Unexpected)
        assert str(error).startswith(f"d.x is {json.dumps(came, ensure_ascii=False)}: expected")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(one=JSON, other=JSON)
def test_what_is_the_same_is_so_both_ways(one, other) -> None:
    assert same(one, one)
    assert same(one, other) == same(other, one)
    assert same(one, json.loads(json.dumps(one)))


@given(value=JSON, path=st.text("a0.1", min_size=1, max_size=9) | st.text(max_size=9))
def test_any_path_leads_somewhere_or_nowhere(value, path) -> None:
    find(value, path)


def test_paths_lead_through_tables_and_lists() -> None:
    value = {"data": {"items": [{"id": 5}, {"id": None}], "0": "zero"}, "n": None}
    assert find(value, "data.items.0.id") == 5
    assert find(value, "data.items.1.id") is None
    assert find(value, "data.0") == "zero"
    assert find(value, "n") is None
    for path in ("data.items.2", "data.items.-1", "data.items.x", "data.items.0.id.x", "n.x",
                 "data.items.٠", "x", "data.items." + "9" * 20,
                 "data.items.1_0"):  # fmt: skip
        assert find(value, path) is NOTHING


def test_a_value_that_is_not_there_is_said_so() -> None:
    assert str(error_of(of_json({}), json={"a.b": "x"})) == 'a.b is nothing: expected "x"'
    wanted = str(error_of(of_json({"a": 3}), json={"a": [1, 2]}))
    assert wanted == "a is 3: expected 1 or 2"


def test_a_secret_may_be_expected_and_is_not_told(monkeypatch) -> None:
    monkeypatch.setenv("WANTED", "hush-hush-9")
    wanted = {"echo": {"env": "WANTED"}}
    assert error_of(of_json({"echo": "hush-hush-9"}), json=wanted) is None
    error = error_of(of_json({"echo": "other"}), json=wanted)
    assert str(error) == 'echo is "other": expected ******'
    error = error_of(of_json({"a": "my hush-hush-9!"}), json={"a": "x"})
    assert "hush" not in str(error)
    error = error_of(of_json({"access_token": "abc"}), json={"access_token": "def"})
    assert str(error) == "access_token is ******: expected ******"
    error = error_of(of_json({"pin": "abc"}), frozenset({"pin"}), json={"pin": "def"})
    assert "abc" not in str(error)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b'{"code": 0', b'{"code": NaN}', b"[" * 100_000, b'{"a": ' * 100_000,
        b"\xff\xfe\x00", b"1" * 5000, b'{"code": 0} x', b"\0", b'{"code": Infinity}',
    ],
)  # fmt: skip
def test_what_is_no_json_is_unexpected(body) -> None:
    error = error_of(answer(body), json={"code": 0})
    assert isinstance(error, Unexpected)
    assert len(str(error)) < 100


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_json_is_read_as_it_is_encoded(charset) -> None:
    came = answer('{"a": "ü"}'.encode(charset), content_type="application/json")
    assert error_of(came, json={"a": "ü"}) is None
    latin = answer('{"a": "ü"}'.encode("latin-1"), content_type="text/x; charset=ISO-8859-1")
    assert error_of(latin, json={"a": "ü"}) is None


def test_a_cut_or_broken_answer_fails_only_where_it_is_read() -> None:
    for came in (
        replace(of_json({"code": 0}), cut=True), replace(of_json({"code": 0}), flaw="it is no gzip")
    ):  # fmt: skip
        assert error_of(came) is None
        assert error_of(came, headers={}) is None
        for expect in ({"json": {"code": 0}}, {"matches": "code"}):
            assert isinstance(error_of(came, **expect), Unexpected)
        with pytest.raises(Unexpected):
            saved({"a": "code"}, came)
        assert saved({}, came) == {}


def test_headers_match() -> None:
    came = answer(content_type="text/html; charset=utf-8", set_cookie="hush=1")
    assert error_of(came, headers={"Content-Type": "^text/"}) is None
    error = error_of(came, headers={"Content-Type": "json"})
    assert "text/html; charset=utf-8" in str(error)
    assert str(error_of(came, headers={"X-Gone": ""})) == "the answer has no header X-Gone"
    assert "hush" not in str(error_of(came, headers={"Set-Cookie": "json"}))


def test_a_pattern_is_found_in_the_body() -> None:
    assert error_of(answer(b"all is\nwell"), matches=r"(?m)^well$") is None
    error = error_of(answer(b"all is bad, token=hush1"), matches="well")
    assert str(error) == "nothing matches 'well': all is bad, token=******"
    assert error_of(answer(b"x" * 900_000 + b"well"), matches="wel+") is None
    assert error_of(answer("ü\0\U0001f600".encode()), matches="^ü.?\U0001f600$") is None


@pytest.mark.parametrize(
    ("pattern", "text"),
    [(r"^(a+)+$", b"a" * 50 + b"b"), (r"a.*b.*c", b"ab" * 200_000)],
)
def test_a_hostile_text_does_not_hold_a_pattern_for_ever(pattern, text) -> None:
    started = time.monotonic()
    with pytest.raises(Unexpected, match=r"took more than 0\.3 s"):
        found(re.compile(pattern), text.decode(), seconds=0.3)
    assert time.monotonic() - started < 5


def test_a_search_that_can_not_be_made_is_an_error(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "gone"))
    assert error_of(answer(b"well"), matches="well") is None
    assert type(error_of(answer(b"well"), matches="w.*l")) is SyncdError
    monkeypatch.setattr("sys.executable", "/bin/false")
    assert type(error_of(answer(b"well"), matches="w.*l")) is SyncdError


def test_an_answer_has_its_time() -> None:
    assert error_of(answer(total=2.0), within="2s") is None
    error = error_of(answer(total=2.1), within="2s")
    assert str(error) == "the answer took 2.1 s: expected within 2s"
    assert isinstance(error, Unexpected)


def test_an_answer_is_quoted_short_and_on_one_line() -> None:
    text = str(error_of(answer(b"a\r\n\t\x1b[31m\xe2\x80\xa8" + b"long " * 10_000, 500)))
    assert text.startswith("answered 500, expected 2xx: a  [31m long")
    assert len(text) < 260
    assert "password" in str(error_of(answer(b'{"password": "hush"}', 500)))
    assert "hush" not in str(error_of(answer(b'{"password": "hush"}', 500)))


def test_values_are_saved_as_texts() -> None:
    came = of_json({"a": 1, "b": 1.5, "c": True, "d": "x\0\ud800", "e": [{"f": 2**60}]})
    save = {"a": "a", "b": "b", "c": "c", "d": "d", "e": "e.0.f"}
    assert saved(save, came) == {
        "a": "1", "b": "1.5", "c": "true", "d": "x\ufffd?", "e": str(2**60),
    }  # fmt: skip
    assert saved({}, answer(b"no json")) == {}


@pytest.mark.parametrize("value", [None, [], {}, [1], {"x": 1}, "y" * 2001])
def test_what_is_no_short_value_is_not_saved(value) -> None:
    with pytest.raises(Unexpected, match="plan can't be saved"):
        saved({"plan": "a"}, of_json({"a": value}))
    with pytest.raises(Unexpected, match="nothing stands at b"):
        saved({"plan": "b"}, of_json({"a": 1}))


def test_a_poll_asks_whether_it_is_so() -> None:
    assert met(Expect(json={"s": "done"}), of_json({"s": "done"}), NOW)
    assert not met(Expect(json={"s": "done"}), of_json({"s": "busy"}), NOW)
    assert not met(Expect(), answer(status=500), NOW)
