"""Tokens for tests: of a real server, under a clock that the test moves."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api_server import ApiServer
from dispatch_helpers import HandClock
from structlog.testing import CapturingLogger

from syncd import assembly
from syncd.calls.base import Credential
from syncd.calls.clients import Clients
from syncd.calls.login import Login, LoginLimits
from syncd.calls.tokens import Tokens
from syncd.config.http import Token
from syncd.context import CancelSource, Clock, Deadline

SECONDS = 20.0
KEY = b"k" * 32


def no_tokens() -> Tokens:
    """Return the tokens of a configuration that has none."""
    return assembly.open_tokens(None, b"key", lambda *_: None)


def token_of(url: str, password: Any = "right", **keys: Any) -> Token:
    """Return a token of the login of an `ApiServer`."""
    body = (
        {"username": "svc", "password": {"file": str(password)}}
        if isinstance(password, Path)
        else {"username": "svc", "password": password}
    )
    return Token.model_validate({"login": {"url": f"{url}/login", "body": body}, **keys})


def limits(
    seconds: float = SECONDS, source: CancelSource | None = None, **rest: Any
) -> LoginLimits:
    return LoginLimits(
        Deadline.after(seconds), (source or CancelSource()).token, rest.pop("timeout", SECONDS)
    )


@dataclass
class TokenBench:
    """The tokens of one process, the calls that were counted, and what the log was told."""

    directory: Path | None
    clock: Clock = field(default_factory=HandClock)
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    fetch: Any = field(default_factory=lambda: Login(Clients(), Clock()))

    def __post_init__(self) -> None:
        self.heard = CapturingLogger()
        self.again()

    def again(self) -> "TokenBench":
        """Begin anew, as after a restart of the process."""

        def observe(provider: str, api: str, outcome: str, seconds: float) -> None:
            assert seconds >= 0
            self.calls.append((provider, api, outcome))

        self.tokens = Tokens(
            self.directory, KEY, self.fetch, observe, self.clock, self.heard,  # type: ignore[arg-type]
        )  # fmt: skip
        return self

    def get(self, token: Token, name: str = "iam", **rest: Any) -> str:
        return self.tokens.get(name, token, limits(**rest)).token

    def renew(self, token: Token, refused: str, name: str = "iam", **rest: Any) -> str:
        """Renew after a call was refused with a token."""
        carried = Credential(refused, token.header, refused)
        return self.tokens.renew(name, token, carried, limits(**rest)).token

    @property
    def outcomes(self) -> Sequence[str]:
        return [outcome for _, _, outcome in self.calls]

    @property
    def warnings(self) -> list[str]:
        return [str(each.args[0]) for each in self.heard.calls if each.method_name == "warning"]

    @property
    def file(self) -> Path:
        assert self.directory
        return self.directory / "iam.json"


__all__ = ["ApiServer", "TokenBench", "limits", "no_tokens", "token_of"]
