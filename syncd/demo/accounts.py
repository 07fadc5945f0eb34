"""What accounts of database servers gain and lose, as lines of the story."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from syncd.demo.line import Line, readable, shown
from syncd.model.privilege import describe_change

Row = dict[str, Any]

_NAMED: Final = 5  # changes of one kind that are told one by one
_LONGEST: Final = 120  # characters of a privilege


def account_lines(rows: Iterable[Row]) -> Iterator[Line]:
    """Tell the changes one by one, or as a number where a server has many of a kind."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["server"], row["change"]].append(row)
    for (server, change), group in groups.items():
        if len(group) > _NAMED:
            yield Line(change, f"{len(group)} accounts on {server}", _moment(group[0]))
            continue
        for row in group:
            yield from _of_account(row)


def _of_account(row: Row) -> Iterator[Line]:
    """Tell one change; of accounts that come and go not each of their privileges."""
    who, at = f"{readable(row['account'])} on {row['server']}", _moment(row)
    if row["change"] != "updated":
        yield Line(row["change"], f"account {who}", at)
        return
    for name, values in row["attributes_changed"].items():
        before, after = map(shown, values)
        yield Line("updated", f"{who}: {name.removeprefix('account.')} {before} → {after}", at)
    for what, side in (("granted", "to"), ("revoked", "from")):
        privileges = [readable(describe_change(each), _LONGEST) for each in row[what]]
        if len(privileges) > _NAMED:
            yield Line(what, f"{len(privileges)} privileges {side} {who}", at)
            continue
        for privilege in privileges:
            yield Line(what, f"{privilege} {side} {who}", at)


def _moment(row: Row) -> datetime:
    return datetime.fromisoformat(row["changed_at"])
