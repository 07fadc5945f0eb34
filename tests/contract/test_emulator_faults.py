"""Every fault of the emulator shows as it says, and only where it is told."""

import http.client
import json
import socket
import threading
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException
from emulator_clients import (
    GUANGZHOU,
    HANGZHOU,
    HOSTS,
    Ali,
    Tx,
    ali_code,
    get,
    ids,
    signed_query,
    tx_code,
)

from syncd.demo.emulator import Emulator, Fault, World


def instances_query(**changes: str) -> dict[str, str]:
    nonce = f"{time.monotonic_ns()}"
    return signed_query(
        Action="DescribeInstances", RegionId="cn-hangzhou", SignatureNonce=nonce, **changes
    )


def raw_answer(emulator: Emulator) -> tuple[bytes, type[Exception] | None]:
    """Return the bytes of an answer and the exception that ended them."""
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=5) as client:
        path = f"/?{urlencode(instances_query())}"
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        got = b""
        try:
            while more := client.recv(65536):
                got += more
        except OSError as error:
            return got, type(error)
        return got, None


# --- refusals


@pytest.mark.parametrize(
    ("kind", "ali", "status", "tx"),
    [
        ("throttled", "Throttling.User", 400, "RequestLimitExceeded"),
        ("authentication", "InvalidAccessKeyId.Inactive", 403, "AuthFailure.SecretIdNotFound"),
        ("permission", "Forbidden.RAM", 403, "UnauthorizedOperation"),
        ("unavailable", "ServiceUnavailable", 503, "InternalError"),
        ("internal_error", "InternalError", 500, "InternalError"),
        ("region_not_found", "InvalidRegionId.NotFound", 404, "UnsupportedRegion"),
        ("unsupported_action", "InvalidAction.NotFound", 404, "InvalidAction"),
    ],
)
def test_a_refusal_has_the_code_and_status_of_its_cloud(emulator, kind, ali, status, tx):
    emulator.faults.add(Fault(kind=kind))
    with pytest.raises(ServerException) as caught:
        Ali(emulator).page()
    assert (caught.value.get_error_code(), caught.value.get_http_status()) == (ali, status)
    assert tx_code(Tx(emulator).page) == tx
    assert (emulator.log.errors(ali), emulator.log.errors(tx)) == ((2, 2) if ali == tx else (1, 1))


def test_any_other_code_can_be_named(emulator):
    emulator.faults.add(Fault(kind="throttled", provider="aliyun", code="FlowControl"))
    code = "RequestLimitExceeded.UinLimitExceeded"
    emulator.faults.add(Fault(kind="throttled", provider="tencent", code=code))
    assert ali_code(Ali(emulator).page) == "FlowControl"
    assert tx_code(Tx(emulator).page) == code


def test_an_identity_may_be_unsupported_or_anothers(emulator):
    number = emulator.faults.add(Fault(kind="unsupported_action", action="GetCallerIdentity"))
    assert ali_code(Ali(emulator).identity, emulator) == "InvalidAction.NotFound"
    assert tx_code(Tx(emulator).identity) == "InvalidAction"
    emulator.faults.clear(number)
    emulator.faults.add(Fault(kind="other_owner", value="42"))
    assert Ali(emulator).identity(emulator)["AccountId"] == "42"
    assert Tx(emulator).identity()["AccountId"] == "42"


def test_a_gateway_can_answer_with_a_page_of_html(emulator):
    emulator.faults.add(Fault(kind="bad_gateway"))
    with pytest.raises(ServerException) as caught:
        Ali(emulator).page()
    assert caught.value.get_http_status() == 502
    assert tx_code(Tx(emulator).page) == "ServerNetworkError"


def test_missing_permission_can_look_like_an_empty_region(emulator):
    emulator.faults.add(Fault(kind="denied_empty"))
    assert Ali(emulator).hosts() == Ali(emulator).disks() == Tx(emulator).hosts() == []
    assert ali_code(Ali(emulator).page, DryRun=True) == "Forbidden.RAM"
    assert tx_code(Tx(emulator).call, "DescribeInstancesStatus", {}) == "UnauthorizedOperation"
    assert tx_code(Tx(emulator).call, "DescribeZones", {}) == "UnauthorizedOperation"


