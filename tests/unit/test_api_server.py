"""The tests' own API server, asked by the standard library alone."""

import gzip
import http.client
import json
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import api_faults as faults
import pytest
from api_server import ApiServer, tls_context
from api_wire import Answer
from mysql_certificates import Authority

LOST = (ConnectionError, http.client.HTTPException, TimeoutError)
RIGHT = {"username": "svc", "password": "right"}


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


class Client:
    """One connection that is kept."""

    def __init__(self, api: ApiServer, tls: ssl.SSLContext | None = None) -> None:
        place = (api.host, api.port)
        kind = http.client.HTTPSConnection if tls else http.client.HTTPConnection
        self.connection = kind(*place, timeout=10, **({"context": tls} if tls else {}))

    def ask(self, path: str, method: str = "POST", body: Any = None, **headers: str) -> Any:
        """Return status, headers and body."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        text = None if body is None else json.dumps(body)
        self.connection.request(method, path, text, named)
        response = self.connection.getresponse()
        return response.status, response.headers, response.read()


def is_lost(client: Client, body: bytes) -> bool:
    """Tell whether an answer does not come; http.client takes half a head for a whole one."""
    try:
        return client.ask("/effect", Idempotency_Key="a")[2] != body
    except LOST:
        return True
    finally:
        client.connection.close()


@pytest.fixture
def client(api: ApiServer) -> Iterator[Client]:
    client = Client(api)
    yield client
    client.connection.close()


def log_in(client: Client) -> dict[str, str]:
    """Return the header that carries a new token."""
    status, _, body = client.ask("/login", body=RIGHT)
    assert status == 200
    return {"Authorization": "Bearer " + json.loads(body)["access_token"]}


def test_a_token_opens_the_api_until_it_runs_out_or_is_revoked() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    with ApiServer(now=lambda: moment) as api:
        client = Client(api)
        assert client.ask("/api/effect")[0] == 401
        token = log_in(client)
        assert client.ask("/api/effect", **token)[0] == 200
        moment += timedelta(hours=1)
        assert client.ask("/api/effect", **token)[0] == 401
        token = log_in(client)
        api.revoke()
        assert client.ask("/api/effect", **token)[0] == 401
        assert api.logins == 2
        assert api.effects("/api/effect") == 1
        assert {record.connection for record in api.log} == {1}
        client.connection.close()


def test_a_wrong_password_gives_no_token(api: ApiServer, client: Client) -> None:
    assert client.ask("/login", body=RIGHT | {"password": "wrong"})[0] == 401
    assert client.ask("/login", body=["no", "table"])[0] == 401
    api.fault("/login", faults.business(), times=1)
    status, _, body = client.ask("/login", body=RIGHT)
    assert (status, json.loads(body)["code"], api.logins) == (200, 1, 1)


@pytest.mark.parametrize("where", ["header", "body"])
def test_client_credentials_are_known_in_both_places(api: ApiServer, where: str) -> None:
    form = "grant_type=client_credentials"
    request = urllib.request.Request(f"{api.url}/oauth/token", form.encode())
    if where == "header":
        request.add_header("Authorization", "Basic Y2xpZW50OnNlY3JldA==")
    else:
        request.data = f"{form}&client_id=client&client_secret=secret".encode()
    with urllib.request.urlopen(request) as response:
        assert json.load(response)["expires_in"] == 3600
    wrong = urllib.request.Request(f"{api.url}/oauth/token", form.encode())
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(wrong)
    caught.value.close()


def test_a_key_takes_effect_once_and_is_answered_alike(api: ApiServer, client: Client) -> None:
    first = client.ask("/effect", Idempotency_Key="a")
    assert client.ask("/effect", Idempotency_Key="a")[2] == first[2]
    client.ask("/effect", Idempotency_Key="b")
    for _ in range(2):
        client.ask("/plain", Idempotency_Key="a")
    client.ask("/effect", "GET")
    assert (api.effects("/effect"), api.effects("/effect", "a"), api.effects("/plain")) == (2, 1, 2)
    assert [record.effect for record in api.requests("/effect")] == [True, False, True, False]


def test_a_restart_keeps_port_keys_and_log(tmp_path: Path) -> None:
    with ApiServer(log_file=tmp_path / "log") as api:
        client = Client(api)
        token = log_in(client)
        client.ask("/effect", body={"n": 1}, Idempotency_Key="a")
        api.restart()
        with pytest.raises(LOST):
            client.ask("/effect")
        client.connection.close()
        assert client.ask("/api/effect", **token)[0] == 401
        client.ask("/effect", Idempotency_Key="a")
        client.connection.close()
    with ApiServer(log_file=tmp_path / "log") as again:
        assert [vars(record) for record in again.log] == [vars(record) for record in api.log]
        assert again.log[1].json == {"n": 1}
        client = Client(again)
        client.ask("/effect", Idempotency_Key="a")
        client.connection.close()
        assert again.effects("/effect") == 1


def test_an_answer_can_be_cut_at_every_byte(api: ApiServer, client: Client) -> None:
    _, _, body = client.ask("/effect", Idempotency_Key="a")
    length = api.log[0].sent
    for fault in (faults.cut, faults.end):
        for after in range(length):
            api.fault("/effect", fault(after), times=1)
            assert is_lost(client, body)
    assert not is_lost(client, body)
    assert [record.sent for record in api.log] == [length, *range(length), *range(length), length]
    assert api.effects("/effect") == 1


@pytest.mark.parametrize("fault", [faults.reset_unread(), faults.reset_read()])
def test_a_request_that_is_reset_takes_no_effect(
    api: ApiServer, client: Client, fault: faults.Fault
) -> None:
    api.fault("/effect", fault, times=1)
    with pytest.raises(LOST):
        client.ask("/effect", body={"n": 1})
    client.connection.close()
    assert (api.effects("/effect"), api.log[0].status) == (0, None)
    assert client.ask("/effect")[0] == 200


def test_a_connection_can_be_reset_before_anything_is_read(api: ApiServer, client: Client) -> None:
    api.reset_connections(1)
    with pytest.raises(LOST):
        client.ask("/effect")
    client.connection.close()
    assert api.log == []
    assert client.ask("/effect")[0] == 200


@pytest.mark.parametrize(("fault", "effects"), [(faults.hang(), 0), (faults.hang(after=9), 1)])
def test_a_request_can_be_left_without_an_answer(
    api: ApiServer, client: Client, fault: faults.Fault, effects: int
) -> None:
    client.connection.timeout = 0.2
    api.fault("/effect", fault)
    with pytest.raises(LOST):
        client.ask("/effect")
    client.connection.close()
    assert api.effects("/effect") == effects
    api.restart()  # which the thread that hangs does not hold up
    api.heal()
    client.connection.timeout = 10
    assert client.ask("/effect")[0] == 200


def test_an_answer_can_drip_and_be_held(api: ApiServer, client: Client) -> None:
    api.fault("/effect", faults.drip(0.0), times=1)
    assert client.ask("/effect")[0] == 200
    go = threading.Event()
    api.fault("/effect", faults.hold(go), times=1)
    threading.Timer(0.1, go.set).start()
    assert client.ask("/effect")[0] == 200


def test_what_is_answered_in_place_of_the_endpoint(api: ApiServer, client: Client) -> None:
    when = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    for fault in (
        faults.business(7), faults.busy(429, 3), faults.busy(503, when),
        faults.redirect("http://localhost:1/x"),
    ):  # fmt: skip
        api.fault("/effect", fault, times=1)
    status, _, body = client.ask("/effect")
    assert (status, json.loads(body)["code"]) == (200, 7)
    status, headers, _ = client.ask("/effect")
    assert (status, headers["Retry-After"]) == (429, "3")
    status, headers, _ = client.ask("/effect")
    assert (status, parsedate_to_datetime(headers["Retry-After"])) == (503, when)
    status, headers, _ = client.ask("/effect")
    assert (status, headers["Location"], api.effects("/effect")) == (307, "http://localhost:1/x", 0)


def test_an_accepted_call_is_followed(api: ApiServer, client: Client) -> None:
    api.fault("/effect", faults.accepted("/status"))
    api.fault("/status", faults.progress(["queued", "running", "done"], status=202))
    status, headers, _ = client.ask("/effect")
    assert (status, headers["Location"], api.effects("/effect")) == (202, "/status", 1)
    looks = [client.ask("/status", "GET") for _ in range(4)]
    states = [(status, json.loads(body)["state"]) for status, _, body in looks]
    assert states == [(202, "queued"), (202, "running"), (200, "done"), (200, "done")]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_is_streamed_as_long_as_somebody_reads(api: ApiServer, chunked: bool) -> None:
    api.fault("/big", faults.endless(2**40, chunked=chunked))
    with urllib.request.urlopen(api.url + "/big") as response:
        assert len(response.read(5 * 2**20)) == 5 * 2**20
    api.fault("/small", faults.endless(2**21, chunked=False))
    with urllib.request.urlopen(api.url + "/small") as response:
        assert len(response.read()) == 2**21


def test_a_gzip_bomb_is_gzip(api: ApiServer) -> None:
    api.fault("/bomb", faults.gzip_bomb(8 * 2**20))
    with urllib.request.urlopen(api.url + "/bomb") as response:
        assert len(body := response.read()) < 2**14
    assert gzip.decompress(body) == b" " * 8 * 2**20


def test_headers_can_flood_and_lie(api: ApiServer, client: Client) -> None:
    api.fault("/effect", faults.headers(content_type="text/html", x_id="1"), times=1)
    _, headers, _ = client.ask("/effect")
    assert (headers.get_all("Content-Type"), headers["X-Id"]) == (["text/html"], "1")
    for fault in (
        faults.header_flood(), faults.endless_header(), faults.raw(b"HTTP/1.1 abc\r\n\r\n"),
        faults.raw(b"SSH-2.0-OpenSSH_9.2\r\n"), faults.wrong_length(5),
    ):  # fmt: skip
        api.fault("/effect", fault, times=1)
        with pytest.raises(LOST):
            client.ask("/effect")
        client.connection.close()
    api.fault("/effect", faults.wrong_length(-3), times=1)
    with pytest.raises(ValueError, match=r"JSON|delimiter|Expecting"):
        json.loads(client.ask("/effect")[2])


def test_a_route_says_what_is_answered(api: ApiServer, client: Client) -> None:
    api.on("/effect", lambda record: Answer(201, {"id": record.json["n"]}, {"X-Request-Id": "r"}))
    status, headers, body = client.ask("/effect", body={"n": 7})
    assert (status, headers["X-Request-Id"], json.loads(body)) == (201, "r", {"id": 7})
    api.on("/none", Answer(404))
    assert client.ask("/none")[0] == 404
    assert api.effects("/none") == 0
    status, headers, body = client.ask("/look", "HEAD")
    assert (status, body, int(headers["Content-Length"]) > 0) == (200, b"", True)


def test_it_speaks_tls_and_asks_for_a_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    context = tls_context(authority.issue("127.0.0.1"), client_ca=authority.file)
    with ApiServer(tls=context) as api:
        ours = ssl.create_default_context(cafile=authority.file)
        client = Client(api, ours)
        with pytest.raises((ssl.SSLError, *LOST)):
            client.ask("/effect")
        client.connection.close()
        ours.load_cert_chain(*authority.issue("somebody"))
        assert client.ask("/effect")[0] == 200
        api.fault("/effect", faults.cut(20), times=1)
        assert is_lost(client, b"whole")


def test_a_hundred_may_ask_at_once(api: ApiServer) -> None:
    def ask() -> None:
        client = Client(api)
        client.ask("/effect", Idempotency_Key="one")
        client.connection.close()

    threads = [threading.Thread(target=ask) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(api.log), api.effects("/effect")) == (100, 1)
