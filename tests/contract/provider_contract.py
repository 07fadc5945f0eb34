"""What every provider has to do, against the emulator; each provider's test class inherits it."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar

import pytest
import structlog

from syncd.context import CancelSource, Deadline, RunContext
from syncd.demo.emulator.emulator import Emulator
from syncd.demo.emulator.faults import Fault
from syncd.demo.emulator.world import KEYS, REGIONS, World
from syncd.errors import (
    Authentication,
    BadData,
    Cancelled,
    Network,
    Permission,
    SyncdError,
    Throttled,
    TimedOut,
)
from syncd.http_client import HttpClient
from syncd.model.diff import Entry
from syncd.model.resource import Scope
from syncd.model.run import Claim, Selection, new_run_id
from syncd.providers.base import AccountAccess, Provider, RegionNotOpen
from syncd.providers.calls import Patience, Refused
from syncd.providers.registry import build

HASTE = Patience(tries=3, throttled_tries=3, base=0.001, cap=0.001, quota=0.001)
HOSTS = 130  # two pages
REGION_COUNT = 5


class Notes:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.details: dict[str, object] = {}

    def progress(self, done: int, of: int | None = None) -> None: ...
    def error(self, resource_id: str, error: SyncdError) -> None: ...
    def meanwhile(self, name: str, value: object) -> None: ...

    def detail(self, name: str, value: object) -> None:
        self.details[name] = value


class Calls:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.made: list[tuple[str, str]] = []

    def __call__(self, api: str, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        self.made.append((api, outcome))


def context(seconds: float = 30, source: CancelSource | None = None) -> RunContext:
    now = datetime.now(UTC)
    return RunContext(
        Claim(new_run_id(now), "test", 1, 1), "hosts", now, Deadline.after(seconds),
        (source or CancelSource()).token, Selection(), {}, structlog.get_logger(), Notes(),
    )  # fmt: skip


class ProviderContract:
    """The suite. `name` is the provider's; the raw objects of `expected` are the emulator's."""

    name: ClassVar[Any]
    cheap_call: ClassVar[str]  # the one by which `can_list` finds out
    wrong_field: ClassVar[tuple[str, str]]  # a field, and how errors name it

    def expected(self, host: Mapping[str, Any], world: World, region: str) -> dict[str, object]:
        """Return some columns as they should be, worked out apart from the provider."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def emulated(self) -> Iterator[None]:
        self.world = World.sized(HOSTS, REGION_COUNT, providers=[self.name])
        self.account = f"{self.name}-demo"
        self.region = REGIONS[self.name][0]
        self.scope = Scope(self.account, self.region, "host")
        self.http = HttpClient()
        self.calls = Calls()
        with Emulator(self.world) as self.emulator:
            self.provider = self.make()
            yield
        self.http.close()

    def make(self, **changed: Any) -> Provider:
        key_id, secret, _ = KEYS[self.name]
        access: dict[str, Any] = {
            "key_id": key_id,
            "key_secret": lambda: secret,
            "endpoint": self.emulator.url,
            "requests_per_second": 1e6,
            "api_timeout": 20.0,
        } | changed
        return build(
            AccountAccess(name=self.account, provider=self.name, **access),
            self.http,
            patience=HASTE,
            observe=self.calls,
        )

    def fault(self, kind: str, **rest: Any) -> None:
        self.emulator.faults.add(Fault(kind=kind, **rest))

    def listed(self, ctx: RunContext | None = None, scope: Scope | None = None) -> list[Entry]:
        pages = self.provider.list(ctx or context(), scope or self.scope, None)
        return [entry for page in pages for entry in page.entries]

    def truth(self, region: str | None = None) -> dict[str, Mapping[str, Any]]:
        hosts = self.world.truth(self.account, region or self.region)
        return {host["InstanceId"]: host for host in hosts}

    def asked(self, action: str = "DescribeInstances") -> int:
        return self.emulator.log.calls(action)

    def test_a_listing_equals_the_truth(self) -> None:
        rows = [entry.row() for entry in self.listed()]
        truth = self.truth()
        assert [row.key for row in rows] == list(truth)
        for row in rows:
            expected = self.expected(truth[row.key], self.world, self.region)
            assert {name: row.values[name] for name in expected} == expected
        assert self.asked() == 2

    def test_a_seal_stays_until_something_changes(self) -> None:
        before = {entry.key: entry.seal for entry in self.listed()}
        changed = next(iter(before))
        for what in ("name", "tags", "disks"):
            self.world.region(self.account, self.region).change(changed, what)
            after = {entry.key: entry.seal for entry in self.listed()}
            assert {key for key in before if before[key] != after[key]} == {changed}
            before = after

    def test_an_empty_region_is_listed_as_empty_and_confirmed(self) -> None:
        region = self.world.region(self.account, self.region)
        region.release(region.hosts.ids())
        assert self.listed() == []
        assert self.provider.can_list(context(), self.scope) is True

    def test_an_empty_list_for_lack_of_permission_is_not_confirmed(self) -> None:
        self.fault("denied_empty")
        assert self.listed() == []
        assert self.provider.can_list(context(), self.scope) is False

    def test_an_empty_list_that_cannot_be_confirmed_is_unknown(self) -> None:
        self.fault("unsupported_action", action=self.cheap_call)
        assert self.provider.can_list(context(), self.scope) is None

    def test_regions_are_those_of_the_account(self) -> None:
        self.world.accounts[self.account].unopened = ("mars-1",)
        regions = [*REGIONS[self.name][:REGION_COUNT], "mars-1"]
        assert self.provider.regions(context()) == regions

    def test_a_region_that_is_not_open_is_told(self) -> None:
        with pytest.raises(RegionNotOpen):
            self.listed(scope=Scope(self.account, "mars-1", "host"))
        assert sum(outcome == "network" for _, outcome in self.calls.made) == 1

    def test_the_owner_is_the_account_id(self) -> None:
        assert self.provider.identity(context()) == KEYS[self.name][2]

    @pytest.mark.parametrize("kind", ["unsupported_action", "permission"])
    def test_an_owner_that_cannot_be_asked_for_is_unknown(self, kind: str) -> None:
        self.fault(kind, action="GetCallerIdentity")
        assert self.provider.identity(context()) is None

    def test_hosts_are_looked_up_by_id_in_batches(self) -> None:
        ids = [*self.truth(), "i-unknown"]
        found = self.provider.lookup(context(), self.scope, ids)
        assert list(found) == ids
        assert [key for key, entry in found.items() if entry is None] == ["i-unknown"]
        assert all(entry is None or entry.row().key == key for key, entry in found.items())
        assert self.asked() == 2

    def test_a_lookup_survives_ids_that_the_cloud_refuses(self) -> None:
        self.fault("unknown_ids")
        ids = ["i-first", *list(self.truth())[:30], "i-last"]
        found = self.provider.lookup(context(), self.scope, ids)
        assert [key for key, entry in found.items() if entry is None] == ["i-first", "i-last"]

    def test_nothing_is_looked_up_without_ids(self) -> None:
        assert self.provider.lookup(context(), self.scope, []) == {}
        assert self.asked() == 0

    def test_a_host_that_pages_lack_is_found_by_its_id(self) -> None:
        lost = list(self.truth())[7]
        self.fault("missing", hosts=(lost,))
        assert lost not in {entry.key for entry in self.listed()}
        assert self.provider.lookup(context(), self.scope, [lost])[lost] is not None

    def test_a_host_that_comes_twice_is_no_problem(self) -> None:
        self.fault("duplicate")
        keys = [entry.key for entry in self.listed()]
        assert len(keys) == HOSTS + 2
        assert set(keys) == set(self.truth())

    def test_a_host_without_an_id_is_counted(self) -> None:
        self.fault("no_id")
        pages = list(self.provider.list(context(), self.scope, None))
        assert [(len(page.entries), page.nameless) for page in pages] == [(99, 1), (30, 0)]

    def test_a_field_of_the_wrong_type_is_the_fault_of_its_host_alone(self) -> None:
        field, told = self.wrong_field
        self.fault("wrong_type", field=field, value="a lot")
        first, *rest = self.listed()
        with pytest.raises(BadData, match=rf"{first.key}: .*{told}"):
            first.row()
        assert all(entry.row() for entry in rest)

    def test_a_nul_is_the_fault_of_its_host_alone(self) -> None:
        self.fault("nul_tag")
        first, *rest = self.listed()
        with pytest.raises(BadData, match="NUL"):
            first.row()
        assert all(entry.row() for entry in rest)

    @pytest.mark.parametrize(
        ("kind", "error", "tries"),
        [
            ("throttled", Throttled, 3),
            ("authentication", Authentication, 1),
            ("permission", Permission, 1),
            ("unavailable", Network, 3),
            ("internal_error", Network, 3),
            ("bad_gateway", Network, 3),
            ("reset", Network, 3),
            ("truncated", Network, 3),
            ("reset_in_body", Network, 3),
            ("broken_json", BadData, 3),
            ("region_not_found", RegionNotOpen, 1),
            ("unsupported_action", Refused, 1),
        ],
    )
    def test_each_fault_has_its_class_and_number_of_tries(
        self, kind: str, error: type[SyncdError], tries: int
    ) -> None:
        self.fault(kind, action="DescribeInstances")
        with pytest.raises(error) as caught:
            self.listed()
        assert type(caught.value) is error
        assert self.asked() == tries
        secrets = (*KEYS[self.name][:2], "Signature=")
        assert not any(secret in str(caught.value) for secret in secrets)

    @pytest.mark.parametrize("kind", ["throttled", "unavailable", "truncated", "broken_json"])
    @pytest.mark.parametrize("after", [0, 1])
    def test_a_passing_fault_costs_tries_but_no_host(self, kind: str, after: int) -> None:
        self.fault(kind, action="DescribeInstances", times=2, after_pages=after)
        assert [entry.key for entry in self.listed()] == list(self.truth())
        assert self.asked() == 4
        failed = [outcome for _, outcome in self.calls.made if outcome != "ok"]
        assert len(failed) == 2

    @pytest.mark.parametrize("kind", ["hang", "drip"])
    def test_a_call_that_takes_too_long_is_tried_again(self, kind: str) -> None:
        self.provider = self.make(api_timeout=0.3)
        self.fault(kind, action="DescribeInstances", times=1)
        assert len(self.listed()) == HOSTS

    @pytest.mark.parametrize("kind", ["hang", "drip"])
    def test_the_limit_of_the_run_is_kept(self, kind: str) -> None:
        self.fault(kind)
        started = time.monotonic()
        with pytest.raises(TimedOut):
            self.listed(context(seconds=0.5))
        assert 0.4 < time.monotonic() - started < 0.8

    @pytest.mark.parametrize("kind", ["hang", "drip"])
    def test_a_cancelled_listing_ends_at_once(self, kind: str) -> None:
        self.fault(kind)
        source = CancelSource()
        ended = in_thread(partial(self.listed, context(source=source)))
        wait_until(lambda: self.emulator.log.calls() > 0)
        started = time.monotonic()
        source.cancel(Cancelled("by hand"))
        assert isinstance(ended(), Cancelled)
        assert time.monotonic() - started < 0.3

    def test_waiting_for_a_quota_ends_with_the_run(self) -> None:
        self.fault("throttled", action="DescribeInstances")
        self.provider = build(
            AccountAccess(self.account, self.name, KEYS[self.name][0],
                          lambda: KEYS[self.name][1], self.emulator.url),
            self.http,
            patience=Patience(base=100.0),
        )  # fmt: skip
        with pytest.raises(Throttled):
            self.listed(context(seconds=5))
        assert self.asked() == 1

    def test_five_regions_can_be_listed_at_the_same_time(self) -> None:
        self.fault("latency", seconds=0.02)
        regions = REGIONS[self.name][:REGION_COUNT]
        scopes = [Scope(self.account, region, "host") for region in regions]
        ended = [in_thread(partial(self.listed, None, scope)) for scope in scopes]
        for region, end in zip(regions, ended, strict=True):
            entries = end()
            assert isinstance(entries, list)
            assert [entry.key for entry in entries] == list(self.truth(region))
        assert self.emulator.log.peak > 1

    def test_what_a_listing_needs_can_be_found_out(self) -> None:
        needs = self.provider.needs(["host"])
        assert needs.endpoint == self.emulator.url
        assert [probe.ask(context(), self.region) for probe in needs.probes] == [True, True]
        assert [probe.needed for probe in needs.probes] == [True, False]
        self.fault("permission")
        assert [probe.ask(context(), self.region) for probe in needs.probes] == [False, False]

    def test_a_denied_action_is_found_out_alone(self) -> None:
        probes = self.provider.needs(["host"]).probes
        for probe in probes:
            number = self.fault("permission", action=probe.action.partition(":")[2])
            asked = [each.ask(context(), self.region) for each in probes]
            assert asked == [each is not probe for each in probes]
            self.emulator.faults.clear(number)

    def test_the_policy_grants_what_it_is_asked_for(self) -> None:
        needs = self.provider.needs(["host"])
        actions = [needs.regions, *(probe.action for probe in needs.probes)]
        policy = json.loads(needs.policy(actions))
        (statement,) = policy.get("Statement") or policy["statement"]
        assert actions in statement.values()

    def test_an_endpoint_may_end_in_a_slash(self) -> None:
        self.provider = self.make(endpoint=f"{self.emulator.url}/")
        assert self.provider.regions(context())

    def test_a_wrong_secret_is_an_authentication_error(self) -> None:
        self.provider = self.make(key_secret=lambda: "not the secret")
        with pytest.raises(Authentication):
            self.listed()
        assert self.emulator.log.refusals() == 1

    def test_the_secret_is_asked_for_at_each_call(self) -> None:
        secrets = iter(["wrong", KEYS[self.name][1]])
        self.provider = self.make(key_secret=lambda: next(secrets))
        with pytest.raises(Authentication):
            self.provider.regions(context())
        assert self.provider.regions(context())


def in_thread(work: Callable[[], Sequence[Entry]]) -> Callable[[], Sequence[Entry] | SyncdError]:
    """Start work in a thread; the function returned waits for its result or error."""
    results: list[Sequence[Entry] | SyncdError] = []

    def run() -> None:
        try:
            results.append(work())
        except SyncdError as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def end() -> Sequence[Entry] | SyncdError:
        thread.join(20)
        return results[0]

    return end


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)