def test_dry_runs_can_be_ignored_or_unsupported(emulator):
    number = emulator.faults.add(Fault(kind="dry_run_ignored"))
    assert len(Ali(emulator).page(DryRun=True)["Instances"]["Instance"]) == 10
    emulator.faults.clear(number)
    emulator.faults.add(Fault(kind="dry_run_unsupported"))
    assert ali_code(Ali(emulator).page, DryRun=True) == "InvalidParameter.DryRun"
    assert len(Ali(emulator).hosts()) == HOSTS


def test_lookups_of_unknown_ids_can_be_errors(emulator):
    emulator.faults.add(Fault(kind="unknown_ids"))
    assert ali_code(Ali(emulator).lookup, ["i-gone"]) == "InvalidInstanceId.NotFound"
    assert tx_code(Tx(emulator).lookup, ["ins-gone"]) == "InvalidInstanceId.NotFound"
    known = ids(emulator.world.truth(*GUANGZHOU))[:1]
    assert ids(Tx(emulator).lookup(known)) == known


# --- lists that lie


@pytest.mark.parametrize("place", [HANGZHOU, GUANGZHOU])
def test_missing_hosts_are_found_by_id_and_gone_ones_are_not(emulator, place):
    client: Any = Ali(emulator) if place == HANGZHOU else Tx(emulator)
    truth = ids(emulator.world.truth(*place))
    number = emulator.faults.add(Fault(kind="missing", hosts=tuple(truth[5:8])))
    assert ids(client.hosts()) == truth[:5] + truth[8:]
    assert ids(client.lookup(truth[5:8])) == truth[5:8]
    emulator.faults.clear(number)
    emulator.faults.add(Fault(kind="gone", share=0.5))
    left = ids(client.hosts())
    assert HOSTS / 4 < len(left) < HOSTS * 3 / 4
    assert ids(client.lookup(truth)) == left
    emulator.faults.add(Fault(kind="gone", share=1))
    assert client.hosts() == client.lookup(truth) == []


def test_pages_can_repeat_a_host(emulator):
    emulator.faults.add(Fault(kind="duplicate", action="DescribeInstances"))
    seen = ids(Ali(emulator).hosts())
    assert len(seen) == HOSTS + 3
    assert set(seen) == set(ids(emulator.world.truth(*HANGZHOU)))


def test_the_total_can_be_wrong_or_change_under_way(emulator):
    emulator.faults.add(Fault(kind="total_count", by=7, after_pages=1))
    assert Tx(emulator).page()["TotalCount"] == HOSTS
    assert Tx(emulator).page(Offset=10)["TotalCount"] == HOSTS + 7


@pytest.mark.parametrize("place", [HANGZHOU, GUANGZHOU])
def test_one_host_can_be_damaged_and_the_others_are_whole(emulator, place):
    client: Any = Ali(emulator) if place == HANGZHOU else Tx(emulator)
    truth = emulator.world.truth(*place)
    number = emulator.faults.add(Fault(kind="wrong_type", hosts=(truth[3]["InstanceId"],)))
    assert [host for host in client.hosts() if host["Memory"] == "a lot"] == [
        truth[3] | {"Memory": "a lot"}
    ]
    emulator.faults.clear(number)
    number = emulator.faults.add(Fault(kind="no_id"))
    listed = client.hosts()
    assert "InstanceId" not in listed[0]
    assert listed[1:] == truth[1:]
    emulator.faults.clear(number)
    emulator.faults.add(Fault(kind="nul_tag"))
    assert "\\u0000" in json.dumps(client.hosts()[0]["Tags"])


