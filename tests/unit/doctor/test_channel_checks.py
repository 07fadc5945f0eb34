"""The checks of channels, against receivers and a mail server: they ask, and send nothing."""

import ssl
from dataclasses import replace

import pytest
from doctor_helpers import case
from fault_servers import closed_port
from mysql_certificates import Authority
from notify_receivers import SECRET, SERVICES, TOKEN, receiving
from smtp_server import PASSWORD, USER, mail_server

from syncd.config.configuration import Config, Tables
from syncd.doctor import channels
from syncd.doctor.examination import examine
from syncd.doctor.finding import Unknown


def told(keys, **changed):
    """Return the findings of both checks for one channel."""
    config = Config.of(Tables.model_validate({"notify": {"oncall": keys}}))
    look = replace(case(), config=config, **changed)
    assert channels.names(look) == (["oncall"] if keys.get("enabled", True) else [])
    found = {
        check.__name__: next(iter(channels.of_channels(check)(look, "oncall")))
        for check in (channels.reachable, channels.encrypted)
    }
    assert {each.subject for each in found.values()} == {"oncall"}
    for each in found.values():
        assert not [secret for secret in (SECRET, TOKEN, PASSWORD) if secret in repr(each)]
    return found["reachable"], found["encrypted"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"), "authority")


@pytest.fixture(scope="module")
def tls(authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("localhost"))
    return context


@pytest.mark.parametrize("kind", list(SERVICES))
def test_the_host_is_asked_for_nothing(kind, authority, tls):
    with receiving(lambda _: (404, {}, b"nothing here"), SERVICES[kind][1], tls) as receiver:
        keys = {"channel": kind, "url": receiver.url, "tls_ca": str(authority.file)}
        reachable, encrypted = told(keys)
        assert [(each.method, each.target) for each in receiver.received] == [("GET", "/")]
        assert (reachable.state, encrypted.state) == ("ok", "ok")
        assert reachable.found.startswith("localhost answers 404, in ")
        reachable, _ = told({"channel": kind, "url": receiver.url})
    assert reachable.state == "failed"
    assert "certificate" in reachable.found
    assert "tls_ca in [notify.oncall]" in reachable.advice


def test_a_host_that_does_not_answer_has_failed():
    with closed_port() as port:
        reachable, encrypted = told({"channel": "slack", "url": f"http://127.0.0.1:{port}/{TOKEN}"})
    assert reachable.state == "failed"
    assert "Connection refused" in reachable.found
    assert "DNS, firewall and proxy" in reachable.advice
    assert encrypted.found == "it does not leave this machine"


def test_a_slow_answer_is_warned_of(monkeypatch):
    monkeypatch.setattr(channels, "_SLOW", 0.0)
    with receiving(lambda _: (404, {}, b""), "/x") as receiver:
        reachable, _ = told({"channel": "slack", "url": receiver.url})
    assert reachable.state == "warning"


def test_what_goes_over_the_network_unencrypted_is_warned_of():
    channel = {"channel": "slack", "url": "http://hooks.example.invalid/x"}
    _, encrypted = told(channel)
    assert encrypted.state == "warning"
    mail = {"channel": "email", "host": "mx.example.invalid", "tls": "none",
            "sender": "a@b.org", "to": ["c@d.org"]}  # fmt: skip
    _, encrypted = told(mail)
    assert (encrypted.state, "mx.example.invalid" in encrypted.found) == ("warning", True)


def mail(server, authority, **keys):
    return {"channel": "email", "host": "localhost", "port": server.port, "user": USER,
            "password": PASSWORD, "tls_ca": str(authority.file), "sender": "a@b.org",
            "to": ["c@d.org"]} | keys  # fmt: skip


def test_a_mail_server_is_logged_in_to_and_gets_no_mail(authority, tls):
    with mail_server(tls=tls) as server:
        reachable, encrypted = told(mail(server, authority))
    assert (reachable.state, encrypted.state) == ("ok", "ok")
    assert reachable.found.startswith(f"localhost takes user {USER} after STARTTLS, in ")
    assert server.verbs == ["EHLO", "STARTTLS", "EHLO", "AUTH", "QUIT"]
    assert server.mails == []


def test_what_a_mail_server_refuses_is_told_with_what_to_do(authority, tls):
    with mail_server(tls=tls, password="another") as server:
        reachable, _ = told(mail(server, authority))
        assert (reachable.state, reachable.advice) == (
            "failed", "see user and password in [notify.oncall]",
        )  # fmt: skip
    with mail_server(tls=tls, offers=("AUTH PLAIN",)) as server:
        reachable, _ = told(mail(server, authority))
        assert "STARTTLS" in reachable.found
        assert "tls in [notify.oncall]" in reachable.advice


def test_a_url_that_is_none_is_told(tmp_path):
    file = tmp_path / "url"
    file.write_text("no url")
    config = {"channel": "slack", "url": {"file": str(file)}}
    with pytest.raises(Unknown, match="can't be read"):
        told(config)
    look = replace(case(), config=Config.of(Tables.model_validate({"notify": {"oncall": config}})))
    (found,) = channels.of_channels(channels.reachable)(look, "oncall")
    assert (found.state, "mend [notify.oncall]" in found.advice) == ("failed", True)


def test_nothing_is_asked_offline_or_without_the_secrets_of_the_service():
    with pytest.raises(Unknown, match="--offline"):
        told({"channel": "slack", "url": "https://h/x"}, offline=True)
    keys = {"channel": "webhook", "url": "https://h/x", "headers": {"K": {"credential": "k"}}}
    with pytest.raises(Unknown, match="only be read by the service"):
        told(keys, environ={})


def test_channels_that_are_taken_out_are_not_looked_at():
    keys = {"channel": "slack", "url": "https://h/x", "enabled": False}
    config = Config.of(Tables.model_validate({"notify": {"oncall": keys}}))
    assert examine(replace(case(), config=config), ["notify"])["checks"] == []
