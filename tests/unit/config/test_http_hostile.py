"""Whatever stands in the tables of calls, tokens and channels is taken or told."""

import json
import math
import pickle
import time
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from syncd.cli.config_diff import differences
from syncd.config.load import load
from syncd.config.positions import lines_of
from syncd.config.problems import ConfigInvalid
from syncd.config.schema_paths import all_models, keys_of
from syncd.config.toml_secrets import hide

KEYS = sorted(
    {key for model in all_models() for key in keys_of(model)} | {"", "a b", "😀", "x" * 128}
)
WORDS = [
    "", "x", "https://a/", "http://a/{{ x }}", "{{", "}}", "{{ run.id }}", "HEAD", "POST", "1s",
    "5", "a.b", "(", "[[a]", "\0", "😀", "x" * 5000, "iam", "http", "slack", "email", "webhook",
    "a@b.c", "/x", "none", "Bearer abc", "*.a:1", "1MiB", "hunter2",
]  # fmt: skip
LEAVES = (
    st.sampled_from(WORDS)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.booleans()
)
NAMES = st.sampled_from(KEYS)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=25,
)
TABLES = st.dictionaries(NAMES, VALUES, max_size=6)
REQUESTS = TABLES.map(lambda table: {"url": "https://a/"} | table)
CALLS = TABLES.flatmap(lambda table: REQUESTS.map(lambda request: table | {"request": request}))
JOBS = (
    CALLS.map(lambda job: {"kind": "http"} | job)
    | st.lists(CALLS, max_size=3).map(lambda calls: {"kind": "http", "calls": calls})
    | TABLES
)
CHANNELS = TABLES.flatmap(
    lambda table: st.sampled_from(["slack", "email", "webhook", "dingtalk"]).map(
        lambda kind: {"channel": kind, "url": "https://a/"} | table
    )
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "http": TABLES,
        "tokens": st.dictionaries(NAMES, REQUESTS.map(lambda each: {"login": each}) | TABLES,
                                  max_size=2) | LEAVES,
        "notify": st.dictionaries(NAMES, CHANNELS, max_size=2) | LEAVES,
        "jobs": st.dictionaries(NAMES, JOBS, max_size=2) | LEAVES,
    },
)  # fmt: skip


def toml(value):
    """Return a value as TOML."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case float() if not math.isfinite(value):
            return str(value)
        case dict():
            return (
                f"{{ {', '.join(f'{toml(key)} = {toml(each)}' for key, each in value.items())} }}"
            )
        case list():
            return f"[{', '.join(map(toml, value))}]"
    return repr(value)


def document(tables):
    return "".join(f"{name} = {toml(value)}\n" for name, value in tables.items())


@settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(DOCUMENTS)
@example({"jobs": "x"})
@example({"jobs": {"x": {"kind": "http", "calls": {"0": 1}, "request": [1]}}})
@example({"jobs": {"x": {"kind": "http", "request": {"url": 1, "body": {"env": ["{{"]}}}}})
@example({"notify": {"x": {"channel": ["slack"], "url": {"env": 1}}}})
@example({"http": {"allow_hosts": [1, "a"]}})
def test_any_tables_are_taken_or_told(folder, tables):
    text = document(tables)
    folder.write(text, mode=0o644)
    with suppress(ConfigInvalid):
        config = folder.load(check_secrets=True)
        jobs = pickle.loads(pickle.dumps(dict(config.jobs)))
        assert jobs.keys() == config.jobs.keys()
    assert lines_of(text)[(next(iter(tables)),)] == 1 if tables else lines_of(text) == {}
    assert len(hide(text, "***").lines) == len(text.split("\n"))
    differences({"m": b""}, {"m": text.encode()})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = " + "[" * 200 + "]" * 200, "is not usable TOML: nested too deeply"),
        ("jobs.x.request.body" + ".a" * 3000 + " = 1", "is not usable TOML: nested too deeply"),
        ("a = 0x" + "f" * 5000, "is not usable TOML: a whole number of more than 64 bits"),
        ("jobs.x.request.body = { a = 9223372036854775809 }", "is not usable TOML: a whole number"),
    ],
)
def test_what_nobody_could_walk_through_is_told_once(folder, text, message):
    folder.write(text)
    (line,) = folder.told()
    assert line.startswith(f"syncd.toml: {message}")


def test_a_body_may_be_nested_as_deep_as_servers_take_it(folder):
    nested = 'jobs.x = { kind = "http", request = { url = "https://a", body = { a = %s } } }'
    folder.write(nested % ("[" * 30 + "]" * 30))
    assert folder.load()
    folder.write(nested % ("[" * 40 + "]" * 40))
    assert folder.told() == ["syncd.toml:1: jobs.x.request.body: is nested too deeply"]


def test_ten_thousand_calls_are_told_in_no_time(folder):
    call = '[[jobs.x.calls]]\nrequest = { url = "x", token = "y", body = ["{{ z }}"] }\n'
    folder.write('[jobs.x]\nkind = "http"\n' + call * 10_000)
    started = time.monotonic()
    told = folder.told()
    assert time.monotonic() - started < 20
    assert len(told) == 101
    assert "jobs.x.calls: must have at most 50 calls" in "\n".join(told)


def test_odd_names_of_tables_are_told(folder):
    for name in ("x" * 128, "😀", "a b", ""):
        folder.write(f'[tokens."{name}".login]\nurl = "https://a"\n')
        (line,) = folder.told()
        assert "the name must be 1 to 64 letters" in line


def test_no_message_shows_what_may_be_a_secret(folder):
    wrong = "hunter2-hunter2"
    folder.write(
        f'[jobs.x]\nkind = "http"\nping_url = "{wrong}"\n'
        f'request = {{ url = "https://u:{wrong}@a/", bearer = ["{wrong}"], '
        f'basic = {{ user = "a:b", password = {{ envv = "{wrong}" }} }}, '
        f"hmac = {{ secret = 5, key_id = 7 }}, "
        f'headers = {{ A = "{wrong}\\n" }}, body = "{{{{ {wrong}" }}\n'
        f'[notify.n]\nchannel = "slack"\nurl = "{wrong}"\n[tokens.t.client_credentials]\n'
        f'url = "{wrong}"\nclient_id = "a"\nclient_secret = {{ file = "{wrong}" }}\n'
    )
    with pytest.raises(ConfigInvalid) as caught:
        load(folder.main, {})
    assert len(caught.value.problems) == 12
    assert wrong not in str(caught.value)
