"""Waiting for runs, being told why they do not start, and being interrupted while waiting."""

import itertools
import sys
from datetime import UTC

import pytest
from fake_daemon import RUN, FakeCommands, FakeReads, job_row, waiting_row
from terminal import on_terminal

from syncd.cli.session import Session
from syncd.cli.watch import watch


class Interrupted(FakeCommands):
    """Ctrl-C arrives at the first wait."""

    waits = 0

    def wait(self, run_id, seconds):
        self.waits += 1
        if self.waits == 1:
            raise KeyboardInterrupt
        return True


def test_ctrl_c_leaves_the_daemon_its_run_and_says_how_to_stop_it(capsys):
    commands = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        watch(Session(commands, FakeReads(), "me", local=False), {RUN: "hosts"}, UTC)
    assert f"syncd cancel {RUN}" in capsys.readouterr().err
    assert commands.asked == []


def test_ctrl_c_cancels_the_run_of_this_process_and_waits_for_its_record():
    commands = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        watch(Session(commands, FakeReads(), "me", local=True), {RUN: "hosts"}, UTC)
    assert commands.asked == [("cancel", RUN, "me")]
    assert commands.waits == 2


def test_bars_on_a_terminal_follow_the_run(monkeypatch, capsys):
    class Steps(FakeCommands):
        seen = 0

        def wait(self, run_id, seconds):
            self.seen += 1
            return self.seen > 3

        def progress(self):
            return {} if self.seen == 1 else super().progress()

    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    (run,) = watch(Session(Steps(), FakeReads(), "me", local=True), {RUN: "[red]hosts\x1b"}, UTC)
    assert run["id"] == RUN


class Queued(FakeCommands):
    """A run that waits for one reason after the other, and then ends."""

    reasons = ("load", "load", "window", None, "retry")
    looks = 0

    def wait(self, run_id, seconds):
        self.looks += 1
        self.job_rows = [job_row(name="other", waiting=[waiting_row("disk", run="another")])]
        if self.looks <= len(self.reasons) and (reason := self.reasons[self.looks - 1]):
            self.job_rows.append(job_row(waiting=[waiting_row(reason)]))
        return self.looks > len(self.reasons)


def test_each_reason_is_told_once_where_there_is_no_terminal(capsys):
    reads = FakeReads()
    reads.run_answer |= {"error_class": "network", "error": "down"}
    watch(Session(Queued(), reads, "me", local=False), {RUN: "ho\x1bsts"}, UTC)
    assert capsys.readouterr().err.splitlines() == [
        "ho\\x1bsts waits: load above load_limit",
        "ho\\x1bsts waits: window",
        "ho\\x1bsts waits: retry, since it failed: network: down",
    ]  # fmt: skip


def test_a_terminal_shows_beside_the_bar_why_a_run_waits(served):
    served.commands.job_rows = [job_row(waiting=[waiting_row("load")])]
    command = [sys.executable, "-m", "syncd", "--config", str(served.file)]
    looks, tell = itertools.count(1), served.commands.scheduler

    def scheduler():
        """Let the run end at the fifth look, so that the bar has been drawn."""
        if next(looks) == 5:
            served.commands.ended.set()
        return tell()

    served.commands.scheduler = scheduler
    shown = on_terminal([*command, "trigger", "hosts", "--wait"], 100, "stderr")
    assert "waits: load above" in shown
