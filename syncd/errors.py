"""What to do about an error is in its class; the library's exception is chained to it.

The classes are the rows of the attempts table of the documentation: each names the `error_class`
that the records hold and says whether a later attempt may succeed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Final, Literal, TypeVar

ErrorClass = Literal[
    "network", "throttled", "authentication", "permission", "bad_data", "timeout", "guard",
    "interrupted", "conflict", "outcome_unknown", "configuration", "store", "internal",
]  # fmt: skip

TEXT_LIMIT: Final = 2_000
E = TypeVar("E", bound="SyncdError")


class SyncdError(Exception):
    """The base of all errors that syncd raises itself; unexpected ones count as `internal`."""

    error_class: ClassVar[ErrorClass] = "internal"
    retryable: bool = True
    """Whether a later attempt may succeed; `final` denies it of a single error."""
    placed: bool = False
    """Whether it says of what place it is, or is raised where it is of none: see `told_where`."""


class Network(SyncdError):
    """A connection failed, broke, or the other side answered with a server error."""

    error_class = "network"


class Throttled(SyncdError):
    """The other side asks for patience; `retry_after` is in seconds, None when it did not say."""

    error_class = "throttled"

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Authentication(SyncdError):
    """The credentials are refused: nothing of this account, or with this token, can succeed.

    `holder` names what is not to be tried again, where that is not the account of the item.
    """

    error_class = "authentication"
    retryable = False

    def __init__(self, message: str = "", holder: str | None = None) -> None:
        super().__init__(message)
        self.holder = holder


class Permission(SyncdError):
    """The credentials are good but may not do this: the scope fails, others go on."""

    error_class = "permission"
    retryable = False


class BadData(SyncdError):
    """An answer, or one resource in it, is not what its documentation says."""

    error_class: ClassVar[ErrorClass] = "bad_data"


class TimedOut(SyncdError):
    """A time limit passed."""

    error_class = "timeout"


class Guarded(SyncdError):
    """Going on would have broken a safety rule; a person has to look."""

    error_class = "guard"
    retryable = False


class Interrupted(SyncdError):
    """The daemon stopped or died under the work, which may be taken up again."""

    error_class = "interrupted"


class Cancelled(Interrupted):
    """Somebody cancelled the run: it ends, and is not taken up again."""

    retryable = False


class Preempted(Interrupted):
    """An urgent run needed what this one held; it is put back, at no cost of an attempt."""


class Conflict(SyncdError):
    """Two facts contradict each other: a list that moves, a record that is not ours any more."""

    error_class = "conflict"


class Fenced(Conflict):
    """The run belongs to another owner, epoch or attempt now: what is left of this one is void."""

    retryable = False


class OutcomeUnknown(SyncdError):
    """What was sent may have taken effect, and nobody told; sending it again might do it twice."""

    error_class = "outcome_unknown"
    retryable = False


class Unexpected(SyncdError):
    """An answer came, and is not what was asked for; asking again would be answered the same."""

    error_class = "bad_data"
    retryable = False


class ConfigurationError(SyncdError):
    """The configuration can't be used; the message names the place."""

    error_class = "configuration"
    retryable = False


class StoreError(SyncdError):
    """Our own store can't be reached or refused a statement."""

    error_class = "store"


class NotFound(SyncdError):
    """A thing that was named does not exist."""

    retryable = False


class BadRequest(SyncdError):
    """What was asked of the control socket can't be understood; the message says what can be."""

    retryable = False


class Unreachable(Network):
    """Nobody answers on the control socket."""


def error_class(error: BaseException) -> ErrorClass:
    """Return the class under which an error is recorded."""
    return error.error_class if isinstance(error, SyncdError) else "internal"


def retryable(error: BaseException) -> bool:
    """Tell whether a later attempt may succeed; an unexpected error is given its chances."""
    return error.retryable if isinstance(error, SyncdError) else True


def final(error: E) -> E:
    """Return an error after which nothing is tried again, whatever its class says."""
    error.retryable = False
    return error


def retry_after(error: BaseException) -> float:
    """Return the seconds that the other side asked to wait; 0 where it asked for none."""
    return (error.retry_after or 0.0) if isinstance(error, Throttled) else 0.0


def retryable_classes() -> list[ErrorClass]:
    """Return the error classes of which an item is tried again."""
    kinds: list[type[SyncdError]] = [SyncdError, *SyncdError.__subclasses__()]
    return sorted({kind.error_class for kind in kinds if kind.retryable})


@contextmanager
def told_where(place: str) -> Iterator[None]:
    """Put a place before what an error of the other side says in the block, unless it is there.

    What stops the work is of no place, and may be raised elsewhere at the same time.
    """
    try:
        yield
    except (Network, Throttled, Authentication, Permission, BadData, TimedOut) as error:
        if place and not error.placed:
            error.placed = True
            if not str(error).startswith(place):
                error.args = (f"{place}: {error}", *error.args[1:])
        raise


def describe(error: BaseException) -> str:
    """Return the text of an error for the records: one class name at most, cut at 2,000 characters.

    What PostgreSQL's text refuses is replaced.
    """
    text = str(error) or type(error).__name__
    if not isinstance(error, SyncdError):
        text = f"{type(error).__name__}: {text}"
    return storable(text)[:TEXT_LIMIT]


def storable(text: str) -> str:
    """Return a text as PostgreSQL takes it: NUL and lone surrogates are replaced."""
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text.encode("utf-8", "replace").decode("utf-8")
