"""Secrets in calls, tokens and channels: where none may be written, and what a diff shows."""

import pytest

from syncd.config.http_secrets import in_url, looks_random, public_url
from syncd.config.toml_secrets import hide

MASK = "******"
SECRET = "Zq9-hunter2"
JOB = '[jobs.x]\nkind = "http"\n'
CALL = JOB + 'request = { url = "https://a/", %s }\n'
LOGIN = '[tokens.t.login]\nurl = "https://a/"\n'

REFUSED = [
    CALL % f'bearer = "{SECRET}"',
    CALL % f'basic = {{ user = "u", password = "{SECRET}" }}',
    CALL % f'hmac = {{ secret = "{SECRET}" }}',
    CALL % f'headers = {{ Authorization = "{SECRET}" }}',
    CALL % f'headers = {{ X-Own = "Bearer {SECRET}" }}',
    CALL % f'headers = {{ X-Api-Key = "{SECRET}" }}',
    CALL % f'query = {{ access_token = "{SECRET}" }}',
    CALL % f'form = {{ apikey = "{SECRET}" }}',
    CALL % f'body = {{ a = [{{ userPassword = "{SECRET}" }}] }}',
    CALL % f'body = {{ passwords = ["{SECRET}"] }}',
    CALL % f'body = \'{{ "password": "{SECRET}" }}\'',
    CALL % f'body = "user=a&password={SECRET}"',
    JOB + f'request.url = "https://a/?a=1&api_key={SECRET}"\n',
    JOB + f'ping_url = "https://hc.example/{SECRET}"\nrequest.url = "https://a/"\n',
    JOB + f'[[jobs.x.calls]]\nrequest = {{ url = "https://a/", bearer = "{SECRET}" }}\n',
    LOGIN + f'body.password = "{SECRET}"\n',
    LOGIN + f'basic = {{ user = "u", password = "{SECRET}" }}\n',
    '[tokens.t.client_credentials]\nurl = "https://a/"\nclient_id = "a"\n'
    f'client_secret = "{SECRET}"\n',
    f'[notify.n]\nchannel = "slack"\nurl = "https://hooks.example/{SECRET}"\n',
    f'[notify.n]\nchannel = "webhook"\nurl = {{ env = "X" }}\nsecret = "{SECRET}"\n',
    f'[notify.n]\nchannel = "webhook"\nurl = {{ env = "X" }}\nheaders.X-Token = "{SECRET}"\n',
    '[notify.n]\nchannel = "email"\nhost = "m"\nsender = "a@b"\nto = ["c@d"]\nuser = "u"\n'
    f'password = "{SECRET}"\n',
]


@pytest.mark.parametrize("text", REFUSED)
def test_an_inline_secret_is_refused_where_others_can_read_it_and_shown_nowhere(folder, text):
    folder.write(text, mode=0o644)
    (line,) = folder.told()
    assert "an inline secret in a file that others can read" in line
    assert SECRET not in line
    folder.write(text)
    assert folder.load()
    shown = "\n".join(hide(text, MASK).lines)
    assert SECRET not in shown
    assert "[jobs.x]" in shown or "[tokens" in shown or "[notify" in shown


