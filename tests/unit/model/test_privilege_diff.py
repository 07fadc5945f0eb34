"""What was granted and revoked between two readings, sets of tables taken apart."""

from dataclasses import dataclass, replace

import pytest
from fleet_accounts import named, table, tables
from hypothesis import example, given
from hypothesis import strategies as st

from syncd.model.privilege import Privilege, describe
from syncd.model.privilege_diff import difference

NAMES = "abcd"
WORDS = ("SELECT", "INSERT")


@dataclass(frozen=True)
class State:
    """The tables of a schema and, by (privilege, table), whether what is granted is grantable."""

    tables: frozenset[str]
    grants: dict[tuple[str, str], bool]

    def whole(self, word: str) -> bool | None:
        """Return whether all tables have the privilege in one way, and in which."""
        ways = {self.grants.get((word, name)) for name in self.tables}
        return ways.pop() if len(ways) == 1 and len(self.tables) > 1 else None

    def reading(self) -> list[Privilege]:
        """Return the privileges as an engine tells them."""
        sets = {word: way for word in WORDS if (way := self.whole(word)) is not None}
        return [tables(word, grantable=way) for word, way in sets.items()] + [
            table(name, word, grantable=way)
            for (word, name), way in self.grants.items()
            if word not in sets
        ]

    def objects(self):
        return named(*sorted(self.tables))


@st.composite
def states(draw):
    standing = draw(st.frozensets(st.sampled_from(NAMES)))
    ways = st.dictionaries(st.tuples(st.sampled_from(WORDS), st.sampled_from(NAMES)), st.booleans())
    grants = {key: way for key, way in draw(ways).items() if key[1] in standing}
    for word in draw(st.sets(st.sampled_from(WORDS))):
        grants |= {(word, name): False for name in standing}
    return State(standing, grants)


def naive(before, after):
    """Return what was granted and revoked, table by table."""
    granted, revoked = set(), set()
    for word in WORDS:
        had_all, has_all = before.whole(word), after.whole(word)
        if had_all is not None and had_all == has_all:
            continue
        for name in NAMES:
            had, has = before.grants.get((word, name)), after.grants.get((word, name))
            if had_all is not None and name not in after.tables:
                continue
            if has is not None and (had is None or has > had):
                granted.add(table(name, word, grantable=has, only_options=had is not None))
            elif had is not None and has is None:
                revoked.add(table(name, word, grantable=had))
            elif had is not None and had > has:
                revoked.add(table(name, word, grantable=True, only_options=True))
    return granted, revoked


def apart(privileges, names):
    """Return privileges with sets taken apart."""
    return {
        each
        for p in privileges
        for each in (
            [
                table(name, p.privilege, grantable=p.grantable, only_options=p.only_options)
                for name in names
            ]
            if p.on == "all_tables"
            else [p]
        )
    }


def told(before, after):
    return difference(before.reading(), after.reading(), before.objects(), after.objects())


@given(states(), states())
@example(State(frozenset("ab"), {}), State(frozenset("ab"), {("SELECT", c): True for c in "ab"}))
def test_it_is_what_a_comparison_table_by_table_finds(before, after):
    granted, revoked = told(before, after)
    both = before.tables & after.tables
    assert (apart(granted, after.tables), apart(revoked, both)) == naive(before, after)
    assert [*granted] == sorted(set(granted))
    assert [*revoked] == sorted(set(revoked))
    for privileges, names in ((granted, after.tables), (revoked, both)):
        for word in WORDS:
            for way in (False, True):
                alone = {table(name, word, grantable=way) for name in names}
                assert len(alone) < 2 or not alone <= set(privileges)


@given(states())
def test_nothing_changed_is_nothing(state):
    assert told(state, state) == ((), ())
    reading = state.reading()
    assert difference(reading, reading[::-1], state.objects(), state.objects()) == ((), ())


@given(states(), states())
def test_way_and_way_back_are_opposite_while_no_table_comes_or_goes(before, after):
    after = State(before.tables, {k: w for k, w in after.grants.items() if k[1] in before.tables})
    granted, revoked = told(before, after)
    assert told(after, before) == (revoked, granted)


def sql(*names, word="SELECT"):
    return [table(name, word) for name in names]


