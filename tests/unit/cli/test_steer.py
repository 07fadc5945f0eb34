"""Pauses and priorities from the command line."""

import json
import os
import pwd
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from fake_daemon import MOMENT, RUN, job_row, syncd, waiting_row

from syncd import errors
from syncd.model.run import Selection

ME = pwd.getpwuid(os.getuid()).pw_name


def test_a_waiting_run_is_moved(served):
    result = syncd(served, "priority", "01890000", "urgent")
    assert result.exit_code == 0
    assert result.stderr == f"run {RUN} waits with priority urgent\n"
    told = json.loads(syncd(served, "priority", str(RUN), "low", "--json").stdout)
    assert told == {"id": str(RUN), "priority": "low"}
    assert served.commands.asked == [
        ("prioritise", RUN, "urgent", ME), ("prioritise", RUN, "low", ME)
    ]  # fmt: skip


def test_a_run_that_does_not_wait_is_not_moved(served):
    served.commands.ended.set()
    result = syncd(served, "priority", "01890000", "urgent")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "syncd: the run does not wait: success\n"
    assert syncd(served, "priority", "ffff", "urgent").exit_code == 1


def test_a_pause_tells_its_end_in_the_zone_of_the_settings(served):
    result = syncd(served, "pause", "hosts", "--for", "1h30m")
    assert result.exit_code == 0
    assert "hosts is paused until 2026-03-01 21:30;" in result.stderr
    assert "syncd resume hosts" in result.stderr
    assert "until somebody resumes it" in syncd(served, "pause", "hosts").stderr
    assert served.commands.asked == [
        ("pause", "hosts", 5400.0, ME), ("pause", "hosts", None, ME)
    ]  # fmt: skip
    told = json.loads(syncd(served, "pause", "hosts", "--json").stdout)
    assert told["paused"] == {"since": "2026-03-01T12:00:00Z", "until": None, "by": ME}


def test_resuming_tells_what_it_did(served):
    served.commands.held = ["prod", "te\x1bst"]
    lines = syncd(served, "resume", "hosts").stderr.splitlines()
    assert lines == [
        "hosts is resumed",
        "account prod is tried again by the next run",
        "account te\\x1bst is tried again by the next run",
    ]
    served.commands.was_paused, served.commands.held = False, ()
    assert syncd(served, "resume", "hosts").stderr == "hosts was not paused\n"
    told = json.loads(syncd(served, "resume", "hosts", "--json").stdout)
    assert told == {"job": "hosts", "was_paused": False, "freed": []}


@pytest.mark.parametrize("command", [["pause", "no"], ["resume", "no"], ["trigger", "no"]])
def test_a_job_that_does_not_exist(served, command):
    result = syncd(served, *command)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "syncd: there is no enabled job 'no'\n"


def test_the_priority_of_a_run_by_hand_reaches_the_daemon(served):
    served.commands.ended.set()
    assert syncd(served, "trigger", "hosts", "--priority", "urgent").exit_code == 0
    assert syncd(served, "trigger", "hosts", "--wait", "--priority", "high").exit_code == 0
    assert syncd(served, "sync", "hosts", "--priority", "low").exit_code == 0
    assert served.commands.asked == [
        ("trigger", "hosts", Selection(), ME, level) for level in ("urgent", "high", "low")
    ]


def test_a_triggered_run_that_waits_says_why_beside_its_id(served):
    noon = datetime.now(ZoneInfo("Asia/Shanghai")) + timedelta(days=400)
    served.commands.job_rows = [job_row(waiting=[waiting_row("window", until=noon)])]
    for arguments, stdout in (
        (["trigger", "hosts"], str(RUN)),
        (["trigger", "hosts", "--json"], json.dumps({"id": str(RUN)}, indent=2)),
    ):
        result = syncd(served, *arguments)
        assert (result.exit_code, result.stdout) == (0, f"{stdout}\n")
        assert result.stderr == f"hosts waits: window until {noon:%Y-%m-%d %H:%M}\n"


def test_a_triggered_run_that_starts_within_a_moment_says_nothing(served):
    served.commands.job_rows = [job_row(waiting=[waiting_row("worker")])]

    def started(*_):
        served.commands.job_rows = [job_row()]
        return False

    served.commands.wait = started
    result = syncd(served, "trigger", "hosts")
    assert (result.stdout, result.stderr) == (f"{RUN}\n", "")


def test_a_trigger_succeeds_though_it_can_not_be_told_why_the_run_waits(served, monkeypatch):
    def fails():
        raise errors.StoreError("gone")

    monkeypatch.setattr(served.commands, "scheduler", fails)
    result = syncd(served, "trigger", "hosts")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{RUN}\n", "")


def test_waiting_for_a_run_that_does_not_start_says_why(served):
    served.commands.job_rows = [job_row(waiting=[waiting_row("load")])]
    waits = iter([False, False, True])
    served.commands.wait = lambda *_: next(waits)
    result = syncd(served, "trigger", "hosts", "--wait")
    assert result.exit_code == 0
    assert "hosts waits: load above load_limit\n" in result.stderr
    assert "prod/cn-hangzhou/host" in result.stdout


def test_moments_of_today_are_shown_without_their_date(served):
    zone = ZoneInfo("Asia/Shanghai")
    now = datetime.now(zone)
    served.commands.pause = lambda job, _, by: {
        "job": job, "paused": {"since": MOMENT, "until": now.astimezone(UTC), "by": by},
    }  # fmt: skip
    shown = syncd(served, "pause", "hosts").stderr
    if datetime.now(zone).date() == now.date():  # midnight has not passed meanwhile
        assert f"until {now:%H:%M};" in shown
