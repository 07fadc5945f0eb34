"""The one compare-and-apply step on a table of another shape than the resources'."""

import random
import time
from dataclasses import replace

import psycopg
import pytest
from reconcile_helpers import GRANTS, SCHEMA, Bench, Grant

from syncd.errors import StoreError
from syncd.store.reconcile import Reconcile, Write, Written, clear_stages

HOSTILE = [
    "o'brien",
    '"quoted"',
    "back\\slash\\n",
    "emoji 🚀 👩‍💻",
    "x" * 128,
    "  leading",
    "trailing  ",
    "100%_done %s %(x)s",
    "{braces} {0}",
    "tab\tand\nline\rfeed",
    "\\N",
    "\\.",
    "'; drop table syncd.run; --",
    "null",
    "é",
    "e\u0301",
    "שלום",
    "",
]


@pytest.fixture
def bench(migrated_dsn):
    with psycopg.connect(migrated_dsn) as connection:
        connection.execute(SCHEMA)
    made = Bench(migrated_dsn)
    made.store.open()
    yield made
    made.store.close()


def test_new_rows_are_added_with_a_change_that_holds_the_whole_row(bench):
    written = bench.listed(Grant("a"), Grant("b", owner="dev", limits={"cpu": 1}))
    assert written == Written(added=2, updated=0, restored=0, deleted=0, same=0)
    assert bench.living()["b"]["limits"] == {"cpu": 1}
    assert bench.living()["b"]["kind"] == "pg"
    assert sorted(bench.changes) == [
        ("added", "a", "ops", {"owner": "ops", "roles": ["read"], "level": 1, "limits": {}}),
        (
            "added",
            "b",
            "dev",
            {"owner": "dev", "roles": ["read"], "level": 1, "limits": {"cpu": 1}},
        ),
    ]


def test_a_change_names_the_columns_that_differ_with_both_values(bench):
    bench.listed(Grant("a", limits={"cpu": 1}), Grant("b"))
    first = bench.living()["a"]
    written = bench.listed(Grant("a", roles=(), level=None, limits={"cpu": 2}), Grant("b"))
    assert written == Written(added=0, updated=1, restored=0, deleted=0, same=0)
    assert bench.unchanged == 1
    fields = {
        "roles": [["read"], []],
        "level": [1, None],
        "limits": [{"cpu": 1}, {"cpu": 2}],
    }
    assert bench.changes == [("updated", "a", "ops", fields)]
    row = bench.living()["a"]
    assert (row["roles"], row["level"], row["limits"]) == ([], None, {"cpu": 2})
    assert row["first_seen_at"] == first["first_seen_at"]
    assert row["changed_at"] > first["changed_at"]


def test_what_is_unchanged_costs_no_write(bench):
    grants = [Grant(f"u{n}") for n in range(50)]
    bench.listed(*grants)
    before = bench.versions()
    written = bench.listed(*reversed(grants))
    assert written == Written(0, 0, 0, 0, 0)
    assert bench.unchanged == 50
    assert bench.versions() == before


def test_only_the_rows_that_changed_are_written(bench):
    grants = [Grant(f"u{n}") for n in range(50)]
    bench.listed(*grants)
    before = {row["login"]: row for row in bench.versions()}
    bench.listed(*grants[:-1], Grant("u49", level=2))
    after = {row["login"]: row for row in bench.versions()}
    assert {key for key in before if before[key] != after[key]} == {"u49"}


def test_what_is_only_carried_is_refreshed_without_a_change(bench):
    bench.listed(Grant("a"))
    before = bench.living()["a"]
    written = bench.listed(Grant("a", raw=b'{"new": "\\u00e9"}'))
    assert written == Written(added=0, updated=0, restored=0, deleted=0, same=1)
    assert bench.changes == []
    row = bench.living()["a"]
    assert row["raw"] == {"new": "é"}
    assert row["changed_at"] == before["changed_at"]
    assert bench.listed(Grant("a", raw=b'{"new": "\\u00e9"}')).same == 0


def test_an_unknown_optional_column_keeps_its_value(bench):
    bench.listed(Grant("a", limits={"cpu": 1}))
    before = bench.versions()
    assert bench.listed(Grant("a", limits=None)) == Written(0, 0, 0, 0, 0)
    assert bench.versions() == before
    bench.listed(Grant("a", limits=None, level=2))
    assert bench.changes == [("updated", "a", "ops", {"level": [1, 2]})]
    assert bench.living()["a"]["limits"] == {"cpu": 1}
    before = bench.versions()
    assert bench.listed(Grant("a", limits={"cpu": 1}, level=2)) == Written(0, 0, 0, 0, 0)
    assert bench.versions() == before


def test_an_optional_column_that_never_was_known_is_filled_once_it_is(bench):
    bench.listed(Grant("a", limits=None))
    assert bench.living()["a"]["limits"] is None
    assert bench.listed(Grant("a", limits={})).updated == 1
    assert bench.changes == [("updated", "a", "ops", {"limits": [None, {}]})]
    assert bench.listed(Grant("a", limits={})) == Written(0, 0, 0, 0, 0)


