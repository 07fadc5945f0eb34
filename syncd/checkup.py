"""What an examination is made of: the parts of a configuration, opened for looking alone."""

import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from syncd import assembly
from syncd.calls.login import LoginLimits
from syncd.calls.tokens import Tokens
from syncd.config import secrets
from syncd.config.configuration import Config
from syncd.context import CancelSource, Clock, Deadline
from syncd.doctor import files
from syncd.doctor.case import (
    CALL_LIMIT,
    Case,
    Json,
    TokenFound,
    account_cases,
    records_of,
    server_cases,
)
from syncd.doctor.finding import Finding
from syncd.doctor.side_by_side import Once
from syncd.engines import registry as engines
from syncd.engines.base import Engine
from syncd.engines.rights import Rights
from syncd.errors import NotFound
from syncd.http_client import HttpClient
from syncd.providers import registry as providers
from syncd.providers.base import ApiObserver, Provider
from syncd.providers.calls import Patience
from syncd.store import inspection
from syncd.store.database import Store

_PATIENCE: Final = Patience(tries=2, throttled_tries=1, cap=0.5)
"""A check tells how it is now; only a connection that was just dropped is tried again."""


def case(  # noqa: PLR0913 - all but two are named
    config: Config,
    file: Path,
    *,
    daemon: Json | None = None,
    silence: Finding | None = None,
    accounts: Sequence[str] = (),
    servers: Sequence[str] = (),
    tokens: Tokens | None = None,
    offline: bool = False,
) -> Callable[[Callable[[], Store]], Case]:
    """Return what makes the case of a configuration, once it is known how the store is opened.

    The files are looked at now, since who opens the store may become another user. Raises NotFound
    for an account or a server that is not there. `tokens` are the daemon's; without one a token is
    asked for anew, and kept nowhere: who looks may be another user.
    """
    for kind, names, known in (
        ("account", accounts, config.accounts), ("server", servers, config.servers)
    ):  # fmt: skip
        for name in names:
            if name not in known or not known[name].enabled:
                raise NotFound(f"there is no enabled {kind} {name!r}")
    found, user = files.measure(config), files.service_user(Path(config.daemon.state_dir))

    def make(open_store: Callable[[], Store]) -> Case:
        facts = Once(lambda: inspection.look(open_store()))
        return Case(
            config=config,
            file=file,
            environ=os.environ,
            user=user,
            files=found,
            daemon=daemon,
            silence=silence,
            store=facts,
            records=Once(lambda: records_of(open_store, facts)),
            accounts=account_cases(config, accounts, partial(_provider, config)),
            servers=server_cases(
                config, servers, partial(_engine, config), partial(_rights, config)
            ),
            tokens=token_cases(config, tokens or _own_tokens()),
            offline=offline,
        )

    return make


def token_cases(config: Config, tokens: Tokens) -> dict[str, Once[TokenFound]]:
    """Return the tokens that enabled jobs carry, by name."""
    names = [name for job in config.enabled_jobs().values() for name in job.enabled_tokens()]
    return {name: Once(partial(_found, config, name, tokens)) for name in dict.fromkeys(names)}


def _found(config: Config, name: str, tokens: Tokens) -> TokenFound:
    token = config.token(name)
    kept = tokens.known(name, token)
    limits = LoginLimits(
        Deadline.after(CALL_LIMIT), CancelSource().token, CALL_LIMIT, config.http.allow_hosts
    )
    lease = kept or tokens.lease(name, token, limits)
    left = lease.left(Clock())
    until = Clock().now() + timedelta(seconds=left)
    return TokenFound(left, f"{until:%Y-%m-%d %H:%M:%S} UTC", kept is not None)


def _own_tokens() -> Tokens:
    return assembly.open_tokens(None, b"", lambda *_: None)


def _provider(config: Config, name: str, observe: ApiObserver) -> Provider:
    """Return a provider of its own: that of the jobs may wait for its limits."""
    account = config.account(name)
    key_id = secrets.resolve(account.access_key_id).get_secret_value()
    access = assembly.access_of(name, account, key_id, CALL_LIMIT)
    return providers.build(access, HttpClient(account.proxy), patience=_PATIENCE, observe=observe)


def _engine(config: Config, name: str) -> Engine:
    return engines.build(assembly.server_access(name, config.server(name)))


def _rights(config: Config, name: str) -> Rights:
    return engines.rights(assembly.server_access(name, config.server(name)))
