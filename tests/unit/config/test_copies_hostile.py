"""Whatever stands in the tables of copies and checks is taken, or told with its place."""

import pickle
from pathlib import Path

from hypothesis import event, given, settings
from hypothesis import strategies as st

from syncd.config.consistency_check import Side
from syncd.config.copy_rules import check_rules, copy_rules
from syncd.config.files import FileSet
from syncd.config.jobs import KINDS
from syncd.config.load import validate
from syncd.config.problems import ConfigInvalid
from syncd.config.schema_paths import keys_of
from syncd.config.table_copy import CopySource, CopyTarget, PerTable

MODELS = (KINDS["table_copy"], KINDS["consistency_check"], CopySource, CopyTarget, PerTable, Side)
KEYS = sorted({key for model in MODELS for key in keys_of(model)} | {"a", "x" * 70, "😀", ""})
WORDS = [
    "", "a", "b", "my", "pg", "cache", "copy", "checked", "full", "incremental", "hash", "null",
    "text", "select 1", "stock:{a}", "{a}{b}", "newer(a)", "newer(", "soft", "10m", "0.1%", "\0",
    "é" * 40, "table_copy", "consistency_check", "count", "checksum", "fail",
]  # fmt: skip
LEAVES = (
    st.sampled_from(WORDS) | st.integers(-(2**70), 2**70) | st.floats() | st.booleans()
    | st.lists(st.sampled_from(WORDS), max_size=3)
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=8,
)
NAMES = st.lists(st.sampled_from(["a", "b", "é" * 40, "%s"]), min_size=1, max_size=2, unique=True)
SERVERS = st.sampled_from(["my", "pg", "cache"])


def sometimes(always=(), **keys):
    """Return tables of some of these keys, and now and then of one that is anything."""
    required = {name: keys[name] for name in always}
    others = {name: each for name, each in keys.items() if name not in always}
    known = st.fixed_dictionaries(required, optional=others)
    odd = st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=1)
    return st.tuples(known, st.none() | st.none() | st.none() | odd).map(
        lambda both: both[0] | (both[1] or {})
    )


COLUMNS = {
    "include": NAMES, "exclude": NAMES, "key": NAMES, "watermark": st.sampled_from("ab"),
    "rename": st.dictionaries(st.sampled_from("ab"), st.sampled_from("ab"), max_size=2),
    "mask": st.dictionaries(st.sampled_from("ab"), st.sampled_from(["hash", "null"]), max_size=1),
    "lookback": st.sampled_from([5, "10m"]), "page_rows": st.integers(0, 10),
}  # fmt: skip
PLACES = {"server": SERVERS, "database": st.sampled_from("ab"), "schema": st.sampled_from("ab")}
COPIES = sometimes(
    ("kind", "source", "target"),
    kind=st.just("table_copy"),
    source=sometimes(
        ("server", "schema", "tables"), **PLACES, tables=NAMES, query=st.just("select 1"), key=NAMES
    ),
    target=sometimes(
        ("server", "schema"), **PLACES, table=st.sampled_from("ab"), state_schema=st.just("s")
    ),
    mode=st.sampled_from(["full", "incremental"]),
    per_table=st.dictionaries(st.sampled_from(["a", "b"]), sometimes(**COLUMNS), max_size=2),
    delete=st.sampled_from(["none", "soft", "hard"]),
    on_conflict=st.sampled_from(["update", "newer(a)"]),
    **{name: each for name, each in COLUMNS.items() if name != "key"},
)
SIDES = sometimes(
    ("server",), **PLACES, table=st.sampled_from("ab"), tables=NAMES, query=st.just("select 1"),
    pattern=st.sampled_from(["{a}", "x:{b}"]), field=st.just("q"),
)  # fmt: skip
CHECKS = sometimes(
    ("kind",), kind=st.just("consistency_check"), copy=st.sampled_from(["copy", "checked"]),
    tables=NAMES, left=SIDES, right=SIDES, key=NAMES, columns=NAMES, exclude=NAMES,
    tolerance=st.dictionaries(st.sampled_from("ab"), st.sampled_from([1, "2%"]), max_size=1),
    repair=st.sampled_from(["none", "copy"]),
)  # fmt: skip
OF_SERVER = {"host": "127.0.0.1", "user": "u"}


FIXED = {
    "kind": "table_copy", "target": {"server": "pg"},
    "source": {"server": "my", "schema": "a", "tables": ["a", "b"]},
}  # fmt: skip


@given(st.one_of(COPIES, COPIES, COPIES, VALUES))
@settings(max_examples=200, deadline=None)
def test_every_table_of_a_copy_is_taken_or_told(copied):
    if (config := loaded({"copy": copied})) and "copy" in config.jobs:
        job = config.jobs["copy"]
        rules = copy_rules(job, config.servers) if job.kind == "table_copy" else ()
        event(f"valid {job.kind}")
        assert len({rule.target for rule in rules}) == len(rules) == len(job.items)
        assert all(rule.source.schema and rule.target.schema for rule in rules)


@given(st.one_of(CHECKS, CHECKS, CHECKS, VALUES))
@settings(max_examples=200, deadline=None)
def test_every_table_of_a_check_is_taken_or_told(checked):
    if config := loaded({"copy": FIXED, "checked": checked}):
        job = config.jobs["checked"]
        event(f"valid {job.kind}")
        if job.kind == "consistency_check":
            rules = check_rules(job, config.servers)
            assert sorted(rule.name for rule in rules) == sorted(job.items)


def loaded(jobs):
    """Return the configuration of these jobs, None where it has problems, all of them told."""
    servers = {
        "my": OF_SERVER | {"engine": "mysql"}, "pg": OF_SERVER | {"engine": "postgresql"},
        "cache": OF_SERVER | {"engine": "redis"},
    }  # fmt: skip
    files = FileSet({"servers": servers, "jobs": jobs}, {}, [], [])
    told = []
    try:
        config = validate(Path("/syncd.toml"), files, {})
    except ConfigInvalid as error:
        config, told = None, [problem.message for problem in error.problems]
    assert all(told)
    assert not config or pickle.loads(pickle.dumps(dict(config.jobs))) == dict(config.jobs)
    return config
