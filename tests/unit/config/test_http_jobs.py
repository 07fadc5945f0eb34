"""Jobs of kind http, tokens and channels: what is taken, and what is told of what is not."""

import pickle
import re

import pytest

from syncd.config.http import Request
from syncd.config.references import leaves
from syncd.config.secrets import Secret

JOB = '[jobs.x]\nkind = "http"\n'
URL = 'url = "https://api.internal/v1"'
IAM = '[tokens.iam.login]\nurl = "https://iam.internal/login"\n'


def request(more="", url=URL):
    return f"{JOB}request = {{ {url}{', ' if more else ''}{more} }}\n"


def test_the_example_of_the_specification_is_taken(folder):
    folder.write(
        '[tokens.iam]\nlogin = { url = "https://iam.internal/login", body = { username = "svc", '
        'password = { credential = "iam" } } }\ntoken = ["access_token", "token", "data.token"]\n'
        + request('method = "POST", token = "iam"')
        + 'schedule = "0 * * * *"\nexpect = { status = [200, 201, 202], json = { "code" = 0 } }\n'
    )
    config = folder.load()
    (call,) = config.jobs["x"].steps
    assert call.expect.json_ == {"code": 0}
    assert (call.request.safe_to_repeat, config.jobs["x"].enabled_tokens()) == (True, ("iam",))
    assert config.warnings == ()
    assert config.token("iam").source.body["password"].source == "credential"


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("https://API.Internal/a", "https://api.internal/a"),
        ("HTTP://a:8080?x=1", "http://a:8080?x=1"),
        ("https://[::1]:8443/", "https://[::1]:8443/"),
        ("https://[0:0::1]/", "https://[::1]/"),
        ("https://bücher.example/straße?ä=1", "https://xn--bcher-kva.example/stra%C3%9Fe?%C3%A4=1"),
        ("https://a/{{ run.id }}?d={{date}}", "https://a/{{ run.id }}?d={{date}}"),
        ("https://a.", "https://a"),
    ],
)
def test_urls_are_kept_as_they_are_sent(url, taken):
    assert Request(url=url).url == taken


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("ftp://a/", "must be a URL"),
        ("//a/", "must be a URL"),
        ("https://", "must be a URL"),
        ("https:///path", "must be a URL"),
        ("https://a b/", "that is no host"),
        ("https://a/b c", "must hold no space"),
        ("https://a/\\n", "must be printable"),
        ("https://u@a/", "must hold no user"),
        ("https://u:p@a/", "must hold no user"),
        ("https://a\\\\@b/", "must hold no user"),
        ("https://a#f", "must hold no fragment"),
        ("https://{{ run.id }}/", "must name its host"),
        ("https://a{{ x/y }}/", "must name its host"),
        ("https://a:99999/", "that is no host"),
        ("https://a:0/", "there is no port 0"),
        ("https://a:x/", "that is no host"),
        ("https://[::1/", "that is no host"),
        ("https://[fe80::1%25eth0]/", "that is no host"),
        ("https://10.0.0.256/", "that is no host"),
        ("https://a..b/", "that is no host"),
        ("https://a%2eb/", "that is no host"),
        ("https://a\\\\b/", "that is no host"),
        ("https://a\\u0000b/", "must be printable"),
    ],
)
def test_what_is_no_url_is_told(folder, url, told):
    folder.write(request(url=f'url = "{url}"'))
    assert any(f"jobs.x.request.url: {told}" in line or told in line for line in folder.told())


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ('method = "FETCH"', 'jobs.x.request.method: unknown value "FETCH"; did'),
        ('metod = "GET"', 'jobs.x.request.metod: unknown key "metod"; did you mean "method"?'),
        ('token = "iem"', 'jobs.x.request.token: no table [tokens.NAME] defines "iem"; did you '
         'mean "iam"?; allowed: iam'),
        ('body = { a = "{{ run.ids }}" }', 'jobs.x.request.body.a: no call before saves '
         '"run.ids"; did you mean "run.id"?; allowed: date, run.id, run.scheduled_for'),
        ('body = [ { a = ["", "{{ x }}"] } ]', 'jobs.x.request.body[0].a[1]: no call before'),
        ('body = "{{ run.id"', "jobs.x.request.body: begins a {{ name }} without ending it"),
        ('form = { a = "{{ }}" }', "jobs.x.request.form.a: holds an empty {{ }}"),
        ('query = { file = "{{ y }}" }', 'jobs.x.request.query.file: no call before saves "y"'),
        ('headers = { A = "{{ date() }}" }', 'jobs.x.request.headers.A: no call before saves'),
        ('headers = { "A B" = "x" }', 'jobs.x.request.headers: "A B" must be the name of a header'),
        ('headers = { Host = "x" }', 'jobs.x.request.headers: "Host" is a header that syncd'),
        ('headers = { A = "a\\nb" }', 'jobs.x.request.headers: "A" must be printable'),
        ('headers = { A = "ä" }', 'jobs.x.request.headers: "A" must be of ASCII'),
        ('headers = { A = 5 }', 'jobs.x.request.headers: "A" must be a string, { credential'),
        ('headers = { a = "x", A = "y" }', "jobs.x.request.headers: names a header twice"),
        ('method = "POST", headers = { idempotency-key = "x" }',
         "jobs.x.request: headers.Idempotency-Key is the same in all runs"),
        ('method = "PATCH", headers = { K = "{{ date }}" }, idempotency_key = "k"',
         "jobs.x.request: headers.k is the same in all runs"),
        ('method = "POST", headers = { Idempotency-Key = { env = "X" } }',
         "jobs.x.request: headers.Idempotency-Key is the same in all runs"),
        ('body = "x", form = { a = "b" }', "jobs.x.request: body and form exclude each other"),
        ('body = "{{ run.id }}", content_type = "application/json"', "jobs.x.request: body: {{"),
        ("body = 5", "jobs.x.request.body: must be a table, a list or a string"),
        ("body = { a = 2020-01-01 }", "jobs.x.request.body: holds what JSON has no word for"),
        ("body = { a = nan }", "jobs.x.request.body: holds a number that can't be sent"),
        ('bearer = "a", token = "iam"', "jobs.x.request.token: comes in Authorization"),
        ('headers = { authorization = "b" }, token = "iam"', "jobs.x.request.token: comes in"
         " Authorization, and so does headers.authorization: only one may"),
        ('bearer = "a", headers = { authorization = "b" }', "jobs.x.request: bearer and authori"),
        ('bearer = "a", basic = { user = "a", password = "b" }', "jobs.x.request: basic and"),
        ('basic = { user = "a:b", password = "c" }', "jobs.x.request.basic.user: must hold no"),
        ("idempotency_key = true", "jobs.x.request.idempotency_key: must be the name of a header"),
        ("redirects = 11", "jobs.x.request.redirects: must be at most 10"),
        ('max_answer = "65MiB"', "jobs.x.request.max_answer: must be at most 64MiB"),
        ('tls_cert = "/a"', "jobs.x.request: tls_cert and tls_key go together"),
        ('tls_ca = "/a", tls_verify = false', "jobs.x.request: tls_ca is of no use with"),
        ('proxy = "http://u:p@x"', "jobs.x.request.proxy: must hold no user"),
        ('hmac = { secret = "" }', "jobs.x.request.hmac.secret: must not be empty"),
    ],
)  # fmt: skip
def test_each_odd_key_of_a_request_has_one_clear_complaint(folder, more, told):
    folder.write(f"{IAM}{request(more)}")
    lines = folder.told()
    assert len(lines) == 1
    assert lines[0].startswith(f"syncd.toml:5: {told}")


