"""Bad configurations: every problem told at once, with its place, never a crash."""

import os
import stat
import time

import pytest
from config_folder import ACCOUNT, JOB
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd.config.load import load
from syncd.config.problems import ConfigInvalid

TWENTY = """timezone = "Asia/Shangai"
[stor]
x = 1
[store]
dsn = "foo"
pool_max = "5"
connect_timeout = "0s"
[daemon]
max_concurrent_runs = 0
shutdown_grace = 60
[listen]
http = "127.0.0.1"
[accounts.a]
provider = "aliyum"
access_key_id = 5
access_key_secret = { crdential = "x" }
regions = "al"
endpoint = "http://ecs.example.com"
[jobs.h]
kind = "cluod"
[jobs.i]
kind = "cloud"
acounts = ["a"]
accounts = ["a", "B"]
schedule = "0 0 31 2 *"
every = "5m"
catch_up = "lates"
[jobs."x y"]
enabled = true
[jobs.j]
kind = "cloud"
schedule = "0 * * * * *"
resources = ["hosts"]
max_delete_percent = 101
"""


def test_a_file_wrong_in_twenty_places_is_told_all_of_them(folder):
    folder.write(TWENTY)
    told = folder.told({"SYNCD_STROE__DSN": "x", "SYNCD_JOBS__X": "1"})
    start = [
        'syncd.toml:1: timezone: unknown time zone "Asia/Shangai"; did you mean "Asia/Shanghai"?',
        'syncd.toml:2: stor: unknown key "stor"; did you mean "store"?',
        'syncd.toml:5: store.dsn: must be "embedded", a PostgreSQL DSN',
        "syncd.toml:6: store.pool_max: must be a whole number",
        "syncd.toml:7: store.connect_timeout: must be longer than 0s",
        "syncd.toml:9: daemon.max_concurrent_runs: must be at least 1",
        'syncd.toml:10: daemon.shutdown_grace: a bare number has no unit; write "60s"',
        'syncd.toml:12: listen.http: must be "address:port"',
        'syncd.toml:14: accounts.a.provider: unknown value "aliyum"; did you mean "aliyun"?; '
        "allowed: aliyun, tencent",
        "syncd.toml:15: accounts.a.access_key_id: must be a string, { credential",
        'syncd.toml:16: accounts.a.access_key_secret: unknown reference "crdential"; allowed',
        'syncd.toml:17: accounts.a.regions: must be "all" or a list',
        "syncd.toml:18: accounts.a.endpoint: must begin with https://",
        'syncd.toml:20: jobs.h.kind: unknown kind "cluod"; did you mean "cloud"?',
        'syncd.toml:23: jobs.i.acounts: unknown key "acounts"; did you mean "accounts"?',
        'syncd.toml:24: jobs.i.accounts[1]: no table [accounts.NAME] defines "B"; allowed: a',
        'syncd.toml:25: jobs.i.schedule: "31" is not a day-of-month that can come',
        "syncd.toml:26: jobs.i.every: stands beside schedule",
        'syncd.toml:27: jobs.i.catch_up: unknown value "lates"; did you mean "latest"?',
        'syncd.toml:28: jobs."x y": the name must be 1 to 64 letters',
        'syncd.toml:28: jobs."x y".kind: is required; allowed: backup, cloud, consistency_check, '
        "db_accounts, db_sizes, http, retention, size_rollups, table_copy",
        "syncd.toml:30: jobs.j.accounts: is required",
        "syncd.toml:32: jobs.j.schedule: 6 fields; a schedule has five",
        'syncd.toml:33: jobs.j.resources: unknown word "hosts"; did you mean "host"?',
        "syncd.toml:34: jobs.j.max_delete_percent: must be at most 100",
        "environment: SYNCD_JOBS__X: jobs can't be set by variables",
        'environment: SYNCD_STROE__DSN: unknown variable "SYNCD_STROE__DSN"; did you mean '
        '"SYNCD_STORE__DSN"?',
    ]
    assert [line[: len(each)] for line, each in zip(told, start, strict=False)] == start
    assert len(told) == len(start)


