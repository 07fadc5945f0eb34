"""Each channel over HTTP, against a receiver that checks and answers as the real one."""

import json
from datetime import UTC, datetime

import pytest
from notify_receivers import (
    HOSTILE,
    SECRET,
    SERVICES,
    SIGNED,
    TOKEN,
    as_json,
    channel,
    hostile,
    notice,
    receiving,
    refusal,
    send,
    sender,
)

from syncd.config import secrets
from syncd.config.notify import parse_channel
from syncd.errors import (
    Authentication,
    BadData,
    ConfigurationError,
    Network,
    Permission,
    Throttled,
    Unexpected,
)
from syncd.telemetry.notify import trial
from syncd.telemetry.notify.registry import build

KINDS = list(SERVICES)


@pytest.mark.parametrize("kind", KINDS)
def test_a_notice_is_taken(kind):
    judge, path = SERVICES[kind]
    with receiving(judge, path) as receiver:
        send(sender(kind, receiver.url))
    (request,) = receiver.received
    assert request.method == "POST"
    assert request.headers["content-type"] == "application/json; charset=utf-8"
    told = request.body.decode()
    for words in ("[syncd db1] job hosts failed 3 times", "3 min 20 s", "Connection refused",
                  "2026-03-01 12:00:00 UTC", "syncd show 0195", "1 added"):  # fmt: skip
        plain = told.replace("［", "[").replace("］", "]")
        assert words in plain, words


@pytest.mark.parametrize("kind", SIGNED)
def test_a_wrong_secret_is_an_error_of_authentication(kind):
    judge, path = SERVICES[kind]
    with receiving(judge, path) as receiver:
        error = refusal(sender(kind, receiver.url, secret="another"))
    assert isinstance(error, Authentication)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "webhook"])
def test_a_wrong_token_is_an_error_of_authentication(kind):
    judge, path = SERVICES[kind]
    with receiving(judge, path.replace(TOKEN, "no-such-token-of-anybody")) as receiver:
        error = refusal(sender(kind, receiver.url))
    assert isinstance(error, Authentication)
    assert "no-such-token-of-anybody" not in str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_names_and_messages_are_cut_and_taken_for_no_markup(kind):
    judge, path = SERVICES[kind]
    with receiving(judge, path) as receiver:
        send(sender(kind, receiver.url), hostile())
    document = receiver.last.document
    if kind == "webhook":
        assert document["title"] == HOSTILE.replace("\0", "�") * 5
        return
    told = json.dumps(document, ensure_ascii=False)
    for each in ("\\u0000", "\\u001b", "\u202e"):
        assert each not in told, each
    if kind == "feishu":  # which looks for nothing in plain text
        assert {"header", "elements", "config"} == document["card"].keys()
        assert told.count('"tag": "plain_text"') == told.count('"content": ') == 2
        return
    for each in ("<!channel>", "<@all>", "@everyone"):
        assert each not in told, each
    if kind in ("dingtalk", "wecom"):
        shown = told.replace('<font color=\\"warning\\">', "").replace("</font>", "")
        assert "](" not in shown
        assert "`" not in shown
        assert "<" not in shown
        assert "**b**" not in shown


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "headers", "error", "wait"),
    [
        (429, {"Retry-After": "7"}, Throttled, 7.0),
        (429, {}, Throttled, None),
        (503, {"Retry-After": "99999999999999999999"}, Throttled, 86400.0),
        (503, {"Retry-After": "soon"}, Network, None),
        (500, {}, Network, None),
        (502, {}, Network, None),
        (408, {}, Network, None),
        (401, {}, Authentication, None),
        (403, {}, Permission, None),
        (404, {}, Unexpected, None),
        (413, {}, Unexpected, None),
        (302, {"Location": "http://127.0.0.1:9/"}, Unexpected, None),
    ],
)
def test_a_status_is_told_with_what_it_means(kind, status, headers, error, wait):
    secrets.remember(SECRET)  # not each channel has one, but whatever is known is masked
    with receiving(lambda _: (status, headers, f"no {SECRET}".encode())) as receiver:
        found = refusal(sender(kind, receiver.url + TOKEN))
    assert type(found) is error
    assert str(status) in str(found)
    assert getattr(found, "retry_after", None) == wait
    assert len(receiver.received) == 1


