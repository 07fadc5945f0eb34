"""`syncd check` tells when jobs are due, and what holds them back, to the minute."""

import json

import pytest
from click.testing import CliRunner

from syncd.cli.main import cli

ACCOUNT = """
timezone = "Europe/Berlin"
[accounts.prod]
provider = "aliyun"
access_key_id = "id"
access_key_secret = { env = "SYNCD_TEST_NO_SUCH_SECRET" }
"""
NO_UPKEEP = "".join(
    f'[jobs.{kind}]\nkind = "{kind}"\nenabled = false\n' for kind in ("retention", "backup")
)


@pytest.fixture
def check(tmp_path):
    """Give a function that checks a job of these keys, and returns what is printed."""

    def run(keys, *arguments, job='kind = "cloud"\naccounts = ["prod"]\n'):
        file = tmp_path / "syncd.toml"
        file.write_text(f"{ACCOUNT}{NO_UPKEEP}[jobs.hosts]\n{job}{keys}\n")
        file.chmod(0o600)
        command = ["--config", str(file), "check", "--without-secrets", *arguments]
        result = CliRunner().invoke(cli, command)
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


def document(check, keys, *arguments):
    (job,) = json.loads(check(keys, "--json", *arguments))["jobs"]
    return job


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("2024-03-30T12:00", ["2024-03-31T03:00:00+02:00", "2024-04-01T02:30:00+02:00"]),
        ("2024-10-26T12:00", ["2024-10-27T02:30:00+02:00", "2024-10-28T02:30:00+01:00"]),
    ],
)
def test_due_times_over_a_change_of_the_clock_have_their_offset(check, start, expected):
    keys = 'schedule = "30 2 * * *"'
    job = document(check, keys, "--next", "2", "--from", start)
    assert job == {
        "name": "hosts", "kind": "cloud", "schedule": "30 2 * * *", "timezone": "Europe/Berlin",
        "next_runs": expected,
    }  # fmt: skip
    printed = " ".join(check(keys, "--next", "2", "--from", start).split())
    assert all(each[:16].replace("T", " ") + each[19:] in printed for each in expected)


def test_a_due_time_in_a_window_is_shown_with_its_end(check):
    keys = 'schedule = "0 8,10 * * *"\nwindows = ["MON-FRI 09:00-12:00"]'
    job = document(check, keys, "--from", "2024-05-01T00:00+02:00")
    assert job["windows"] == ["MON-FRI 09:00-12:00"]
    assert job["next_runs"][1] == "2024-05-01T10:00:00+02:00"
    assert job["waits_until"] == [None, "2024-05-01T12:00:00+02:00", None]
    printed = check(keys, "--from", "2024-05-01T00:00+02:00")
    assert "10:00+02:00 (waits until 12:00)" in printed
    assert printed.count("waits until") == 1


def test_a_due_time_that_does_not_see_the_end_of_its_window_is_told_apart(check):
    keys = 'schedule = "0 * * * *"\nwindows = ["09:30-12:30"]'
    at = "2024-05-01T09:15+02:00"
    assert document(check, keys, "--from", at)["given_up"] == [True, True, False]
    printed = check(keys, "--from", at)
    assert "10:00+02:00 (given up: window until 12:30)" in printed
    assert "12:00+02:00 (waits until 12:30)" in printed
    for deadline, lost in (("1h", [True, True, False]), ("10m", [True] * 3), ("3h", [False] * 3)):
        more = f'{keys}\nstart_deadline = "{deadline}"'
        assert document(check, more, "--from", at)["given_up"] == lost, deadline


def test_the_end_of_a_window_on_another_day_has_its_date(check):
    keys = 'schedule = "0 23 * * *"\nwindows = ["22:00-02:00"]'
    printed = check(keys, "--next", "1", "--from", "2024-05-01T00:00+02:00")
    assert "(waits until 2024-05-02 02:00+02:00)" in printed


def test_what_is_not_the_default_stands_beside_the_schedule(check):
    printed = check('schedule = "0 3 * * *"\npriority = "high"\noverlap = "queue"')
    assert "0 3 * * *, high priority, overlap queue" in printed
    assert "priority" not in check('schedule = "0 3 * * *"')


def test_spread_and_calendar_are_in_the_due_times(check, tmp_path):
    (tmp_path / "holidays").write_text("2024-05-01..2024-05-05\n")
    keys = 'schedule = "0 3 * * *"\nspread = "10m"\ncalendar = "holidays"'
    (due,) = document(check, keys, "--next", "1", "--from", "2024-05-01T00:00+02:00")["next_runs"]
    assert "2024-05-06T03:00:00+02:00" < due < "2024-05-06T03:10:00+02:00"


def test_an_adaptive_job_is_shown_at_its_shortest_interval(check):
    keys = 'adaptive = { min = "10m", max = "6h" }'
    job = document(check, keys, "--next", "2", "--from", "2024-05-01T00:00+02:00")
    assert job["schedule"] == "every 10m to 6h by change rate"
    assert job["next_runs"] == ["2024-05-01T00:00:00+02:00", "2024-05-01T00:10:00+02:00"]


def test_the_servers_of_a_job_are_told_however_they_are_chosen(check):
    servers = "".join(
        f'[servers.db{number}]\nengine = "mysql"\nhost = "h"\nuser = "u"\ntags = ["{tag}"]\n'
        for number, tag in enumerate(["a", "b", "a", "a", "a"])
    )
    job = 'kind = "db_sizes"\nservers = { tags = ["a"] }\n'
    off = servers.replace("[servers.db2]", "[servers.db2]\nenabled = false")
    (told,) = json.loads(check(servers, "--json", job=job))["jobs"]
    assert told["servers"] == ["db0", "db2", "db3", "db4"]
    assert "db_sizes of db0, db2, db3 and 1 more  by hand" in check(servers, job=job)
    assert "db_sizes of db0, db3, db4  by hand" in check(off, job=job)
    assert "servers" not in document(check, "")


def test_what_a_job_calls_is_told_without_the_query(check):
    call = 'kind = "http"\nrequest = { method = "POST", url = "https://a/b?key=hunter2" }\n'
    assert "http: POST https://a/b  by hand" in check("", job=call)
    assert "hunter2" not in check("", "--json", job=call)
    calls = ", ".join(f'{{ request = {{ url = "https://a/{n}" }} }}' for n in range(3))
    several = f'kind = "http"\ncalls = [{calls}]\n'
    assert "http: GET https://a/0 and 2 more  by hand" in check("", job=several)
    (told,) = json.loads(check("", "--json", job=several))["jobs"]
    assert told["calls"][2] == {"method": "GET", "url": "https://a/2"}
    assert "calls" not in document(check, "")
