"""After random rounds the store says what the servers' own functions and catalogues say.

SYNCD_TRUTH_SEED repeats a failing test: it prints the seed.
"""

import os
import time
from random import Random

import pytest
from facts import Fact, check_told, facts
from facts import Path as Name
from fleet_helpers import Fleet
from my_world import DATABASES as DATABASES_OF_MARIADB
from my_world import TABLES, Held, MyWorld, quoted
from pg_world import DATABASES, FLAGS, PUBLIC, ROLES, SCHEMAS, PgWorld, effective

ROUNDS = 12
STEPS = 12


@pytest.fixture
def rng() -> Random:
    seed = int(os.environ.get("SYNCD_TRUTH_SEED", "") or time.time_ns() % 1_000_000)
    print(f"SYNCD_TRUTH_SEED={seed}")
    return Random(seed)


@pytest.fixture
def pg_world(pg, rng):
    """Give two databases, with roles that may have privileges in them."""
    made = PgWorld(pg, rng)
    yield made
    made.close()
    present = {name for (name,) in pg.rows("select rolname from pg_roles")}
    pg.execute(*(f'drop database "{name}"' for name in DATABASES))
    for role in present.intersection(ROLES):
        pg.execute('drop role "{}"'.format(role.replace('"', '""')))


def test_roles_and_their_changes_are_those_of_postgresql(fleet, pg, pg_world, rng):
    fleet.configure({"pg": pg.table()})
    for number in range(ROUNDS):
        print(f"round {number}")
        before = pg_world.begin()
        flags = {role: set(words) for role, words in pg_world.flags.items()}
        for _ in range(1 if number % 3 else STEPS):
            print("  ", pg_world.step())
        result = fleet.run()
        assert (result.run["status"], result.counts["errors"]) == ("success", 0)
        compare_roles(fleet, pg_world)
        if number:
            compare_changes(fleet, pg_world, result.run["id"], before, flags)
        again = fleet.run()
        assert (again.counts["updated"], again.counts["added"], again.counts["deleted"]) == (
            0,
            0,
            0,
        )


def compare_roles(fleet: Fleet, world: PgWorld) -> None:
    """Compare what stands in the store with what the server answers."""
    rows = fleet.accounts("pg")
    assert {name for name in rows if name in ROLES} == set(world.flags)
    ours = {name: rows[name] for name in (*world.flags, PUBLIC)}
    held = {name: facts(row["privileges"], world.members) for name, row in ours.items()}
    within = {
        name: {f for f in each if f.on == "role" or f.name[0] in DATABASES}
        for name, each in held.items()
    }
    told = {(role, fact) for role, fact in effective(ours, within) if in_schema(fact)}
    assert told == world.answers()
    for role, words in world.flags.items():
        attributes = ours[role]["attributes"]
        assert {flag for flag in FLAGS if attributes[flag.lower()]} == words
        members = world.server.rows(
            """select r.rolname from pg_roles r
               where r.rolname <> %s and pg_has_role(%s, r.oid, 'member')
                 and not r.rolsuper""",
            role, role,
        )  # fmt: skip
        assert {name for (name,) in members} == set(attributes["effective_roles"])


def in_schema(fact: Fact) -> bool:
    """Tell whether a fact is of one of the schemas that are asked for."""
    return fact.on == "database" or fact.name[1] in SCHEMAS


def compare_changes(fleet: Fleet, world: PgWorld, run_id, before, flags) -> None:
    """Compare the changes of a run with what was done since the one before."""
    changes = {
        account: row
        for (_, account), row in fleet.changes(run_id).items()
        if account in before or account in world.held
    }
    for role in before.keys() | world.held.keys():
        had, has = before.get(role, set()), world.held.get(role, set())
        row = changes.pop(role, None)
        if row is None:
            granted = revoked = set()
            assert role in before
            assert role in world.held
            assert flags.get(role) == world.flags.get(role)
        else:
            granted = facts(row["granted"], world.members)
            revoked = facts(row["revoked"], world.members)
            kinds = {(False, True): "added", (True, False): "deleted", (True, True): "updated"}
            kind = kinds[role in before, role in world.held]
            assert row["change"] == kind or (row["change"], kind) == ("restored", "added")
            assert bool(row["attributes_changed"]) >= (flags.get(role) != world.flags.get(role))
        check_told(granted, has, had, world.touched)
        check_told(revoked, had, has, world.touched)
    assert changes == {}


