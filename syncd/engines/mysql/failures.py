"""What the errors of MySQL, MariaDB and their driver mean, in one line and without a secret.

Numbers: https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html, the client's
https://dev.mysql.com/doc/mysql-errors/8.4/en/client-error-reference.html, and
https://mariadb.com/docs/server/reference/error-codes for those of MariaDB.
"""

import re
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pymysql

from syncd.engines.wire import Limit
from syncd.errors import (
    Authentication,
    BadData,
    Network,
    Permission,
    SyncdError,
    Throttled,
    TimedOut,
)

NO_SUCH_GRANT: Final = frozenset({1141, 1959, 3162, 3523})
"""The account, or the role, does not exist."""

_TEXT: Final = 300
_LOG_IN: Final = frozenset(
    {
        *(1045, 1251, 1275, 1524, 1698, 2059, 2061),  # password, plugin
        *(1129, 1130, 3159),  # from this host, unencrypted
        *(1820, 1862, 3118, 3955, 4151),  # expired, locked
    }
)
_DENIED: Final = frozenset({1044, 1095, 1142, 1143, 1227, 1370})
_TOO_MANY: Final = frozenset({1040, 1041, 1203, 1226})
_TIME: Final = frozenset({1205, 1969, 3024})  # of a lock, of a statement
_BROKEN: Final = frozenset(
    {
        *(1042, 1043, 1081, 1152, 1158, 1159, 1160, 1161, 1184, 4031),  # on the way
        *(1053, 1077, 1079, 3168),  # the server stops
        *(1317, 1927, 3169),  # somebody killed the statement, or the session
    }
)
_ROOM: Final = frozenset({1021, 1026, 1037, 1038, 1114, 1135})
"""No room on a disk, in memory, in a tablespace."""
_DISK_FULL: Final = re.compile(r"\b(28|122|27)\b")
"""In the text of error 1030, which gives the number of the system's: no space, quota, file size."""
_ENGINE: Final = 1030
_CLASSES: Final[tuple[tuple[frozenset[int], type[SyncdError]], ...]] = (
    (_LOG_IN, Authentication),
    (_DENIED, Permission),
    (_TOO_MANY, Throttled),
    (_TIME, TimedOut),
    (_BROKEN, Network),
)
_CLIENT: Final = range(2000, 3000)

# what the driver makes of an answer that is none of MySQL's
_GARBAGE: Final = (struct.error, LookupError, ValueError, AttributeError, TypeError, AssertionError)


@contextmanager
def errors_mapped(limit: Limit) -> Iterator[None]:
    """Raise what goes wrong in the block as an error of syncd, or what the run is stopped with."""
    try:
        yield
    except (pymysql.Error, OSError, RuntimeError, *_GARBAGE) as error:
        limit.cancel.check()
        if limit.over or isinstance(error, TimeoutError):
            raise TimedOut("the server gave no answer within the time limit") from error
        raise mapped(error) from error


def code_of(error: BaseException | None) -> int | None:
    """Return the number of an error of the server or the driver, None where it has none."""
    number = error.args[0] if isinstance(error, pymysql.Error) and error.args else None
    return number if isinstance(number, int) else None


def mapped(error: Exception) -> SyncdError:
    """Return an error of syncd for one of the driver or the socket."""
    if isinstance(error, RuntimeError):  # a package that PyMySQL wants for a plugin
        return Authentication(f"the log-in can't be made: {_line(str(error))}")
    if isinstance(error, pymysql.MySQLError):
        return _of_server(error)
    if isinstance(error, OSError):
        return Network(_line(_system_text(error)))
    return Network("what answers is no MySQL or MariaDB")


def _of_server(error: pymysql.MySQLError) -> SyncdError:
    number = code_of(error)
    cause = getattr(error, "original_exception", None)
    if isinstance(cause, OSError):
        return Network(_line(_system_text(cause)))
    text = _line(" ".join(str(part) for part in error.args[1:] or error.args))
    if number is None and "auth" in text:  # what PyMySQL says of plugins, without a number
        return Authentication(text)
    for numbers, kind in _CLASSES:
        if number in numbers:
            return kind(f"{text} ({number})")
    if number in _ROOM or (number == _ENGINE and _DISK_FULL.search(text)):
        return Network(f"the server has no room: {text} ({number})")
    if number is None or number < 1000 or number in _CLIENT:
        return Network(text or "the connection is closed")
    return BadData(f"{text} ({number})")


def _system_text(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS: {error.reason or error}"
    return error.strerror or str(error) or type(error).__name__


def _line(text: str) -> str:
    return " ".join(text.split())[:_TEXT]