CASES = {
    "a new table in a set that both hold": (
        [tables()], [tables(), table("a", "INSERT")], "ab", "abc", sql("a", word="INSERT"), [],
    ),
    "a dropped table of a set that both hold": (
        [tables(), table("a", "INSERT")], [tables()], "abc", "ab", [], sql("a", word="INSERT"),
    ),
    "a new table breaks a set up": ([tables()], sql("a", "b"), "ab", "abc", [], []),
    "a new table makes a set": (sql("a"), [tables()], "a", "ab", sql("b"), []),
    "a dropped table makes a set": (sql("a", "b"), [tables()], "abc", "ab", [], []),
    "a dropped table leaves one of a set": ([tables()], sql("a"), "ab", "a", [], []),
    "one of a set is revoked": ([tables()], sql("b"), "ab", "ab", [], sql("a")),
    "a new table, and one is revoked": ([tables()], sql("b"), "ab", "abc", [], sql("a")),
    "a dropped table, and one is revoked": ([tables()], sql("b"), "abc", "bc", [], sql("c")),
    "a dropped table that was named": (sql("a"), [], "abc", "bc", [], sql("a")),
    "all of a set": ([tables()], [], "abc", "ab", [], [tables()]),
    "the last of a set": ([tables()], [], "ab", "a", [], sql("a")),
    "a dropped schema": ([tables()], [], "ab", "", [], []),
    "the missing one is granted": (sql("a", "b"), [tables()], "abc", "abc", sql("c"), []),
    "all are granted": ([], [tables()], "ab", "ab", [tables()], []),
    "a grant option": (
        [tables()], [tables(grantable=True)], "ab", "ab",
        [tables(grantable=True, only_options=True)], [],
    ),
    "the grant option of one": (
        [tables(grantable=True)], [table("a"), table("b", grantable=True)], "ab", "ab",
        [], [table("a", grantable=True, only_options=True)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_tables_that_come_and_go(case):
    before, after, stood, stand, granted, revoked = CASES[case]
    found = difference(before, after, named(*stood), named(*stand))
    assert found == (tuple(granted), tuple(revoked))


def member(*options, admin=False):
    return Privilege("role", ("dev",), "MEMBER", admin, options)


def test_options_of_a_membership_are_told_one_by_one():
    before, after = [member("inherit", admin=True)], [member("default", "set")]
    granted, revoked = difference(before, after, {}, {})
    assert granted == (replace(member("default", "set"), only_options=True),)
    assert revoked == (replace(member("inherit", admin=True), only_options=True),)
    assert difference([member("set")], [member("set", admin=True)], {}, {}) == (
        (replace(member(admin=True), only_options=True),), (),
    )  # fmt: skip


def test_a_lost_grant_option_is_not_told_as_a_lost_privilege():
    had = table("a", grantable=True)
    (option,), (whole,) = (
        difference([had], [table("a")], {}, {})[1],
        difference([had], [], {}, {})[1],
    )
    assert (option.document()["only_options"], "only_options" in whole.document()) == (True, False)
    assert Privilege.of(option.document()) == option
    assert describe(option) == "only grantable: SELECT on table shop.public.a"
    assert describe(whole) == "SELECT on table shop.public.a, grantable"


def test_grants_of_one_right_by_several_add_up():
    both = [table("a"), table("a", grantable=True)]
    assert difference(both, [table("a", grantable=True)], {}, {}) == ((), ())
    option = table("a", grantable=True, only_options=True)
    assert difference(both, [table("a")], {}, {}) == ((), (option,))


def test_options_of_one_membership_by_several_add_up():
    both = [member("inherit"), member("set")]
    assert difference(both, [member("inherit", "set")], {}, {}) == ((), ())
    for stays, goes in (("inherit", "set"), ("set", "inherit")):
        lost = replace(member(goes), only_options=True)
        assert difference(both, [member(stays)], {}, {}) == ((), (lost,))


def test_a_partial_revoke_takes_away():
    partial = Privilege("database", ("mysql",), "SELECT", restricts=True)
    assert difference([], [partial], {}, {}) == ((), (partial,))
    assert difference([partial], [], {}, {}) == ((partial,), ())


def test_a_set_of_which_the_tables_were_never_told_stays_one():
    assert difference([tables()], [], {}, {}) == ((), (tables(),))
    assert difference([], [tables()], {}, {}) == ((tables(),), ())


def test_objects_of_other_kinds_and_schemas_are_apart():
    objects = named("a", "b") | {("shop", "public", "sequence"): ("a", "b")}
    sequences = Privilege("all_sequences", ("shop", "public"), "SELECT")
    found = difference([tables(), sequences], [tables()], objects, objects)
    assert found == ((), (sequences,))


@pytest.mark.parametrize(
    ("privilege", "words"),
    [
        (
            Privilege("column", ("shop", "public", "orders", "price"), "SELECT", grantable=True),
            "SELECT on column shop.public.orders.price, grantable",
        ),
        (tables("INSERT"), "INSERT on all tables of shop.public"),
        (Privilege("server", (), "SUPER"), "SUPER on the server"),
        (member("set", admin=True), "member of dev, with admin option, set"),
        (
            Privilege("default_tables", ("shop", "ann", ""), "SELECT"),
            "SELECT on tables that ann makes in shop",
        ),
        (
            Privilege("default_types", ("shop", "ann", "s"), "USAGE"),
            "USAGE on types that ann makes in shop.s",
        ),
        (
            Privilege("database", ("shop\\_%",), "SELECT", restricts=True),
            "without SELECT on database shop\\_%",
        ),
        (table('a "b".c'), 'SELECT on table shop.public."a ""b"".c"'),
        (table(""), 'SELECT on table shop.public.""'),
        (Privilege("role", ("app@%",), "MEMBER"), "member of app@%"),
    ],
)
def test_a_privilege_in_words(privilege, words):
    assert describe(privilege) == describe(privilege.document()) == words
