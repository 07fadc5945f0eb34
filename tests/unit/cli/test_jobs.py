"""What the lists of jobs tell: what runs, what waits and why, what somebody has to look at."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest
from fake_daemon import MOMENT, RUN, job_row, syncd, waiting_row
from terminal import on_terminal, uncoloured

from syncd.cli.job_words import gate_words, state_words, wait_words
from syncd.cli.moments import clock_time

EAST = timezone(timedelta(hours=8))
LATER = MOMENT + timedelta(hours=2)
PAUSED = {"since": MOMENT, "until": LATER, "by": "alice"}
HELD = {"account": "prod-aliyun", "since": MOMENT, "reason": "InvalidKey", "next_probe_at": LATER}
NOON, TWO = "2026-03-01 20:00", "2026-03-01 22:00"  # in the east


def words(**changed):
    return "; ".join(state_words(job_row(**changed), {str(RUN): MOMENT.isoformat()}, EAST))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, ""),
        ({"running": str(RUN)}, f"running since {NOON}"),
        ({"running": "of another moment"}, "running"),
        ({"running": str(RUN), "stuck": str(RUN)}, f"stuck since {NOON}"),
        ({"stuck": "unknown"}, "stuck"),
        ({"paused": PAUSED}, f"paused until {TWO} by alice"),
        ({"paused": PAUSED | {"until": None}}, f"paused since {NOON} by alice"),
        ({"held": [HELD]}, f"held: account prod-aliyun refused since {NOON}, next try {TWO}"),
        ({"held": [HELD | {"next_probe_at": None}]},
         f"held: account prod-aliyun refused since {NOON}"),
        ({"held": [HELD | {"account": "token iam"}]},
         f"held: token iam refused since {NOON}, next try {TWO}"),
        ({"waiting": [waiting_row("load")]}, "waits: load above load_limit"),
        ({"waiting": [waiting_row("window", until=LATER)]}, f"waits: window until {TWO}"),
        ({"waiting": [waiting_row("retry", until=LATER)]}, f"retries at {TWO}"),
        ({"waiting": [waiting_row("worker")] * 2}, "waits: a worker"),
        ({"waiting": [waiting_row("load")], "delayed_seconds": 725.5},
         "waits: load above load_limit; 12m late"),
        ({"waiting": [waiting_row("load")], "delayed_seconds": 0.5},
         "waits: load above load_limit"),
        ({"waiting": [waiting_row("retry", until=LATER)], "delayed_seconds": 60},
         f"retries at {TWO}"),
        ({"waiting": [waiting_row("paused")], "paused": PAUSED}, f"paused until {TWO} by alice"),
        ({"waiting": [waiting_row("overlap")], "running": "x"},
         "running; waits: its run under way"),
        ({"last_skip": {"due": MOMENT, "reason": "overlap"}}, f"skipped {NOON}: overlap"),
        ({"last_skip": {"due": MOMENT, "reason": "already_made"}},
         f"skipped {NOON}: already made"),
    ],
)  # fmt: skip
def test_the_state_of_a_job_in_words(changed, told):
    assert words(**changed) == told


@pytest.mark.parametrize(
    "reason",
    ["load", "disk", "store", "paused", "held", "window", "retry", "overlap", "elsewhere",
     "account", "server", "worker", "a reason of tomorrow"],
)  # fmt: skip
def test_every_reason_has_words(reason):
    told = wait_words(waiting_row(reason), UTC)
    assert told.startswith("waits: ")
    assert len(told) > len("waits: ")


def test_a_moment_of_another_day_has_its_date():
    now = datetime.now(EAST)
    assert clock_time(now - timedelta(days=1), EAST) == f"{now - timedelta(days=1):%Y-%m-%d %H:%M}"
    assert clock_time(MOMENT.isoformat(), EAST) == NOON


def test_the_list_has_what_comes_next_what_was_last_and_what_keeps_a_job(served):
    served.commands.job_rows = [
        job_row(waiting=[waiting_row("load")], delayed_seconds=7300),
        job_row(name="sizes", schedule=None, next_run=None, paused=PAUSED),
    ]
    lines = syncd(served, "jobs").stdout.splitlines()
    assert lines[0].split() == ["job", "schedule", "next", "run", "last", "run", "state"]
    assert lines[1].startswith(f"hosts  */5 * * * *  {NOON}  failed ")
    assert lines[1].endswith("ago  waits: load above load_limit; 2h late; failed: network: down")
    assert lines[2].split() == [
        "sizes", "by", "hand", "-", "-", "paused", "until", "2026-03-01", "22:00", "by", "alice"
    ]  # fmt: skip


def test_a_long_error_is_cut_in_the_list_and_whole_in_the_detail(served):
    outcome = served.reads.overview()["outcomes"][0] | {"error": "x" * 500 + "end"}
    served.reads.overview = lambda: {"outcomes": [outcome], "resources": [], "guarded": []}
    listed = syncd(served, "jobs").stdout
    assert "x…" in listed
    assert "end" not in listed
    assert "x" * 500 + "end" in syncd(served, "jobs", "hosts").stdout


def test_one_job_is_shown_with_all_that_is_known_of_it(served):
    served.commands.job_rows = [
        job_row(name="other"),
        job_row(
            running=str(RUN), held=[HELD], interval_seconds=5400.0,
            last_skip={"due": MOMENT, "reason": "overlap"},
            waiting=[waiting_row("retry", until=LATER, attempt=2, priority="high")],
        ),
    ]  # fmt: skip
    result = syncd(served, "jobs", "hosts")
    assert result.exit_code == 0, result.output
    for part in (
        "*/5 * * * * (UTC)", "5,400 s at present", str(RUN), f"next try {TWO}: InvalidKey",
        "2026-03-01 20:00:00+08:00: overlap", "network: down", "waiting run", "high",
    ):  # fmt: skip
        assert part in result.stdout
    assert "other" not in result.stdout
    last = result.stdout.splitlines()[-1].split()
    assert last[:4] == [str(RUN), "manual", "high", "2"]
    assert last[-3:] == ["retry", *TWO.split()]


def test_why_a_run_was_cancelled_is_told_where_it_is_shown(served):
    why = "not started in time (window): it was in an exclusion window"
    outcome = served.reads.overview()["outcomes"][0]
    outcome |= {"status": "cancelled", "error_class": None, "error": why}
    served.reads.overview = lambda: {"outcomes": [outcome], "resources": [], "guarded": []}
    assert why not in syncd(served, "jobs").stdout  # there the due time is told as skipped
    assert why in syncd(served, "jobs", "hosts").stdout


def test_a_next_run_in_a_window_is_told_with_its_end(served):
    served.commands.job_rows = [job_row(window_until=LATER)]
    assert f"{NOON} (window until {TWO})" in syncd(served, "jobs").stdout
    assert "in a window until 2026-03-01 22:00:00+08:00" in syncd(served, "jobs", "hosts").stdout


def test_the_zone_of_a_schedule_is_told_once(served):
    served.commands.job_rows = [job_row(schedule="@daily Asia/Shanghai", timezone="Asia/Shanghai")]
    assert syncd(served, "jobs", "hosts").stdout.count("Asia/Shanghai") == 1


def test_one_that_stands_by_does_not_tell_that_there_is_no_job(served):
    served.commands.leads = False
    for more in ([], ["hosts"], ["--json"]):
        result = syncd(served, "jobs", *more)
        assert (result.exit_code, result.stdout) == (69, "")
        assert "does not lead" in result.stderr
    result = syncd(served, "status")
    assert result.exit_code == 0
    assert "no enabled job" not in result.output


def test_json_gives_the_rows_as_they_are(served):
    rows = json.loads(syncd(served, "jobs", "--json").stdout)
    assert rows[0]["delayed_seconds"] == 0
    assert rows[0]["last"]["error"] == "down"
    assert json.loads(syncd(served, "jobs", "hosts", "--json").stdout) == rows[0]


def test_a_job_that_does_not_exist_is_no_empty_list(served):
    for more in ([], ["--json"]):
        result = syncd(served, "jobs", "nosuch", *more)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == "syncd: there is no enabled job 'nosuch'\n"


def test_status_points_at_jobs_that_need_somebody_and_at_closed_gates(served):
    assert "\n! hosts" not in syncd(served, "status").stdout
    served.commands.job_rows = [
        job_row(name="a", paused=PAUSED),
        job_row(name="b", held=[HELD]),
        job_row(name="c", running=str(RUN), stuck=str(RUN)),
        job_row(name="fine", waiting=[waiting_row("load")]),
    ]
    served.commands.running_rows = [{"run": RUN, "since": MOMENT}]
    served.commands.closed = ("load", "disk", "store")
    told = [line for line in syncd(served, "status").stdout.splitlines() if line[:2] == "! "]
    assert told[:-1] == [
        "! the load of 0.92 a processor is over 0.80: only urgent runs start",
        "! 50 MiB free on disk are less than 100 MiB: no run starts",
        "! the store is out of reach: no run starts",
        f"! a: paused until {TWO} by alice (syncd resume a)",
        f"! b: held: account prod-aliyun refused since {NOON}, next try {TWO} (syncd resume b)",
        f"! c: stuck since {NOON}",
    ]
    assert "deletions" in told[-1]


def test_open_gates_are_not_worth_a_word():
    gates = {
        "load": {"closed": False, "value": 0.1, "limit": 0.8},
        "disk": {"closed": False, "free_bytes": 1, "limit_bytes": 2},
        "store": {"closed": False},
    }
    assert gate_words(gates) == []


@pytest.mark.parametrize("command", [["jobs"], ["jobs", "hosts"], ["status"]])
def test_hostile_names_and_errors_do_not_reach_the_terminal_raw(served, command):
    hostile = "[red]\"'a\nb\x1b[2J\x9b\u202e😀"
    held = HELD | {"account": hostile, "reason": hostile}
    served.commands.job_rows = [
        job_row(paused=PAUSED | {"by": hostile}, held=[held], waiting=[waiting_row(hostile)])
    ]
    result = syncd(served, *command)
    assert result.exit_code == 0, result.output
    assert "[red]\"'a\\nb\\x1b[2J\\x9b\\u202e😀" in result.stdout
    assert not set(result.stdout) & set("\x1b\x9b\u202e")


def test_a_list_fits_a_terminal_of_100_columns(served):
    today = datetime.now(UTC) + timedelta(hours=1)
    served.commands.job_rows = [
        job_row(name="hosts-production", schedule="*/30 8-20 * * 1-5", next_run=today,
                held=[HELD | {"since": today, "next_probe_at": today}]),
        job_row(name="sizes", waiting=[waiting_row("window", until=LATER)],
                last_skip={"due": MOMENT, "reason": "overlap"}),
    ]  # fmt: skip
    command = [sys.executable, "-m", "syncd", "--config", str(served.file), "jobs"]
    shown = on_terminal(command, columns=100)
    plain = subprocess.run(
        command, env=os.environ, capture_output=True, text=True, check=True, timeout=30
    ).stdout
    lines = [line.rstrip() for line in uncoloured(shown).split("\n")]
    assert max(map(len, plain.splitlines())) > 100
    assert max(map(len, lines)) <= 100
    assert "prod-aliyun" in shown
    assert "overlap" in shown
