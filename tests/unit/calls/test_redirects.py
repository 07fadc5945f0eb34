"""Redirects: which are followed, and what may not go along."""

import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_faults import redirect, reset_read
from api_server import ApiServer, tls_context
from api_wire import Answer
from exchange_helpers import NOW, Sender, composed, sending
from mysql_certificates import Authority

from syncd.calls.base import Credential
from syncd.calls.compose import compose_poll
from syncd.config.http import Request
from syncd.errors import Network, Permission, Unexpected

SECRETS = ("hush-1", "hush-2", "hush-3", "hush-4", "hush-5", "aHVzaC0", "hush-t")


@pytest.fixture
def servers() -> Iterator[tuple[ApiServer, ApiServer]]:
    with ApiServer() as one, ApiServer() as other:
        yield one, other


@pytest.fixture
def send() -> Iterator[Sender]:
    with sending() as sender:
        yield sender


def everything(record) -> str:
    return f"{record.target} {record.headers} {record.body!r}"


def test_redirects_are_off_unless_asked_for(servers, send) -> None:
    one, other = servers
    one.fault("/from", redirect(other.url + "/to", 302))
    answer = send(one.url + "/from")
    assert (answer.status, answer.headers["location"]) == (302, other.url + "/to")
    assert not other.log


@pytest.mark.parametrize(
    ("method", "status", "then"),
    [
        ("GET", 301, "GET"), ("GET", 302, "GET"), ("GET", 303, "GET"), ("GET", 307, "GET"),
        ("GET", 308, "GET"), ("HEAD", 303, "HEAD"), ("POST", 301, "GET"), ("POST", 302, "GET"),
        ("POST", 303, "GET"), ("POST", 307, "POST"), ("POST", 308, "POST"), ("PUT", 302, "PUT"),
        ("PUT", 303, "GET"), ("DELETE", 307, "DELETE"), ("PATCH", 308, "PATCH"),
    ],
)  # fmt: skip
def test_the_method_changes_as_the_status_says(servers, send, method, status, then) -> None:
    one, _ = servers
    one.fault("/from", redirect("to?x=1", status))
    body = {"a": 1} if method in ("POST", "PUT", "PATCH") else None
    answer = send(one.url + "/from", method=method, redirects=1, body=body)
    (record,) = one.requests("/to")
    assert (record.method, answer.url) == (then, one.url + "/to?x=1")
    assert bool(record.body) == (body is not None and then == method)
    assert ("content-type" in record.headers) == (body is not None and then == method)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("name", ["Authorization", "X-Auth-Token", "x-custom"])
def test_no_credential_comes_to_another_origin(servers, send, monkeypatch, status, name) -> None:
    one, other = servers
    for number in range(1, 6):
        monkeypatch.setenv(f"HUSH_{number}", f"hush-{number}")
    one.fault("/from", redirect(other.url + "/to", status))
    request = composed(
        url=one.url + "/from", method="PUT", redirects=2, body={"a": "b"},
        headers={"Cookie": "a=hush-2", "X-Own": {"env": "HUSH_3"}, "X-Api-Key": "hush-4",
                 "X-Plain": "here", "X-Marked": "hush-5"},
        query={"key": {"env": "HUSH_1"}}, mask=["x-marked"],
        hmac={"secret": "shared", "key_id": "me"},
    )  # fmt: skip
    send.send(request, Credential("hush-t", name, "Bearer hush-t"))
    (record,) = other.log
    assert record.headers["x-plain"] == "here"
    assert not [each for each in SECRETS if each in everything(record)]
    assert not {"x-signature", "x-timestamp", "x-key-id", name.lower()} & set(record.headers)
    assert "hush-t" in everything(one.log[0])


def test_basic_and_bearer_stay_at_home(servers, send) -> None:
    one, other = servers
    one.fault("/from", redirect(other.url + "/to", 302))
    send(one.url + "/from", redirects=1, basic={"user": "me", "password": "hush-1"})
    send(one.url + "/from", redirects=1, bearer="hush-1")
    assert len(other.log) == 2
    assert not [r for r in other.log if "authorization" in r.headers]