def test_a_digest_of_another_version_is_no_change(bench):
    bench.listed(Grant("a"))
    with psycopg.connect(bench.dsn) as connection:
        connection.execute("""update syncd."grant of" set digest = '\\x00'""")
    assert bench.listed(Grant("a")) == Written(0, 0, 0, 0, same=1)
    assert bench.changes == []
    assert bench.listed(Grant("a")) == Written(0, 0, 0, 0, 0)


def test_what_is_deleted_stays_as_a_row_with_a_change(bench):
    bench.listed(Grant("a"), Grant("b"))
    written = bench.listed(Grant("a"), delete=["b"])
    assert written == Written(added=0, updated=0, restored=0, deleted=1, same=0)
    whole = {"owner": "ops", "roles": ["read"], "level": 1, "limits": {}}
    assert bench.changes == [("deleted", "b", "ops", whole)]
    assert list(bench.living()) == ["a"]
    (row,) = bench.rows("""select * from syncd."grant of" where login = 'b'""")
    assert row["deleted_at"] == row["changed_at"] == row["missing_since"]
    assert bench.listed(Grant("a"), delete=["b", "never"]).deleted == 0


def test_what_comes_back_is_restored_and_keeps_its_first_sighting(bench):
    bench.listed(Grant("a", limits={"cpu": 1}))
    (first,) = bench.rows('select first_seen_at from syncd."grant of"')
    bench.listed(delete=["a"])
    written = bench.listed(Grant("a", owner="dev", limits=None))
    assert written == Written(added=0, updated=0, restored=1, deleted=0, same=0)
    assert bench.changes == [("restored", "a", "dev", {"owner": ["ops", "dev"]})]
    row = bench.living()["a"]
    assert row["first_seen_at"] == first["first_seen_at"]
    assert (row["missing_since"], row["missing_runs"]) == (None, 0)
    assert row["limits"] == {"cpu": 1}
    assert bench.listed(Grant("a", owner="dev", limits={"cpu": 1})).updated == 0


def test_what_comes_back_as_it_went_is_restored_too(bench):
    bench.listed(Grant("a"))
    bench.listed(delete=["a"])
    assert bench.listed(Grant("a")).restored == 1
    assert bench.changes == [("restored", "a", "ops", {})]


def test_marks_count_the_runs_and_keep_the_first_moment(bench):
    bench.listed(Grant("a"), Grant("b"))
    bench.listed(Grant("a"), mark=["b"])
    (first,) = bench.rows("""select * from syncd."grant of" where login = 'b'""")
    bench.listed(Grant("a"), mark=["b"])
    (second,) = bench.rows("""select * from syncd."grant of" where login = 'b'""")
    assert (first["missing_runs"], second["missing_runs"]) == (1, 2)
    assert first["missing_since"] == second["missing_since"]
    _, standing = bench.open()
    assert {key: m.runs for key, m in standing.missing.items()} == {"b": 2}
    assert standing.missing["b"].since == first["missing_since"]


@pytest.mark.parametrize("changed", [{}, {"level": 5}])
def test_what_was_marked_and_is_found_is_unmarked(bench, changed):
    bench.listed(Grant("a"))
    bench.listed(mark=["a"])
    written = bench.listed(Grant("a", **changed))
    assert written.updated == len(changed)
    row = bench.living()["a"]
    assert (row["missing_since"], row["missing_runs"]) == (None, 0)


def test_hostile_texts_come_through_as_they_are(bench):
    grants = [Grant(text, owner=text, roles=(text,), limits={text: text}) for text in HOSTILE]
    assert bench.listed(*grants).added == len(HOSTILE)
    rows = bench.living()
    assert set(rows) == set(HOSTILE)
    for text in HOSTILE:
        row = rows[text]
        assert (row["owner"], row["roles"], row["limits"]) == (text, [text], {text: text})
    before = bench.versions()
    assert bench.listed(*grants) == Written(0, 0, 0, 0, 0)
    assert bench.versions() == before
    bench.listed(mark=HOSTILE)
    assert bench.listed(*grants, server="db1") == Written(0, 0, 0, 0, 0)
    assert bench.listed(delete=HOSTILE).deleted == len(HOSTILE)


@pytest.mark.parametrize("page", [1, 3, 7, 100])
def test_rows_that_the_store_refuses_do_not_take_others_with_them(bench, page):
    good = [Grant(f"good{n}") for n in range(20)]
    bad = [
        Grant("nul", owner="a\0b"),
        Grant("surrogate", owner="a\ud800"),
        Grant("big", level=2**40),
        Grant("document", raw=b'{"a": "\\u0000"}'),
        Grant("number", raw=b'{"a": 1e400000}'),
        Grant("broken", raw=b'{"a": '),
        Grant("key\0"),
        Grant(random.Random(1).randbytes(4000).hex()),
    ]
    mixed = good[:5] + bad[:2] + good[5:12] + bad[2:] + good[12:]
    written = bench.listed(*mixed, page=page)
    assert written == Written(added=20, updated=0, restored=0, deleted=0, same=0)
    assert set(bench.living()) == {grant.key for grant in good}
    assert sorted(bench.bad) == sorted(grant.key for grant in bad)
    assert bench.unseen == []


