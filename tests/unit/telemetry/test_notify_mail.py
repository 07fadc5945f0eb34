"""Mail, against a server that speaks SMTP with TLS, and does so badly where it is told to."""

import ssl
import threading
import time
import traceback
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from fault_servers import closed_port, deaf_port
from mysql_certificates import Authority
from notify_receivers import HOSTILE, hostile, notice, send
from raw_server import serving
from smtp_server import PASSWORD, USER, mail_server

from syncd.config.notify import parse_channel
from syncd.context import CancelSource, Deadline
from syncd.errors import (
    Authentication,
    Cancelled,
    ConfigurationError,
    Network,
    SyncdError,
    TimedOut,
    Unexpected,
)
from syncd.telemetry.notify.registry import build


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"), "authority")


@pytest.fixture(scope="module")
def tls(authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("localhost"))
    return context


def mail(server, **keys):
    port = server if isinstance(server, int) else server.port
    return build("ops", parse_channel({
        "channel": "email", "host": "localhost", "port": port, "tls": "none", "timeout": "5s",
        "sender": "syncd@example.org", "to": ["ops@example.org"],
    } | keys))  # fmt: skip


def encrypted(server, authority, **keys):
    log_in = {"user": USER, "password": PASSWORD, "tls": "starttls"}
    return mail(server, tls_ca=str(authority.file), **log_in | keys)


def refused(to, seconds=10.0) -> SyncdError:
    with pytest.raises(SyncdError) as raised:
        send(to, seconds=seconds)
    told, error = "".join(traceback.format_exception(raised.value)), raised.value
    while error is not None:
        told, error = told + repr(error), error.__cause__ or error.__context__
    assert PASSWORD not in told
    assert "AHN5bmNk" not in told  # of the log-in, in base64
    return raised.value


@pytest.mark.parametrize("implicit", [False, True])
def test_mail_goes_over_tls_with_a_log_in(authority, tls, implicit):
    with mail_server(tls=tls, implicit=implicit) as server:
        send(encrypted(server, authority, tls="tls" if implicit else "starttls"))
    (sent,) = server.mails
    assert (sent.encrypted, sent.user) == (True, USER)
    assert (sent.sender, sent.to) == ("syncd@example.org", ["ops@example.org"])
    message = sent.message
    assert message["Subject"] == "[syncd db1] job hosts failed 3 times"
    assert message["Auto-Submitted"] == "auto-generated"
    assert parsedate_to_datetime(message["Date"]) == notice().at
    told = message.get_content().splitlines()
    assert {"error: no connection: Connection refused", "look: syncd show 0195"} <= set(told)


@pytest.mark.parametrize(
    ("ours", "greeting"),
    [("db1.example.org", "ehlo db1.example.org"), ("a b\r\nQUIT", "ehlo localhost")],
)
def test_a_machine_s_name_makes_no_command(monkeypatch, ours, greeting):
    monkeypatch.setattr("socket.gethostname", lambda: ours)
    with mail_server() as server:
        send(mail(server))
    assert server.commands[0] == greeting


def test_a_server_without_plain_takes_another_way_to_log_in(authority, tls):
    with mail_server(tls=tls, offers=("STARTTLS", "AUTH LOGIN")) as server:
        send(encrypted(server, authority))
    assert server.mails[0].user == USER


def test_hostile_words_make_neither_headers_nor_commands():
    with mail_server() as server:
        send(mail(server), hostile())
        send(mail(server), notice(title="a\r\nBcc: x@evil.example\r\n\r\n.\r\nMAIL FROM:<x>"))
    first, second = (each.message for each in server.mails)
    assert len(first["Subject"]) <= 200
    assert "\N{PILE OF POO}" in first["Subject"]
    assert HOSTILE.splitlines()[0] in first.get_content()
    assert "\x1b" not in first.get_content()
    assert second["Bcc"] is None
    assert server.verbs.count("MAIL") == 2
    for each in server.mails:
        assert set(each.message.keys()) == {
            "Subject", "From", "To", "Date", "Message-ID", "References", "Auto-Submitted",
            "Content-Type", "Content-Transfer-Encoding", "MIME-Version",
        }  # fmt: skip
        assert max(map(len, each.content.split(b"\r\n"))) < 998  # RFC 5322, 2.1.1


