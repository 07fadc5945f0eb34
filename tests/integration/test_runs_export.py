"""`syncd runs export` of very many runs: by a daemon and by the store, whole or told to be not."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from daemon_helpers import job, site

from syncd.cli.export import PAGE
from syncd.model.queries import RUN_COLUMNS

FEW, MANY = 10 * PAGE, 100_000
ROOM = 16 << 20  # bytes that an export of many runs may take more than one of few
INSERT = """
insert into syncd.run (id, job, kind, trigger, status, max_attempts, scheduled_for, created_at,
                       started_at, finished_at, duration_seconds, error, config_digest)
select gen_random_uuid(), case when n %% 10 = 0 then 'tenth' else 'hosts' end, 'cloud', 'manual',
       case when n %% 4 = 0 then 'failed' else 'success' end, 1, at, at, at, at, 1.5,
       case when n %% 4 = 0 then E'a "bad", long\\nday ' || n end, 'd'
from (select n, now() - make_interval(mins => n / 5) as at from generate_series(1, %s) n) t
returning id"""


@pytest.fixture
def place(dsn):
    with site(dsn) as made:
        made.configure({"hosts": job()})
        yield made


def command(place, *arguments):
    return [
        sys.executable, "-m", "syncd", "--config", str(place.config), "runs", "export", *arguments
    ]  # fmt: skip


def export(place, *arguments):
    done = subprocess.run(command(place, *arguments), capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def resident(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def weigh(place, form):
    """Return how many lines an export has, and the most memory that it had, in bytes."""
    lines = most = 0
    with subprocess.Popen(command(place, "--format", form), stdout=subprocess.PIPE) as process:
        for _ in process.stdout:
            lines += 1
            if lines % PAGE == 1:
                most = max(most, resident(process.pid))
    assert process.returncode == 0
    return lines, most


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_hundred_thousand_runs_take_no_more_memory_than_a_few(place, form):
    daemon = place.up()
    added = len(place.rows(INSERT, FEW))
    _, small = weigh(place, form)
    before = daemon.resident()
    added += len(place.rows(INSERT, MANY))
    lines, large = weigh(place, form)
    assert lines == (added if form == "jsonl" else 1 + added + added // 4)  # errors of two lines
    assert large - small < ROOM
    assert daemon.resident() - before < ROOM


def test_each_run_is_there_once_the_oldest_first_with_a_daemon_and_without(place):
    daemon = place.up()
    ids = {str(row["id"]) for row in place.rows(INSERT, FEW + 1)}
    answers = {form: export(place, "--format", form) for form in ("jsonl", "csv")}
    parts = export(place, "--job", "tenth", "--status", "failed")
    assert daemon.stop() == 0
    assert export(place, "--format", "csv") == answers["csv"]
    assert export(place) == answers["jsonl"]

    rows = [json.loads(line) for line in answers["jsonl"].splitlines()]
    assert [list(row) for row in rows] == [list(RUN_COLUMNS)] * len(rows)
    assert {row["id"] for row in rows} == ids
    assert len(rows) == len(ids)
    assert [row["created_at"] for row in rows] == sorted(row["created_at"] for row in rows)

    records = list(csv.DictReader(io.StringIO(answers["csv"], newline="")))
    assert [record["id"] for record in records] == [row["id"] for row in rows]
    assert [record["error"] for record in records] == [row["error"] or "" for row in rows]
    chosen = [row for row in rows if (row["job"], row["status"]) == ("tenth", "failed")]
    assert [json.loads(line) for line in parts.splitlines()] == chosen != []


def test_one_that_the_daemon_leaves_in_the_middle_fails_and_says_so(place):
    daemon = place.up()
    place.rows(INSERT, 50_000)
    with subprocess.Popen(
        command(place), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        daemon.stop()
        lines = 1 + sum(1 for _ in process.stdout)
        told = process.stderr.read()
    assert process.returncode == 69
    assert f"the export is incomplete: it ends after {lines:,} runs" in told
    assert "the daemon does not answer" in told
    assert lines % PAGE == 0


def test_a_reader_that_has_had_enough_hears_no_complaint(place):
    place.up()
    place.rows(INSERT, 20_000)
    with subprocess.Popen(
        command(place), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
