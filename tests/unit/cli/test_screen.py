"""What is printed on a terminal and in a pipe."""

import io
import json
import os
import sys
from datetime import UTC, datetime, timedelta, timezone

import click
import pytest
from shells import Shell
from terminal import on_terminal

from syncd.cli.cells import Cell, before_and_after, cell, clean, plain_table
from syncd.cli.moments import ago, moment_cell, parse_moment
from syncd.cli.screen import confirm, print_json
from syncd.errors import BadRequest

EAST = timezone(timedelta(hours=8))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("web-1", "web-1"),
        ("测试 😀", "测试 😀"),
        ("a\nb\r\t", "a\\nb\\r\\t"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x9b\u202e\u2028", "\\x9b\\u202e\\u2028"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_is_not_printable_is_escaped(text, shown):
    assert clean(text) == shown
    assert clean(text).isprintable()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"), ("", "-"), ([], "-"), (0, "0"), (12345, "12,345"), (1.25, "1.2"),
        (True, "yes"), (["a", "b"], "a, b"), ({"a": "\x1b"}, '{"a": "\\u001b"}'),
        ([{"id": 1}], '[{"id": 1}]'),
    ],
)  # fmt: skip
def test_values_are_shown_as_people_read_them(value, shown):
    assert cell(value).text == shown


def test_before_and_after():
    fields = {"state": ["a", "b"], "ips": [None, ["1", "2"]], "odd": "x"}
    assert before_and_after(fields) == "state: a → b; ips: - → 1, 2"


def test_columns_are_aligned_by_the_width_of_what_is_seen():
    rows = [[Cell("测试"), Cell("1", right=True)], [Cell("abc"), Cell("1,000", right=True)]]
    assert plain_table(["name", "count"], rows) == [
        "name  count",
        "测试      1",
        "abc   1,000",
    ]


def test_moments_are_read_as_durations_ago_or_times():
    def read(text, zone=UTC):
        return parse_moment(text, zone, "--since")

    now = datetime.now(UTC)
    assert abs(read("1h30m") - (now - timedelta(minutes=90))) < timedelta(minutes=1)
    assert read("2026-03-01T12:00+02:00", EAST).hour == 12
    assert read("2026-03-01 12:00", EAST) == datetime(2026, 3, 1, 4, tzinfo=UTC)
    assert read("2026-03-01") == datetime(2026, 3, 1, tzinfo=UTC)
    for wrong in ("", "yesterday", "7", "-1d", "2026-13-01", "0001-01-01", "9999-12-31"):
        with pytest.raises(click.BadParameter) as caught:
            read(wrong)
        assert "'--since'" in caught.value.format_message()


def test_moments_are_shown_with_their_offset():
    assert moment_cell("2026-03-01T12:00:00.5Z", EAST).text == "2026-03-01 20:00:00+08:00"
    assert moment_cell(None, EAST).text == "-"
    now = datetime.now(UTC)
    assert ago(None) == "never"
    assert ago(now - timedelta(hours=3, minutes=5)) == "3h ago"
    assert ago((now + timedelta(minutes=12, seconds=30)).isoformat()) == "in 12m"


def test_a_terminal_gets_colours_and_folds_what_does_not_fit():
    script = (
        "from syncd.cli.screen import print_table, print_line\n"
        "from syncd.cli.cells import Cell, cell\n"
        "print_table(['name'], [[cell('[red]' + 'x' * 60, 'green')]], '')\n"
        "print_line(Cell('[bold]'), cell('y' * 60, 'red'))\n"
    )
    shown = on_terminal([sys.executable, "-c", script], columns=40)
    assert "\x1b[32m" in shown
    assert "[red]" in shown
    assert shown.count("x") == 60
    assert "y" * 60 in shown


def test_json_of_hostile_texts_is_still_the_same_json(capsys):
    document = {"a": "\x1b\x9b\u202e\u2066", "b": ["é", 1, None]}
    print_json(document)
    written = capsys.readouterr().out
    assert json.loads(written) == document
    assert not set(written) & set("\x1b\x9b\u202e\u2066")


@pytest.mark.parametrize(("answer", "outcome"), [("y", "agreed"), ("n", "Abort"), ("", "Abort")])
def test_a_person_at_a_terminal_is_told_what_would_be_done_and_asked(answer, outcome):
    script = """
import click
from syncd.cli.screen import confirm
try:
    confirm("go on, \\x1b[31m?", ["a file is removed"], yes=False)
    print("agreed")
except click.Abort:
    print("Abort")
"""
    shell = Shell([sys.executable, "-c", script], os.environ)
    try:
        asked = shell.typed("", r"\[y/N\]: ")
        assert "a file is removed" in asked
        assert "go on, \\x1b[31m?" in asked
        shell.typed(f"{answer}\n", f"{outcome}\r?\n")
    finally:
        shell.close()


def test_where_nobody_can_agree_yes_has_to_be_said(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(BadRequest, match="say --yes"):
        confirm("go on?", yes=False)
    confirm("go on?", yes=True)
