"""Which rows of a listing differ from those that are known."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.errors import BadData
from syncd.model.diff import Comparison, Digest, Row, short_hash


@dataclass
class Thing:
    """An entry made of a few letters; disks None means that the listing did not tell them."""

    key: str
    compared: str = "c"
    disks: str | None = "d"
    carried: str = "x"
    noise: str = ""
    bad: bool = False
    looked: int = 0

    @property
    def seal(self):
        text = f"{self.compared}|{self.disks}|{self.carried}|{self.noise}|{self.bad}"
        return short_hash(text.encode())

    def row(self):
        self.looked += 1
        if self.bad:
            raise BadData(f"{self.key} is bad")
        disks = None if self.disks is None else short_hash(self.disks.encode(), 6)
        digest = Digest(
            short_hash(self.compared.encode()), disks, short_hash(self.carried.encode()), self.seal
        )
        return Row(self.key, {"compared": self.compared, "disks": self.disks}, digest)


def packed(*things):
    return {thing.key: thing.row().digest.pack() for thing in things}


def offer(comparison, *things):
    return [difference.row.key for difference in comparison.offer(things)]


def test_a_digest_packs_into_30_bytes():
    digest = Thing("a").row().digest
    assert len(digest.pack()) == 30
    assert digest.matches(digest.pack())


def test_a_short_hash_has_the_size_that_is_asked_for():
    assert len(short_hash(b"")) == 8
    assert len(short_hash(b"", 6)) == 6
    assert short_hash(b"a") != short_hash(b"b")


def test_a_new_thing_differs():
    comparison = Comparison({})
    assert offer(comparison, Thing("a")) == ["a"]
    assert (comparison.total, comparison.unchanged) == (1, 0)


def test_an_unchanged_thing_is_not_looked_into():
    comparison = Comparison(packed(Thing("a")))
    again = Thing("a")
    assert offer(comparison, again) == []
    assert (comparison.total, comparison.unchanged, again.looked) == (1, 1, 0)


def test_noise_in_the_raw_bytes_is_no_difference():
    comparison = Comparison(packed(Thing("a")))
    assert offer(comparison, Thing("a", noise="request 2")) == []
    assert comparison.unchanged == 1


@pytest.mark.parametrize("what", [{"compared": "C"}, {"disks": "D"}, {"carried": "X"}])
def test_each_part_of_the_digest_tells_a_difference(what):
    comparison = Comparison(packed(Thing("a")))
    assert offer(comparison, Thing("a", **what)) == ["a"]
    assert comparison.unchanged == 0


def test_an_optional_part_that_is_unknown_is_no_difference():
    comparison = Comparison(packed(Thing("a")))
    assert offer(comparison, Thing("a", disks=None)) == []
    assert comparison.unchanged == 1


def test_an_optional_part_that_is_unknown_stays_as_it_was():
    before = packed(Thing("a", disks="D"))["a"]
    (difference,) = Comparison({"a": before}).offer([Thing("a", compared="C", disks=None)])
    assert difference.digest[8:14] == before[8:14]
    assert difference.digest[:8] != before[:8]


def test_an_optional_part_that_never_was_known_differs_once_it_is():
    (first,) = Comparison({}).offer([Thing("a", disks=None)])
    assert first.digest[8:14] == bytes(6)
    assert offer(Comparison({"a": first.digest}), Thing("a", disks="D")) == ["a"]


def test_a_key_that_comes_twice_counts_once_and_the_first_time():
    comparison = Comparison(packed(Thing("a")))
    assert offer(comparison, Thing("b"), Thing("a"), Thing("b", compared="C"), Thing("a")) == ["b"]
    assert (comparison.total, comparison.unchanged) == (2, 1)


def test_what_is_bad_is_kept_aside_and_is_not_missing():
    comparison = Comparison(packed(Thing("a"), Thing("b")))
    assert offer(comparison, Thing("a", bad=True), Thing("c", bad=True)) == []
    assert [key for key, _ in comparison.bad] == ["a", "c"]
    assert comparison.unseen() == ["b"]
    assert sorted(comparison.seen(9)) == ["a", "c"]


def test_what_was_marked_and_is_listed_has_returned():
    comparison = Comparison(packed(Thing("a"), Thing("b")), frozenset({"a", "b"}))
    offer(comparison, Thing("a"))
    assert comparison.returned == ["a"]


def test_seen_gives_no_more_than_asked_for():
    comparison = Comparison(packed(*(Thing(key) for key in "abcdef")))
    assert comparison.seen(3) == []
    offer(comparison, *(Thing(key) for key in "abcde"))
    assert len(comparison.seen(3)) == 3
    assert set(comparison.seen(9)) == set("abcde")


THINGS = st.builds(
    Thing,
    key=st.sampled_from("abcdefgh"),
    compared=st.sampled_from("cC"),
    disks=st.sampled_from(["d", "D", None]),
    carried=st.sampled_from("xX"),
    noise=st.sampled_from(["", "n"]),
    bad=st.booleans(),
)


@given(
    st.lists(THINGS.filter(lambda thing: not thing.bad), unique_by=lambda thing: thing.key),
    st.lists(THINGS),
)
def test_what_is_offered_is_sorted_into_exactly_one_lot(standing, listed):
    before = {thing.key: thing for thing in standing}
    comparison = Comparison(packed(*standing))
    first = {}
    for thing in listed:
        first.setdefault(thing.key, thing)
    differing = set(offer(comparison, *listed))
    bad = {key for key, _ in comparison.bad}

    assert comparison.total == len(first)
    assert comparison.total == len(differing) + comparison.unchanged + len(bad)
    assert set(comparison.unseen()) == before.keys() - first.keys()
    for key, thing in first.items():
        old = before.get(key)
        same = old is not None and all(
            (
                thing.compared == old.compared,
                thing.carried == old.carried,
                thing.disks == old.disks or (thing.disks is None and not thing.bad),
            )
        )
        assert (key in bad) == thing.bad
        assert (key in differing) == (not same and not thing.bad)
