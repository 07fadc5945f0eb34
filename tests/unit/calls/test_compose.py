"""What is sent for a request of the configuration, whatever its names stand for."""

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

import pytest
from exchange_helpers import KEY, NOW, composed
from hypothesis import given
from hypothesis import strategies as st

from syncd.calls.base import Credential
from syncd.calls.compose import compose, filled_url, redirected
from syncd.calls.masked import show
from syncd.config import secrets
from syncd.config.http import ClientCredentials, Login, Request
from syncd.errors import ConfigurationError, Guarded, Unexpected

URL = "https://api.example/v1"
VALUES = {"run.id": "r-1", "run.scheduled_for": "2026-03-01T12:00:00+00:00", "date": "2026-03-01"}
HOSTILE = st.text(max_size=30) | st.text('/?#&=%"\\\r\n\t {}.:;@<>\0é', max_size=12)


def test_names_are_filled_in_everywhere() -> None:
    made = composed(
        VALUES, url=URL + "/{{ date }}/x?at={{run.scheduled_for}}", method="POST",
        query={"q": "{{ run.id }}"}, headers={"X-Run": "<{{ run.id }}>"},
        body={"a": ["{{ date }}", 1, True, 2.5], "b": {"c": "{{run.id}} {{ date }}"}},
    )  # fmt: skip
    assert made.url == URL + "/2026-03-01/x?at=2026-03-01T12%3A00%3A00%2B00%3A00&q=r-1"
    assert made.headers["X-Run"] == "<r-1>"
    assert json.loads(made.body or b"") == {
        "a": ["2026-03-01", 1, True, 2.5], "b": {"c": "r-1 2026-03-01"},
    }  # fmt: skip


def test_a_name_without_a_value_is_an_error() -> None:
    with pytest.raises(Guarded):
        composed(VALUES, url=URL + "/{{ plan }}")


@given(value=HOSTILE)
def test_no_value_leaves_its_place_in_a_url(value) -> None:
    request = Request(url=URL + "/a/{{ v }}/b?x={{ v }}&y=1", query={"z": "{{ v }}"})
    try:
        made = compose(request, {"v": value}, key=KEY, now=NOW)
    except Unexpected:
        assert value in ("", ".", "..") or unquote(value) in (".", "..")
        return
    parts = urlsplit(made.url)
    assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "api.example", "")
    start, one, middle, end = parts.path.split("/")[1:]
    stored = value.replace("\0", "\ufffd")
    assert (start, one, unquote(middle), end) == ("v1", "a", stored, "b")
    assert parse_qsl(parts.query, keep_blank_values=True) == [
        ("x", stored), ("y", "1"), ("z", stored),
    ]  # fmt: skip


@pytest.mark.parametrize("value", ["", ".", "..", "%2e", "%2E.", "%2e%2E"])
@pytest.mark.parametrize("place", ["/{{ v }}", "/{{ v }}/x", "/{{ v }}{{ w }}/x?y"])
def test_no_value_leads_to_another_path(value, place) -> None:
    with pytest.raises(Unexpected, match="another path"):
        filled_url(URL + place, {"v": value, "w": ""})


def test_two_dots_from_two_values_are_seen() -> None:
    with pytest.raises(Unexpected, match="another path"):
        filled_url(URL + "/{{ v }}.", {"v": "."})


@given(value=HOSTILE)
def test_no_value_leaves_its_string_in_json(value) -> None:
    stored = value.replace("\0", "\ufffd")
    table = composed({"v": value}, url=URL, method="POST", body={"a": "<{{ v }}>", "b": 1})
    assert json.loads(table.body or b"") == {"a": f"<{stored}>", "b": 1}
    text = composed(
        {"v": value}, url=URL, method="POST", body='{"a": "<{{ v }}>", "b": 1}',
        content_type="application/json",
    )  # fmt: skip
    assert json.loads(text.body or b"") == {"a": f"<{stored}>", "b": 1}


