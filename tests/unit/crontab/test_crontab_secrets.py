"""No secret of a crontab is printed, wherever it stands and whatever becomes of its line."""

import shlex
import tomllib
from pathlib import Path

import pytest
from crontab_helpers import imported, job
from hypothesis import example, given, settings
from hypothesis import strategies as st
from thorough import times

from syncd.crontab.secret_words import masked

URL = "https://api.internal/run"
SECRET = "Zq7hQ2-wN9rT"

UNDERSTOOD = [
    "curl -H {Authorization: Bearer $} {u}",
    "curl -H {Authorization: Token $} {u}",
    "curl -u {svc:$} {u}",
    "curl -usvc:$ {u}",
    "curl -fsSu svc:$ {u}",
    "curl --oauth2-bearer $ {u}",
    "curl https://svc:$@api.internal/run",
    "curl {{u}?token=$&a=1}",
    "curl {{u}?a=1&api_key=$}",
    "curl {{u}?sign=$}",
    "curl -b {sid=$} {u}",
    "curl -H {Cookie: sid=$} {u}",
    "curl -H {X-Api-Key: $} {u}",
    "curl -d {user=a&password=$} {u}",
    "curl -d secret=$ {u}",
    'curl --json {{"password": "$"}} {u}',
    'curl --json {{"a": {"token": ["$"]}}} {u}',
    "wget -qO- --post-data=password=$ {u}",
    "wget -qO- --user=svc --password=$ {u}",
    "wget -qO- --header={Authorization: Bearer $} {u}",
    "curl {u} && curl https://hc-ping.com/$xxxxxxxxxx/job",
]
LEFT = [
    "curl -F {password=$} {u}",
    "curl -u {svc:$} {u} | jq .",
    "psql postgresql://app:$@db/x",
    "PGPASSWORD=$ psql -c x",
    "mysql -u root -p$ x",
    "sshpass -p $ ssh x",
    "backup --token $",
    "x -u a:$",
    "curl --data-raw {<token>$</token>} -d password:$ {u}",
    "curl {u}?a=1&token=$",
    "x --password=$ -v",
    "curl --digest -u svc:$ {u}",
    "curl -x http://a:$@proxy:1 {u}",
    "redis-cli -h x -a $ ping",
    "curl -H {Authorization: Bearer $} {u}; rm x",
    "http {u} Authorization:$",
    "curl -b sid=$ -F a=b {u}",
    'curl --json {{"password": "$", "x": null}} {u}',
    "curl -H {Authorization: Bearer $",
]


def line(template, secret):
    """Return a command; {...} is one word of the shell, $ the secret."""
    text = template.replace("{u}", URL)
    parts = []
    while "{" in text:
        head, _, rest = text.partition("{")
        depth, at = 1, 0
        while at < len(rest) and depth:
            depth += {"{": 1, "}": -1}.get(rest[at], 0)
            at += 1
        inside = rest[: at - 1] if not depth else rest
        parts += [head, shlex.quote(inside.replace("$", secret))]
        text = rest[at:]
    return "".join([*parts, text.replace("$", secret)])


def texts(found):
    """Return all that is printed of a crontab, in any form."""
    return "\n".join(
        [
            found.toml,
            repr(found),
            *found.remarks,
            *(f"{odd.reason} {odd.text}" for odd in (*found.left, *found.disabled)),
            *(f"{kept.name} {kept.what}" for kept in found.secrets),
            *(f"{each.name} {each.remarks} {each.tables}" for each in found.jobs),
        ]
    )


@pytest.mark.parametrize("template", UNDERSTOOD)
def test_a_secret_moves_to_a_credential(template):
    found = imported(f"0 1 * * * {line(template, SECRET)}\n")
    assert [odd.reason for odd in found.left] == []
    assert SECRET not in texts(found)
    (kept,) = found.secrets
    assert SECRET in kept.value
    assert f'{{ credential = "{kept.name}" }}' in found.toml


@pytest.mark.parametrize("template", LEFT)
@pytest.mark.parametrize("mark", ["", "#", "# see "])
def test_a_line_that_is_left_alone_shows_no_secret(template, mark):
    command = line(template, SECRET)
    found = imported(f"{mark}0 1 * * * {command}\n0 2 * * * curl {URL}/2\n")
    assert [each.line for each in found.jobs] == [2]
    assert SECRET not in texts(found)


@pytest.mark.parametrize(
    "command",
    [
        'curl -H "Authorization: Bearer $TOKEN" {}',
        "curl {}?t=$TOKEN",
        "curl {}/$TOKEN/x",
        "curl -d x=$TOKEN {}",
        "x $TOKEN",
        "curl {}; x",
        "curl -A $TOKEN {}",
        "curl {} # Zq7hQ2-wN9rT",
        "/opt/$TOKEN",
        "curl -o $TOKEN {}",
    ],
)
def test_variables_that_are_secrets_are_shown_nowhere(command):
    found = imported(f"TOKEN={SECRET}\n# with {SECRET}\n0 1 * * * {command.format(URL)}\n")
    assert SECRET not in texts(found)