def test_a_credential_is_not_sent_back_by_a_detour_without_need(servers, send) -> None:
    """Coming home, the caller is known again: the origin is the configured one."""
    one, other = servers
    one.fault("/from", redirect(other.url + "/to", 302))
    other.fault("/to", redirect(one.url + "/end", 302))
    send(one.url + "/from", redirects=2, bearer="hush-1")
    assert "authorization" not in other.log[0].headers
    assert one.requests("/end")[0].headers["authorization"] == "Bearer hush-1"


@pytest.mark.parametrize("secret", [{"password": "hush-1"}, {"deep": [{"x": {"env": "HUSH_1"}}]}])
@pytest.mark.parametrize("status", [307, 308])
def test_a_body_with_secrets_goes_nowhere_else(servers, send, monkeypatch, secret, status) -> None:
    monkeypatch.setenv("HUSH_1", "hush-1")
    one, other = servers
    one.fault("/from", redirect(other.url + "/to", status))
    with pytest.raises(Unexpected, match="secrets to another host"):
        send(one.url + "/from", method="POST", redirects=1, body=secret)
    assert not other.log


@pytest.mark.parametrize("status", [307, 308])
def test_what_must_not_be_repeated_is_not(servers, send, status) -> None:
    one, _ = servers
    one.fault("/from", redirect("/to", status))
    with pytest.raises(Unexpected, match="must not be repeated"):
        send(one.url + "/from", method="POST", redirects=1, idempotency_key=False)
    assert not one.requests("/to")
    assert send.trace.sent


def test_a_call_that_must_not_be_repeated_may_be_told_where_its_result_is(servers, send) -> None:
    one, _ = servers
    one.fault("/from", redirect("/to", 303))
    send(one.url + "/from", method="POST", redirects=1, idempotency_key=False)
    assert [r.method for r in one.log] == ["POST", "GET"]


def test_no_redirect_leads_from_https_to_http(servers, send, tmp_path) -> None:
    authority = Authority(tmp_path, "ca")
    _, other = servers
    with ApiServer(tls=tls_context(authority.issue("127.0.0.1"))) as one:
        one.fault("/from", redirect(other.url + "/to", 302))
        with pytest.raises(Unexpected, match="from https to http"):
            send(one.url + "/from", redirects=3, tls_ca=str(authority.file))
    assert not other.log