def test_a_message_is_the_same_each_time_and_in_the_thread_of_what_it_is_about():
    with mail_server() as server:
        for told in (notice(), notice(), notice(id="0195-2", event="recovered")):
            send(mail(server), told)
        send(mail(server), notice(key="job other"))
    first, again, end, other = (each.message for each in server.mails)
    assert first["Message-ID"] == again["Message-ID"] != end["Message-ID"]
    assert first["References"] == end["References"] != other["References"]
    assert first["Message-ID"].endswith("@example.org>")


def test_it_goes_to_all_recipients_and_tells_who_was_refused():
    to = ["a@example.org", "b@example.org", "c@example.org"]
    with mail_server(answers={"b@example.org": "550 5.1.1 no such user"}) as server:
        error = refused(mail(server, to=to))
    assert type(error) is Unexpected
    assert "sent to 2 of 3" in str(error)
    assert "b@example.org: 550 5.1.1 no such user" in str(error)
    assert server.mails[0].to == ["a@example.org", "c@example.org"]


@pytest.mark.parametrize(
    ("step", "answer", "error"),
    [
        ("CONNECT", "554 5.7.1 go away", Unexpected),
        ("CONNECT", "421 4.3.2 too busy", Network),
        ("MAIL", "452 4.3.1 disk full", Network),
        ("MAIL", "530 5.7.0 authentication required", Authentication),
        ("MAIL", "553 5.7.1 not your address", Unexpected),
        ("ops@example.org", "550 5.1.1 no such user", Unexpected),
        ("ops@example.org", "450 4.2.0 greylisted", Network),
        ("DATA", "554 5.5.1 no", Unexpected),
        ("CONTENT", "552 5.3.4 too long", Unexpected),
        ("CONTENT", "451 4.3.0 later", Network),
        ("CONTENT", "abc", Network),
        ("CONTENT", "250-" + "x" * 9000, Unexpected),
    ],
)
def test_an_answer_says_whether_it_is_worth_another_try(step, answer, error):
    with mail_server(answers={step: answer}) as server:
        found = refused(mail(server))
    assert type(found) is error
    assert "the mail server localhost" in str(found)
    if answer[:3].isdigit() and "x" not in answer:
        assert answer[4:] in str(found)


@pytest.mark.parametrize("step", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "CONTENT"])
@pytest.mark.parametrize("mood", ["broken", "closed"])
def test_a_connection_that_ends_is_an_error_of_the_network(step, mood):
    with mail_server(**{mood: step}) as server:
        assert type(refused(mail(server))) is Network


def test_what_breaks_after_the_message_was_taken_does_not_matter():
    with mail_server(broken="QUIT") as server:
        send(mail(server))
    assert len(server.mails) == 1


@pytest.mark.parametrize("step", ["CONNECT", "EHLO", "MAIL", "RCPT", "CONTENT"])
def test_a_server_that_drips_is_left_in_time(step):
    with mail_server(dripping=step) as server:
        began = time.monotonic()
        assert type(refused(mail(server), seconds=0.4)) is TimedOut
        assert time.monotonic() - began < 2


def test_the_channel_has_a_limit_of_its_own():
    with mail_server(dripping="MAIL") as server:
        assert type(refused(mail(server, timeout="1s"), seconds=60)) is TimedOut


def test_nobody_waits_for_a_handshake_that_does_not_come(authority):
    with serving(lambda peer: peer.hang()) as server:
        assert type(refused(encrypted(server, authority, tls="tls"), seconds=0.3)) is TimedOut
    with deaf_port() as port:
        assert type(refused(mail(port, host="127.0.0.1"), seconds=0.3)) is TimedOut


def test_a_port_on_which_nobody_listens_is_told():
    with closed_port() as port:
        error = refused(mail(port))
    assert type(error) is Network
    assert str(error) == "the mail server localhost: Connection refused"