def test_a_table_in_two_files_is_told_with_both_places(folder):
    folder.write(ACCOUNT + JOB + "[store]\npool_max = 9\n")
    folder.write("[store]\npool_min = 1\n\n[accounts.a]\nprovider = 'aliyun'", "conf.d/b.toml")
    assert folder.told() == [
        "conf.d/b.toml:1: store: is defined in syncd.toml:11 already; a table stands in one file",
        "conf.d/b.toml:4: accounts.a: is defined in syncd.toml:2 already; a table stands in one "
        "file",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a = 1\nb = [1,\n]\nc d\n", "syncd.toml:4: is not TOML: Expected '=' after a key"),
        ("a = 1\na = 2\n", "syncd.toml:2: is not TOML: Cannot overwrite a value"),
        (b"\x7fELF\x02\x01\x00\xff\xfe", "syncd.toml:1: is not UTF-8 text (byte 8)"),
        (b"# text\n\0", "syncd.toml:2: is not TOML"),
        ("a = " + "[" * 5000, "syncd.toml: is not usable TOML: nested too deeply"),
        ("a = " + "9" * 5000, "syncd.toml: is not TOML: Exceeds the limit"),
        (b"a = 1\n" * 1_700_000, "syncd.toml: is larger than 1024 KiB"),
    ],
    ids=["syntax", "twice", "binary", "nul", "deep", "digits", "10 MB"],
)
def test_what_is_no_usable_file_is_told_once(folder, content, message):
    folder.write(content)
    started = time.monotonic()
    told = folder.told()
    assert time.monotonic() - started < 2
    assert len(told) == 1
    assert told[0].startswith(message)


def test_a_missing_file_a_directory_and_a_pipe_are_told(folder):
    assert folder.told() == ["syncd.toml: does not exist"]
    folder.main.mkdir()
    assert folder.told() == ["syncd.toml: is a directory"]
    folder.main.rmdir()
    os.mkfifo(folder.main)
    assert folder.told() == ["syncd.toml: is not a regular file"]


def test_an_unreadable_file_is_told(folder):
    folder.write("")
    # Root reads everything, so the link goes round in a circle instead.
    loop = folder.path / "conf.d" / "loop.toml"
    loop.parent.mkdir()
    loop.symlink_to(loop)
    assert folder.told() == ["conf.d/loop.toml: can't be read: Too many levels of symbolic links"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_told(folder):
    folder.write("", mode=0)
    assert folder.told() == ["syncd.toml: can't be read: Permission denied"]


def test_a_broken_file_brings_no_complaints_about_what_it_may_define(folder):
    folder.write(JOB)
    folder.write("[accounts.a", "conf.d/accounts.toml")
    assert [line[:36] for line in folder.told()] == ["conf.d/accounts.toml:1: is not TOML:"]


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o666])
def test_an_inline_secret_in_a_file_of_everybody_is_refused(folder, mode):
    inline = ACCOUNT.replace('{ env = "SECRET" }', '"sesame"')
    folder.write(inline + '[store]\ndsn = "postgresql://u:sesame@db/x"', mode=mode)
    told = folder.told()
    assert [line.partition(": an inline")[0] for line in told] == [
        "syncd.toml:5: accounts.a.access_key_secret",
        "syncd.toml:7: store.dsn",
    ]
    assert "sesame" not in str(told)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o660])
def test_an_inline_secret_in_a_file_of_owner_and_group_is_taken(folder, mode):
    folder.write(ACCOUNT.replace('{ env = "SECRET" }', '"sesame"'), mode=mode)
    assert folder.load().account("a").access_key_secret.source == "inline"