def test_what_is_long_and_mixed_is_never_shown():
    key = "a8f3kQ92mZx71LpW04Rt"
    found = imported(
        f"# Key {key}\n0 1 * * * curl -f {URL}\n#0 1 * * * run {key}\n0 2 * * * x {key}\n"
    )
    assert key not in texts(found)


@pytest.mark.parametrize(
    "command",
    [
        "curl {u} | PASSCODE=hunter2 psql",
        "curl {u} | CRED=hunter2 psql",
        "curl {u} || CRED=hunter2 ./repair",
        "curl {u} && CRED=hunter2 ./next",
        "CRED=hunter2 ./call {u}",
    ],
)
def test_no_reason_tells_a_variable(command):
    (odd,) = imported(f"0 1 * * * {command.format(u=URL)}\n").left
    assert "hunter2" not in odd.reason


@pytest.mark.parametrize(
    "options",
    [
        '--json \'{"sign": "hunter2", "n": [{"sk": "hunter2"}]}\'',
        "-d sign=hunter2",
        "-d 'pin=hunter2&db_pw=hunter2'",
        "-H 'X-Master-Key: hunter2'",
        "-x http://a:hunter2@proxy:1",
    ],
)
def test_short_secrets_by_their_names(options):
    assert "hunter2" not in texts(imported(f"0 1 * * * curl -f {options} {URL}\n"))


def test_one_secret_of_many_lines_is_one_credential():
    text = "".join(
        f"0 {n} * * * curl -H 'Authorization: Bearer {SECRET}' {URL}/{n}x\n" for n in range(5)
    )
    found = imported(text, secrets=Path("/etc/syncd/secrets"))
    (kept,) = found.secrets
    assert (kept.name, kept.value, kept.line) == ("run-0x-token", SECRET, 1)
    references = {each.tables["request"]["bearer"]["file"] for each in found.jobs}
    assert references == {"/etc/syncd/secrets/run-0x-token"}


def test_a_setting_of_a_secret_is_shown_nowhere():
    text = f"DB_PW=hunter2abc\n0 1 * * * curl -f {URL}/$DB_PW\n0 2 * * * x hunter2abc\n"
    found = imported(text)
    assert "hunter2abc" not in texts(found)
    assert [odd.number for odd in found.left] == [2, 3]


def test_one_secret_of_two_calls_is_one_credential():
    call = f"curl -f -u svc:{SECRET} {URL}"
    (kept,) = imported(f"0 1 * * * {call} && {call}/b\n").secrets
    assert kept.value == SECRET


def test_basic_credentials_are_read():
    tables = job(f"curl -H 'Authorization: Basic c3ZjOmdlaGVpbQ==' {URL}")
    assert tables["request"]["basic"] == {"user": "svc", "password": {"credential": "run-password"}}


def test_a_key_in_a_path_is_told_of():
    found = imported("0 1 * * * curl -f https://hooks.internal/T0/B0/a8f3kQ92mZx71LpW04Rt\n")
    assert found.remarks == ("line 1: the path of its URL may be a key, and is printed",)
    assert found.jobs[0].name == "t0-b0"


@settings(max_examples=times(150), deadline=None)
@given(
    st.sampled_from(UNDERSTOOD + LEFT),
    st.text("abXYZ019-_./+=", min_size=12, max_size=40).filter(lambda each: len(set(each)) > 5),
)
@example("redis-cli -h x -a $ ping", "000000019=-a")
def test_no_random_secret_is_printed(template, secret):
    found = imported(f"0 1 * * * {line(template, secret)}\n")
    assert secret not in texts(found)


@settings(max_examples=times(300), deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read(content):
    imported(content)


@settings(max_examples=times(200), deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "0 1 * * * ",
                "curl ",
                "-f ",
                "-d ",
                "-H ",
                "'",
                '"',
                "\\",
                "a: b",
                "{",
                "}",
                "[",
                "]",
                "\n",
                "#",
                "=",
                '"""',
                "]\n[jobs.x]\n",
                "https://h/",
                "\x00",
                "\x7f",
                "\u2028",
                "ü",
                "\ud7ff",
                "$A",
                "A=",
                "%",
                "\r\n",
                "🦆",
                "\t",
                "@daily ",
                "--json ",
                '{"a": ',
                "1e999",
                "null",
                "]",
                '"b"}',
                "&& ",
                "| ",
                "{{ date }}",
            ]
        ),
        max_size=25,
    ).map("".join)
)
def test_nothing_in_a_line_gets_out_of_its_string_or_comment(text):
    found = imported(text)
    assert all(each.isprintable() for each in found.toml.splitlines())
    assert set(tomllib.loads(found.toml)) <= {"jobs"}


def test_long_lines_take_no_long_time():
    for part in ("a", "' ", '"', "$", "%", "& ", "-u ", "=", "[", "\\", "(", "a=1&", "{", "0 "):
        imported(f"0 1 * * * curl {part * (120_000 // len(part))}\n")
        masked(part * 100_000)
