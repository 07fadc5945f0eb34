"""What a configuration file may show of itself, whatever way a secret is written in it."""

import json
import tomllib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd.cli.config_diff import differences, summary
from syncd.config.toml_secrets import hide, secret_keys
from syncd.config.toml_spans import comments_of, values_of

MASK = "******"
SECRET = "Zq9-hunter2"


def shown(text: str) -> str:
    return "\n".join(hide(text, MASK).lines)


def test_the_secrets_of_the_schema_are_known():
    assert {"dsn", "access_key_id", "access_key_secret"} <= secret_keys()


@pytest.mark.parametrize(
    "text",
    [
        f'[accounts.a]\naccess_key_secret = "{SECRET}"',
        f"[accounts.a]\naccess_key_id='{SECRET}' # mine",
        f'[accounts]\na.access_key_secret = """\n{SECRET}\n{SECRET}"""\n',
        f"accounts = {{ a = {{ access_key_secret = '''{SECRET}''' }} }}",
        f'[accounts."a.b"."access_key_\\u0073ecret"]\nvalue = "{SECRET}"',
        f"[accounts.a]\naccess_key_secret = ['{SECRET}', {{ x = '{SECRET}' }}]",
        f"[accounts.a]\naccess_key_secret = {{ file = '/x', other = '{SECRET}' }}",
        f"[[accounts]]\n[accounts.access_key_secret]\nx = '{SECRET}'",
        f'[store]\ndsn = "postgresql://syncd:{SECRET}@db/syncd"',
        f"[store]\ndsn = \"host=db password='{SECRET}'\"",
        f'[store]\ndsn = "host=db sslpassword={SECRET}"',
        f'[store]\ndsn = "postgresql://db/syncd?p%61ssword={SECRET}"',
        f'[notify.x]\nurl = "https://robot.example/send/{SECRET}"',
        f'[servers.x]\npassword = "{SECRET}"',
        f'[jobs.x.headers]\nX-Own = "{SECRET}"',
        f'[accounts.a]\nproxy = "http://me:{SECRET}@proxy:1"',
        f'[accounts.a]\nendpoint = "https://x/?access_token={SECRET}"',
        f'[jobs.x]\ngroup = "Bearer {SECRET}"',
        f'# access_key_secret = "{SECRET}"\n[jobs.x]',
        f"[jobs.x] # the password: {SECRET}",
        f'[accounts.a]\naccess_key_secret = "{SECRET}"\n[jobs.b',  # no TOML
        f'[accounts.a]\naccess_key_secret = """\nevery\n{SECRET}\n',
        f"{SECRET} = 1\n[x",
        f"retries = {SECRET}\n",
    ],
)
def test_no_way_of_writing_shows_a_secret(text):
    found = hide(text, MASK)
    assert SECRET not in "\n".join(found.lines)
    assert len(found.lines) == len(text.split("\n"))


@pytest.mark.parametrize(
    "text",
    [
        '[accounts.a]\naccess_key_secret = { credential = "aliyun-secret" }',
        '[accounts.a.access_key_secret]\nfile = "/etc/syncd/secrets/a"',
        '[store]\ndsn = "embedded"',
        '[store]\ndsn = "postgresql://syncd@db/syncd?sslmode=verify-full"',
        '[jobs.token-refresh]\nkind = "cloud" # every hour\nevery = "1h"\nspread = 5',
        '[accounts.a]\nendpoint = "https://ecs.example.com"\nregions = ["cn-a", "cn-b"]',
    ],
)
def test_what_is_no_secret_is_shown_as_it_is(text):
    assert shown(text) == text


def test_what_is_no_toml_shows_its_known_keys_only():
    text = 'timezone = "UTC"\n\n[jobs.x]\nevery = "1h"\nevry = 5\n# why\n[more"'
    assert shown(text).split("\n") == [
        f"timezone = {MASK}", "", "[jobs.x]", f"every = {MASK}", MASK, MASK, MASK
    ]  # fmt: skip


def test_a_changed_secret_shows_as_a_changed_line_and_nowhere_else():
    old = f'[accounts.a]\nprovider = "aliyun"\naccess_key_secret = "{SECRET}"\n'
    new = f'# it was {SECRET}\n[accounts.a]\nprovider = "aliyun"\naccess_key_secret = "Other77"\n'
    (found,) = differences({"syncd.toml": old.encode()}, {"syncd.toml": new.encode()})
    assert found.lines == [
        "@@ -1,4 +1,5 @@", f"+# it was {MASK}", " [accounts.a]", ' provider = "aliyun"',
        f'-access_key_secret = "{MASK}"', f'+access_key_secret = "{MASK}"', " ",
    ]  # fmt: skip


def test_a_remark_does_not_tell_a_secret_of_another_version():
    other = {"m": f"[accounts.a]\naccess_key_secret = '{SECRET}'".encode()}
    new = {"m": f"# no longer {SECRET}".encode()}
    (found,) = differences({"m": b""}, new, [other])
    assert found.lines[-1] == f"+# no longer {MASK}"


