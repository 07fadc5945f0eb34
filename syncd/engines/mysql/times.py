"""What lies before a value of a watermark's column."""

from datetime import MINYEAR, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

from syncd.engines.mysql.literals import shown
from syncd.errors import BadData
from syncd.model.table import Column

_NUMBERS: Final = ("integer", "decimal", "float")
_TIMES: Final = ("date", "timestamp", "instant")


def earlier(column: Column, value: bytes, lookback: str) -> bytes:
    """Return a value less a lookback: seconds of a column of times, else a number.

    Of a value that is no moment (a zero date) there is none before. Raises BadData for a column
    that has no order over time.
    """
    try:
        less = Decimal(lookback)
        if column.type.kind in _NUMBERS:
            return _plain(Decimal(value.decode()) - less)
        if column.type.kind in _TIMES:
            return _before(column, value, timedelta(seconds=float(less)))
    except (InvalidOperation, UnicodeDecodeError) as error:
        raise BadData(f"{column.name}: {shown(value)} less {lookback} is no number") from error
    raise BadData(f"{column.name}: {column.native} has no order over time")


def written(moment: datetime, *, day: bool = False) -> bytes:
    """Return a moment in the form of a timestamp, or of its day."""
    if day:
        return moment.date().isoformat().encode()
    text = moment.replace(tzinfo=None).isoformat(" ")
    return (text.rstrip("0") if "." in text else text).encode()


def _plain(number: Decimal) -> bytes:
    return format(number, "f").encode()


def _before(column: Column, value: bytes, less: timedelta) -> bytes:
    try:
        moment = datetime.fromisoformat(value.decode())
    except ValueError:
        return value
    try:
        moment -= less
    except OverflowError:
        moment = datetime(MINYEAR, 1, 1)  # noqa: DTZ001 - of no zone
    return written(moment, day=column.type.kind == "date")