HARMLESS = [
    '[tokens.t]\ntoken = ["access_token", "data.token"]\nexpires = "expires_in"\n'
    'header = "X-Token"\nscheme = ""\n'
    'login = { url = "https://a/login", body = { username = "svc", password = '
    '{ credential = "iam" } } }\n',
    CALL % 'token = "t", mask = ["password", "secret"], idempotency_key = "X-Key"' + LOGIN,
    CALL % 'headers = { Authorization = { credential = "a" }, Accept = "application/json" }',
    CALL % 'query = { page = 1, token = { env = "X" } }, redirects = 3, max_answer = "2MiB"',
    CALL % 'body = { passenger = "a", run = "{{ run.id }}", code = 5 }',
    CALL % "body = 'day={{ date }}&kind=daily'",
    CALL % 'form = { grant_type = "password", token_type = "jwt" }',
    CALL % 'basic = { user = "u", password = { file = "/p" } }',
    CALL % 'hmac = { secret = { env = "X" }, header = "X-Sign", key_id = "main" }',
    CALL % 'method = "GET"' + 'expect = { status = [200], json = { "data.state" = "done" } }\n',
    JOB + 'request.url = "https://a/v1/statistics-of-2024-by-department?day={{ date }}&page=2"\n'
    'ping_url = { credential = "hc" }\npoll = { url = "https://a/tasks/{{ run.id }}" }\n',
    '[notify.n]\nchannel = "email"\nhost = "m"\nsender = "a@b"\nto = ["c@d"]\nuser = "u"\n'
    'password = { credential = "smtp" }\n',
    '[notify.n]\nchannel = "slack"\nurl = { credential = "slack" }\njobs = []\n'
    'on = ["failed", "recovered"]\nrepeat_after = "2h"\n',
    '[tokens.t.client_credentials]\nurl = "https://a/oauth2/token"\nclient_id = "a"\n'
    'client_secret = { file = "/x" }\nscope = "read write"\nsecret_in = "body"\n',
    JOB + '[[jobs.x.calls]]\nrequest.url = "https://a/"\nrequest.headers.X-Key.credential = "a"\n'
    '[[jobs.x.calls]]\nrequest.url = "https://a/"\nrequest.headers.X-Key.credential = "a"\n'
    'save = { plan_id = "data.id" }\n',
]  # fmt: skip


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_may_stand_anywhere_and_is_shown(folder, text):
    folder.write(text, mode=0o644)
    assert folder.load()
    assert "\n".join(hide(text, MASK).lines) == text


@pytest.mark.parametrize(
    "text",
    [
        CALL % f'headers = {{ X-Own = "{SECRET}" }}',
        CALL % f'headers = {{ Accept = "Bearer {SECRET}" }}',
        CALL % f'body = {{ user = {{ password = "a", credential = "{SECRET}" }} }}',
        CALL % f'body = {{ a = "hooks/T0000AbCdEf12345678901234{SECRET}" }}',
        JOB + f'request.url = "https://hooks.example/T0000/AbCdEf12345678901234/{SECRET}"',
        JOB + f'request.url = "https://a/?sig=x&token={SECRET}"',
        LOGIN + f'body.pin = "{SECRET}"',
        LOGIN + f'form = {{ code = "{SECRET}" }}',
        LOGIN + f'body = "{SECRET}"',
        f'# url = "https://hc.example/0123abcd-0000-4000-8000-0123456789ab/{SECRET}"',
        f'[jobs.x]\nkind = "htp"\n[jobs.x.request]\nbearer = "{SECRET}"',
        f'[jobs.x]\nrequest.bearr = "{SECRET}"\n[jobs.x.request.headers]\nA = "{SECRET}"',
        f'[notify.n]\nchannel = "slak"\nurl = "{SECRET}"',
        f'[notify]\nurl = "{SECRET}"',
        f'[tokens.t]\nclient_secret = "{SECRET}"',
        f'[jobs.x]\nping_url = "{SECRET}"\n[broken',
    ],
)
def test_a_diff_shows_nothing_that_may_be_a_secret(text):
    shown = "\n".join(hide(text, MASK).lines).replace("bearr = " + f'"{SECRET}"', "")
    assert SECRET not in shown


def test_urls_without_what_nobody_should_see():
    assert public_url("https://a:8/x/y?token=1") == "https://a:8/x/y"
    assert public_url("https://[::1]") == "https://[::1]"
    assert public_url("https://a/{{ run.id }}") == "https://a/{{ run.id }}"
    assert public_url("https://a/b/AbCdEf12345678901234/c") == "https://a/b/***/c"
    assert in_url("https://a/?x=1&token={{ t }}&Api-Key=2&token=") == ["Api-Key"]
    assert in_url("https://[/") == []
    assert not looks_random("https://api.internal/api/v1/statistics/sync/daily")
    assert not looks_random("{{ run.scheduled_for }} and a-rather-long-name-of-2024")