def test_hooks_and_churn_come_between_pages(emulator):
    region = emulator.world.region(*GUANGZHOU)
    emulator.on_page.append(lambda call: region.move(region.ids()[-1]))
    first = ids(Tx(emulator).page()["InstanceSet"])
    assert ids(Tx(emulator).page(Offset=10)["InstanceSet"])[0] == first[-1]
    emulator.on_page.clear()
    emulator.faults.add(Fault(kind="churn", adds=2, changes=1, releases=2, times=1))
    Tx(emulator).hosts()
    assert len(set(first) - set(ids(region.truth()))) <= 2
    assert len(region.truth()) == HOSTS


# --- damaged answers


def test_bodies_can_be_broken_truncated_or_dripped(emulator):
    number = emulator.faults.add(Fault(kind="broken_json"))
    head, body = raw_answer(emulator)[0].split(b"\r\n\r\n", 1)
    assert f"Content-Length: {len(body)}".encode() in head
    with pytest.raises(ValueError, match=r"."):
        json.loads(body)
    emulator.faults.clear(number)
    number = emulator.faults.add(Fault(kind="truncated"))
    connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=5)
    connection.request("GET", f"/?{urlencode(instances_query())}")
    with pytest.raises(http.client.IncompleteRead):
        connection.getresponse().read()
    connection.close()
    emulator.faults.clear(number)
    emulator.faults.add(Fault(kind="drip", seconds=0, action="DescribeInstances"))
    assert len(Ali(emulator).hosts()) == HOSTS


def test_connections_can_be_reset_before_and_in_an_answer(emulator):
    emulator.faults.add(Fault(kind="reset", times=1))
    assert raw_answer(emulator) == (b"", ConnectionResetError)
    emulator.faults.add(Fault(kind="reset_in_body", times=1))
    assert raw_answer(emulator)[1] is ConnectionResetError
    assert raw_answer(emulator)[1] is None


@pytest.mark.parametrize("kind", ["hang", "drip", "latency"])
def test_a_call_that_hangs_ends_when_the_fault_is_cleared(emulator, kind):
    number = emulator.faults.add(Fault(kind=kind, seconds=60, times=1))
    ended = threading.Event()

    def ask() -> None:
        raw_answer(emulator)
        ended.set()

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: emulator.faults.left(number) == 0)
    assert not ended.wait(0.1)
    emulator.faults.clear(number)
    assert ended.wait(5)
    asking.join()


def test_stopping_ends_hanging_calls_and_idle_connections_at_once():
    emulator = Emulator(World.sized(1, 1))
    emulator.start()
    number = emulator.faults.add(Fault(kind="hang", times=1))
    idle = socket.create_connection(("127.0.0.1", emulator.port))
    asking = threading.Thread(target=raw_answer, args=(emulator,))
    asking.start()
    wait_until(lambda: emulator.faults.left(number) == 0)
    began = time.monotonic()
    emulator.stop()
    assert time.monotonic() - began < 2
    asking.join()
    idle.close()


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


# --- filters


def test_a_fault_strikes_only_what_it_names_and_as_often_as_it_says(emulator):
    emulator.faults.add(
        Fault(kind="throttled", account="aliyun-demo", region="cn-hangzhou", after_pages=1, times=1)
    )
    ali = Ali(emulator)
    first = ali.page()
    assert len(Tx(emulator).hosts()) == HOSTS
    assert len(ali.page(RegionId="cn-shanghai", MaxResults=100)["Instances"]["Instance"]) == HOSTS
    assert ali_code(ali.page, NextToken=first["NextToken"]) == "Throttling.User"
    assert ali.page(NextToken=first["NextToken"])["NextToken"]


def test_a_fault_by_chance_repeats_with_its_seed(emulator):
    def pattern() -> list[int]:
        number = emulator.faults.add(Fault(kind="throttled", probability=0.5, seed=7))
        found = [get(emulator, instances_query())[0] for _ in range(20)]
        emulator.faults.clear(number)
        return found

    first = pattern()
    assert set(first) == {200, 400}
    assert first == pattern()


def test_unknown_kinds_are_refused():
    with pytest.raises(ValueError, match="no such fault"):
        Fault(kind="flood")
