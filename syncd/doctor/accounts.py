"""Checks of the cloud accounts: whether the cloud answers, takes the key, and allows what is asked.

Nothing here changes anything: the calls are those of a listing, or dry runs of them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from syncd.doctor.case import CALL_LIMIT, AccountCase, Answer, Case, context
from syncd.doctor.finding import (
    Denied,
    Finding,
    Unknown,
    failed,
    many,
    ok,
    skipped,
    some,
    span,
    warning,
)
from syncd.doctor.side_by_side import Act, Outcome, side_by_side
from syncd.errors import (
    Authentication,
    ConfigurationError,
    Permission,
    SyncdError,
    Throttled,
    describe,
)
from syncd.providers.base import Needs, Probe, RegionNotOpen

PERMISSIONS_LIMIT: Final = 60.0  # seconds for all regions of an account
_AT_ONCE: Final = 6  # regions asked of one account
_SLOW: Final = 2.0  # seconds for an answer
_MAY_BE_OFF: Final = 0.5  # of the signing window

_NOT_ACCEPTED: Final = (Authentication, ConfigurationError)

OfAccount = Callable[[Case, AccountCase], Iterator[Finding]]


def of_accounts(check: OfAccount) -> Callable[[Case, str], Iterator[Finding]]:
    """Return a check of one account, by name, that gives each finding the account as subject."""

    def run(case: Case, name: str) -> Iterator[Finding]:
        account = case.accounts[name]
        if case.offline:
            raise Unknown("not asked, for --offline")
        secrets = (account.account.access_key_id, account.account.access_key_secret)
        if any(case.unknowable(secret) for secret in secrets):
            raise Unknown("its credentials can only be read by the service, and no daemon answers")
        try:
            account.provider()
        except ConfigurationError as error:
            if check is not credentials:
                raise Unknown("its access key can't be read") from error
        for finding in check(case, account):
            yield replace(finding, subject=finding.subject or name)

    return run


def endpoint(_: Case, account: AccountCase) -> Iterator[Finding]:
    """Ask the endpoint for nothing: name, connection, TLS and answer."""
    host = account.needs().endpoint
    try:
        answer = account.answer()
    except SyncdError as error:
        advice = (
            "see DNS, firewall and proxy of this machine, and endpoint and proxy of the account"
        )
        yield failed(describe(error), advice)
        return
    found = f"{host} answers in {span(answer.seconds)}"
    slow = answer.seconds > _SLOW
    yield warning(found, "see the network's way to the cloud") if slow else ok(found)


def clock(_: Case, account: AccountCase) -> Iterator[Finding]:
    """Compare the clocks."""
    try:
        answer = account.answer()
    except SyncdError as error:
        raise Unknown("its endpoint does not answer") from error
    yield judge_clock(answer, account.needs().signing_window)


def judge_clock(answer: Answer, window: float) -> Finding:
    """Judge how far this machine's clock is from the cloud's, which refuses what is too old."""
    if answer.date is None:
        return skipped("the cloud does not tell its time")
    # the cloud tells whole seconds, cut off
    apart = max(abs((answer.at - answer.date).total_seconds() - 0.5) - 0.5, 0.0)
    found = f"{span(apart)} apart; signatures are taken within {span(window)}"
    advice = "synchronise this machine's clock (systemd-timesyncd, chrony)"
    if apart > window:
        return failed(found, advice)
    return warning(found, advice) if apart > window * _MAY_BE_OFF else ok(found)


def credentials(case: Case, account: AccountCase) -> Iterator[Finding]:
    """Ask the cloud who we are."""
    try:
        owner = account.provider().identity(context())
    except SyncdError as error:
        yield refusal(error, account.name)
        return
    yield judge_owner(owner, _known_owner(case, account.name), account.name)


def judge_owner(owner: str | None, known: str | None, name: str) -> Finding:
    """Judge whether the account is the one that it was."""
    if owner and known and owner != known:
        return failed(
            f"it is the cloud's account {owner}, and was {known}: nothing of it is synced",
            f"give another account another name than {name}",
        )
    return ok(f"accepted: account {owner}" if owner else "accepted; the cloud does not tell whose")


def _known_owner(case: Case, name: str) -> str | None:
    try:
        return case.records().owners.get(name)
    except (SyncdError, Unknown):
        return None


def refusal(error: SyncdError, name: str) -> Finding:
    """Say what an error of a call to the cloud means."""
    match error:
        case Authentication():
            advice = (
                f"put a valid key into [accounts.{name}]; if the code tells of an expired time,"
                " mend the clock"
            )
        case ConfigurationError():
            advice = f"mend the reference in [accounts.{name}]"
        case Throttled():
            return warning(describe(error), "try again in a minute; other tools use the quota too")
        case _:
            advice = "see the endpoint's line"
    return failed(describe(error), advice)


def regions(_: Case, account: AccountCase) -> Iterator[Finding]:
    """List the regions, where the account has no list of its own."""
    try:
        found = account.regions()
    except Permission as error:
        denied = _denied(account, [account.needs().regions])
        advice = "attach the policy below, or name the account's regions in the configuration"
        yield replace(failed(describe(error), advice), denied=denied)
    except _NOT_ACCEPTED as error:
        raise Unknown("its credentials are not accepted") from error
    except SyncdError as error:
        yield refusal(error, account.name)
    else:
        if not found:
            yield warning("no region is left to be listed", "see regions and exclude_regions")
        else:
            source = "named by the " + (
                "cloud" if account.account.regions == "all" else "configuration"
            )
            yield ok(f"{many(len(found), 'region')} {source}: {some(found)}")


def permissions(_: Case, account: AccountCase) -> Iterator[Finding]:
    """Ask in each region whether each action is allowed."""
    if not account.types:
        yield skipped("no enabled job lists anything of it")
        return
    try:
        places = account.regions()
    except SyncdError as error:
        raise Unknown("its regions are not known") from error
    needs = account.needs()
    asked = [(probe, region) for probe in needs.probes for region in places]
    outcomes = side_by_side(
        [Act(partial(_ask, probe, region), CALL_LIMIT + 1) for probe, region in asked], _AT_ONCE
    )
    if any(isinstance(outcome.error, _NOT_ACCEPTED) for outcome in outcomes):
        raise Unknown("its credentials are not accepted")
    by_probe = {
        probe.action: {r: o for (p, r), o in zip(asked, outcomes, strict=True) if p is probe}
        for probe in needs.probes
    }
    verdicts = {p.action: Verdict.of(by_probe[p.action]) for p in needs.probes}
    yield from judge_permissions(account.name, needs, verdicts)
    yield judge_calls(account.meter.calls, account.name)


def _ask(probe: Probe, region: str) -> bool | None:
    return probe.ask(context(), region)


def _denied(account: AccountCase, actions: Sequence[str]) -> Denied:
    return Denied(account.name, actions, account.needs().policy)


@dataclass(frozen=True, slots=True)
class Verdict:
    """In which regions an action is allowed, denied, not there to be asked, or unknown and why."""

    allowed: Sequence[str] = ()
    denied: Sequence[str] = ()
    closed: Sequence[str] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, outcomes: Mapping[str, Outcome[bool | None]]) -> "Verdict":
        """Sort the answers of the regions."""
        return cls(
            [r for r, o in outcomes.items() if o.result is True],
            [r for r, o in outcomes.items() if _is_denied(o)],
            [r for r, o in outcomes.items() if isinstance(o.error, RegionNotOpen)],
            {r: _why(o) for r, o in outcomes.items() if _is_unknown(o)},
        )


def _is_denied(outcome: Outcome[bool | None]) -> bool:
    return outcome.result is False or isinstance(outcome.error, Permission)


def _is_unknown(outcome: Outcome[bool | None]) -> bool:
    known = outcome.result is not None or isinstance(outcome.error, RegionNotOpen | Permission)
    return not known


def _why(outcome: Outcome[bool | None]) -> str:
    if outcome.late:
        return f"no answer within {span(outcome.seconds)}"
    return describe(outcome.error) if outcome.error else "the cloud does not tell"


def judge_permissions(
    name: str, needs: Needs, verdicts: Mapping[str, Verdict]
) -> Iterator[Finding]:
    """Judge each action; the first that is denied brings what grants all that are."""
    lacking = [action for action, verdict in verdicts.items() if verdict.denied]
    bringing: Denied | None = Denied(name, lacking, needs.policy) if lacking else None
    for probe in needs.probes:
        finding = judge_action(probe, verdicts[probe.action])
        if verdicts[probe.action].denied:
            finding, bringing = replace(finding, denied=bringing), None
        yield replace(finding, subject=f"{name} {probe.action}")


def judge_action(probe: Probe, verdict: Verdict) -> Finding:
    """Judge one action over the regions."""
    total = sum(map(len, (verdict.allowed, verdict.denied, verdict.closed, verdict.unknown)))
    if verdict.denied:
        everywhere = len(verdict.denied) == total
        found = "denied" + ("" if everywhere else f" in {some(verdict.denied)}")
        found += f": {probe.without}" if probe.without else ""
        advice = "attach the policy below to the account's user"
        return (failed if probe.needed else warning)(found, advice)
    if verdict.unknown:
        region, why = next(iter(verdict.unknown.items()))
        found = f"not known in {some(list(verdict.unknown))}; {region}: {why}"
        return warning(found, "try again; a run that meets the same fails in these regions alone")
    closed = f", {len(verdict.closed)} not open" if verdict.closed else ""
    return ok(f"allowed in {len(verdict.allowed)} of {many(total, 'region')}{closed}")


def judge_calls(calls: Sequence[tuple[str, float]], name: str) -> Finding:
    """Judge how the calls of this examination went: their outcomes and seconds."""
    throttled = sum(outcome == "throttled" for outcome, _ in calls)
    mean = sum(seconds for _, seconds in calls) / max(len(calls), 1)
    found, subject = f"{many(len(calls), 'call')}, {span(mean)} each", f"{name} calls"
    if throttled:
        advice = "lower requests_per_second of the account; other tools use the quota too"
        return warning(f"{found}, {throttled} throttled", advice, subject=subject)
    return ok(f"{found}, none throttled", subject=subject)


def held(case: Case, name: str) -> Iterator[Finding]:
    """Tell whether the account is left alone since its credentials were refused."""
    found = case.records().held.get(name)
    if found is None:
        yield ok("no", subject=name)
    else:
        advice = "put a valid key in its place: it is tried again at once; or syncd resume a job"
        since = f"{found.held_at:%Y-%m-%d %H:%M:%S} UTC"
        yield warning(f"since {since}: {found.reason}", advice, subject=name)
