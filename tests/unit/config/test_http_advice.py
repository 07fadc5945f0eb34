"""What is valid in calls, tokens and channels, but hardly meant."""

from datetime import UTC, datetime

import pytest

from syncd.config.preview import as_json, upcoming
from syncd.config.reload_diff import difference

JOB = '[jobs.x]\nkind = "http"\n'
CALL = JOB + 'request = { url = "%s"%s }\n'
PLAIN = "secrets go to a over http://, where anybody in between can read them"


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (CALL % ("https://a", ", tls_verify = false"), 'job "x": tls_verify = false takes any'),
        (CALL % ("http://a", ', bearer = "s"'), f'job "x": {PLAIN}'),
        (CALL % ("http://a", ', headers = { X-Key = { env = "A" } }'), f'job "x": {PLAIN}'),
        (CALL % ("http://a", ', method = "PUT", body = [{ a = { env = "A" } }]'),
         f'job "x": {PLAIN}'),
        (CALL % ("http://a", ', basic = { user = "a", password = "b" }'), f'job "x": {PLAIN}'),
        (CALL % ("https://a", ', body = "x"'), 'job "x": GET with a body: many servers'),
        (CALL % ("https://a", ', timeout = "31m"'), 'job "x": its calls may take 31m, and its'),
        (CALL % ("https://a", "") + 'poll = { timeout = "30m" }',
         'job "x": its calls may take 30m30s'),
        (JOB + 'timeout = "50s"\ncalls = [{ request = { url = "https://a" } }, { request = { url = '
         '"https://b" } }]', 'job "x": its calls may take 1m, and its timeout is 50s'),
        ('[tokens.t.login]\nurl = "https://a"\n', 'no job uses the token "t"'),
        (CALL % ("https://a", ', token = "t"') + '[tokens.t.client_credentials]\nurl = "http://a"\n'
         'client_id = "a"\nclient_secret = "b"', f'token "t": {PLAIN}'),
        (CALL % ("https://a", "") + '[notify.n]\nchannel = "slack"\nurl = "https://a"\njobs = '
         '["x*", "y*"]', 'channel "n" tells of jobs "y*", and there are none'),
    ],
)  # fmt: skip
def test_each_oddity_has_its_warning(folder, text, warning):
    folder.write(text)
    (found, *others) = [each for each in folder.load().warnings if "upkeep" not in each]
    assert found.startswith(warning)
    assert others == []


@pytest.mark.parametrize(
    "text",
    [
        CALL % ("https://a", ', method = "POST"'),
        CALL % ("http://127.0.0.1:8080", ', bearer = "s"'),
        CALL % ("http://[::1]", ', bearer = "s"'),
        CALL % ("http://localhost", ', query = { a = { env = "X" } }'),
        CALL % ("http://a", ', hmac = { secret = "s" }, query = { a = 1 }'),
        CALL % ("https://a", ', method = "DELETE", body = { ids = [1] }'),
        CALL % ("https://a", ', tls_verify = false') + "enabled = false\n[jobs.h]\nkind = 'http'\n"
        "request.url = 'https://a'",
        CALL % ("https://a", "") + '[notify.n]\nchannel = "slack"\nurl = "https://a"\n'
        'jobs = ["re*"]',
    ],
)  # fmt: skip
def test_what_is_usual_has_no_warning(folder, text):
    folder.write(text)
    assert folder.load().warnings == ()


def test_what_would_be_called_is_shown_without_secrets(folder):
    folder.write(
        CALL
        % ("https://a/b?token=x", ', method = "PUT"')
        + '[jobs.y]\nkind = "http"\ncalls = [{ request = { url = "https://a/1" } }, '
        '{ request = { url = "https://a/2" } }]\n'
    )
    jobs = upcoming(folder.load(), datetime(2024, 5, 1, tzinfo=UTC))
    shown = {job["name"]: job.get("calls") for job in as_json(jobs, [])["jobs"]}
    assert shown == {
        "x": [{"method": "PUT", "url": "https://a/b"}],
        "y": [{"method": "GET", "url": "https://a/1"}, {"method": "GET", "url": "https://a/2"}],
        "retention": None,
        "backup": None,
    }


def test_hosts_tokens_and_channels_are_taken_up_by_a_running_daemon(folder):
    text = CALL % ("https://a", ', token = "t"') + '[tokens.t.login]\nurl = "https://a/%s"\n'
    channel = '[notify.n]\nchannel = "slack"\nurl = "https://a/%s"\n'
    folder.write(text % 1 + channel % 1)
    old = folder.load()
    folder.write('[http]\nallow_hosts = ["a"]\n' + text % 2 + channel % 2)
    new = folder.load()
    found = difference(old, new)
    assert (found.restart_needed, found.changed, old.digest == new.digest) == ((), (), False)