@pytest.mark.parametrize(
    "more",
    [
        'method = "POST", headers = { Idempotency-Key = "a-{{run.id}}" }',
        'method = "POST", headers = { Idempotency-Key = "{{ run.scheduled_for }}" }',
        'method = "POST", headers = { Idempotency-Key = "x" }, idempotency_key = false',
        'method = "POST", headers = { Idempotency-Key = "x" }, idempotency_key = "X-Key"',
        'method = "PUT", headers = { Idempotency-Key = "x" }',
    ],
)  # fmt: skip
def test_a_key_of_ones_own_may_be_sent_that_differs_with_the_run(folder, more):
    folder.write(request(more))
    folder.load()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (JOB, "jobs.x: needs request or calls: one of them"),
        (request() + "calls = [{ request = { url = 'https://a' } }]", "jobs.x: needs request or"),
        (JOB + "calls = [{ request = { url = 'https://a' } }]\nexpect = {}", "jobs.x: expect and"),
        (JOB + "calls = {}", "jobs.x.calls: must be a list"),
        (JOB + "calls = [5]", "jobs.x.calls[0]: must be a table"),
        (JOB + "calls = [{}]", "jobs.x.calls[0].request: is required"),
        (JOB + "request = 5", "jobs.x.request: must be a table"),
        (JOB + "request = {}", "jobs.x.request.url: is required"),
        (JOB + f"calls = [{{ name = 'call-2', request = {{ {URL} }} }}, "
         f"{{ request = {{ {URL} }} }}]",
         'jobs.x: calls: "call-2" is the name of two'),
        (JOB + f"calls = [{{ name = 'a', request = {{ {URL} }} }}, {{ name = 'a', request = "
         f"{{ {URL} }} }}]", 'jobs.x: calls: "a" is the name of two'),
        (request() + "expect = { status = [99] }", "jobs.x.expect.status: must hold codes"),
        (request() + "expect = { status = [true] }", "jobs.x.expect.status: must hold codes"),
        (request() + "expect = { matches = '(' }", "jobs.x.expect.matches: is no regular"),
        (request() + f"expect = {{ matches = '{'x' * 5000}' }}", "jobs.x.expect.matches: must be"),
        (request() + "expect = { headers = { A = '[' } }", "jobs.x.expect.headers: is no regular"),
        (request() + "expect = { json = { 'a..b' = 1 } }", "jobs.x.expect.json: must be a path"),
        (request() + "expect = { json_ = {} }", 'jobs.x.expect.json_: unknown key "json_"; did you '
         'mean "json"?'),
        (request('method = "HEAD"') + "expect = { json = { a = 1 } }", "jobs.x: an answer to HEAD"),
        (request() + "poll = { url = 'https://a', path = 'b' }", "jobs.x.poll: url and path"),
        (request() + "poll = { url = 'https://a/{{ id }}' }", 'jobs.x.poll.url: no call before'),
        (request() + "poll = { every = '0s' }", "jobs.x.poll.every: must be longer than 0s"),
        (request() + "ping_url = 'ftp://x'", "jobs.x.ping_url: must be a URL"),
        (request() + "ping_url = 'https://x/{{ date }}'", "jobs.x.ping_url: must hold no {{ names"),
        (request() + "max_concurrent_items = 2", "jobs.x.max_concurrent_items: must be at most 1"),
        ("[tokens.t]\n", "tokens.t: needs login or client_credentials: one of them"),
        (IAM + "[tokens.iam.client_credentials]\nurl = 'https://a'\nclient_id = 'a'\nclient_secret"
         " = 'b'", "tokens.iam: needs login or client_credentials: one of them"),
        (IAM + "body = { day = '{{ date }}' }", "tokens.iam.login.body.day: a token belongs to no"),
        (IAM + "method = 'HEAD'", "tokens.iam.login: an answer to HEAD has no body, and no token"),
        (IAM + "token = 'iam'", 'tokens.iam.login.token: unknown key "token"'),
        ("[tokens.t]\nlogin = { url = 'https://a' }\ntoken = []", "tokens.t.token: must be a path"),
        ("[tokens.t]\nlogin = { url = 'https://a' }\nheader = 'a b'", "tokens.t.header: must be"),
        ("[http]\nallow_hosts = ['https://a']", 'http.allow_hosts: "https://a" is no host'),
        ("[notify.n]\nchannel = 'slak'", 'notify.n.channel: unknown channel "slak"; did you'),
        ("[notify.n]\nurl = 'https://a'", "notify.n.channel: is required; allowed: dingtalk"),
        ("[notify.n]\nchannel = 'slack'\nurl = 'a'", "notify.n.url: must be a URL"),
        ("[notify.n]\nchannel = 'slack'\nurl = 'https://a'\nsecret = 'b'", "notify.n.secret: "
         'unknown key "secret"'),
        ("[notify.n]\nchannel = 'slack'\nurl = 'https://a'\non = ['fail']", "notify.n.on: unknown"),
        ("[notify.n]\nchannel = 'email'\nhost = 'm'\nsender = 'a@b'\nto = ['a@b, c']",
         "notify.n.to: must be an address"),
        ("[notify.n]\nchannel = 'email'\nhost = 'm'\nsender = 'a b'\nto = ['a@b']",
         "notify.n.sender: must be an address"),
        ("[notify.n]\nchannel = 'email'\nhost = 'm'\nsender = 'a@b'\nto = []",
         "notify.n: to names nobody"),
        ("[notify.n]\nchannel = 'email'\nhost = 'm'\nsender = 'a@b'\nto = ['a@b']\nuser = 'u'\n"
         "password = 'p'\ntls = 'none'", 'notify.n: tls = "none" would send the password'),
    ],
)  # fmt: skip
def test_each_odd_table_has_one_clear_complaint(folder, text, told):
    folder.write(text)
    lines = folder.told()
    assert len(lines) == 1
    assert re.sub(r"^syncd.toml:\d+: ", "", lines[0]).startswith(told)


