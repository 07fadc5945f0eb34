"""What the errors of Redis and its client mean, in one line and without a secret.

Words: https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors, and the server's
source (`shared.*err` of server.c); a cluster's are of its specification.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis import exceptions

from syncd.engines.wire import Limit
from syncd.errors import (
    Authentication,
    BadData,
    ConfigurationError,
    Network,
    Permission,
    SyncdError,
    Throttled,
    TimedOut,
)

CLUSTER: Final = "it is a node of a cluster, whose keys are spread over others: that is not read"
NO_REDIS: Final = "what answers is no Redis"
WRONG_TYPE: Final = "WRONGTYPE"

_TEXT: Final = 300
_CLASSES: Final[tuple[tuple[type[Exception], type[SyncdError]], ...]] = (
    (exceptions.AuthenticationError, Authentication),
    (exceptions.AuthenticationWrongNumberOfArgsError, Authentication),
    (exceptions.NoPermissionError, Permission),
    (exceptions.AuthorizationError, Permission),
    (exceptions.BusyLoadingError, Network),  # it starts
    (exceptions.MasterDownError, Network),
    (exceptions.OutOfMemoryError, Throttled),
    (exceptions.MaxConnectionsError, Throttled),
)
_CLUSTER: Final = (
    exceptions.MovedError,
    exceptions.AskError,
    exceptions.TryAgainError,
    exceptions.ClusterCrossSlotError,
    exceptions.ClusterDownError,
)
_FULL: Final = "max number of clients"
_BUSY: Final = "BUSY"  # a script runs
_DENIED: Final = ("NOAUTH", "DENIED")  # DENIED: protected mode takes nobody from elsewhere
_UNKNOWN: Final = "unknown command"
_INDEX: Final = ("DB index is out of range", "invalid DB index", "SELECT is not allowed")

# what the client makes of an answer that is none of Redis's
_GARBAGE: Final = (ValueError, LookupError, TypeError, AttributeError)


@contextmanager
def errors_mapped(limit: Limit) -> Iterator[None]:
    """Raise what goes wrong in the block as an error of syncd, or what the run is stopped with."""
    try:
        yield
    except (exceptions.RedisError, OSError, *_GARBAGE) as error:
        limit.cancel.check()
        late = isinstance(error, TimeoutError | exceptions.TimeoutError)
        if late or (limit.over and not isinstance(error, exceptions.ResponseError)):
            raise TimedOut("the server gave no answer within the time limit") from error
        raise mapped(error) from error


def mapped(error: Exception) -> SyncdError:
    """Return an error of syncd for one of the client or the socket."""
    text = _line(str(error))
    if isinstance(error, _CLUSTER):
        return ConfigurationError(CLUSTER)
    if _FULL in text:
        return Throttled(text)
    for kind, ours in _CLASSES:
        if isinstance(error, kind):
            return ours(text)
    if isinstance(error, exceptions.ResponseError):
        return _of_server(text)
    return Network(_broken(error) or text)


def _broken(error: Exception) -> str:
    """Return how a connection broke: by a socket's error, that the client may have put in words."""
    if isinstance(error, OSError):
        return _system_text(error)
    if not isinstance(error, exceptions.ConnectionError) or isinstance(
        error, exceptions.InvalidResponse
    ):
        return NO_REDIS
    cause = error.__context__
    return _system_text(cause) if isinstance(cause, OSError) else ""


def _of_server(text: str) -> SyncdError:
    if text.startswith(_BUSY):
        return Throttled(text)
    if text.startswith(_DENIED):
        return Authentication(text)
    if text.startswith(_INDEX):
        return ConfigurationError(f"the database can't be had: {text}")
    if _UNKNOWN in text:
        return Permission(f"a command is missing, or has another name there: {text}")
    return BadData(text)


def _system_text(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS: {error.reason or error}"
    return _line(error.strerror or str(error) or type(error).__name__)


def _line(text: str) -> str:
    return " ".join(text.split())[:_TEXT]