@given(value=HOSTILE)
def test_no_value_leaves_its_field_in_a_form(value) -> None:
    stored = value.replace("\0", "\ufffd")
    made = composed({"v": value}, url=URL, method="POST", form={"a": "{{ v }}", "b": 1})
    assert parse_qs((made.body or b"").decode(), keep_blank_values=True) == {
        "a": [stored], "b": ["1"],
    }  # fmt: skip
    assert made.headers["Content-Type"] == "application/x-www-form-urlencoded"


@given(value=HOSTILE)
def test_no_value_leaves_its_line_in_a_header(value) -> None:
    try:
        made = composed({"v": value}, url=URL, headers={"X-A": "{{ v }}"})
    except Unexpected:
        assert any(ord(each) < 32 or ord(each) == 127 for each in value)
    else:
        assert not {"\r", "\n", "\0"} & set(made.headers["X-A"])


def test_a_name_outside_of_a_string_of_json_is_refused() -> None:
    with pytest.raises(ValueError, match="inside the strings"):
        composed({"v": "1"}, url=URL, body='{"a": {{ v }}}', content_type="application/json")


def test_xml_is_escaped_and_plain_text_is_not() -> None:
    for kind, there in (("text/xml", "&lt;b&gt;&amp;&quot;"), ("text/plain", '<b>&"')):
        made = composed({"v": '<b>&"'}, url=URL, body="<a>{{ v }}</a>", content_type=kind)
        assert (made.body or b"").decode() == f"<a>{there}</a>"


def test_the_type_is_told() -> None:
    for keys, kind in (
        ({"body": {}}, "application/json"), ({"body": []}, "application/json"),
        ({"body": "x"}, "text/plain; charset=utf-8"), ({"body": {}, "content_type": "a/b"}, "a/b"),
        ({"body": {}, "headers": {"content-type": "c/d"}}, None), ({}, None),
    ):  # fmt: skip
        assert composed(url=URL, method="POST", **keys).headers.get("Content-Type") == kind
    assert composed(url=URL, method="POST", body={"ü": "€"}).body == '{"ü": "€"}'.encode()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_the_key_is_sent_where_it_matters(method) -> None:
    matters = method in ("POST", "PATCH")
    made = composed(url=URL, method=method)
    assert made.headers.get("Idempotency-Key") == (KEY if matters else None)
    assert made.safe
    none = composed(url=URL, method=method, idempotency_key=False)
    assert KEY not in none.headers.values()
    assert none.safe is not matters
    other = composed(url=URL, method=method, idempotency_key="X-Request")
    assert other.headers.get("X-Request") == (KEY if matters else None)


def test_secrets_are_put_in_their_places(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("CALL_SECRET", "s p/ä")
    (tmp_path / "deep").write_text("from a file\n")
    secret = {"env": "CALL_SECRET"}
    made = composed(
        url=URL, method="POST", query={"q": secret},
        headers={"X-Key": {"file": f"{tmp_path}/deep"}},
        body={"a": [{"b": {"c": secret}}]}, mask=["Other"],
    )  # fmt: skip
    assert made.url == URL + "?q=s+p%2F%C3%A4"
    assert made.headers["X-Key"] == "from a file"
    assert json.loads(made.body or b"")["a"] == [{"b": {"c": "s p/ä"}}]
    assert made.masked == {"q", "x-key", "c", "other"}
    assert made.credentials == {"x-key"}
    assert made.secret_body


def test_a_secret_with_a_line_break_fits_no_header(monkeypatch) -> None:
    monkeypatch.setenv("CALL_SECRET", "hush\r\nX-Evil: 1")
    for keys in ({"headers": {"X-A": {"env": "CALL_SECRET"}}}, {"bearer": {"env": "CALL_SECRET"}}):
        with pytest.raises(ConfigurationError, match="line break") as caught:
            composed(url=URL, **keys)
        assert "hush" not in str(caught.value)


def test_a_secret_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match="CALL_GONE"):
        composed(url=URL, bearer={"env": "CALL_GONE"})