def test_what_is_named_like_a_secret_is_one_however_it_is_written(folder):
    folder.write(
        request('headers = { X-Token = "a", X-Day = "{{ date }}", A = "b" }, query = { key = 1, '
                'api_key = "c", token = "{{ run.id }}" }, body = [{ password = "d", passwords = '
                '["e"], pass = "", token = 5, name = "f" }]')
    )  # fmt: skip
    (call,) = folder.load().jobs["x"].steps
    found = {str(path[-1]): s.inline.get_secret_value() for path, s in leaves(call, ())
             if isinstance(s, Secret)}  # fmt: skip
    assert found == {"X-Token": "a", "api_key": "c", "password": "d", "0": "e"}
    assert "hunter2" not in repr(Request(url="https://a", headers={"X-Key-Token": "hunter2"}))


def test_names_are_known_from_what_earlier_calls_save(folder):
    folder.write(
        f"""{JOB}
[[jobs.x.calls]]
name = "plan"
request = {{ {URL} }}
save = {{ plan_id = "data.id" }}
[[jobs.x.calls]]
request = {{
""".replace("request = {\n", f"request = {{ {URL}, body = ['{{{{ plan_id }}}}'] }}\n")
        + 'save = { late = "id" }\npoll = { url = "https://a/{{ later }}{{ late }}" }\n'
        + '[[jobs.x.calls]]\nrequest.url = "https://a/{{ late }}/{{ plan_id }}"\n'
        + 'request.form = { a = "{{ plan-id }}" }\n'
    )
    assert folder.told() == [
        'syncd.toml:11: jobs.x.calls[1].poll.url: no call before saves "later"; did you mean '
        '"late"?; allowed: date, late, plan_id, run.id, run.scheduled_for',
        'syncd.toml:14: jobs.x.calls[2].request.form.a: no call before saves "plan-id"; did you '
        'mean "plan_id"?; allowed: date, late, plan_id, run.id, run.scheduled_for',
    ]


