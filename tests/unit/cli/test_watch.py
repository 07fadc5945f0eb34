"""Waiting for runs, and being interrupted while waiting."""

from datetime import UTC

import pytest
from fake_daemon import RUN, FakeCommands, FakeReads

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
