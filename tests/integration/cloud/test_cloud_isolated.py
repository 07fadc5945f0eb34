"""Cloud jobs in a process of their own: with its configuration, store and accounts."""

from dataclasses import replace

import pytest
from cloud_helpers import HOSTS
from dispatch_helpers import Watcher, plain_log
from psycopg.conninfo import make_conninfo

from syncd import attempt
from syncd.context import Clock
from syncd.dispatch.holds import Holds
from syncd.dispatch.isolated import Isolated
from syncd.dispatch.runner import Runner

PASSWORD = "the-password-of-the-store"


@pytest.fixture
def isolated(clouds):
    """Have the job run in processes of their own, with this DSN; give what hears of them."""

    def isolate(dsn=clouds.dsn):
        watcher, log = Watcher(), plain_log()
        work = Isolated(attempt.entry(dsn, "", "logfmt", "info"), clouds.recorder, watcher)
        holds = Holds(clouds.store, Clock(), log)
        clouds.runner = Runner({"process": work}, clouds.recorder, watcher, holds, Clock(), log)
        clouds.specs = {n: replace(s, isolation="process") for n, s in clouds.specs.items()}
        return watcher

    return isolate


def test_it_stores_what_a_thread_would(clouds, isolated):
    runner, specs = clouds.runner, clouds.specs
    watcher = isolated()
    result = clouds.run()
    assert (result.run["status"], result.counts["added"]) == ("success", 4 * HOSTS)
    assert [told for told in watcher.told if told[0] == "item"] == [
        ("item", "hosts", "success")
    ] * 4
    listings = clouds.emulator.log.calls("DescribeInstances")
    assert listings > 0
    heard = [t for t in watcher.told if t[0] == "api" and t[2:] == ("DescribeInstances", "ok")]
    assert len(heard) == listings
    assert ("statement", "apply") in watcher.told
    stored = clouds.dump()["resource"]
    clouds.runner, clouds.specs = runner, specs
    assert clouds.run().counts["unchanged"] == 4 * HOSTS
    assert clouds.dump()["resource"] == stored


def test_its_log_is_the_daemons_and_keeps_the_same_secrets(clouds, isolated, capfd):
    account = clouds.world.accounts["aliyun-demo"]
    region = next(iter(account.regions.values()))
    first, second = region.ids()[:2]
    region.edit(first, InstanceName=account.secret)
    region.edit(second, InstanceName=PASSWORD)
    isolated(make_conninfo(clouds.dsn, password=PASSWORD))
    assert clouds.run().run["status"] == "success"
    told = capfd.readouterr().err
    (run,) = clouds.rows("select id from syncd.run")
    for host in (first, second):
        (line,) = [one for one in told.splitlines() if f"resource={host}" in one]
        for field in ("level=info", "job=hosts", f"run={run['id']}", "account=aliyun-demo"):
            assert field in line
        assert "name=******" in line
    assert account.secret not in told
    assert PASSWORD not in told


def test_an_account_that_can_not_be_opened_fails_alone(clouds, isolated, tmp_path):
    clouds.configure({"aliyun-demo": {"access_key_secret": {"file": str(tmp_path / "none")}}})
    isolated()
    result = clouds.run()
    assert result.counts["added"] == 2 * HOSTS
    assert result.run["status"] == "failed"
    assert {item["status"] for item in result.items.values()} == {"failed", "success"}
