"""The shipped files and the schema say the same."""

import re
import tomllib
from pathlib import Path

import pytest

from syncd.config.configuration import Tables
from syncd.config.consistency_check import Side
from syncd.config.http import (
    Basic,
    Call,
    ClientCredentials,
    Expect,
    Hmac,
    Login,
    Poll,
    Request,
    Token,
)
from syncd.config.job import Job
from syncd.config.jobs import KINDS, UPKEEP
from syncd.config.load import load
from syncd.config.notify import CHANNELS, Channel, Webhook
from syncd.config.schema import Account, Defaults
from syncd.config.servers import Server
from syncd.config.table_copy import CopySource, CopyTarget, PerTable

ETC = Path(__file__).parents[3] / "etc"
TEXT = (ETC / "syncd.toml").read_text()
UNCOMMENTED = re.sub(r"(?m)^#(?=[\[a-z])", "", TEXT)
TABLES = ("store", "daemon", "backup", "listen", "retention", "defaults", "metrics", "http")
FLEET = {"db-accounts": "db_accounts", "db-sizes": "db_sizes", "size-rollups": "size_rollups"}
STATISTICS = ("stat-daily", "stat-weekly", "stat-monthly", "stat-quarterly", "stat-check")
COPIES = ("shop-copy", "members-copy", "shop-copy-check")
NAMED = {f"jobs.{name}": kind for name, kind in FLEET.items()} | {
    f"jobs.{kind}": kind for kind in UPKEEP
}
"""The jobs whose tables show only what their kind adds, and their kinds."""
CALL, COPY, COMPARED = "jobs.call", "jobs.orders", "jobs.orders-check"
INSIDE = {
    "tokens.example": Token, "tokens.example.login": Login, "notify.example": Webhook,
    "tokens.oauth.client_credentials": ClientCredentials, CALL: KINDS["http"],
    f"{CALL}.request": Request, f"{CALL}.request.basic": Basic, f"{CALL}.request.hmac": Hmac,
    f"{CALL}.expect": Expect, f"{CALL}.poll": Poll, "jobs.calls.calls.0": Call,
    COPY: KINDS["table_copy"], f"{COPY}.source": CopySource, f"{COPY}.target": CopyTarget,
    f"{COPY}.per_table.order_lines": PerTable, COMPARED: KINDS["consistency_check"],
    f"{COMPARED}.left": Side, f"{COMPARED}.right": Side,
}  # fmt: skip
"""Where the tables of calls and channels are shown, and their models."""
INSIDE |= {f"notify.{name}": each for name, each in CHANNELS.items() if name != "webhook"}
EXAMPLES = {
    ("jobs.calls.calls.0", "expect"), ("jobs.calls.calls.0", "save"), ("notify.email", "user"),
    (f"{COMPARED}.left", "tables"), (COMPARED, "tables"),
    (f"{COMPARED}.right", "as"), *((f"{COPY}.source", key) for key in ("tables", "key")),
}  # fmt: skip
"""What is shown with a value that is not its default."""


def keys():
    """Return (table, key, description, default or None where there is none) of the schema."""
    found = [("", "timezone", Tables.model_fields["timezone"])]
    for table in TABLES:
        model = Tables.model_fields[table].annotation
        found += [(table, key, info) for key, info in model.model_fields.items()]
    found += [("accounts", key, info) for key, info in Account.model_fields.items()]
    found += [("servers", key, info) for key, info in Server.model_fields.items()]
    found += [
        ("jobs", key, info)
        for key, info in KINDS["cloud"].model_fields.items()
        if key not in Defaults.model_fields
    ]
    found += [
        (table, key, KINDS[kind].model_fields[key]) for table, kind in NAMED.items()
        for key in ("kind", *own_keys(KINDS[kind]))
    ]  # fmt: skip
    return found


