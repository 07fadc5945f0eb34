"""Pages of many MiB that go undecoded, until a value comes of which somebody has to decide."""

import pytest
from exact_columns import Typed
from exact_world import MARIA, PG, World

from syncd.copies import pages
from syncd.engines.copy_text import PIECE

ROWS = 4_000
LONG = "x" * 2_000
"""A page has more than is read at once."""


@pytest.mark.parametrize("source", [PG, MARIA])
@pytest.mark.parametrize(
    "bad",
    ["x" * 2_500, "y" * 1_999 + "  ", "z" * 1_999 + " " * (12 * PIECE - 1_999)],
    ids=["too long", "last blanks", "blanks up to the end of a piece"],
)
def test_a_late_value_that_is_refused_is_put_aside_alone(
    servers: World, monkeypatch: pytest.MonkeyPatch, source: str, bad: str
) -> None:
    monkeypatch.setattr(pages, "_FIRST_ROWS", 50_000)
    rows = [{"c": LONG} for _ in range(ROWS)]
    rows[ROWS // 2] = {"c": bad}
    long = Typed("c", "text" if source == PG else "longtext", (), "")
    ours = servers.relation(source, "source", servers.fill(source, [long], rows))
    short = Typed("c", "varchar(2000)", (), "")
    theirs = servers.relation(PG, "target", servers.fill(PG, [short], [], "target"))
    done = servers.copy(ours, theirs, max_rejected=1)
    assert (done.copied.counts.added, done.copied.counts.errors) == (ROWS - 1, 1)
    assert len(done.rejected) == 1
    assert len(servers.read(theirs)) == ROWS - 1
