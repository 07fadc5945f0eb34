"""Reading commands give the same answers with a daemon and without one."""

import http.client
import json
import socket
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from fake_daemon import FakeDaemon
from psycopg.types.json import Jsonb

from syncd.cli.main import cli
from syncd.control.store_reads import StoreReads
from syncd.store.database import Store

RUN = "01890000-0000-7000-8000-000000000001"


@pytest.fixture
def place(migrated_dsn):
    """Give a directory with a configuration whose store holds one run, host and change."""
    store = Store(migrated_dsn, pool_min=1)
    store.open()
    with store.transaction() as tx:
        tx.execute(
            "insert into syncd.run (id, job, kind, trigger, status, max_attempts, scheduled_for,"
            " created_at, config_digest) values"
            f" ('{RUN}', 'hosts', 'cloud', 'manual', 'success', 1, now(), now(), 'd')"
        )
        tx.execute(
            "insert into syncd.resource (provider, account, region, type, resource_id, name,"
            " status, state, public_ips, private_ips, security_groups, tags, attributes,"
            " first_seen_at, changed_at, digest) values ('aliyun', 'prod', 'cn-a', 'host', 'i-1',"
            " 'web', 'Running', 'running', '{}', '{10.0.0.1}', '{}', '{}', %s, now(), now(), '')",
            [Jsonb({"Raw": [1, None]})],
        )
        tx.execute(
            "insert into syncd.resource_change (run_id, account, region, type, resource_id, change,"
            f" changed_at, fields) values ('{RUN}', 'prod', 'cn-a', 'host', 'i-1', 'updated',"
            """ now(), '{"state": ["stopped", "running"]}')"""
        )
        tx.execute(_FLEET.encode())
    with tempfile.TemporaryDirectory(prefix="syncd-") as directory:
        file = Path(directory, "syncd.toml")
        file.write_text(
            f"[store]\ndsn = {json.dumps(migrated_dsn)}\n"
            f'[listen]\ncontrol = "{directory}/control.sock"\n'
            f'[daemon]\nstate_dir = "{directory}/state"\n'
        )
        file.chmod(0o600)
        yield file, store
    store.close()