def keys_inside():
    """Return (table, key, description) of each table of INSIDE, what stands elsewhere left out."""
    found = {(table, key, info) for table, model in INSIDE.items() for key, info in named(model)}
    above = {
        "tokens.example": {"login", "client_credentials"},
        "tokens.example.login": {key for key, _ in named(Request)} - {"method", "url", "body"},
        "tokens.oauth.client_credentials": {key for key, _ in named(Request)} - {"url", "form"},
        CALL: {*Job.model_fields, "request", "expect", "poll", "calls"} - {"kind", "schedule"},
        f"{CALL}.request": {"basic", "hmac"},
        "jobs.calls.calls.0": {"poll"},
        COPY: {*Job.model_fields, "source", "target", "per_table"} - {"kind", "schedule"},
        COMPARED: {*Job.model_fields, "left", "right"} - {"kind", "schedule"},
        f"{COMPARED}.left": {"pattern", "field", "as"},
        f"{COMPARED}.right": {"database", "schema", "table", "tables", "query"},
    }
    others = {key for key, _ in named(Channel)} | {"proxy", "tls_ca"}
    above |= {f"notify.{name}": others for name in CHANNELS}
    own = {(f"notify.{name}", "channel") for name in CHANNELS}
    own |= {(table, "max_concurrent_items") for table in (CALL, COPY, COMPARED)}
    return [
        (table, key, info)
        for table, key, info in sorted(found, key=lambda each: each[:2])
        if key not in above.get(table, ()) or (table, key) in own
    ]


def named(model):
    """Return the keys of a table as they are written."""
    return [(info.alias or name, info) for name, info in model.model_fields.items()]


def own_keys(kind):
    """Return the keys of a kind that are not those of every job, or say something else there."""
    described = {key: info.description for key, info in Job.model_fields.items()}
    own = {k for k, info in kind.model_fields.items() if info.description != described.get(k)}
    return sorted({*own, "schedule"} - {"kind"})


def table_of(document, table):
    if table in ("accounts", "servers", "jobs"):
        return document[table]["example"]
    for name in table.split(".") if table else ():
        document = document[int(name) if isinstance(document, list) else name]
    return document


def test_the_file_as_shipped_is_valid_and_changes_no_default(tmp_path):
    (tmp_path / "empty.toml").write_text("")
    shipped, empty = load(ETC / "syncd.toml", {}), load(tmp_path / "empty.toml", {})
    assert shipped.digest == empty.digest


@pytest.mark.parametrize(("table", "key", "info"), keys(), ids=lambda each: str(each)[:24])
def test_each_key_has_its_line_its_default_and_its_description(table, key, info):
    written = table_of(tomllib.loads(UNCOMMENTED), table)
    assert key in written
    prose = " ".join(re.sub(r"(?m)^# ?", "", TEXT).split())
    assert " ".join(info.description.split()) in prose
    if info.is_required() or info.default is None:
        return
    models = {"": Tables, "accounts": Account, "servers": Server, "jobs": KINDS["cloud"]}
    model = (models | {name: KINDS[kind] for name, kind in NAMED.items()}).get(table)
    model = model or Tables.model_fields[table].annotation
    required = {
        name: table_of(tomllib.loads(UNCOMMENTED), table)[name]
        for name, field in model.model_fields.items()
        if field.is_required() or (model is Server and name == "user")
    }
    explicit = model.model_validate(required | {key: written[key]})
    implicit = model.model_validate(required)
    assert getattr(explicit, key) == getattr(implicit, key)


