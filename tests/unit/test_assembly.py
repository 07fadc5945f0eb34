"""From a job of the configuration to what the dispatch is told about it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from token_helpers import no_tokens

from syncd import assembly
from syncd.config.configuration import Config
from syncd.config.load import load
from syncd.context import RunContext
from syncd.dispatch.spec import JobSpec
from syncd.model.run import Target
from syncd.store.database import Store
from syncd.triggers.base import Memory

NOW = datetime(2024, 5, 1, 10, tzinfo=UTC)
ACCOUNTS = """
[accounts.a]
provider = "aliyun"
access_key_id = "id"
access_key_secret = { file = "FOLDER/a" }
[accounts.b]
provider = "tencent"
access_key_id = "id"
access_key_secret = { file = "FOLDER/b" }
[accounts.off]
provider = "tencent"
access_key_id = "id"
access_key_secret = "secret"
enabled = false
[jobs.hosts]
kind = "cloud"
accounts = ["a", "off", "b"]
"""

Loader = Callable[[str], Config]


@pytest.fixture
def loaded(tmp_path: Path) -> Loader:
    """Give a function that loads the job `hosts` with these keys."""

    def of(keys: str) -> Config:
        file = tmp_path / "syncd.toml"
        file.touch(0o600)
        file.write_text(ACCOUNTS.replace("FOLDER", str(tmp_path)) + keys)
        return load(file, {})

    return of


def spec_of(config: Config, key: bytes = b"key", job: str = "hosts") -> JobSpec:
    store = cast(Store, None)
    return assembly.job_specs(
        config, store, assembly.Accounts(store, lambda *_: None, key), no_tokens()
    )[job]


def test_the_keys_of_a_job_reach_the_dispatch(loaded: Loader) -> None:
    spec = spec_of(
        loaded(
            'schedule = "0 * * * *"\npriority = "high"\noverlap = "replace"\nspread = "5m"\n'
            'start_deadline = "10m"\nisolation = "process"\nwindows = ["09:00-12:00"]\n'
        )
    )
    assert (spec.priority, spec.overlap, spec.isolation) == ("high", "replace", "process")
    assert (spec.start_deadline, spec.interruptible) == (timedelta(minutes=10), False)
    assert (spec.accounts, spec.servers) == (("a", "b"), ())
    assert spec.closed_until(NOW) == NOW.replace(hour=12)
    assert spec.adaptive is None
    assert not spec.fixed_rate
    (due,) = spec.next_dues(NOW, 1)
    assert NOW < due < NOW + timedelta(minutes=5)


def test_an_adaptive_job_has_its_rule(loaded: Loader) -> None:
    spec = spec_of(loaded('adaptive = { min = "10m", max = "6h" }\n'))
    assert spec.fixed_rate
    assert spec.interruptible
    assert spec.adaptive is not None
    assert spec.adaptive.next_interval(timedelta(hours=1), 0) == timedelta(minutes=90)
    assert spec.longest_gap(NOW) == 6 * 3600
    assert spec.trigger_from is not None
    trigger = spec.trigger_from(Memory(NOW, timedelta(hours=2)), NOW)
    assert trigger is not None
    assert trigger.next_after(NOW) == NOW + timedelta(hours=2)


def test_what_jobs_look_after_names_their_enabled_servers(loaded: Loader) -> None:
    server = 'engine = "mysql"\nhost = "h"\nuser = "u"\n'
    config = loaded(
        f"[servers.orders-db]\n{server}[servers.off-db]\n{server}enabled = false\n"
        '[jobs.who]\nkind = "db_accounts"\n[jobs.large]\nkind = "db_sizes"\n'
        '[jobs.off]\nkind = "db_sizes"\nenabled = false\n'
    )
    of_servers = {(m.job, m.account, m.type) for m in assembly.managed(config) if m.job != "hosts"}
    assert of_servers == {("who", "orders-db", "db_account"), ("large", "orders-db", "db_size")}


COPY = """
[servers.shop]
engine = "mysql"
host = "127.0.0.1"
user = "syncd"
[servers.house]
engine = "postgresql"
host = "127.0.0.1"
user = "syncd"
[jobs.copy]
kind = "table_copy"
source = { server = "shop", database = "shop", tables = ["orders", "lines"] }
target = { server = "house" }
"""


def test_a_copy_has_an_item_for_each_table_and_uses_both_servers(loaded: Loader) -> None:
    spec = spec_of(loaded(COPY), job="copy")
    assert (spec.servers, spec.tables) == (("shop", "house"), ("orders", "lines"))
    targets = spec.build().targets(cast(RunContext, None))
    assert targets == [
        Target("orders", server="house", table="orders"),
        Target("lines", server="house", table="lines"),
    ]


@pytest.mark.parametrize("server", ["shop", "house"])
def test_a_copy_of_which_a_server_is_disabled_has_no_items(loaded: Loader, server: str) -> None:
    header = f"[servers.{server}]\n"
    spec = spec_of(loaded(COPY.replace(header, f"{header}enabled = false\n")), job="copy")
    assert spec.servers == ()
    assert spec.build().targets(cast(RunContext, None)) == []


def test_a_job_by_hand_has_no_trigger(loaded: Loader) -> None:
    assert spec_of(loaded("")).trigger_from is None


def test_fingerprints_tell_credentials_apart_as_they_are_now(
    loaded: Loader, tmp_path: Path
) -> None:
    config = loaded("")
    fingerprints = spec_of(config).fingerprints
    assert fingerprints() == {}
    (tmp_path / "a").write_text("first")
    first = fingerprints()
    assert list(first) == ["a"]
    assert len(first["a"]) == 16
    assert int(first["a"], 16)
    assert fingerprints() == first
    assert spec_of(config, b"other key").fingerprints() != first
    (tmp_path / "b").write_text("first")
    assert fingerprints() == {"a": first["a"], "b": first["a"]}
    (tmp_path / "a").write_text("second")
    assert fingerprints()["a"] != first["a"]
