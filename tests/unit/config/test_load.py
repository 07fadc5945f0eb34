"""Loading good configurations: files, conf.d, environment, defaults."""

import subprocess
import sys
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from config_folder import ACCOUNT, JOB
from pydantic import ValidationError

from syncd.config import secrets
from syncd.errors import ConfigurationError
from syncd.triggers.base import Memory
from syncd.triggers.cron import Cron
from syncd.triggers.interval import Interval

NOW = datetime(2024, 5, 1, tzinfo=UTC)


def test_an_empty_file_is_valid_and_warns_that_nothing_runs(folder):
    folder.write("")
    config = folder.load()
    assert list(config.jobs) == ["retention", "backup"]
    assert config.warnings == ("no enabled job but syncd's own upkeep",)
    assert config.store.embedded
    assert config.listen.http == ("127.0.0.1", 9464)


def test_files_of_conf_d_are_added_in_name_order(folder):
    folder.write('timezone = "Asia/Shanghai"')
    folder.write(JOB, "conf.d/20-jobs.toml")
    folder.write(ACCOUNT, "conf.d/10-accounts.toml")
    folder.write("broken", "conf.d/notes.txt")
    folder.write("broken", "conf.d/.#20-jobs.toml")
    config = folder.load()
    assert list(config.jobs) == ["hosts", "retention", "backup"]
    names = [file.name for file in config.files]
    assert names == ["syncd.toml", "10-accounts.toml", "20-jobs.toml"]


def test_a_bare_header_defines_nothing(folder):
    folder.write("[store]\n[daemon]\n")
    folder.write("[store]\npool_max = 7\n", "conf.d/store.toml")
    folder.write("[daemon]\n", "conf.d/daemon.toml")
    assert folder.load().store.pool_max == 7


def test_a_job_takes_from_the_defaults_what_it_does_not_say(folder):
    folder.write(
        'timezone = "Europe/Berlin"\n[defaults]\ntimeout = "5m"\nretries = []\n'
        + ACCOUNT + JOB + 'retries = ["2s"]\n[jobs.other]\nkind = "cloud"\naccounts = ["a"]\n'
        'timezone = "UTC"\n'
    )  # fmt: skip
    hosts, other = folder.load().jobs["hosts"], folder.load().jobs["other"]
    assert hosts.timeout == timedelta(minutes=5)
    assert hosts.retries == (timedelta(seconds=2),)
    assert hosts.schedule_text == "*/30 * * * * Europe/Berlin"
    assert (other.retries, other.timezone, other.catch_up) == ((), "UTC", "latest")
    assert hosts.api_timeout == timedelta(seconds=30)


def test_the_environment_wins_over_the_files(folder):
    folder.write('timezone = "UTC"\n[store]\ndsn = "embedded"\npool_max = "wrong"\npool_min = 3\n')
    config = folder.load(
        {
            "SYNCD_STORE__DSN": "postgresql://db/syncd",
            "SYNCD_STORE__POOL_MAX": "9",
            "SYNCD_TIMEZONE": "Asia/Tokyo",
            "SYNCD_LISTEN__HTTP": "off",
            "SYNCD_DEFAULTS__RETRIES": '["1s"]',
            "UNRELATED": "x",
        }
    )
    assert config.timezone == "Asia/Tokyo"
    assert not config.store.embedded
    assert (config.store.pool_min, config.store.pool_max) == (3, 9)
    assert config.listen.http is None
    assert config.defaults.retries == (timedelta(seconds=1),)


def test_the_word_embedded_is_no_secret_to_be_masked(folder, monkeypatch):
    monkeypatch.setattr(secrets, "_known", set())
    monkeypatch.setattr(secrets, "_lent", {})
    folder.write(ACCOUNT)
    folder.load({"SECRET": "hunter2"}, check_secrets=True)
    assert secrets.known() == {"id", "hunter2"}


def test_a_dsn_may_be_a_reference(folder):
    folder.write("")
    config = folder.load({"SYNCD_STORE__DSN": '{ credential = "dsn" }'})
    assert str(config.store.dsn) == "credential dsn"
    assert not config.store.embedded


