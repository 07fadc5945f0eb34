"""The lines of a crontab: settings, comments, users, `%`, and what is none of it."""

import tomllib

import pytest
from crontab_helpers import imported

from syncd.config.notify import parse_channel
from syncd.crontab.lines import read_lines

CURL = "curl -f https://api.internal/run"


def only(text, **options):
    (entry,) = read_lines(text.encode(), system=options.get("system", False)).entries
    return entry


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("A=b", "A", "b"),
        ("  A = b c  ", "A", "b c"),
        ('A=" b "', "A", " b "),
        ("'A'='b'", "A", "b"),
        ("A=b # c", "A", "b # c"),
        ("A=", "A", ""),
        ('A="b', "A", '"b'),
        ("A=$B\\%", "A", "$B\\%"),
        ("A=a=b", "A", "a=b"),
    ],
)
def test_settings(line, name, value):
    assert only(f"{line}\n* * * * * x\n").environ == {name: value}


def test_a_setting_counts_for_the_lines_below_it():
    found = read_lines(b"A=1\n* * * * * x\nA=2\n* * * * * y\n", system=False)
    assert [each.environ["A"] for each in found.entries] == ["1", "2"]


@pytest.mark.parametrize(
    ("line", "command", "stdin"),
    [
        ("* * * * * a b", "a b", None),
        ("*\t* *  * *\ta  b ", "a  b", None),
        ("@daily a", "a", None),
        (r"* * * * * date +\%F", "date +%F", None),
        ("* * * * * a%b%c", "a", "b\nc\n"),
        (r"* * * * * a \%%b\%", "a %", "b%\n"),
        (r"* * * * * a \\% b", "a \\% b", None),
        ("* * * * * a%", "a", ""),
        ("* * * * * a%b%", "a", "b\n"),
        ("* * * * * a%%", "a", "\n"),
    ],
)
def test_commands_and_what_they_read(line, command, stdin):
    entry = only(f"{line}\n")
    assert (entry.command, entry.stdin) == (command, stdin)


def test_a_system_crontab_has_users():
    entry = only("0 1 * * *  www-data\tcurl x\n", system=True)
    assert (entry.fields, entry.command) == ("0 1 * * *", "curl x")
    assert only("@hourly root curl x\n", system=True).command == "curl x"
    found = read_lines(b"0 1 * * * /bin/x\n0 1 * * * /bin/x y\n", system=True)
    assert [each.number for each in found.odd] == [1, 2]


def test_line_ends_and_marks():
    assert only(f"\ufeff0 1 * * * {CURL}\r\n").command == CURL
    assert imported(f"0 1 * * * {CURL}").remarks[0].startswith("the last line has no newline")
    assert imported("").jobs == ()
    assert imported("\r\n \t\n# x").left == ()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"0 1 * * curl", "is no crontab line"),
        (b"hello", "is no crontab line"),
        (b"@daily", "is no crontab line"),
        (b"0 1 * * * curl \0", "control"),
        (b"0 1 * * * curl \x1b[31m", "control"),
        (b"0 1 * * * curl \xff", "UTF-8"),
        (b"0 1 * * * curl " + b"x" * 1_000_000, "longer"),
        (b"x" * 1_000_000, "longer"),
        (b"0 1 * * * curl \xe2\x80\xae", "control"),
        (b"1A=b", "is no crontab line"),
    ],
    ids=str,
)
def test_what_is_no_line(line, told):
    found = imported(line + b"\n0 2 * * * " + CURL.encode() + b"\n")
    (odd,) = found.left
    assert told in odd.reason
    assert (odd.number, len(found.jobs)) == (1, 1)
    assert len(found.toml) < 2000


def test_comments_above_a_line_are_kept_and_a_short_one_names_it():
    text = (
        f"# Head of the file\n\n# Warm caches\n0 1 * * * {CURL}\n\n"
        f"# Statistics\n0 2 * * * {CURL}/a\n0 3 * * * {CURL}/b\n\n"
        "# This one is here since the winter of 2019,\n# ask Ada before you change it\n"
        f"0 4 * * * {CURL}\n"
    )
    found = imported(text)
    assert [(each.name, each.remarks) for each in found.jobs] == [
        ("warm-caches", ("Warm caches",)),
        ("run-a", ("Statistics",)),
        ("run-b", ()),
        ("run", ("This one is here since the winter of 2019,", "ask Ada before you change it")),
    ]
    assert "# Line 4: Warm caches\n[jobs.warm-caches]\n" in found.toml


def test_which_cron_knows_a_zone_is_told():
    found = imported(f"CRON_TZ=Asia/Tokyo\n0 1 * * * {CURL}\n")
    assert found.jobs[0].tables["timezone"] == "Asia/Tokyo"
    assert any("Debian" in each for each in found.remarks)


def test_names_are_valid_and_not_taken_twice():
    urls = [
        "https://a.internal/api/v1/sync/daily",
        "https://b.internal/sync/daily.php?x=1",
        "https://h.internal",
        "https://[::1]:8080/",
        "https://x.internal/v2/\\%2F\\%2e./",
        "https://a/backup",
        "https://a/" + "long/" * 60,
        "https://a/" + "x" * 300,
        "https://a/0f3b9a52-6d0c-4c1e-9a3f-2b7d5e8c4a10",
        "https://a/日报",
        "https://a/retention",
    ]
    found = imported("".join(f"0 1 * * * curl -fg '{url}'\n" for url in urls), prefix="cron-")
    names = [each.name for each in found.jobs]
    assert found.left == ()
    assert names[:3] == ["cron-sync-daily", "cron-sync-daily-2", "cron-h-internal"]
    assert len(set(names)) == len(urls)
    bare = imported("0 1 * * * curl -f https://a/backup\n0 1 * * * curl -f https://a/retention\n")
    assert [each.name for each in bare.jobs] == ["backup-2", "retention-2"]


def test_lines_out_of_use_stay_comments():
    text = (
        f"#0 5 * * * {CURL}\n# @daily {CURL}\n## */5 1-2 * jan mon {CURL}\n"
        "# 5 people use this at home\n"
    )
    found = imported(text)
    assert [each.number for each in found.disabled] == [1, 2, 3]
    assert (found.jobs, found.left) == ((), ())
    assert f"#   #0 5 * * * {CURL}" in found.toml


def test_who_got_mail_is_told_by_a_channel():
    found = imported('MAILTO=ops@example.com, "dev"@example.com\n')
    lines = found.toml.partition("mails what failed, with this:\n")[2].splitlines()
    tables = tomllib.loads("\n".join(line.removeprefix("# ") for line in lines))
    assert tables["notify"]["mail"]["to"] == ["ops@example.com", '"dev"@example.com']
    tables["notify"]["mail"]["to"].pop()
    parse_channel(tables["notify"]["mail"])
    assert "notify" not in imported('MAILTO=""\n').toml


def test_a_crontab_has_an_end():
    found = imported(f"0 1 * * * {CURL}\n" * 5_010)
    assert (len(found.jobs), found.jobs[-1].name) == (5_000, "run-5000")
    (odd,) = found.left
    assert (odd.number, odd.reason) == (5_001, "and all below it: more than 5,000 lines")
