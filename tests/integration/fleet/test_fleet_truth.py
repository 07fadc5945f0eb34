"""After random rounds the store says what the servers' own functions and catalogues say.

SYNCD_TRUTH_SEED repeats a failing test: it prints the seed.
"""

import os
import time
from random import Random

import pytest
from facts import Fact, check_told, facts
from fleet_helpers import Fleet
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
    yield PgWorld(pg, rng)
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