_FLEET = f"""
create table syncd.db_size_rest partition of syncd.db_size default;
create table syncd.server_size_rest partition of syncd.server_size default;
insert into syncd.db_account (server, engine, account, kind, active, attributes, capabilities,
    privileges, read_errors, first_seen_at, changed_at, run_id, digest)
values ('orders-db', 'mysql', 'i-1@%', 'user', true, '{{}}', '{{grant}}',
    '[{{"on": "database", "name": ["shop"], "privilege": "SELECT", "grantable": false}}]',
    '[{{"part": "database x", "error_class": "permission", "error": "no"}}]', now(), now(),
    '{RUN}', '');
insert into syncd.db_account_change (run_id, server, account, change, granted, revoked,
    attributes_changed, changed_at)
select run_id, server, account, 'added', privileges, '[]', '{{}}', now() from syncd.db_account;
insert into syncd.db_catalog (server, database, engine, system, first_seen_at, last_seen_at)
values ('orders-db', 'i-1', 'mysql', false, now(), now());
insert into syncd.db_size (server, database, collected_on, collected_at, size_bytes)
values ('orders-db', 'i-1', '2026-03-01', now(), {(1 << 62) + 1});
insert into syncd.server_size (server, collected_on, collected_at, size_bytes, database_count)
values ('orders-db', '2026-03-01', now(), {(1 << 62) + 1}, 1);
insert into syncd.db_size_stat (server, database, period, period_start, samples, gaps, avg_bytes,
    min_bytes, max_bytes, first_bytes, last_bytes, change_percent, growth_per_day, forecast_on,
    computed_at)
values ('orders-db', 'i-1', 'month', '2026-02-01', 26, 2, 10.25, 1, 20, 1, 20, 0.1, 1.5,
    '2027-01-01', now());
"""
COMMANDS = [
    ["runs", "--json"], ["runs"], ["show", RUN[:13], "--json"], ["show", RUN],
    ["resources", "--json"], ["resources"], ["resources", "--as-of", "0s", "--json"],
    ["changes", "--json"], ["changes", "--since", "1h"],
    ["db-accounts", "--json"], ["db-accounts", "--with", "grant"], ["db-accounts", "--grants"],
    ["db-accounts", "--changed-since", "1h"], ["db-accounts", "--changed-since", "1h", "--json"],
    ["sizes"], ["sizes", "--json"], ["sizes", "--period", "month"],
    ["sizes", "--period", "month", "--json"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_answer_is_the_same_with_a_daemon_and_without(place, command):
    file, store = place
    alone = CliRunner().invoke(cli, ["--config", str(file), *command])
    assert alone.exit_code == 0, alone.output
    assert "i-1" in alone.stdout or RUN in alone.stdout

    daemon = FakeDaemon(file.parent / "control.sock", reads=StoreReads(store.transaction))
    server = daemon.server(http=None)
    server.start()
    try:
        asked = CliRunner().invoke(cli, ["--config", str(file), *command])
    finally:
        server.close()
    assert asked.stdout == alone.stdout
    assert (asked.stderr, asked.exit_code) == (alone.stderr, 0)


def test_what_is_not_found_is_told_alike(place):
    file, _ = place
    result = CliRunner().invoke(cli, ["--config", str(file), "show", "ffff"])
    assert (result.exit_code, result.stderr) == (1, "syncd: there is no run 'ffff'\n")


_QUESTIONS = [
    ["db-accounts"], ["db-accounts", "--json"], ["db-accounts", "--grants"],
    ["db-accounts", "--changed-since", "1h"], ["sizes"], ["sizes", "--period", "month", "--json"],
]  # fmt: skip


@pytest.mark.parametrize("question", _QUESTIONS, ids=" ".join)
def test_a_server_that_there_is_not_is_told_apart_from_one_without_rows(place, question):
    file, _ = place

    def ask(server, *more):
        words = ["--config", str(file), *question, "--server", server, *more]
        return CliRunner().invoke(cli, words)

    with file.open("a") as more:
        more.write('[servers.new-db]\nengine = "mysql"\nhost = "h"\nuser = "u"\n')
    unknown = ask("mew-db")
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert unknown.stderr == (
        'syncd: there is no server "mew-db"; did you mean "new-db"?; allowed: new-db\n'
    )
    assert ask("new-db").exit_code == 0, "configured"
    named = "--account" if question[0] == "db-accounts" else "--database"
    stored = ask("orders-db", named, "nobody")
    assert (stored.exit_code, "i-1" in stored.stdout) == (0, False), "in the store"


HOSTILE = [
    "/runs?job=%00", "/runs?job=%ff%fe", "/runs?job='--", "/runs?since=0001-01-01T00:00:00Z",
    "/runs?since=9999-12-31T23:59:59-23:59", "/runs/%00", "/runs/%25", "/runs/..%2f..", "/runs/*",
    "/resources?as_of=9999-12-31T23:59:59Z", "/resources?as_of=0001-01-01T00:00:00%2b23:59",
    "/resources?after=[]", "/resources?after=[1,2,3,4]", "/resources?attributes=maybe",
    '/resources?after=["%5cu0000","","",""]', "/changes?limit=1e9", "/changes?limit=-1",
    "/runs?limit=99999999999999999999", "/runs?job=a&job=b", "/changes?account=%F0%9F%98%80",
]  # fmt: skip


@pytest.mark.parametrize("target", HOSTILE)
def test_no_question_breaks_the_daemon_or_the_store(place, target):
    file, store = place
    daemon = FakeDaemon(file.parent / "control.sock", reads=StoreReads(store.transaction))
    server = daemon.server(http=None)
    server.start()
    connection = http.client.HTTPConnection("localhost", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.connect(str(daemon.path))
        connection.request("GET", target)
        answer = connection.getresponse()
        assert answer.status in (200, 400, 404), answer.read()
    finally:
        connection.close()
        server.close()


def test_migrate_says_what_it_did(place, dsn):
    file, _ = place
    arguments = ["--config", str(file), "migrate"]
    result = CliRunner().invoke(cli, arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "the store is up to date\n")
    file.write_text(f"[store]\ndsn = {json.dumps(dsn)}\n")
    file.chmod(0o600)
    runs = CliRunner().invoke(cli, ["--config", str(file), "runs"])
    assert runs.exit_code == 69
    assert "syncd migrate" in runs.stderr
    assert "0001       main_job" in CliRunner().invoke(cli, arguments).stdout
    assert CliRunner().invoke(cli, ["--config", str(file), "runs"]).exit_code == 0


def test_a_store_that_is_gone_exits_with_69_and_names_both(place):
    file, _ = place
    file.write_text(
        f'[store]\ndsn = "host={file.parent} connect_timeout=1"\n'
        f'[listen]\ncontrol = "{file.parent}/control.sock"\n'
    )
    result = CliRunner().invoke(cli, ["--config", str(file), "runs"])
    assert result.exit_code == 69
    assert "the daemon does not answer" in result.stderr
    assert "and without it: the store can't be reached" in result.stderr
    assert result.stdout == ""
