"""The report of the checks, as people and programs get it."""

import json

from fake_daemon import syncd

from syncd import __version__
from syncd.errors import Conflict, NotFound

POLICY = '{"Version":"1"}'
GRANT = 'grant connect on database "shop" to "syncd";'


def row(state: str, name: str = "a.x", found: str = "found", advice: str = "", subject: str = ""):
    return {"name": name, "subject": subject, "state": state, "found": found, "advice": advice,
            "seconds": 0.1}  # fmt: skip


def report(*rows, worst: str, policies=(), grants=()):
    return {"checks": list(rows), "policies": list(policies), "grants": list(grants),
            "worst": worst}  # fmt: skip


def test_the_daemon_makes_the_checks_where_one_answers(served):
    served.commands.report = report(row("ok"), worst="ok")
    result = syncd(served, "doctor", "--account", "prod", "--account", "test", "--offline")
    assert result.exit_code == 0
    assert syncd(served, "doctor", "--server", "orders-db").exit_code == 0
    assert served.commands.asked == [
        ("examine", ("prod", "test"), (), __version__, True),
        ("examine", (), ("orders-db",), __version__, False),
    ]


def test_programs_get_the_report_as_it_is(served):
    served.commands.report = report(row("warning", advice="do"), worst="warning")
    result = syncd(served, "doctor", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, served.commands.report)


def test_people_get_a_line_each_and_the_policies_whole(served):
    policies = [{"account": "prod", "policy": POLICY}]
    served.commands.report = report(
        row("ok"), row("failed", "b.y", "denied\x1b", "attach", "prod"),
        worst="failed", policies=policies,
        grants=[{"server": "orders-db", "statements": [GRANT, "two\x1b;"]}],
    )  # fmt: skip
    result = syncd(served, "doctor")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "state   check  of    found",
        "ok      a.x    -     found",
        "failed  b.y    prod  denied\\x1b → attach",
        "",
        "Policy for account prod:",
        POLICY,
        "",
        "Statements for server orders-db:",
        GRANT,
        "two\\x1b;",
        "",
        "1 ok, 1 failed",
    ]


def test_what_a_group_skips_for_one_reason_is_one_line(served):
    skipped = [row("skipped", f"store.{name}", "gone") for name in ("size", "clock", "version")]
    other = row("skipped", "store.crashes", "not embedded")
    served.commands.report = report(*skipped, other, worst="skipped")
    lines = syncd(served, "doctor").stdout.splitlines()
    assert [line.split()[1] for line in lines[1:3]] == ["store.*", "store.crashes"]
    assert lines[-1] == "4 skipped"


def test_a_configuration_that_can_not_be_used_has_a_status_of_its_own(served):
    served.commands.report = report(row("failed", "configuration.valid"), worst="failed")
    assert syncd(served, "doctor").exit_code == 78


def test_a_daemon_that_does_not_know_the_command_is_told_of(served):
    served.commands.raises = NotFound("no path '/doctor'")
    report = json.loads(syncd(served, "doctor", "--offline", "--json").stdout)
    (row,) = [row for row in report["checks"] if row["name"] == "daemon.answers"]
    assert (row["state"], row["advice"].split(",")[0]) == ("warning", "systemctl restart syncd")


def test_refusals_of_the_daemon_are_told(served):
    served.commands.raises = Conflict("another examination is under way")
    result = syncd(served, "doctor")
    assert (result.exit_code, result.stderr) == (1, "syncd: another examination is under way\n")
    served.commands.raises = NotFound("there is no enabled account 'x'")
    assert syncd(served, "doctor", "--account", "x").exit_code == 1