@pytest.mark.parametrize("place", ["bearer", "query", "body", "basic", "hmac", "headers"])
def test_a_secret_that_is_no_text_is_named_and_not_quoted(monkeypatch, place) -> None:
    monkeypatch.setenv("CALL_SECRET", "hush\udcff")
    secret = {"env": "CALL_SECRET"}
    keys = {
        "bearer": secret, "query": {"a": secret}, "body": {"a": secret}, "headers": {"a": secret},
        "basic": {"user": "a", "password": secret}, "hmac": {"secret": secret},
    }  # fmt: skip
    with pytest.raises(ConfigurationError, match="env CALL_SECRET is not UTF-8") as caught:
        composed(url=URL, method="POST", **{place: keys[place]})
    assert "hush" not in str(caught.value)


def test_basic_is_known_to_the_log() -> None:
    made = composed(url=URL, basic={"user": "mé", "password": "pass:wörd"})
    coded = base64.b64encode("mé:pass:wörd".encode()).decode()
    assert made.headers["Authorization"] == f"Basic {coded}"
    assert {coded, "pass:wörd"} <= secrets.known()


def test_bearer_is_sent() -> None:
    assert composed(url=URL, bearer="b-1234").headers["Authorization"] == "Bearer b-1234"


@pytest.mark.parametrize("body", [None, {"a": "ü"}, "text"])
def test_a_signature_covers_method_path_time_and_body(body) -> None:
    made = composed(
        VALUES, url=URL + "/{{ date }}?a=b c".replace(" c", "%20c"), method="PUT", body=body,
        query={"d": "é"}, hmac={"secret": "shared-key", "key_id": "me"},
    )  # fmt: skip
    time = str(int(NOW.timestamp()))
    digest = hashlib.sha256(made.body or b"").hexdigest()
    text = f"PUT\n/v1/2026-03-01?a=b%20c&d=%C3%A9\n{time}\n{digest}"
    signature = hmac.new(b"shared-key", text.encode(), hashlib.sha256).hexdigest()
    assert made.headers["X-Signature"] == signature
    assert made.headers["X-Timestamp"] == time
    assert made.headers["X-Key-Id"] == "me"


def test_a_signature_of_the_root_names_it() -> None:
    made = composed(url="https://api.example", hmac={"secret": "shared-key"})
    later = compose(
        Request(url="https://api.example/", hmac={"secret": "shared-key"}), {}, key=KEY, now=NOW
    )
    assert made.headers["X-Signature"] == later.headers["X-Signature"]
    other = compose(
        Request(url="https://api.example/", hmac={"secret": "shared-key"}), {}, key=KEY,
        now=NOW + timedelta(seconds=1),
    )  # fmt: skip
    assert other.headers["X-Signature"] != later.headers["X-Signature"]


def test_a_login_is_a_request_that_may_be_repeated() -> None:
    login = Login(url=URL + "/login", body={"username": "svc", "password": "hush-1"})
    made = compose(login, {}, key="", now=NOW)
    assert (made.method, made.safe, made.redirects, made.token) == ("POST", True, 0, None)
    assert json.loads(made.body or b"") == {"username": "svc", "password": "hush-1"}
    assert made.secret_body
    assert "" not in made.headers.values()


def test_client_credentials_stand_where_they_are_wanted() -> None:
    keys = {"url": URL, "client_id": "a b:", "client_secret": "s/1:", "scope": "x y",
            "form": {"audience": "z"}}  # fmt: skip
    header = compose(ClientCredentials(**keys), {}, key="", now=NOW)
    coded = header.headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(coded) == b"a+b%3A:s%2F1%3A"
    common = [("grant_type", "client_credentials"), ("audience", "z"), ("scope", "x y")]
    assert parse_qsl((header.body or b"").decode()) == common
    body = compose(ClientCredentials(**keys, secret_in="body"), {}, key="", now=NOW)
    assert "Authorization" not in body.headers
    assert parse_qsl((body.body or b"").decode()) == [
        *common, ("client_id", "a b:"), ("client_secret", "s/1:"),
    ]  # fmt: skip
    assert coded in secrets.known()
    for made in (header, body):
        text = str(show(made))
        assert not [each for each in ("s/1:", "s%2F1%3A", coded) if each in text]


