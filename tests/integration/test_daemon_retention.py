"""The built-in job `retention`, as a daemon has it without a word of configuration."""

import json
import subprocess
import sys

import pytest
from daemon_helpers import Site, job, site
from toml_text import toml

OLD_RUNS = """
insert into syncd.run (id, job, kind, trigger, status, max_attempts, scheduled_for, created_at,
                       finished_at, config_digest)
select gen_random_uuid(), 'gone', 'cloud', 'manual', 'success', 1, at, at, at, 'd'
from (select now() - make_interval(days => n) as at from generate_series(1, 120) n) t
returning id"""
"""A run a day; 31 of them are older than 90 days once they are recorded."""


@pytest.fixture
def place(dsn):
    with site(dsn) as made:
        yield made


def configure(place: Site, **retention: str) -> None:
    """Write a configuration that has a cloud job, and says nothing of the job `retention`."""
    tables = place.tables({"hosts": job()})
    del tables["jobs"]["retention"]
    place.write(toml(tables | ({"retention": retention} if retention else {})))


def syncd(place: Site, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "syncd", "--config", str(place.config), *arguments],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def old(place: Site) -> int:
    return len(place.runs("job = 'gone'"))


def planned(place: Site) -> dict[str, int]:
    items = json.loads(syncd(place, "sync", "retention", "--plan", "--json"))
    return {item["target"]: item["counts"]["deleted"] for item in items}


def test_it_is_there_is_due_daily_and_removes_what_is_old(place):
    configure(place)
    daemon = place.up()
    (found,) = [each for each in place.client.jobs() if each["name"] == "retention"]
    assert (found["kind"], found["schedule"], found["priority"]) == (
        "retention", "17 3 * * * UTC", "normal"
    )  # fmt: skip
    assert found["next_run"]

    place.rows(OLD_RUNS)
    assert planned(place) == {
        "runs": 31, "changes": 0, "deleted_resources": 0, "run_logs": 0, "sizes": 0
    }  # fmt: skip
    assert old(place) == 120
    (run,) = json.loads(syncd(place, "sync", "retention", "--json"))
    assert (run["status"], run["deleted"]) == ("success", 31)
    assert old(place) == 89
    assert planned(place)["runs"] == 0
    assert daemon.metric("syncd_items_total", job_name="retention", outcome="success") == 5
    assert syncd(place, "show", run["id"]).count("success") == 6
    assert daemon.stop() == 0


def test_a_reload_puts_other_limits_in_force_and_a_job_in_the_files_takes_its_place(place):
    configure(place)
    place.up()
    place.rows(OLD_RUNS)
    configure(place, runs="30d")
    place.client.reload("")
    assert planned(place)["runs"] == 91
    tables = place.tables({"hosts": job()})
    place.write(toml(tables))  # it takes the job out
    place.client.reload("")
    assert "retention" not in [each["name"] for each in place.client.jobs()]


def test_a_command_does_it_where_no_daemon_runs(place):
    configure(place)
    syncd(place, "migrate")
    place.rows(OLD_RUNS)
    assert planned(place)["runs"] == 31
    assert old(place) == 120
    syncd(place, "sync", "retention")
    assert old(place) == 89


def test_it_can_have_a_process_of_its_own(place):
    tables = place.tables({"hosts": job()})
    tables["jobs"]["retention"] = {"kind": "retention", "isolation": "process"}
    place.write(toml(tables))
    place.up()
    place.rows(OLD_RUNS)
    syncd(place, "sync", "retention")
    assert old(place) == 89


def test_the_metrics_know_the_last_outcomes_whatever_their_age(place):
    """They are preloaded from runs that retention leaves, for that reason."""
    configure(place)
    daemon = place.up()
    syncd(place, "sync", "hosts")
    daemon.stop()
    place.rows(
        """update syncd.run set created_at = created_at - interval '200 days',
                                finished_at = finished_at - interval '200 days'
           where job = 'hosts' returning id"""
    )
    place.rows("update syncd.scope set last_run_id = null returning 1")
    place.rows(OLD_RUNS)
    daemon = place.up()
    syncd(place, "sync", "retention")
    daemon.stop()
    assert old(place) == 89
    (run,) = place.runs("job = 'hosts'")
    daemon = place.up()
    last = daemon.metric("syncd_job_last_success_timestamp_seconds", job_name="hosts")
    assert last == pytest.approx(run["finished_at"].timestamp())
    (found,) = [each for each in place.client.jobs() if each["name"] == "hosts"]
    assert found["last"]["status"] == "success"
