"""Channels over HTTP whose other side is slow, breaks off, or is not who it should be."""

import ssl
import threading
import time
import traceback

import pytest
from fault_servers import closed_port, deaf_port
from mysql_certificates import Authority
from notify_receivers import SERVICES, TOKEN, notice, receiving, refusal, send, sender
from raw_server import BROKEN, HEAD, SLOW, hang_in_body, serving

from syncd.context import CancelSource, Deadline
from syncd.errors import BadData, Cancelled, ConfigurationError, Network, TimedOut

KINDS = list(SERVICES)


def at(server, kind="slack"):
    return f"{server.url.partition('?')[0].rstrip('/')}{SERVICES[kind][1]}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"), "authority")


@pytest.fixture(scope="module")
def tls(authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("localhost"))
    return context


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("script", BROKEN, ids=lambda script: script.__name__)
def test_a_broken_answer_is_an_error_of_the_network(kind, script):
    with serving(script) as server:
        error = refusal(sender(kind, at(server, kind)))
    assert type(error) is Network
    assert "127.0.0.1" in str(error)


@pytest.mark.parametrize("script", SLOW, ids=lambda script: script.__name__)
def test_a_slow_answer_is_left_in_time(script):
    with serving(script) as server:
        began = time.monotonic()
        assert type(refusal(sender("dingtalk", at(server, "dingtalk")), 0.4)) is TimedOut
        assert time.monotonic() - began < 2


def test_the_channel_has_a_limit_of_its_own():
    with serving(hang_in_body) as server:
        to = sender("feishu", at(server, "feishu"), timeout="1s")
        assert type(refusal(to, 60)) is TimedOut


def test_cancelling_ends_it_at_once():
    source = CancelSource()
    with serving(hang_in_body) as server:
        timer = threading.Timer(0.2, source.cancel, [Cancelled("enough")])
        timer.start()
        with pytest.raises(Cancelled, match="enough"):
            sender("wecom", at(server, "wecom")).send(notice(), Deadline.after(20), source.token)
        timer.join()


@pytest.mark.parametrize("kind", KINDS)
def test_where_nobody_listens_no_error_tells_the_secret_part_of_the_url(kind):
    with closed_port() as port:
        error = refusal(sender(kind, f"http://127.0.0.1:{port}{SERVICES[kind][1]}"))
    assert type(error) is Network
    assert str(error) == f"POST http://127.0.0.1:{port}: Connection refused"
    with deaf_port() as port:
        error = refusal(sender(kind, f"http://127.0.0.1:{port}{SERVICES[kind][1]}"), 0.3)
    assert type(error) is TimedOut


def test_a_name_that_is_none_is_told():
    error = refusal(sender("slack", f"https://no-such-host.invalid/services/{TOKEN}"))
    assert type(error) is Network
    assert "can't be resolved" in str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_a_private_authority_is_trusted_where_it_is_named(kind, authority, tls, tmp_path):
    judge, path = SERVICES[kind]
    with receiving(judge, path, tls) as receiver:
        send(sender(kind, receiver.url, tls_ca=str(authority.file)))
        assert len(receiver.received) == 1
        another = Authority(tmp_path, "another")
        for ca in (str(another.file), None):
            error = refusal(sender(kind, receiver.url, tls_ca=ca))
            assert type(error) is Network
            assert "certificate refused" in str(error)
        elsewhere = receiver.url.replace("localhost", "127.0.0.1")
        error = refusal(sender(kind, elsewhere, tls_ca=str(authority.file)))
        assert "certificate refused" in str(error)
        assert len(receiver.received) == 1


def test_a_file_that_holds_no_authority_is_told(tmp_path):
    file = tmp_path / "ca.pem"
    to = sender("slack", "https://127.0.0.1:9/", tls_ca=str(file))
    assert type(refusal(to)) is ConfigurationError
    file.write_text("nothing")
    assert type(refusal(to)) is ConfigurationError


def test_a_huge_answer_is_not_read_to_its_end():
    sent = []

    def endless(peer):
        peer.request()
        peer.send(HEAD % (1 << 33))
        while not peer.over.is_set():
            peer.send(b"x" * 65536)
            sent.append(65536)

    with serving(endless) as server:
        assert type(refusal(sender("dingtalk", at(server, "dingtalk")))) is BadData
        send(sender("webhook", at(server, "webhook")))  # 200 is all that counts there
    assert sum(sent) < 64 << 20


def test_a_flood_of_headers_is_an_error_of_the_network():
    def flood(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n" + b"X-More: much\r\n" * 10_000 + b"\r\nok")

    with serving(flood) as server:
        assert type(refusal(sender("slack", at(server)))) is Network


def test_a_redirect_is_not_followed_wherever_it_leads():
    with receiving(lambda _: (200, {}, b"ok")) as elsewhere:
        for status in (301, 302, 307, 308):
            answer = (status, {"Location": elsewhere.url}, b"")
            with receiving(lambda _, answer=answer: answer) as receiver:
                error = refusal(sender("slack", receiver.url))
            assert "a redirect, which is not followed" in str(error)
        assert elsewhere.received == []


def test_a_proxy_is_asked_where_one_is_named():
    judge, path = SERVICES["slack"]
    with receiving(judge) as proxy:
        send(sender("slack", f"http://hooks.example.invalid{path}", proxy=proxy.url.rstrip("/")))
    assert proxy.last.target == f"http://hooks.example.invalid{path}"


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_breaks_off_anywhere_is_worth_another_try(kind):
    body = {"slack": b"ok", "feishu": b'{"code":0}'}.get(kind, b'{"errcode":0}')
    answer = HEAD % len(body) + body
    cuts = iter(range(len(answer)))

    def script(peer):
        peer.request()
        peer.send(answer[: next(cuts)])
        peer.reset()

    with serving(script) as server:
        to = sender(kind, at(server, kind))
        for _ in answer:
            assert type(refusal(to)) is Network


def test_the_error_of_the_library_is_not_chained():
    with closed_port() as port:
        error = refusal(sender("slack", f"http://127.0.0.1:{port}/{TOKEN}"))
    assert error.__cause__ is error.__context__ is None
    assert TOKEN not in "".join(traceback.format_exception(error))