def test_sizes_are_those_of_postgresql(fleet, pg, pg_world):
    fleet.configure({"pg": pg.table()})
    for number in range(3):
        pg.execute(
            f"""create table public.filler{number} as
                select repeat('x', 90) from generate_series(1, {number}000)""",
            "checkpoint",
            database=DATABASES[number % 2],
        )
        for _ in range(5):  # a server may write by itself between the two looks
            truth = pg_world.databases()
            assert fleet.run("sizes").run["status"] == "success"
            if pg_world.databases() == truth:
                break
        assert fleet.sizes("pg") == truth
        (server,) = fleet.rows("select size_bytes, database_count from syncd.server_size")
        assert server == {"size_bytes": sum(truth.values()), "database_count": len(truth)}


@pytest.fixture
def my_world(my, rng):
    """Give three databases, with users and roles that may have privileges in them."""
    made = MyWorld(my, rng)
    yield made
    made.put_away()


def test_accounts_and_their_changes_are_those_of_mariadb(fleet, my, my_world, rng):
    fleet.configure({"my": my.table()})
    before: Held = {}
    for number in range(ROUNDS):
        print(f"round {number}")
        known = {my_world.name(who) for who in (*my_world.users, *my_world.roles)}
        locked = {my_world.name(who) for who in my_world.locked}
        for _ in range(1 if number % 3 else STEPS):
            print("  ", my_world.step())
        result = fleet.run()
        assert (result.run["status"], result.counts["errors"]) == ("success", 0)
        after = my_world.catalogue()
        compare_accounts(fleet, my_world, after)
        if number:
            moved = locked ^ {my_world.name(who) for who in my_world.locked}
            compare_told(fleet, my_world, result.run["id"], before, after, known, moved)
        again = fleet.run()
        assert again.counts["unchanged"] == again.counts["total"]
        before = after


def compare_accounts(fleet: Fleet, world: MyWorld, truth: Held) -> None:
    """Compare what stands in the store with the server's tables."""
    rows = fleet.accounts("my")
    listed = {f"{user}@{host}" if host else user for user, host in world._listed()}
    assert rows.keys() == listed
    for name, row in rows.items():
        if row["attributes"].get("ignored"):  # of a host that is a name, which it does not resolve
            continue
        held = world.expanded(facts(row["privileges"], no_sets))
        assert {f for f in held if f.flag in ("", "grantable")} == truth.get(name, set()), name
    locked = {name for name, row in rows.items() if row["attributes"].get("locked")}
    assert locked >= {world.name(who) for who in world.locked}
    assert not locked & {world.name(who) for who in world.users - world.locked}


def no_sets(kind: str, schema: Name) -> list[str]:
    """Return the objects of a set, of which this engine has none."""
    raise AssertionError((kind, schema))


def compare_told(fleet: Fleet, world: MyWorld, run_id, before, after, known, moved) -> None:
    """Compare the changes of a run with what the tables showed before it and after."""
    changes = {account: row for (_, account), row in fleet.changes(run_id).items()}
    living = {world.name(who) for who in (*world.users, *world.roles)}
    for name in known | living | before.keys() | after.keys():
        had, has = before.get(name, set()), after.get(name, set())
        row = changes.pop(name, {"granted": [], "revoked": [], "attributes_changed": {}})
        granted = world.expanded(facts(row["granted"], no_sets))
        revoked = world.expanded(facts(row["revoked"], no_sets))
        if name in moved | (known ^ living):
            assert "change" in row, name
        assert granted - had == has - had
        assert revoked - has == had - has
        assert granted <= has
        assert revoked <= had
    assert changes == {}


def test_sizes_are_those_of_the_files_of_mariadb(fleet, my, my_world):
    fleet.configure({"my": my.table()})
    for number, database in enumerate(DATABASES_OF_MARIADB):
        for table in TABLES:
            place = f"{quoted(database)}.{quoted(table)}"
            rows = f"select seq, seq from {quoted(database)}.seq_1_to_{1 + number}0000"
            my.execute(f"insert into {place} {rows}", f"flush tables {place}")
        assert fleet.run("sizes").run["status"] == "success"
        sizes = fleet.sizes("my")
        assert {name: sizes[name] for name in DATABASES_OF_MARIADB} == my_world.files()
    listed = {name for (name,) in my.rows("show databases")}
    assert sizes.keys() == listed
