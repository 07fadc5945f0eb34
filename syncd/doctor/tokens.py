"""Checks of the tokens that enabled jobs carry: whether they can be had. None is ever shown."""

from collections.abc import Iterator
from typing import Any

from syncd.config.http import Token
from syncd.config.references import leaves
from syncd.config.secrets import Secret
from syncd.doctor.case import Case, TokenFound
from syncd.doctor.finding import Finding, Unknown, failed, ok, span, warning
from syncd.errors import Authentication, ConfigurationError, Permission, SyncdError, describe
from syncd.model.holder import token_holder


def obtained(case: Case, name: str) -> Iterator[Finding]:
    """Log in, unless there is a token already."""
    if case.offline:
        raise Unknown("not asked, for --offline")
    token = case.config.token(name)
    if any(case.unknowable(each) for each in _secrets(token)):
        raise Unknown("its secrets can only be read by the service, and no daemon answers")
    try:
        yield judge_token(name, case.tokens[name]())
    except SyncdError as error:
        yield refusal(error, name)


def judge_token(name: str, found: TokenFound) -> Finding:
    """Judge how long a token is good."""
    what = "kept from an earlier login" if found.kept else "obtained now"
    if found.left <= 0:
        advice = f"see the server's clock and ours, and expires in [tokens.{name}]"
        return warning(f"{what}, and its life is over already", advice, subject=name)
    return ok(f"{what}, good for {span(found.left)} until {found.until}", subject=name)


def refusal(error: SyncdError, name: str) -> Finding:
    """Say what to do about a login that failed."""
    table = f"[tokens.{name}]"
    match error:
        case ConfigurationError():
            advice = f"mend the reference in {table}"
        case Authentication():
            advice = f"see user and password, or id and secret of the client, in {table}"
        case Permission():
            advice = f"see the URL in {table}, and allow_hosts in [http]"
        case _:
            advice = f"see the URL and the path of the token in {table}, and the server's logs"
    return failed(describe(error), advice, subject=name)


def held(case: Case, name: str) -> Finding:
    """Tell whether nobody logs in since the login was refused."""
    try:
        found: Any = case.records().held.get(token_holder(name))
    except SyncdError as error:
        raise Unknown("the store can't be asked") from error
    if found is None:
        return ok("no", subject=name)
    advice = "mend its secret: it is tried again at once; or syncd resume a job that carries it"
    since = f"{found.held_at:%Y-%m-%d %H:%M:%S} UTC"
    return warning(f"since {since}: {found.reason}", advice, subject=name)


def _secrets(token: Token) -> list[Secret]:
    return [each for _, each in leaves(token, ()) if isinstance(each, Secret)]