def test_a_token_in_a_header_of_its_own_may_stand_beside_authorization(folder):
    token = "[tokens.iam]\nheader = 'X-Token'\nlogin = { url = 'https://a' }\n"
    folder.write(token + request('token = "iam", basic = { user = "a", password = "b" }'))
    assert folder.load()
    folder.write(token + request('token = "iam", headers = { x-token = "b" }'))
    assert folder.told() == [
        "syncd.toml:6: jobs.x.request.token: comes in X-Token, and so does headers.x-token: only "
        "one may"
    ]


@pytest.mark.parametrize(
    ("save", "told"),
    [
        ('{ date = "a" }', '"date" has a meaning already'),
        ('{ "a b" = "a" }', '"a b" can\'t be a name'),
        ('{ 😀 = "a" }', None),
        ('{ "😀" = "a" }', '"😀" can\'t be a name'),
        ('{ t = "data.access_token" }', '"t" looks like a secret'),
        ('{ password = "a" }', '"password" looks like a secret'),
    ],
)
def test_what_can_t_be_saved_is_told(folder, save, told):
    folder.write(f"{JOB}[[jobs.x.calls]]\nrequest.{URL}\nsave = {save}\n")
    (line,) = folder.told()
    assert line.startswith(
        f"syncd.toml:5: jobs.x.calls[0].save: {told}" if told else "syncd.toml:5"
    )