def test_a_secret_that_is_sent_may_be_a_reference_in_a_file_of_everybody(folder):
    login = '[tokens.t.login]\nurl = "https://iam/"\nbody = { password = %s }\n'
    headers = (
        '[jobs.j]\nkind = "http"\nrequest = { url = "https://x/", headers = { Api-Key = %s } }\n'
    )
    for text in (login, headers):
        folder.write(text % '{ credential = "iam" }', mode=0o644)
        assert folder.load()
        folder.write(text % '"sesame"', mode=0o644)
        assert len(told := folder.told()) == 1
        assert "an inline secret" in told[0]


def test_references_and_a_dsn_without_password_may_stand_in_a_file_of_everybody(folder):
    path = folder.write(ACCOUNT + '[store]\ndsn = "postgresql:///syncd"', mode=0o644)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert folder.load().store.dsn.inline.get_secret_value() == "postgresql:///syncd"


def test_secrets_are_looked_for_when_asked_but_not_those_of_disabled_accounts(folder):
    folder.write(ACCOUNT + ACCOUNT.replace("[accounts.a]", "[accounts.b]") + "enabled = false")
    assert all(job.upkeep for job in folder.load().enabled_jobs().values())
    assert folder.told(check_secrets=True) == [
        "syncd.toml:5: accounts.a.access_key_secret: the environment variable SECRET is not set"
    ]
    assert folder.load({"SECRET": "x"}, check_secrets=True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("jobs = 5", ["syncd.toml:1: jobs: must be a table"]),
        ("[jobs]\nx = 5", ["syncd.toml:2: jobs.x: must be a table"]),
        ("[[jobs]]\nx = 5", ["syncd.toml:1: jobs: must be a table"]),
        ("store = 'x'", ["syncd.toml:1: store: must be a table"]),
        ("[jobs.x]\nkind = ['cloud']",
         ["syncd.toml:2: jobs.x.kind: unknown kind \"['cloud']\"; did you mean \"cloud\"?; "
          "allowed: backup, cloud, consistency_check, db_accounts, db_sizes, http, retention, "
          "size_rollups, table_copy"]),
        ("[store]\npool_min = 9\npool_max = 8",
         ["syncd.toml:1: store: pool_min must not be above pool_max"]),
        ("[daemon]\nmax_concurrent_runs = 19\n",
         ["syncd.toml: store.pool_max: must be at least 21: max_concurrent_items of the "
          "daemon.max_concurrent_runs largest jobs, and 2 spare"]),
        ("[daemon]\nmax_concurrent_runs = 119\n",
         ["syncd.toml: store.pool_max: must be at least 121: max_concurrent_items of the "
          "daemon.max_concurrent_runs largest jobs, and 2 spare; the embedded store has 120: "
          "lower one of the two"]),
        ("[store]\npool_max = 121\n",
         ["syncd.toml:2: store.pool_max: must be at most 120 with the embedded store"]),
        ("[daemon]\nmax_concurrent_runs = 34\n[store]\npool_max = 36\n[defaults]\n"
         'isolation = "process"\n' + ACCOUNT + "".join(
             f'[jobs.j{n}]\nkind = "cloud"\naccounts = ["a"]\nmax_concurrent_items = 1\n'
             for n in range(34)),
         ['syncd.toml:2: daemon.max_concurrent_runs: so many runs with isolation = "process" may '
          "take 68 connections, and the embedded store has 60 for them"]),
        ("[daemon]\nstate_dir = 'relative'",
         ["syncd.toml:2: daemon.state_dir: must be an absolute path"]),
        ("[daemon]\nstate_dir = 5",
         ["syncd.toml:2: daemon.state_dir: must be a string"]),
        (f"[listen]\ncontrol = '/{'x' * 120}'",
         ["syncd.toml:2: listen.control: must be at most 107 bytes long (a limit of sockets)"]),
        ("[store]\npool_max = true", ["syncd.toml:2: store.pool_max: must be a whole number"]),
        (ACCOUNT + "requests_per_second = nan",
         ["syncd.toml:6: accounts.a.requests_per_second: must be a finite number"]),
        (ACCOUNT + "proxy = 'http://me:secret@proxy'",
         ["syncd.toml:6: accounts.a.proxy: must hold no user, password, query or fragment"]),
        (ACCOUNT + "regions = ['cn-x', 'cn-x']",
         ['syncd.toml:6: accounts.a.regions: names "cn-x" twice']),
        (ACCOUNT + "regions = []", ["syncd.toml:6: accounts.a.regions: must have 1 to 1000 items"]),
        (ACCOUNT + "regions = ['evil.example.com/']",
         ["syncd.toml:6: accounts.a.regions: must be a region such as cn-hangzhou or "
          "ap-guangzhou"]),
        (ACCOUNT + JOB + 'group = "a\\u0000b"',
         ["syncd.toml:11: jobs.hosts.group: must be at most 128 printable characters"]),
    ],
)  # fmt: skip
def test_each_odd_value_has_one_clear_complaint(folder, text, told):
    folder.write(text)
    assert sorted(folder.told()) == sorted(told)