@pytest.mark.parametrize(
    ("text", "environ", "state_dir", "control"),
    [
        ("", {}, "/var/lib/syncd", "/run/syncd/control.sock"),
        ("", {"STATE_DIRECTORY": "/s:/t"}, "/s", "/s/control.sock"),
        ("", {"STATE_DIRECTORY": "/s", "RUNTIME_DIRECTORY": "/r"}, "/s", "/r/control.sock"),
        ('[daemon]\nstate_dir = "/d"', {"STATE_DIRECTORY": "/s"}, "/d", "/d/control.sock"),
        ('[listen]\ncontrol = "/c"', {"RUNTIME_DIRECTORY": "/r"}, "/var/lib/syncd", "/c"),
        ("", {"SYNCD_DAEMON__STATE_DIR": "/e"}, "/e", "/e/control.sock"),
    ],
)
def test_directories_come_from_systemd_where_nothing_names_them(
    folder, text, environ, state_dir, control
):
    folder.write(text)
    config = folder.load(environ)
    assert config.daemon.state_dir == Path(state_dir)
    assert config.listen.control == Path(control)


def test_the_digest_stands_for_the_meaning_not_for_the_writing(folder):
    folder.write(ACCOUNT + JOB)
    first = folder.load()
    folder.write("# rearranged\n[daemon]\nmax_concurrent_runs = 3\n" + JOB)
    folder.write(ACCOUNT, "conf.d/a.toml")
    assert folder.load().digest == first.digest
    folder.write(JOB.replace("30", "20"))
    assert folder.load().digest != first.digest


def test_the_triggers_of_a_job(folder):
    folder.write(
        ACCOUNT + JOB + '[jobs.often]\nkind="cloud"\naccounts=["a"]\nevery="90m"\n'
        '[jobs.by-hand]\nkind="cloud"\naccounts=["a"]\n'
    )
    jobs = folder.load().jobs
    assert isinstance(jobs["hosts"].trigger("hosts", Memory(), NOW), Cron)
    last = NOW - timedelta(minutes=50)
    every = timedelta(minutes=90)
    assert jobs["often"].trigger("often", Memory(last), NOW) == Interval(every, last)
    assert jobs["often"].trigger("often", Memory(), NOW) == Interval(every, NOW)
    assert jobs["often"].schedule_text == "every 1h30m"
    assert jobs["by-hand"].trigger("by-hand", Memory(), NOW) is None
    assert jobs["by-hand"].schedule_text == ""


def test_what_is_disabled_is_out_and_a_job_without_target_warns(folder):
    folder.write(
        ACCOUNT + "enabled = false\n" + JOB
        + '[jobs.out]\nkind="cloud"\naccounts=["a"]\nenabled = false\n'
    )  # fmt: skip
    config = folder.load()
    assert list(config.enabled_jobs()) == ["hosts", "retention", "backup"]
    assert config.jobs["hosts"].enabled_accounts(config.accounts) == ()
    assert config.warnings == ('job "hosts" has no enabled target',)


def test_two_jobs_over_one_account_warn(folder):
    folder.write(ACCOUNT + JOB + '[jobs.twice]\nkind="cloud"\naccounts=["a"]\n')
    warning = 'jobs "hosts" and "twice" both sync hosts of account "a": only one of them should'
    assert folder.load().warnings == (warning,)


def test_accounts_are_found_by_name(folder):
    folder.write(ACCOUNT)
    config = folder.load()
    assert config.account("a").provider == "aliyun"
    with pytest.raises(ConfigurationError, match='no account "b"'):
        config.account("b")


def test_the_configuration_is_frozen(folder):
    folder.write(ACCOUNT + JOB)
    config = folder.load()
    with pytest.raises(FrozenInstanceError):
        config.timezone = "UTC"
    with pytest.raises(ValidationError):
        config.jobs["hosts"].enabled = False
    with pytest.raises(TypeError):
        config.jobs["new"] = config.jobs["hosts"]


def test_the_library_logs_no_values(folder, monkeypatch, caplog):
    monkeypatch.setenv("PYDANTIC_SETTINGS_DEBUG", "1")
    folder.write(ACCOUNT.replace('{ env = "SECRET" }', '"sesame"'))
    with caplog.at_level("DEBUG"):
        folder.load()
    assert "sesame" not in caplog.text


def test_reading_a_configuration_loads_no_sdk():
    code = (
        "import sys, syncd.config.load, syncd.config.preview, syncd.config.reload_diff\n"
        "heavy = ('aliyunsdk', 'tencentcloud', 'psycopg', 'schedule', 'prometheus', 'urllib3')\n"
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