def test_a_time_of_retry_after_is_understood():
    headers = {"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"}
    with receiving(lambda _: (429, headers, b"")) as receiver:
        assert refusal(sender("slack", receiver.url)).retry_after == 86400.0
    headers = {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}
    with receiving(lambda _: (429, headers, b"")) as receiver:
        assert refusal(sender("slack", receiver.url)).retry_after == 0.0


@pytest.mark.parametrize(
    ("kind", "code", "error", "wait"),
    [
        ("dingtalk", 130101, Throttled, 600.0),
        ("dingtalk", 410100, Throttled, 600.0),
        ("dingtalk", -1, Network, None),
        ("dingtalk", 400102, Permission, None),
        ("dingtalk", 310000, Authentication, None),
        ("dingtalk", 430104, Unexpected, None),
        ("dingtalk", 777, Unexpected, None),
        ("dingtalk", "0", Unexpected, None),
        ("feishu", 11232, Throttled, 60.0),
        ("feishu", 19024, Permission, None),
        ("feishu", 9499, Unexpected, None),
        ("wecom", 45009, Throttled, 60.0),
        ("wecom", -1, Network, None),
        ("wecom", 93008, Permission, None),
        ("wecom", None, Unexpected, None),
    ],
)
def test_an_error_inside_a_success_is_an_error(kind, code, error, wait):
    keys = ("code", "msg") if kind == "feishu" else ("errcode", "errmsg")
    document = dict(zip(keys, (code, f"words of {TOKEN}"), strict=True))
    with receiving(lambda _: as_json(document)) as receiver:
        found = refusal(sender(kind, f"{receiver.url}?a={TOKEN}"))
    assert type(found) is error
    assert str(code) in str(found)
    assert "words of" in str(found)
    assert getattr(found, "retry_after", None) == wait


def test_an_old_robot_of_feishu_answers_otherwise():
    with receiving(lambda _: as_json({"StatusCode": 0, "StatusMessage": "success"})) as receiver:
        send(sender("feishu", receiver.url))


@pytest.mark.parametrize(
    ("status", "word", "error"),
    [
        (403, b"action_prohibited", Permission),
        (410, b"channel_is_archived", Unexpected),
        (404, b"no_service", Authentication),
        (400, b"invalid_payload", Unexpected),
        (500, b"rollup_error", Network),
        (503, b"no_service", Network),  # of something in between
        (200, b"<html>please log in to the proxy</html>", BadData),
        (200, b"", BadData),
    ],
)
def test_slack_tells_its_errors_as_words(status, word, error):
    with receiving(lambda _: (status, {}, word)) as receiver:
        assert type(refusal(sender("slack", receiver.url))) is error


@pytest.mark.parametrize("kind", ["dingtalk", "feishu", "wecom"])
@pytest.mark.parametrize(
    "body", [b"", b"ok", b"<html>", b"[]", b"\xff\xfe", b"[" * 100_000, b'"x"', b"\x1f\x8b\x08"]
)
def test_an_answer_of_another_kind_may_be_better_later(kind, body):
    with receiving(lambda _: (200, {"Content-Type": "text/html"}, body)) as receiver:
        assert type(refusal(sender(kind, receiver.url))) is BadData


def test_slack_text_has_its_signs_escaped_and_unfurls_nothing():
    judge, path = SERVICES["slack"]
    with receiving(judge, path) as receiver:
        send(sender("slack", receiver.url), notice(title="a <b> & c"))
    document = receiver.last.document
    assert document["text"].startswith("[syncd db1] a &lt;b&gt; &amp; c\n")
    assert document["unfurl_links"] is document["unfurl_media"] is False


def test_a_long_message_of_wecom_is_within_its_bytes_and_whole_characters():
    judge, path = SERVICES["wecom"]
    facts = tuple((f"fact {number}", "\N{PILE OF POO}" * 500) for number in range(40))
    with receiving(judge, path) as receiver:
        send(sender("wecom", receiver.url), notice(facts=facts))
    content = receiver.last.document["markdown"]["content"]
    assert 2000 < len(content.encode()) <= 4096
    assert "..." in content
    assert "syncd show 0195" in content