@pytest.mark.parametrize(("table", "key", "info"), keys_inside(), ids=lambda each: str(each)[:32])
def test_each_key_of_calls_and_channels_has_its_line_its_default_and_its_description(
    table, key, info
):
    written = table_of(tomllib.loads(UNCOMMENTED), table)
    assert key in written
    prose = " ".join(re.sub(r"(?m)^# ?", "", TEXT).split())
    assert " ".join(info.description.split()) in prose
    if info.is_required() or info.default is None or (table, key) in EXAMPLES:
        return
    model = INSIDE[table]
    fields = {info.alias or name: name for name, info in model.model_fields.items()}
    base = {
        name: table_of(tomllib.loads(UNCOMMENTED), table)[name]
        for name, field in named(model)
        if field.is_required()
    }
    base |= (
        {"source": {"server": "a", "tables": ["a"]}, "target": {"server": "b"}}
        if table == COPY
        else {}
    )
    base |= {"login": {"url": "https://a/"}} if model is Token else {}
    base |= {"request": {"url": "https://a/"}} if table == CALL else {}
    base |= {"password": {"env": "X"}, "user": "x"} if table == "notify.email" else {}
    explicit = model.model_validate(base | {key: written[key]})
    implicit = model.model_validate({n: v for n, v in base.items() if n != key})
    assert getattr(explicit, fields[key]) == getattr(implicit, fields[key])


def test_the_tables_of_calls_and_channels_name_no_key_that_they_do_not_have():
    document = tomllib.loads(UNCOMMENTED)
    for table, model in INSIDE.items():
        assert set(table_of(document, table)) <= {key for key, _ in named(model)}


def test_the_file_names_no_key_that_the_schema_does_not_have():
    document = tomllib.loads(UNCOMMENTED)
    kinds = ("accounts", "servers", "jobs")
    others = (*TABLES, *kinds, "tokens", "notify")
    written = {("", key) for key in document if key not in others}
    for table in (*TABLES, *kinds, *NAMED):
        written |= {(table, key) for key in table_of(document, table)}
    assert written == {(table, key) for table, key, _ in keys()}


def test_the_file_with_every_line_uncommented_is_valid(tmp_path):
    # A job has one of schedule, every and adaptive.
    everything = re.sub("\n(every|adaptive) = .*", "", UNCOMMENTED)
    # A request has one body and one kind of authorization, and a status URL one place.
    everything = re.sub("\n(body = { run|bearer = |path = ).*", "", everything)
    everything = re.sub(r"\n\[jobs.call.request.basic](\n|.)*?(?=\n\[)", "", everything)
    # A copy is of tables or of a query, and the name of a target of one of them; a check of a copy.
    everything = re.sub('\n(query|table = "orders").*', "", everything)
    everything = re.sub(r"\n\[jobs.orders-check.left](\n|.)*?(?=\n\[jobs.ret)", "", everything)
    everything = everything.replace('mode = "full"', 'mode = "incremental"')
    everything = everything.replace('min_age = "0s"', 'min_age = "1m"')
    # A server has tls_ca with verify-ca and verify-full alone.
    everything = everything.replace('tls = "prefer"', 'tls = "verify-full"')
    (tmp_path / "holidays").write_text("2100-01-01")
    everything = everything.replace("/etc/syncd/holidays", "holidays")
    (tmp_path / "syncd.toml").write_text(everything)
    config = load(tmp_path / "syncd.toml", {})
    assert list(config.enabled_jobs()) == [
        "example",
        *FLEET,
        "call",
        "calls",
        "orders",
        "orders-check",
        "retention",
        "backup",
    ]
    assert config.warnings == ()


def test_the_examples_are_valid_together(tmp_path):
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "syncd.toml").write_text(TEXT)
    for example in (ETC / "conf.d").glob("*.toml.example"):
        (tmp_path / "conf.d" / example.stem).write_text(example.read_text())
    config = load(tmp_path / "syncd.toml", {})
    assert set(config.jobs) == {
        "aliyun-hosts",
        "tencent-hosts",
        *FLEET,
        *UPKEEP,
        *STATISTICS,
        *COPIES,
    }
    assert {server.engine for server in config.servers.values()} == {"postgresql", "mysql"}
    assert config.jobs["db-accounts"].enabled_servers(config.servers) == tuple(config.servers)
    assert {config.jobs[name].enabled_tokens() for name in STATISTICS} == {("iam",)}
    assert config.notify["oncall"].jobs == ("stat-*",)
    assert config.warnings == ()