def test_a_flood_of_lines_is_not_read_to_its_end():
    def flood(peer):
        while not peer.over.is_set():
            peer.send(b"220-" + b"x" * 4000 + b"\r\n")

    with serving(flood) as server:
        began = time.monotonic()
        assert type(refused(mail(server))) is Network
        assert time.monotonic() - began < 4


def test_cancelling_ends_it_at_once():
    source = CancelSource()
    with mail_server(dripping="MAIL") as server:
        timer = threading.Timer(0.2, source.cancel, [Cancelled("enough")])
        timer.start()
        with pytest.raises(Cancelled, match="enough"):
            mail(server).send(notice(), Deadline.after(20), source.token)
        timer.join()


def test_no_file_and_no_thread_is_left_however_it_ends(authority, tls):
    moods = ({}, {"broken": "DATA"}, {"answers": {"MAIL": "550 no"}}, {"offers": ("AUTH PLAIN",)})
    before = len(list(Path("/proc/self/fd").iterdir()))
    for mood in moods:
        with mail_server(tls=tls, **mood) as server:
            for _ in range(5):
                with suppress(SyncdError):
                    send(encrypted(server, authority))
        assert len(list(Path("/proc/self/fd").iterdir())) == before, mood
    waiting = [each for each in threading.enumerate() if isinstance(each, threading.Timer)]
    for each in waiting:
        each.join(2)
        assert not each.is_alive()


def test_a_certificate_of_nobody_known_is_refused(authority, tls, tmp_path):
    another = Authority(tmp_path, "another")
    with mail_server(tls=tls) as server:
        error = refused(encrypted(server, another))
    assert type(error) is Network
    assert "certificate refused" in str(error)
    assert "AUTH" not in server.verbs


def test_a_certificate_of_another_host_is_refused(authority, tls):
    with mail_server(tls=tls) as server:
        error = refused(encrypted(server, authority, host="127.0.0.1"))
    assert "certificate refused" in str(error)


def test_without_starttls_nothing_is_sent(authority, tls):
    with mail_server(tls=tls, offers=("AUTH PLAIN",)) as server:
        error = refused(encrypted(server, authority))
    assert type(error) is Unexpected
    assert "STARTTLS" in str(error)
    assert server.verbs == ["EHLO"]


@pytest.mark.parametrize("offers", ["AUTH PLAIN LOGIN", "AUTH LOGIN", "AUTH GSSAPI", "8BITMIME"])
def test_a_refused_log_in_is_an_error_of_authentication(authority, tls, offers):
    with mail_server(tls=tls, offers=("STARTTLS", offers), password="another") as server:
        error = refused(encrypted(server, authority))
    assert type(error) in (Authentication, Unexpected)
    assert server.mails == []


def test_a_log_in_that_fails_for_a_while_is_worth_another_try(authority, tls):
    with mail_server(tls=tls, answers={"AUTH": "454 4.7.0 try later"}) as server:
        assert type(refused(encrypted(server, authority))) is Network


@pytest.mark.parametrize("text", ["a..b@x.org", ".a@x.org", "b\u00e9@x.org", "a@."])
def test_what_is_no_address_for_mail_is_told_before_anybody_is_asked(text):
    for keys in ({"sender": text}, {"to": ["a@b.org", text]}):
        with mail_server() as server:
            assert type(refused(mail(server, **keys))) in (ConfigurationError, Unexpected)
        assert server.mails == []


def test_the_password_is_read_anew_for_each_message(authority, tls, tmp_path):
    file = tmp_path / "password"
    file.write_text("old")
    with mail_server(tls=tls) as server:
        to = encrypted(server, authority, password={"file": str(file)})
        assert type(refused(to)) is Authentication
        file.write_text(PASSWORD)
        send(to)


def test_a_password_that_cant_be_sent_is_told_without_it(authority):
    error = refused(encrypted(9, authority, password="pässword"))
    assert type(error) is ConfigurationError
    assert str(error) == "user and password: only ASCII can be sent"