def test_a_standing_row_that_turns_bad_stays_as_it_was(bench):
    bench.listed(Grant("a"))
    before = bench.versions()
    assert bench.listed(Grant("a", owner="a\0b")) == Written(0, 0, 0, 0, 0)
    assert (bench.bad, bench.unseen) == (["a"], [])
    assert bench.versions() == before


def test_a_key_that_is_listed_twice_is_taken_once(bench):
    assert bench.listed(Grant("a"), Grant("a", level=2), page=1).added == 1
    assert bench.living()["a"]["level"] == 1


def test_scopes_do_not_touch_each_other(bench):
    bench.listed(Grant("a"), server="db1")
    bench.listed(Grant("a", level=2), server="db2")
    bench.listed(Grant("a", level=3), server="db2", mark=["a"])
    bench.listed(server="db2", delete=["a"])
    (row,) = bench.rows("""select * from syncd."grant of" where server = 'db1'""")
    assert (row["level"], row["deleted_at"], row["missing_since"]) == (1, None, None)


def test_two_listings_under_way_do_not_mix_what_they_stage(bench):
    one, first = bench.open("db1")
    two, second = bench.open("db2")
    one.stage(bench.ctx, list(first.comparison.offer([Grant("a")])))
    two.stage(bench.ctx, list(second.comparison.offer([Grant("b"), Grant("c")])))
    with bench.store.transaction() as tx:
        assert one.apply(tx, Write(bench.ctx.run_id, {"kind": "pg"})).added == 1
    assert bench.apply(two).added == 2
    servers = {row["login"]: row["server"] for row in bench.rows('select * from syncd."grant of"')}
    assert servers == {"a": "db1", "b": "db2", "c": "db2"}


def test_what_is_discarded_leaves_nothing(bench):
    reconcile, standing = bench.open()
    reconcile.stage(bench.ctx, list(standing.comparison.offer([Grant("a"), Grant("b")])))
    assert len(bench.rows('select 1 from syncd."grant stage"')) == 2
    reconcile.discard()
    assert bench.rows('select 1 from syncd."grant stage"') == []
    assert bench.living() == {}


def test_staged_rows_that_were_lost_are_an_error_and_nothing_is_written(bench):
    bench.listed(Grant("old"))
    reconcile, standing = bench.open()
    reconcile.stage(bench.ctx, list(standing.comparison.offer([Grant("a"), Grant("old")])))
    with bench.store.transaction() as tx:
        clear_stages(tx, [GRANTS])  # as a crash of the server does to an unlogged table
    with pytest.raises(StoreError, match="1 of 1 staged rows were lost"):
        bench.apply(reconcile, delete=["old"])
    assert list(bench.living()) == ["old"]


def test_a_stage_in_use_is_not_waited_for_to_be_cleared(bench):
    reconcile, standing = bench.open()
    with bench.store.transaction() as frozen:
        reconcile._copy(frozen, standing.comparison.offer([Grant("a")]))
        with (
            pytest.raises(StoreError, match="could not obtain lock"),
            bench.store.transaction(limit=5) as tx,
        ):
            clear_stages(tx, [GRANTS])


def test_an_apply_that_is_rolled_back_leaves_what_was_staged_to_be_discarded(bench):
    reconcile, standing = bench.open()
    reconcile.stage(bench.ctx, list(standing.comparison.offer([Grant("a")])))
    with bench.store.transaction(rehearse=True) as tx:
        assert reconcile.apply(tx, Write(bench.ctx.run_id, {"kind": "pg"})).added == 1
    assert bench.living() == {}
    reconcile.discard()
    assert bench.rows('select 1 from syncd."grant stage"') == []


def test_changes_can_be_limited_and_are_in_order(bench):
    bench.listed(*(Grant(f"u{n}") for n in range(5)))
    reconcile = Reconcile(bench.store, GRANTS, {"server": "db1"})
    with bench.store.transaction() as tx:
        assert len(reconcile.changes(tx, bench.run_id, 3)) == 3
        assert reconcile.changes(tx, bench.run_id, None)[:3] == reconcile.changes(
            tx, bench.run_id, 3
        )


def test_ten_thousand_rows_are_quick(bench):
    grants = [Grant(f"user-{n:05}", limits={"cpu": n}) for n in range(10_000)]
    started = time.monotonic()
    assert bench.listed(*grants).added == 10_000
    changed = [replace(g, level=9) if n % 100 == 0 else g for n, g in enumerate(grants)]
    assert bench.listed(*changed[:-500]).updated == 95
    assert bench.listed(*changed[:-500], delete=bench.unseen).deleted == 500
    assert time.monotonic() - started < 20  # about 1.5 s on two cores of 2020