def test_a_webhook_has_all_fields_and_headers_of_ones_own(monkeypatch):
    monkeypatch.setenv("HOOK_KEY", "k3y-of-the-hook")
    judge, path = SERVICES["webhook"]
    headers = {"X-Key": {"env": "HOOK_KEY"}, "X-Team": "night", "x-syncd-signature": "forged"}
    with receiving(judge, path) as receiver:
        send(sender("webhook", receiver.url, headers=headers))
    request = receiver.last
    assert request.headers["x-key"] == "k3y-of-the-hook"
    assert request.headers["x-team"] == "night"
    assert request.headers["x-syncd-delivery"] == "0195-1"
    document = request.document
    assert document["facts"]["counts"] == {"added": 1, "updated": 0}
    assert document["facts"]["duration_seconds"] == 200.0
    assert document | {"facts": None, "text": None} == {
        "id": "0195-1", "event": "failed", "key": "job hosts", "job": "hosts", "host": "db1",
        "title": "job hosts failed 3 times", "look": "syncd show 0195", "severity": "critical",
        "at": "2026-03-01T12:05:00Z", "facts": None, "text": None,
    }  # fmt: skip


def test_a_webhook_without_a_secret_has_no_signature_at_all():
    with receiving(lambda _: (204, {}, b"")) as receiver:
        keys = {"channel": "webhook", "url": receiver.url, "headers": {"x-syncd-signature": "v1=0"}}
        send(build("events", parse_channel(keys)))
    assert "x-syncd-signature" not in receiver.last.headers


def test_a_test_tells_when_a_channel_takes_messages_again():
    with receiving(lambda _: (429, {"Retry-After": "7"}, b"")) as receiver:
        channels = {"oncall": channel("slack", receiver.url, enabled=False)}
        came = trial.send(channels, "oncall", "ada", datetime.now(UTC))
    assert (came["sent"], came["error_class"], came["retry_after"]) == (False, "throttled", 7.0)


def test_a_delivery_has_the_same_id_each_time_it_is_tried():
    answers = [(500, {}, b""), (204, {}, b"")]
    with receiving(lambda _: answers.pop(0)) as receiver:
        to = sender("webhook", receiver.url)
        assert isinstance(refusal(to), Network)
        send(to)
    first, second = (each.headers["x-syncd-delivery"] for each in receiver.received)
    assert first == second == "0195-1"


@pytest.mark.parametrize("value", ["two\nlines", "grün", "\x7f"])
def test_a_header_that_none_can_hold_is_refused_without_telling_it(tmp_path, value):
    file = tmp_path / "secret"
    file.write_text(value)
    with pytest.raises(ConfigurationError, match=r"headers\.X-Key") as raised:
        send(sender("webhook", "http://127.0.0.1:9/", headers={"X-Key": {"file": str(file)}}))
    assert value not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    ["hooks.example.org/x", "ftp://h/x", "https:///path/alone", "https://h:port/x", "https://h/a b",
     "https://h/\n", "https://user:word@h/x", "https://[::1/x"],
)  # fmt: skip
def test_what_is_no_url_is_refused_without_telling_it(url, tmp_path):
    file = tmp_path / "url"
    file.write_text(url + "\n")
    for kind in KINDS:
        with pytest.raises(ConfigurationError, match="no URL") as raised:
            send(sender(kind, {"file": str(file)}))
        assert url not in str(raised.value)


def test_secrets_are_read_anew_for_each_message(tmp_path):
    judge, path = SERVICES["dingtalk"]
    file = tmp_path / "secret"
    file.write_text("old")
    with receiving(judge, path) as receiver:
        to = sender("dingtalk", receiver.url, secret={"file": str(file)})
        assert isinstance(refusal(to), Authentication)
        file.write_text(f"{SECRET}\n")
        send(to)
        file.unlink()
        assert isinstance(refusal(to), ConfigurationError)


@pytest.mark.parametrize("kind", KINDS)
def test_the_log_masks_what_is_secret_in_a_url(kind):
    judge, path = SERVICES[kind]
    with receiving(judge, path) as receiver:
        send(sender(kind, receiver.url))
        assert {receiver.url, TOKEN} <= secrets.known()