def everywhere(secret: object) -> dict[str, object]:
    """Return a request that holds a secret wherever one can stand."""
    return {
        "method": "POST", "url": URL + "/p?fixed=1", "query": {"q": secret},
        "headers": {"X-H": secret}, "body": {"f": secret, "g": [{"h": secret}]},
        "basic": {"user": "me", "password": secret}, "hmac": {"secret": secret, "header": "X-Sig"},
    }  # fmt: skip


@pytest.mark.parametrize(
    "value", ["correct-horse", 'quo"ted\\', "sp ace/+&=é", "q", "\u2028x", "a" * 5000, "{{ date }}"]
)
def test_nothing_that_is_shown_holds_a_secret(monkeypatch, value) -> None:
    monkeypatch.setenv("CALL_SECRET", value)
    request = Request(**everywhere({"env": "CALL_SECRET"}))
    made = compose(request, VALUES, key=KEY, now=NOW)
    shown = show(made, Credential("iam", "X-Token", "t0k-1234"))
    coded = base64.b64encode(f"me:{value}".encode()).decode()
    for text in (str(shown), repr(shown), repr(made), repr(Credential("iam", "X", "t0k-1234"))):
        assert made.headers["X-Sig"] not in text
        assert coded not in text
        assert "t0k-1234" not in text
        assert len(value) < 4 or value not in text
        assert len(value) < 4 or json.dumps(value)[1:-1] not in text
    assert shown.url == URL + "/p?fixed=1&q=******"
    assert json.loads(shown.body) == {"f": "******", "g": [{"h": "******"}]}
    masked = [name for name, each in shown.headers.items() if each == "******"]
    assert sorted(masked) == ["Authorization", "X-H", "X-Sig", "X-Token"]


def test_a_plan_shows_what_would_be_sent_without_reading_a_secret() -> None:
    request = Request(**everywhere({"env": "CALL_IS_NOT_SET"}))
    shown = show(compose(request, VALUES, key=KEY, now=NOW, masked=True))
    assert shown.url == URL + "/p?fixed=1&q=******"
    assert json.loads(shown.body) == {"f": "******", "g": [{"h": "******"}]}
    assert shown.headers["X-H"] == shown.headers["X-Sig"] == "******"
    form = Request(url=URL, method="POST", form={"a": {"env": "CALL_IS_NOT_SET"}, "b": 1},
                   bearer={"env": "CALL_IS_NOT_SET"})  # fmt: skip
    shown = show(compose(form, VALUES, key=KEY, now=NOW, masked=True))
    assert shown.body == "a=******&b=1"
    grant = ClientCredentials(url=URL, client_id="a", client_secret={"env": "CALL_IS_NOT_SET"})
    assert (
        show(compose(grant, {}, key="", now=NOW, masked=True)).headers["Authorization"] == "******"
    )


def test_inline_secrets_are_known_by_the_names_of_their_places() -> None:
    shown = show(
        composed(
            url=URL + "/?access_token=a1&page=2", method="POST", mask=["pin"],
            headers={"Cookie": "b2", "X-Pin": "c3", "PIN": "d4", "X-Api-Key": "e5"},
            body={"password": "f6", "user": {"api_key": "g7"}, "pin": "h8", "plain": "i9"},
        )
    )  # fmt: skip
    assert shown.url == URL + "/?access_token=******&page=2"
    assert [n for n, v in shown.headers.items() if v == "******"] == ["Cookie", "PIN", "X-Api-Key"]
    assert json.loads(shown.body) == {
        "password": "******", "user": {"api_key": "******"}, "pin": "******", "plain": "i9",
    }  # fmt: skip


def test_a_redirect_by_another_method_loses_the_body_alone() -> None:
    made = composed(url=URL, method="POST", body={"password": "x"}, headers={"X-A": "b"})
    then = redirected(made, "GET", URL + "/2")
    assert (then.method, then.body, then.secret_body, then.safe) == ("GET", None, False, True)
    assert "X-A" in then.headers
    assert "Content-Type" not in then.headers
    assert then.home == made.home
    assert redirected(made, "POST", URL + "/2").body == made.body
