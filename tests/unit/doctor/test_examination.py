"""An examination reports every check, whatever befalls one of them."""

import re
import threading
from dataclasses import replace
from pathlib import Path

from doctor_helpers import case
from pydantic import SecretStr

from syncd.config import secrets
from syncd.config.secrets import Secret
from syncd.doctor import examination
from syncd.doctor.finding import Denied, Lacking, Unknown, failed, ok, warning
from syncd.doctor.registry import CHECKS, Check
from syncd.errors import StoreError

PAGE = (Path(__file__).parents[3] / "docs" / "doctor.md").read_text()


def examined(*checks: Check, only=()):
    return examination.examine(case(), only, checks)


def of(name: str, do, limit: float = 10.0) -> Check:
    return Check(name, lambda case, subject: do(), lambda case: [""], limit)


def raising(error: Exception):
    def do():
        raise error

    return do


def test_the_page_names_each_check_and_no_other():
    assert set(re.findall(r"^\| `(\w+\.\w+)`", PAGE, re.MULTILINE)) == {c.name for c in CHECKS}


def test_names_are_unique_and_grouped():
    names = [check.name for check in CHECKS]
    assert len(names) == len(set(names))
    groups = [name.partition(".")[0] for name in names]
    assert groups == sorted(groups, key=groups.index)


def test_a_report_has_a_row_for_each_finding_and_the_worst_state():
    report = examined(of("a.x", lambda: ok("well")), of("a.y", lambda: warning("hm", "do")))
    assert report["worst"] == "warning"
    assert [row | {"seconds": 0} for row in report["checks"]] == [
        {"name": "a.x", "subject": "", "state": "ok", "found": "well", "advice": "", "seconds": 0},
        {"name": "a.y", "subject": "", "state": "warning", "found": "hm", "advice": "do",
         "seconds": 0},
    ]  # fmt: skip


def test_a_check_that_hangs_is_a_failure_and_the_others_are_made():
    over = threading.Event()
    try:
        report = examined(of("a.x", lambda: over.wait(30), 0.1), of("a.y", lambda: ok("well")))
    finally:
        over.set()
    assert [row["state"] for row in report["checks"]] == ["failed", "ok"]
    assert "no answer within 100 ms" in report["checks"][0]["found"]


def test_errors_of_a_check_become_its_finding():
    report = examined(
        of("a.x", raising(Unknown("not here"))),
        of("a.y", raising(StoreError("gone"))),
        of("a.z", raising(ZeroDivisionError("oh"))),
    )
    assert [row["state"] for row in report["checks"]] == ["skipped", "failed", "failed"]
    assert [row["found"] for row in report["checks"]] == [
        "not here", "gone", "the check itself failed: ZeroDivisionError: oh"
    ]  # fmt: skip


def test_only_the_checks_of_what_is_named_are_made():
    checks = [of(f"{name}.y", lambda: ok("")) for name in ("a", "accounts", "servers")]

    def made(accounts, servers):
        report = examined(*checks, only=examination.groups(accounts, servers))
        return [row["name"] for row in report["checks"]]

    assert made(["prod"], []) == ["accounts.y"]
    assert made([], ["db"]) == ["servers.y"]
    assert made(["prod"], ["db"]) == ["accounts.y", "servers.y"]
    assert made([], []) == ["a.y", "accounts.y", "servers.y"]


def test_a_server_gets_each_statement_once():
    def lacking(*statements: str):
        return lambda: replace(failed("no", "do"), lacking=Lacking("db", statements))

    report = examined(of("a.x", lacking("b;", "a;")), of("a.y", lacking("c;", "a;")))
    assert report["grants"] == [{"server": "db", "statements": ["b;", "a;", "c;"]}]


def test_an_account_gets_one_policy_for_all_that_it_lacks():
    def denied(*actions: str):
        lacking = Denied("prod", actions, ",".join)
        return lambda: replace(failed("denied", "attach"), denied=lacking)

    report = examined(of("a.x", denied("b", "a")), of("a.y", denied("c", "a")))
    assert report["policies"] == [{"account": "prod", "policy": "a,b,c"}]


def test_no_secret_gets_into_a_report():
    secrets.resolve(Secret("inline", inline=SecretStr("s3cr3t-of-the-test")))
    report = examined(of("a.x", raising(StoreError('missing "=" after "s3cr3t-of-the-test"'))))
    assert report["checks"][0]["found"] == 'missing "=" after "******"'
