"""What is known of accounts of which not everything could be read."""

from dataclasses import replace

import pytest
from fleet_accounts import account, named, table, tables
from hypothesis import given
from hypothesis import strategies as st

from syncd.errors import Network
from syncd.model.account_merge import Hidden, merged, merged_objects
from syncd.model.db_account import AccountReading, Unread
from syncd.model.privilege import Privilege

DATABASES = ("shop", "books")
ACCOUNTS = ("app", "ops")
PRIVILEGES = [
    Privilege("server", (), "SUPER", grantable=True),
    Privilege("role", ("dev",), "MEMBER", options=("set",)),
    *(Privilege("database", (name,), "CONNECT") for name in DATABASES),
    *(tables(database=name) for name in DATABASES),
    *(table("a", "INSERT", database=name, grantable=True) for name in DATABASES),
    *(Privilege("sequence", (name, "public", "s"), "USAGE") for name in DATABASES),
]
ATTRIBUTES = ("plugin", "tls", "limits")


def unread():
    return st.builds(
        Unread,
        part=st.just("something"),
        error=st.just(Network("lost")),
        account=st.sampled_from([None, *ACCOUNTS]),
        database=st.sampled_from([None, *DATABASES]),
        on=st.sampled_from([None, "table", "sequence", "role", "server"]),
        attributes=st.lists(st.sampled_from(ATTRIBUTES), unique=True).map(tuple),
    )


def accounts(name):
    return st.builds(
        lambda held, told: account(
            name, *held, attributes=told, capabilities=("grant", "superuser")
        ),
        st.sets(st.sampled_from(PRIVILEGES)),
        st.dictionaries(st.sampled_from(ATTRIBUTES), st.integers(0, 3)),
    )


def is_hidden(parts, name, privilege):
    """Tell whether one of the parts hides a privilege; of a set that on its tables counts too."""
    alike = [privilege]
    if privilege.on == "all_tables":
        alike.append(replace(privilege, on="table"))
    return any(part.hides(name, each) for part in parts for each in alike)


@given(st.sampled_from(ACCOUNTS).flatmap(accounts), st.lists(unread(), max_size=3), st.data())
def test_what_a_gap_hides_of_an_unchanged_account_is_no_change(stored, parts, data):
    name = stored.account
    lost = {p for p in stored.privileges if is_hidden(parts, name, p) and data.draw(st.booleans())}
    hidden = {a for part in parts if part.concerns(name) for a in part.attributes}
    read = replace(
        stored,
        privileges=tuple(p for p in stored.privileges if p not in lost),
        attributes={a: v for a, v in stored.attributes.items() if a not in hidden},
    )
    found = merged(read, stored, Hidden(parts))
    assert found.privileges == stored.privileges
    assert found.attributes == stored.attributes


@given(accounts("app"), accounts("app"), st.lists(unread(), max_size=3))
def test_what_is_read_counts_and_what_is_hidden_stays(stored, read, parts):
    found = merged(read, stored, Hidden(parts))
    for privilege in PRIVILEGES:
        had, has = privilege in stored.privileges, privilege in read.privileges
        expected = has or (had and is_hidden(parts, "app", privilege))
        assert (privilege in found.privileges) == expected
    assert found.capabilities == ("grant", "superuser")
    assert found.privileges == tuple(sorted(found.privileges))


def test_nothing_unread_and_nothing_known_are_the_reading_itself():
    read = account("app", tables())
    gap = Unread("all", Network("lost"))
    assert merged(read, account("app"), Hidden(())) is read
    assert merged(read, None, Hidden([gap])) is read


@pytest.mark.parametrize("names", [set(), {"account.active"}, {"account.active", "account.kind"}])
def test_fields_of_an_account_stay_too_when_they_are_named(names):
    stored = account("app", active=False, kind="role", attributes={"ignored": True})
    gap = Unread("grants", Network("lost"), attributes=("ignored", *names))
    found = merged(account("app"), stored, Hidden([gap]))
    assert found.attributes == stored.attributes | {"connection_limit": -1}
    assert found.active == ("account.active" not in names)
    assert found.kind == ("role" if "account.kind" in names else "user")


def test_objects_of_what_could_not_be_read_stay():
    stored = named("a", "b") | named("x", database="books") | named("y", database="gone")
    reading = AccountReading("postgresql", (), objects=named("x", "z", database="books"))
    gap = Unread("database shop", Network("lost"), database="shop")
    found = merged_objects(reading, stored, Hidden([gap]))
    assert found == named("a", "b") | named("x", "z", database="books")
    of_one = Unread("grants of app", Network("lost"), account="app")
    assert merged_objects(reading, stored, Hidden([of_one])) == reading.objects


SUPER = Privilege("server", (), "SUPER")
ABLE = ("create_user", "grant", "locked", "superuser")


@pytest.mark.parametrize(
    ("held", "able", "database", "told"),
    [
        ([SUPER, table("a", grantable=True)], ABLE, None, ("create_user", "grant", "superuser")),
        ([SUPER], ABLE, None, ("create_user", "superuser")),
        ([SUPER, table("a", grantable=True)], (), None, ()),
        ([SUPER, table("a", grantable=True)], ABLE, "shop", ("grant",)),
        ([SUPER, table("a")], ABLE, "shop", ()),
        ([SUPER, table("a", grantable=True)], ABLE, "books", ()),
    ],
)
def test_capabilities_stay_that_come_of_what_is_hidden(held, able, database, told):
    stored, read = (
        account("app", *held, capabilities=able),
        account("app", capabilities=("system",)),
    )
    found = merged(read, stored, Hidden([Unread("some", Network("lost"), database=database)]))
    assert found.capabilities == tuple(sorted(("system", *told)))


def test_a_right_that_was_read_in_part_is_told_once():
    stored = account("app", table("a", "INSERT", grantable=True))
    read = account("app", table("a", "INSERT"), table("b"))
    found = merged(read, stored, Hidden([Unread("some", Network("lost"), database="shop")]))
    assert found.privileges == (table("a", "INSERT", grantable=True), table("b"))
