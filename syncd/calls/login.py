"""Sends the request that a token comes from."""

from collections.abc import Sequence
from dataclasses import dataclass

from syncd.calls.base import Answer
from syncd.calls.clients import Clients
from syncd.calls.compose import compose
from syncd.calls.exchange import Limits, exchange
from syncd.config.http import Token
from syncd.context import Clock
from syncd.http_call import Trace


@dataclass(frozen=True, slots=True)
class LoginLimits(Limits):
    """What bounds a login: beside the time, the hosts that [http] allows."""

    allow_hosts: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Login:
    """Sends logins, each over a connection of its own."""

    clients: Clients
    clock: Clock

    def __call__(self, token: Token, limits: LoginLimits) -> Answer:
        """Send the request once and return the answer, whatever its status.

        Raises as `compose` and `exchange`.
        """
        composed = compose(token.source, {}, key="", now=self.clock.now())
        return exchange(self.clients, composed, None, limits, limits.allow_hosts, Trace())
