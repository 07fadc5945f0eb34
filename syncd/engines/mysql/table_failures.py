"""What errors of the server mean for those who copy: others are in the way, or a row is wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from syncd.engines.mysql.failures import code_of
from syncd.engines.tables import Busy, Refused
from syncd.errors import BadData, Conflict, SyncdError

_BUSY: Final = frozenset({1020, 1205, 1213, 1614, 3058, 3101, 3572})
"""A row that changed meanwhile, the time of a lock, deadlocks, a transaction that a cluster undoes,
a lock that is not waited for."""
_LOST: Final = 1412
"""The table was changed after the snapshot."""
_STRUCTURE: Final = frozenset(
    {
        *(1046, 1049, 1051, 1054, 1064, 1109, 1136, 1146, 1149),  # what is named is not there
        *(1100, 1137, 1305, 1356, 1412, 1470, 1475, 1548, 1665, 1783, 1785, 1787, 1932),
        *(1099, 1168, 1192, 1196, 1223, 1295, 1399, 1400, 1418, 1419, 1442, 1525),
        *(1288, 1348, 1394, 1395, 1443, 1471),  # no table that can be written
        *(1906, 3105),  # a column that is computed
        *(1290, 1792, 1836),  # a server that only reads
    }
)
"""Errors that every row would meet."""


@contextmanager
def busy_mapped() -> Iterator[None]:
    """Raise Busy for what is the fault of others."""
    try:
        yield
    except SyncdError as error:
        number = code_of(error.__cause__)
        if number in _BUSY and not isinstance(error, Busy):
            raise Busy(str(error)) from error.__cause__
        if number == _LOST:
            raise Conflict(f"the snapshot was lost: {error}") from error.__cause__
        raise


@contextmanager
def refusals_mapped() -> Iterator[None]:
    """Raise Refused for what rows are to blame for, Busy for what others are."""
    with busy_mapped():
        try:
            yield
        except BadData as error:
            number = code_of(error.__cause__)
            if number is None or number in _BUSY | _STRUCTURE or isinstance(error, Refused):
                raise
            raise Refused(str(error)) from error.__cause__
