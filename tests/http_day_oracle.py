"""What the records of HTTP calls must say, told from the server's log alone."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

from api_server import ApiServer, Record

Row = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """A call of the store, and the requests of the log that are its own: it, and looks after it."""

    row: Row
    sent: Sequence[Record]
    looks: Sequence[Record]

    @property
    def last(self) -> Record:
        return (self.looks or self.sent)[-1]

    @property
    def well(self) -> bool:
        """Tell whether it has succeeded, by what the server answered last, and wholly."""
        if not self.sent:
            return False
        last = self.last
        if not (last.finished and last.status and 200 <= last.status < 300):
            return False
        said = json.loads(last.answer)
        done = said.get("state", "done") == "done"
        return said["code"] == 0 and done and said.get("data", {}).get("differences", 0) == 0


def tell(rows: Sequence[Row], log: Sequence[Record], prefix: str) -> list[Told]:
    """Find the requests of each call; fail where one belongs to none, or to two.

    Time stands still during an attempt, so that a call and its requests have one moment.
    """
    left = {record.number: record for record in log if record.path.startswith(prefix)}
    found = []
    for row in rows:
        sent = [each for each in left.values() if _is_of(row, each)]
        looks = [each for each in left.values() if _is_look_of(row, each)]
        found.append(Told(row, sent, looks))
        for each in (*sent, *looks):
            del left[each.number]
    assert list(left.values()) == [], "requests that no record tells of"
    return found


def _is_of(row: Row, record: Record) -> bool:
    if (record.method, record.path) != (row["method"], urlsplit(row["url"]).path):
        return False
    key = str(row["run_id"]) + (f"-{row['position']}" if row["position"] > 1 else "")
    return record.at == row["request_sent_at"] and record.key in (key, None)


def _is_look_of(row: Row, record: Record) -> bool:
    return bool(row["poll_url"]) and record.path == urlsplit(row["poll_url"]).path


def check_call(told: Told, *, down: bool) -> None:
    """Check one record; `down` tells that the server was not there at its moment."""
    row, sent = told.row, told.sent
    if not sent:
        assert down, row
        assert (row["outcome"], row["error_class"], row["status"]) == ("failed", "network", None), (
            row
        )
        return
    assert row["tries"] == len(sent), row
    assert row["polls"] == len(told.looks), row
    assert row["outcome"] == ("success" if told.well else "failed"), (row, told.last)
    assert (row["error_class"] is None) == told.well, row
    if told.last.finished:
        assert row["status"] == told.last.status, (row, told.last)
        assert json.loads(row["answer"]) == json.loads(told.last.answer)
    else:
        assert row["status"] is None, row
    for first, second in pairwise(sent):  # only what failed was sent again
        assert not (first.finished and first.status == 200), (first, second)


def check_run(run: Row, item: Row | None, calls: Sequence[Told], steps: int) -> None:
    """Check what is told of a run against its calls, each position's last attempt.

    One that was given up, since its token was held all the time, has none.
    """
    if run["status"] == "cancelled":
        assert (list(calls), item) == ([], None)
        assert "held" in run["error"]
        return
    last = {each.row["position"]: each for each in calls}
    well = len(last) == steps and all(each.well for each in last.values())
    assert run["status"] == ("success" if well else "failed"), run
    assert item is not None
    assert (item["target"], item["status"]) == ("calls", run["status"])
    positions = [each.row["position"] for each in calls]
    for position in set(positions):  # what had succeeded was not sent again
        wells = [each.well for each in calls if each.row["position"] == position]
        assert True not in wells[:-1]


def check_effects(api: ApiServer, calls: Sequence[Told]) -> None:
    """Check that each key took effect once at most, and where it succeeded, once."""
    keys: dict[str, int] = {}
    for record in api.log:
        if record.key:
            keys[record.key] = keys.get(record.key, 0) + record.effect
    assert set(keys.values()) <= {0, 1}
    for each in calls:
        if each.well and each.row["method"] == "POST":
            assert keys[each.sent[-1].key or ""] == 1
        if each.row["error_class"] == "bad_data":
            assert keys.get(each.sent[-1].key or "", 0) == 0


def dues(start: datetime, hours: int, minute: int) -> list[datetime]:
    """Return when an hourly job is due."""
    first = start.replace(minute=minute)
    return [first + timedelta(hours=hour) for hour in range(hours)]
