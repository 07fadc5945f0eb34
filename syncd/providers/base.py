"""What every provider offers; `registry.py` names those that exist."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from syncd.context import RunContext
from syncd.errors import Conflict, Network
from syncd.model.diff import Entry
from syncd.model.resource import ResourceType, Scope


class ListMoved(Conflict):
    """The list changed while it was read, so that a resource may have hidden between two pages."""


class RegionNotOpen(Network):
    """The account has not opened the region, or the cloud does not serve it: nothing to list."""


class ApiObserver(Protocol):
    """Hears of every call that was made, each try of its own: for metrics."""

    def __call__(self, api: str, outcome: str, seconds: float) -> None:
        """Take the API's name, `ok` or the class of the error, and how long the call took."""


@dataclass(frozen=True, slots=True)
class AccountAccess:
    """How one account is reached.

    `key_secret` is asked at every call, so that a changed secret counts at once. `endpoint` is one
    base URL for all APIs (`https://host`, plain http for loopback only); None means the cloud's
    own. `requests_per_second` is for each API and region; None means the provider's default.
    `api_timeout` is in seconds, for one try of a call.
    """

    name: str
    provider: str
    key_id: str
    key_secret: Callable[[], str]
    endpoint: str | None = None
    proxy: str | None = None
    requests_per_second: float | None = None
    api_timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a listing, and the count that the cloud claims for all of it, where it means it.

    `nameless` counts things that have no id: they can't be told apart, so a listing that holds one
    is no ground for a deletion.
    """

    entries: Sequence[Entry]
    total: int | None = None
    nameless: int = 0


@dataclass(frozen=True, slots=True)
class Probe:
    """How to find out whether the account may use an API action, without changing anything.

    `action` is named as in the cloud's policies. `ask` raises what a call raises, and returns False
    where the permission is missing, None where that can't be told. What lacks without an action
    that is not `needed` is in `without`.
    """

    action: str
    ask: Callable[[RunContext, str], bool | None]
    needed: bool = True
    without: str = ""


@dataclass(frozen=True, slots=True)
class Needs:
    """What an account needs for its resources: a host that answers, a clock, permissions.

    `signing_window` is by how many seconds the clocks may differ; `regions` the action that lists
    regions; `policy` writes the text that grants actions, as the cloud's console takes it.
    """

    endpoint: str
    signing_window: float
    regions: str
    probes: Sequence[Probe]
    policy: Callable[[Sequence[str]], str]


class Provider(Protocol):
    """A cloud, seen through one account.

    All calls raise the classes of `syncd.errors`; they retry network errors and throttling within
    the deadline of the run themselves, and end early when the run is cancelled.
    """

    def regions(self, ctx: RunContext) -> Sequence[str]:
        """Return the ids of the regions that the account can use."""

    def identity(self, ctx: RunContext) -> str | None:
        """Return the cloud's own id of the account; None where it can't be told."""

    def list(self, ctx: RunContext, scope: Scope, since: datetime | None) -> Iterator[Page]:
        """Yield the pages of one scope as they come.

        Raises ListMoved after the last page when the pages can't be the whole list, RegionNotOpen
        where there is nothing to list.
        """

    def lookup(
        self, ctx: RunContext, scope: Scope, ids: Sequence[str]
    ) -> Mapping[str, Entry | None]:
        """Look resources up by id, any number; None for those that the cloud does not know."""

    def can_list(self, ctx: RunContext, scope: Scope) -> bool | None:
        """Tell whether an empty answer of the scope is true.

        False: the account may not list it. None: it can't be told, and then nothing is deleted.
        """

    def needs(self, types: Sequence[ResourceType]) -> Needs:
        """Return what is needed to list resources of these types, and how to find out."""