@pytest.mark.parametrize(
    "endpoint",
    ["https://ecs.example.com", "http://127.0.0.1:8080", "http://localhost", "http://[::1]:9/x"],
)
def test_good_endpoints_are_taken(folder, endpoint):
    folder.write(ACCOUNT + f'endpoint = "{endpoint}/"')
    assert folder.load().account("a").endpoint == endpoint


def test_sixty_thousand_wrong_keys_are_cut_short_and_quick(folder):
    folder.write("".join(f"key_{index} = 1\n" for index in range(60_000)))
    started = time.process_time()
    told = folder.told()
    assert time.process_time() - started < 5
    assert len(told) == 201
    assert any("and 59800 more problems" in line for line in told)


def test_a_value_of_a_secret_is_in_no_problem(folder):
    folder.write(
        ACCOUNT.replace('{ env = "SECRET" }', '["sesame-open"]')
        + '[store]\ndsn = "sesame-open"\n[jobs.x]\nkind = "cloud"\naccounts = []\n'
    )
    assert "sesame-open" not in "\n".join(folder.told())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_configuration_or_invalid(folder, content):
    folder.write(content)
    try:
        folder.load()
    except ConfigInvalid as error:
        assert error.problems  # noqa: PT017 - both outcomes are right


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
words = st.sampled_from(
    ["jobs", "accounts", "store", "daemon", "dsn", "kind", "cloud", "accounts", "hosts", "every",
     "schedule", "retries", "regions", "http", "enabled", "x"]
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    lines=st.lists(
        st.tuples(words, words, words, st.sampled_from(
            ["1", "'x'", "[]", "['a', 1]", "{}", "{ env = 'X' }", "true", "1.5", "nan",
             "1979-05-27", "'cloud'", "[[]]", "{ x = { y = 1 } }"])),
        max_size=8,
    )
)  # fmt: skip
def test_any_values_under_known_keys_are_a_configuration_or_invalid(folder, lines):
    folder.write("".join(f"{a}.{b}.{c} = {value}\n" for a, b, c, value in lines))
    folder.write("".join(f"{a}.{b} = {value}\n" for a, b, _, value in lines), "conf.d/x.toml")
    try:
        folder.load()
    except ConfigInvalid as error:
        assert error.problems  # noqa: PT017 - both outcomes are right


@given(
    st.dictionaries(
        st.sampled_from(["SYNCD_STORE__DSN", "SYNCD_TIMEZONE", "SYNCD_DEFAULTS__RETRIES",
                         "SYNCD_LISTEN__HTTP", "SYNCD_X", "SYNCD_", "SYNCD_STORE"]),
        st.text(max_size=20),
    )
)  # fmt: skip
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_any_variables_are_a_configuration_or_invalid(folder, environ):
    folder.write("")
    try:
        load(folder.main, environ)
    except ConfigInvalid as error:
        assert error.problems  # noqa: PT017 - both outcomes are right