def test_a_host_that_is_not_allowed_is_told_before_anything_is_called(folder):
    folder.write(
        f'[http]\nallow_hosts = ["api.internal:443", "*.example"]\n{request()}'
        'poll = { url = "https://api.internal:8443/" }\n'
        '[tokens.iam.login]\nurl = "https://iam.internal/login"\n'
        '[tokens.sso.client_credentials]\nurl = "https://sso.example/"\nclient_id = "a"\n'
        'client_secret = "b"\n[jobs.y]\nkind = "http"\ncalls = [\n'
        '  { request = { url = "https://a.example/" } },\n'
        '  { request = { url = "http://[::1]/" } },\n]\n'
    )
    rule = "is none of http.allow_hosts: api.internal:443, *.example"
    assert folder.told() == [
        f"syncd.toml:6: jobs.x.poll.url: api.internal:8443 {rule}",
        f"syncd.toml:8: tokens.iam.login.url: iam.internal:443 {rule}",
        f"syncd.toml:17: jobs.y.calls[1].request.url: ::1:80 {rule}",
    ]


def test_a_variable_sets_what_hosts_are_allowed_and_nothing_of_tokens_and_channels(folder):
    folder.write(request())
    (line,) = folder.told({"SYNCD_HTTP__ALLOW_HOSTS": '["a"]'})
    assert "api.internal:443 is none of http.allow_hosts: a" in line
    assert folder.told({"SYNCD_TOKENS__IAM": "x", "SYNCD_NOTIFY__A__URL": "x"}) == [
        "environment: SYNCD_NOTIFY__A__URL: notify can't be set by variables, only in the files",
        "environment: SYNCD_TOKENS__IAM: tokens can't be set by variables, only in the files",
    ]


def test_everything_is_told_at_once_with_its_line(folder):
    folder.write(
        f"{JOB}calls = [\n  {{ request = {{ url = 'x' }} }},\n  {{ request = {{ {URL}, "
        "token = 'a' } },\n]\n[tokens.t.login]\nurl = 'y'\n[notify.n]\nchannel = 5\n"
    )
    assert [": ".join(line.split(": ")[:2]) for line in folder.told()] == [
        "syncd.toml:4: jobs.x.calls[0].request.url", "syncd.toml:5: jobs.x.calls[1].request.token",
        "syncd.toml:8: tokens.t.login.url", "syncd.toml:10: notify.n.channel",
    ]  # fmt: skip


def test_missing_secrets_and_files_are_told_by_their_keys(folder):
    folder.write(
        request('headers = { X-Key = { env = "A" } }, tls_ca = "/none", body = [{ p = { env = "B" '
                '} }], hmac = { secret = { env = "C" } }, token = "t"')
        + 'ping_url = { env = "D" }\n[tokens.t.login]\nurl = "https://a"\nform = { p = { env = "E" '
        '} }\n[notify.n]\nchannel = "webhook"\nurl = { env = "F" }\nheaders = { A = { env = "G" '
        '} }\n'
        '[tokens.unused.login]\nurl = "https://a"\nform = { p = { env = "H" } }\n'
        '[notify.off]\nenabled = false\nchannel = "slack"\nurl = { env = "I" }\n'
        '[jobs.off]\nkind = "http"\nenabled = false\nrequest = { url = "https://a", bearer = { env '
        '= "J" } }\n'
    )  # fmt: skip
    found = {line.split(": ")[1]: line.rpartition("variable ")[2][:1] for line in folder.told(
        check_secrets=True)}  # fmt: skip
    assert found == {
        "jobs.x.request.headers.X-Key": "A", "jobs.x.request.body[0].p": "B",
        "jobs.x.request.hmac.secret": "C", "jobs.x.ping_url": "D", "tokens.t.login.form.p": "E",
        "notify.n.url": "F", "notify.n.headers.A": "G", "jobs.x.request.tls_ca": "s",
    }  # fmt: skip


def test_a_configuration_is_the_same_however_it_is_written_and_goes_to_another_process(folder):
    expect = (
        'expect = { status = [200], matches = "a|b", headers = { A = "x" }, json = { a = 1 } }\n'
    )
    folder.write(request('body = { a = [1, { env = "X" }] }') + expect)
    one = folder.load()
    folder.write(
        f"{JOB}request.{URL}\nrequest.body.a = [1, {{ env = 'X' }}]\n"
        "[jobs.x.expect]\nmatches = 'a|b'\njson.a = 1\nheaders.A = 'x'\nstatus = [200]\n"
    )
    other = folder.load()
    assert one.digest == other.digest
    assert one.jobs == other.jobs
    assert pickle.loads(pickle.dumps(one.jobs["x"])) == one.jobs["x"]
    folder.write(request('body = { a = [1, { env = "Y" }] }') + expect)
    assert folder.load().digest != one.digest