def test_a_client_certificate_is_not_shown_to_another_origin(send, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    files, (cert, key) = authority.issue("127.0.0.1"), authority.issue("client")
    asking = tls_context(files, authority.file)
    with ApiServer(tls=asking) as one, ApiServer(tls=asking) as strict:
        one.fault("/from", redirect(strict.url + "/to", 302))
        with pytest.raises(Network):
            send(one.url + "/from", redirects=1, tls_ca=str(authority.file), tls_cert=str(cert),
                 tls_key=str(key))  # fmt: skip
        assert one.requests("/from")
        assert not strict.log


@pytest.mark.parametrize("count", [1, 3, 10])
def test_the_count_of_redirects_is_bounded(servers, send, count) -> None:
    one, _ = servers
    for number in range(count + 1):
        one.on(f"/{number}", Answer(302, b"", {"Location": f"/{number + 1}"}))
    with pytest.raises(Unexpected, match=f"more than {count} redirects"):
        send(one.url + "/0", redirects=count)
    assert len(one.log) == count + 1
    one.on(f"/{count}", Answer())
    assert send(one.url + "/0", redirects=count).status == 200


@pytest.mark.parametrize("location", ["/from", "", "?", "//127.0.0.1:{port}/from", "/./from#x"])
def test_a_circle_is_noticed(servers, send, location) -> None:
    one, _ = servers
    one.on("/from", Answer(302, b"", {"Location": location.format(port=one.port)}))
    try:
        answer = send(one.url + "/from", redirects=10)
    except Unexpected:
        pass
    else:
        assert location == ""
        assert answer.status == 302
    assert len(one.log) <= 2


@pytest.mark.parametrize(
    "location",
    ["ftp://x/", "http://[x/", "javascript:1", "http://a:99999/", "mailto:x", "http:/x", "http:x"],
)
def test_a_redirect_to_nowhere_is_refused(servers, send, location) -> None:
    one, _ = servers
    one.on("/from", Answer(302, b"", {"Location": location}))
    with pytest.raises(Unexpected):
        send(one.url + "/from", redirects=3)


@pytest.mark.parametrize("location", ["http://", "https://", "//", "///x", "http:", "http:?a"])
def test_a_redirect_to_no_host_is_told(servers, send, location) -> None:
    one, _ = servers
    one.on("/from", Answer(302, b"", {"Location": location}))
    with pytest.raises(Unexpected, match="redirected to what names no host"):
        send(one.url + "/from", redirects=3)
    assert len(one.log) == 1


def test_every_hop_must_be_allowed(servers) -> None:
    one, other = servers
    one.fault("/from", redirect(other.url + "/to", 302))
    with (
        sending(f"127.0.0.1:{one.port}") as send,
        pytest.raises(Permission, match=f"127.0.0.1:{other.port} is not among"),
    ):
        send(one.url + "/from", redirects=1)
    assert not other.log


def test_what_breaks_behind_a_redirect_was_sent(servers, send) -> None:
    one, other = servers
    one.fault("/from", redirect(other.url + "/to", 302))
    other.fault("/to", reset_read())
    with pytest.raises(Network):
        send(one.url + "/from", redirects=1)
    assert send.trace.sent
    other.stop()
    with pytest.raises(Network):
        send(one.url + "/from", redirects=1)
    assert send.trace.sent
    other.start()


def test_a_refusal_names_no_secret(servers, send) -> None:
    one, _ = servers
    one.on("/from", Answer(307, b"", {"Location": "http://u:hush-1@a.example/?token=hush-2"}))
    with pytest.raises(Unexpected) as caught:
        send(one.url + "/from?api_key=hush-3", method="POST", redirects=1, idempotency_key=False)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(("status", "then"), [(307, "POST"), (303, "GET")])
def test_what_is_signed_is_signed_anew_for_where_it_is_sent(servers, send, status, then) -> None:
    one, other = servers
    one.fault("/from", redirect(other.url + "/by", 307))
    other.fault("/by", redirect(one.url + "/to?x=1", status))
    keys = {"body": {"a": 1}, "hmac": {"secret": "shared"}}
    send(one.url + "/from", method="POST", redirects=2, **keys)
    (there,) = one.requests("/to")
    assert there.method == then
    text = f"{then}\n/to?x=1\n{int(NOW.timestamp())}\n{hashlib.sha256(there.body).hexdigest()}"
    assert there.headers["x-signature"] == hmac.digest(b"shared", text.encode(), "sha256").hex()
    assert "x-signature" not in other.log[0].headers


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_status_is_asked_for_with_what_identifies_the_caller(servers, send, elsewhere) -> None:
    one, other = servers
    request = Request(
        url=one.url + "/start/{{ run.id }}", method="POST", body={"a": 1}, bearer="hush-1",
        query={"api_key": "hush-2", "plain": "1"}, headers={"X-Run": "{{ run.id }}"},
        hmac={"secret": "shared"}, content_type="application/x-own", redirects=2,
    )  # fmt: skip
    url = (other if elsewhere else one).url + "/status/{{ x }}?at=1"
    poll = compose_poll(request, url, {"run.id": "7"}, now=NOW)
    send.send(poll)
    (record,) = (other if elsewhere else one).log
    assert (record.method, record.body, record.key) == ("GET", b"", None)
    assert record.path == "/status/%7B%7B%20x%20%7D%7D"
    assert record.headers["x-run"] == "7"
    assert "content-type" not in record.headers
    assert ("authorization" in record.headers) is not elsewhere
    assert ("x-signature" in record.headers) is not elsewhere
    assert ("hush-2" in record.target) is not elsewhere
    assert "plain" not in record.target


def test_a_status_url_that_names_the_caller_already_is_left_as_it_is() -> None:
    request = Request(url="http://a.example/", query={"api_key": "hush-2", "sig": {"env": "HOME"}})
    poll = compose_poll(request, "http://a.example/s?api_key=of-the-server&sig=", {}, now=NOW)
    assert poll.url == "http://a.example/s?api_key=of-the-server&sig="


@pytest.mark.parametrize("url", ["", "/relative", "ftp://x/", "http://[", "http://a:b/"])
def test_a_status_url_that_is_none_is_refused(url) -> None:
    with pytest.raises(Unexpected, match="the status URL"):
        compose_poll(Request(url="http://a.example/"), url, {}, now=NOW)
