"""An examination: all checks side by side, and the report of what they found."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from syncd.config import secrets
from syncd.doctor.case import Case
from syncd.doctor.finding import SEVERITY, Denied, Finding, Lacking, Unknown, failed, skipped, span
from syncd.doctor.registry import CHECKS, Check
from syncd.doctor.side_by_side import Act, Outcome, side_by_side
from syncd.errors import SyncdError, describe
from syncd.telemetry.masking import Masker

_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Row:
    """A finding with the name of its check, and how long that took."""

    name: str
    finding: Finding
    seconds: float


def examine(
    case: Case, only: Sequence[str] = (), checks: Iterable[Check] = CHECKS
) -> dict[str, Any]:
    """Make all checks, those of the groups `only` if there are any, and return the report.

    It is {"checks": [{"name", "subject", "state", "found", "advice", "seconds"}], "policies":
    [{"account", "policy"}], "grants": [{"server", "statements"}], "worst"}: nothing in it is
    secret. Never raises.
    """
    wanted = [check for check in checks if not only or check.name.partition(".")[0] in only]
    tasks = [(check, subject) for check in wanted for subject in check.subjects(case)]
    outcomes = side_by_side([Act(partial(_do, c, case, s), c.limit) for c, s in tasks], _AT_ONCE)
    rows = [
        Row(check.name, finding, outcome.seconds)
        for (check, subject), outcome in zip(tasks, outcomes, strict=True)
        for finding in _findings(check, subject, outcome)
    ]
    return report(rows)


def groups(accounts: Sequence[str], servers: Sequence[str]) -> list[str]:
    """Return the groups of checks that are asked for where accounts or servers are named."""
    return [name for name, each in (("accounts", accounts), ("servers", servers)) if each]


def report(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the report as a document."""
    states, masked = [row.finding.state for row in rows], Masker(secrets.known)
    return {
        "checks": [
            {
                "name": row.name,
                "subject": row.finding.subject,
                "state": row.finding.state,
                "found": masked(row.finding.found),
                "advice": masked(row.finding.advice),
                "seconds": round(row.seconds, 3),
            }
            for row in rows
        ],
        "policies": _policies([row.finding.denied for row in rows if row.finding.denied]),
        "grants": _grants([row.finding.lacking for row in rows if row.finding.lacking]),
        "worst": max(states, key=SEVERITY.__getitem__, default="skipped"),
    }


def _do(check: Check, case: Case, subject: str) -> list[Finding]:
    found = check.examine(case, subject)
    return [found] if isinstance(found, Finding) else list(found)


def _findings(check: Check, subject: str, outcome: Outcome[list[Finding]]) -> list[Finding]:
    """Return what a check found; what kept it from an answer is a finding too."""
    if outcome.late:
        told = f"no answer within {span(check.limit)}"
        return [failed(told, "see whether what it looks at hangs", subject=subject)]
    match outcome.error:
        case None:
            return outcome.result or []
        case Unknown() as reason:
            return [skipped(str(reason), subject=subject)]
        case SyncdError() as error:
            return [failed(describe(error), "see the message", subject=subject)]
        case error:
            told = f"the check itself failed: {describe(error)}"
            return [failed(told, "this is a bug of syncd: please report it", subject=subject)]


def _policies(denied: Sequence[Denied]) -> list[dict[str, str]]:
    """Return for each account one policy that grants all that it lacks."""
    accounts = {each.account: each.write for each in denied}
    return [
        {
            "account": name,
            "policy": write(
                sorted({a for each in denied if each.account == name for a in each.actions})
            ),
        }
        for name, write in accounts.items()
    ]


def _grants(lacking: Sequence[Lacking]) -> list[dict[str, Any]]:
    """Return for each server the statements that grant all that our user lacks, each once."""
    found: dict[str, dict[str, None]] = {}
    for each in lacking:
        found.setdefault(each.server, {}).update(dict.fromkeys(each.statements))
    return [{"server": name, "statements": list(each)} for name, each in found.items()]