def test_files_that_come_and_go_are_told_and_so_is_what_only_looks_different():
    old = {"syncd.toml": b"timezone = 'UTC'\r\n", "conf.d/a.toml": b"[jobs.a]\n"}
    new = {"syncd.toml": b"timezone = 'UTC'\n", "conf.d/b.toml": b"[jobs.b"}
    found = {each.name: each for each in differences(old, new)}
    assert [(name, each.change, each.unread) for name, each in found.items()] == [
        ("syncd.toml", "changed", False),
        ("conf.d/a.toml", "removed", False),
        ("conf.d/b.toml", "added", True),
    ]
    assert found["syncd.toml"].lines == []
    assert found["conf.d/a.toml"].lines[:2] == ["@@ -1,2 +0,0 @@", "-[jobs.a]"]


def test_the_summary_names_tables_and_keys_and_files_where_only_the_writing_differs():
    old = {"m": b"[jobs.a]\nevery='1h'\n[jobs.b]\n[daemon]\nload_limit=1\n[store]\npool_min=1"}
    new = {"m": b"[jobs.a]\nevery='2h'\n[jobs.c]\n[daemon]\nload_limit=2\n[store]\npool_min=1"}
    assert summary(old, new) == ["jobs.a", "-jobs.b", "daemon.load_limit", "+jobs.c"]
    assert summary(old, {"m": old["m"] + b"\n# why"}) == ["m"]
    assert summary(old, {**old, "conf.d/x.toml": b"[jobs.x"}) == ["+conf.d/x.toml"]
    assert summary(old, old) == []


# Hypothesis: any document, in any writing

_names = st.sampled_from(["a", "hosts", "x-1", "a.b", "é ", "kind"])
_secret_names = st.sampled_from(["access_key_secret", "access_key_id", "password", "api_token"])
_secrets = st.text("abcXYZ019-_/+=$#'\"\\ \té[]{}", min_size=6, max_size=12).map(
    lambda text: f"S{text}E"
)
_plain_values = st.sampled_from(['"1h"', "5", "true", "[1, 2]", "{ x = 1 }", "'''a\nb'''", '""'])


_shapes = st.sampled_from([
    "{0} = {1}", '"{0}"={1}', "{0} = [ {1},\n # c\n {1} ]", "{0} = {{ v = {1}, w = 2 }}",
    "{0}.inner = {1}",
])  # fmt: skip


def _literal(text: str, form: int) -> str:
    """Write a text in one of TOML's ways, where it can be written so."""
    if form == 1 and "'" not in text and "\t" not in text:
        return f"'{text}'"
    if form == 2 and "'''" not in text and not text.endswith("'"):
        return f"'''\n{text}'''"
    quoted = json.dumps(text, ensure_ascii=form == 3)
    return f'""{quoted}""' if form == 4 else quoted


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, set[str]]:
    """Give a text of TOML and the secrets in it."""
    lines, secrets, tables = [], set(), set()
    for number in range(draw(st.integers(1, 4))):
        name = json.dumps(f"{draw(_names)}{number}", ensure_ascii=False)
        tables.add(name)
        lines.append(f"[accounts.{name}] # {draw(st.sampled_from(['', 'a comment', '[x]']))}")
        for key in draw(st.lists(_secret_names, unique=True, max_size=3)):
            secret = draw(_secrets)
            secrets.add(secret)
            value = _literal(secret, draw(st.integers(0, 4)))
            lines.append(draw(_shapes).format(key, value))
            if draw(st.booleans()):
                lines.append(f"# {key} = {secret}")
            if draw(st.booleans()) and "\\" not in secret:
                lines.append(f"# once {secret} stood here")
        for n in range(draw(st.integers(0, 2))):
            lines.append(f"plain{n} = {draw(_plain_values)}")
    return "\n".join(lines), secrets


def _leaves(value: object) -> list[object]:
    if isinstance(value, dict):
        return [leaf for each in value.values() for leaf in _leaves(each)]
    if isinstance(value, list):
        return [leaf for each in value for leaf in _leaves(each)]
    return [value]


@given(documents())
def test_the_scanner_finds_the_values_that_the_standard_reader_finds(document):
    text, _ = document
    found = [tomllib.loads(f"v = {text[s.start : s.end]}")["v"] for s in values_of(text)]
    assert sorted(map(repr, found)) == sorted(map(repr, _leaves(tomllib.loads(text))))
    assert all(text[s.start] == "#" for s in comments_of(text))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(documents(), documents(), st.data())
def test_no_inline_secret_survives_a_diff(first, second, data):
    texts = [first[0], second[0]]
    if data.draw(st.booleans()):  # a file in the middle of being written
        texts[1] = texts[1][: data.draw(st.integers(0, len(texts[1])))]
    for old, new in (texts, texts[::-1]):
        found = differences({"m": old.encode()}, {"m": new.encode()})
        told = "\n".join(line for each in found for line in each.lines)
        for secret in first[1] | second[1]:
            assert secret not in told
            assert json.dumps(secret)[1:-1] not in told
