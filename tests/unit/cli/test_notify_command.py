"""`syncd notify test`, with a daemon and without one."""

import json
import os

import pytest
from fake_daemon import syncd
from notify_receivers import SECRET, SERVICES, TOKEN, receiving

from syncd.control.users import user_name

ME = user_name(os.getuid())
REFUSED = {"sent": False, "seconds": 0.2, "error_class": "throttled", "error": "DingTalk answers 7",
           "retry_after": 600.0}  # fmt: skip


def test_a_daemon_sends_it(served):
    result = syncd(served, "notify", "test", "oncall")
    assert (result.exit_code, result.stderr) == (0, "oncall: sent in 0.3 s\n")
    assert result.stdout == ""
    assert served.commands.asked == [("test_channel", "oncall", ME)]


def test_a_refusal_is_told_and_fails(served):
    served.commands.came = REFUSED
    result = syncd(served, "notify", "test", "oncall")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "syncd: oncall: not sent, throttled: DingTalk answers 7",
        "syncd: it takes messages again in 600 s",
    ]


def test_json_is_printed_of_both(served):
    result = syncd(served, "notify", "test", "oncall", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == served.commands.came | {"channel": "oncall",
                                                                "kind": "slack"}  # fmt: skip
    served.commands.came = REFUSED
    result = syncd(served, "notify", "test", "oncall", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["retry_after"] == 600.0
    assert result.stderr == ""


def test_an_unknown_channel_of_a_daemon_is_not_found(served):
    result = syncd(served, "notify", "test", "on call?")
    assert result.exit_code == 1
    assert result.stderr == "syncd: there is no channel 'on call?'\n"
    assert syncd(served, "notify", "test", "").exit_code == 2


@pytest.fixture
def alone(tmp_path):
    """Run commands with a configuration of which no daemon is there."""

    class Alone:
        file = tmp_path / "syncd.toml"

    def run(tables: str, *arguments: str):
        Alone.file.write_text(f'[listen]\ncontrol = "{tmp_path}/none.sock"\n{tables}')
        Alone.file.chmod(0o600)
        return syncd(Alone, *arguments)

    return run


@pytest.mark.parametrize("kind", ["dingtalk", "slack"])
def test_without_a_daemon_the_command_sends_it(alone, kind):
    judge, path = SERVICES[kind]
    with receiving(judge, path) as receiver:
        secret = f'secret = "{SECRET}"\n' if kind == "dingtalk" else ""
        tables = f'[notify.oncall]\nchannel = "{kind}"\nenabled = false\nurl = "{receiver.url}"\n'
        result = alone(tables + secret, "notify", "test", "oncall")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.startswith("oncall: sent in 0.")
    told = json.dumps(receiver.last.document, ensure_ascii=False)
    assert "channel oncall is being tested" in told
    assert f"asked by: {ME}" in told.replace("*", "")


def test_a_refusal_without_a_daemon_tells_code_and_meaning_and_no_secret(alone):
    judge, path = SERVICES["dingtalk"]
    with receiving(judge, path) as receiver:
        tables = f'[notify.oncall]\nchannel = "dingtalk"\nurl = "{receiver.url}"\nsecret = "SECx"\n'
        result = alone(tables, "notify", "test", "oncall")
        as_json = alone(tables, "notify", "test", "oncall", "--json")
    assert result.exit_code == as_json.exit_code == 1
    assert "authentication: DingTalk answers 310000: sign not match" in result.stderr
    assert "see secret, words" in result.stderr
    assert json.loads(as_json.stdout)["error_class"] == "authentication"
    for each in (result.output, as_json.output):
        assert TOKEN not in each
        assert "SECx" not in each


def test_an_unknown_channel_is_told_with_the_nearest(alone):
    tables = '[notify.oncall]\nchannel = "slack"\nurl = "https://h/x"\n'
    result = alone(tables, "notify", "test", "on-call")
    assert result.exit_code == 1
    assert 'there is no channel "on-call"; did you mean "oncall"?' in result.stderr
    result = alone("", "notify", "test", "oncall")
    assert 'there is no channel "oncall"' in result.stderr


def test_a_secret_that_the_service_alone_can_read_is_told(alone, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    tables = '[notify.oncall]\nchannel = "slack"\nurl = { credential = "slack" }\n'
    result = alone(tables, "notify", "test", "oncall")
    assert result.exit_code == 1
    assert "configuration: credential slack can't be read" in result.stderr
