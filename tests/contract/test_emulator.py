"""The official SDKs accept the emulator: paging, lookups, errors, signatures."""

import json
import time

import pytest
from aliyunsdkcore.auth.credentials import StsTokenCredential
from aliyunsdkecs.request.v20140526.DescribeInstancesRequest import DescribeInstancesRequest
from aliyunsdkecs.request.v20140526.DescribeRegionsRequest import DescribeRegionsRequest
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

from syncd.demo.emulator import KEYS, Emulator, Fault, World

# --- what a well-behaved cloud does


def test_both_sdks_page_through_every_host(emulator):
    assert Ali(emulator).hosts() == emulator.world.truth(*HANGZHOU)
    assert Tx(emulator).hosts() == emulator.world.truth(*GUANGZHOU)
    assert emulator.log.calls("DescribeInstances", region="cn-hangzhou") == 3
    assert emulator.log.calls(provider="tencent") == 3


def test_sdks_may_use_the_other_http_method(emulator):
    some = ids(emulator.world.truth(*GUANGZHOU))[3:6]
    assert ids(Tx(emulator, method="GET").lookup(some)) == some
    assert Ali(emulator).identity(emulator, "GET")["AccountId"] == KEYS["aliyun"][2]


def test_form_parameters_are_signed_too(emulator):
    request = DescribeInstancesRequest()
    request.set_method("POST")
    request.add_body_params("InstanceIds", '["näme"]')
    assert Ali(emulator).call(request)["Instances"]["Instance"] == []


def test_regions_list_the_unopened_ones_which_then_refuse(emulator):
    regions = Ali(emulator).call(DescribeRegionsRequest())["Regions"]["Region"]
    unopened = regions[-1]["RegionId"]
    assert len(regions) == 4
    assert ali_code(Ali(emulator).page, RegionId=unopened) == "InvalidRegionId.NotFound"
    product = ("region", "2022-06-27")
    regions = Tx(emulator).call("DescribeRegions", {"Product": "cvm"}, product)["RegionSet"]
    assert [region["RegionState"] for region in regions] == ["AVAILABLE"] * 4


def test_identity_names_the_owner(emulator):
    assert Ali(emulator).identity(emulator)["AccountId"] == KEYS["aliyun"][2]
    assert Tx(emulator).identity()["AccountId"] == KEYS["tencent"][2]


def test_lookup_by_id_leaves_out_what_is_not_there(emulator):
    ali = ids(emulator.world.truth(*HANGZHOU))[:2]
    tx = ids(emulator.world.truth(*GUANGZHOU))[:2]
    assert ids(Ali(emulator).lookup([*ali, "i-gone"])) == ali
    assert ids(Tx(emulator).lookup([*tx, "ins-gone"])) == tx


def test_the_usual_page_limits_count_for_lookups_too(emulator):
    ali, tx = ids(emulator.world.truth(*HANGZHOU)), ids(emulator.world.truth(*GUANGZHOU))
    page = Ali(emulator).page(InstanceIds=json.dumps(ali))
    assert ids(page["Instances"]["Instance"]) == ali[:10]
    rest = {"InstanceIds": json.dumps(ali), "NextToken": page["NextToken"], "MaxResults": 100}
    assert ids(Ali(emulator).page(**rest)["Instances"]["Instance"]) == ali[10:]
    page = Tx(emulator).call("DescribeInstances", {"InstanceIds": tx})
    assert (ids(page["InstanceSet"]), page["TotalCount"]) == (tx[:20], HOSTS)


def test_an_empty_id_list_is_nothing_at_alibaba_and_no_filter_at_tencent(emulator):
    assert Ali(emulator).lookup([]) == []
    assert len(Tx(emulator).lookup([])) == HOSTS


def test_page_limits_are_those_of_the_clouds(emulator):
    assert len(Ali(emulator).page(MaxResults=1)["Instances"]["Instance"]) == 10
    assert ali_code(Ali(emulator).page, MaxResults=101) == "InvalidParameter"
    assert len(Tx(emulator).call("DescribeInstances", {})["InstanceSet"]) == 20
    assert tx_code(Tx(emulator).page, Limit=101) == "InvalidParameterValueLimit"
    many = [f"ins-{n:08d}" for n in range(101)]
    assert tx_code(Tx(emulator).lookup, many) == "InvalidParameterValue.LimitExceeded"
    filters = [{"Name": "zone", "Values": ["x"]}]
    code = tx_code(Tx(emulator).page, InstanceIds=["ins-00000000"], Filters=filters)
    assert code == "InvalidParameterCombination"


def test_disks_come_by_page_by_instance_and_by_id(emulator):
    truth = emulator.world.disks(*HANGZHOU)
    ali = Ali(emulator)
    assert ali.disks(DiskType="data", MaxResults=10) == truth
    everything = ali.disks(MaxResults=10)
    assert [disk["Type"] for disk in everything].count("system") == HOSTS
    assert [disk for disk in everything if disk["Type"] == "data"] == truth
    host_id = next(disk["InstanceId"] for disk in truth if disk["InstanceId"])
    own = ali.disks(InstanceId=host_id, DiskType="data")
    assert {disk["InstanceId"] for disk in own} == {host_id}
    assert ali.disks(DiskIds=json.dumps([truth[0]["DiskId"]])) == truth[:1]


def test_a_dry_run_says_that_permission_is_there(emulator):
    assert ali_code(Ali(emulator).page, DryRun=True) == "DryRunOperation"


def test_token_paging_survives_churn_where_offset_paging_slips(emulator):
    old_ali = set(ids(emulator.world.truth(*HANGZHOU)))
    emulator.faults.add(Fault(kind="churn", releases=1, times=2, seed=3))
    seen = set(ids(Ali(emulator).hosts()))
    assert old_ali & set(ids(emulator.world.truth(*HANGZHOU))) <= seen
    first = ids(Tx(emulator).page(Limit=10)["InstanceSet"])
    emulator.world.region(*GUANGZHOU).release(first[:1])
    lost = ids(emulator.world.truth(*GUANGZHOU))[9]
    assert lost not in first
    assert lost not in ids(Tx(emulator).page(Offset=10)["InstanceSet"])
    for place in (HANGZHOU, GUANGZHOU):
        region = emulator.world.region(*place)
        region.add(HOSTS - len(region.hosts))


# --- signatures


def test_wrong_keys_get_the_codes_of_the_clouds(emulator):
    assert ali_code(Ali(emulator, ak="nobody").page) == "InvalidAccessKeyId.NotFound"
    # The SDK renames SignatureDoesNotMatch when the server signed the same string.
    assert ali_code(Ali(emulator, secret="wrong").page) == "InvalidAccessKeySecret"
    assert tx_code(Tx(emulator, "nobody", "x").page) == "AuthFailure.SecretIdNotFound"
    assert tx_code(Tx(emulator, KEYS["tencent"][0], "x").page) == "AuthFailure.SignatureFailure"
    assert emulator.log.refusals() == 4
    assert emulator.log.refusals("SignatureDoesNotMatch") == 1
    assert emulator.log.calls() == 0


@pytest.mark.parametrize(("offset", "fine"), [(-280, True), (-400, False), (1000, False)])
def test_tencent_allows_five_minutes_of_clock_difference(offset, fine):
    world = World.sized(1, 1)
    with Emulator(world, clock=lambda: time.time() + offset) as emulator:
        if fine:
            assert len(Tx(emulator).hosts()) == 1
        else:
            assert tx_code(Tx(emulator).page) == "AuthFailure.SignatureExpire"
        if offset == 1000:
            assert ali_code(Ali(emulator).page) == "InvalidTimeStamp.Expired"
        else:
            assert len(Ali(emulator).hosts()) == 1


def test_a_nonce_counts_once_and_a_changed_parameter_breaks_the_signature(emulator):
    query = signed_query()
    assert get(emulator, query)[0] == 200
    assert get(emulator, query)[1]["Code"] == "SignatureNonceUsed"
    status, answer = get(emulator, signed_query(SignatureNonce="two") | {"RegionId": "x"})
    assert (status, answer["Code"]) == (400, "SignatureDoesNotMatch")
    for wrong in ("yesterday", "2026-19-39T00:00:00Z", "2026-01-01T00:00:00+00:00"):
        assert get(emulator, signed_query(Timestamp=wrong))[1]["Code"] == "InvalidTimeStamp.Format"
    assert set(answer) == {"RequestId", "HostId", "Code", "Message", "Recommend"}


def test_temporary_keys_need_their_token(emulator):
    key_id, secret, _ = KEYS["aliyun"]
    for account in emulator.world.accounts.values():
        account.token = "session"
    try:
        good = Ali(emulator, "", ak=None, credential=StsTokenCredential(key_id, secret, "session"))
        bad = Ali(emulator, "", ak=None, credential=StsTokenCredential(key_id, secret, "other"))
        assert len(good.hosts()) == HOSTS
        assert ali_code(bad.page) == "InvalidSecurityToken.MismatchWithAccessKey"
        key = KEYS["tencent"][:2]
        assert len(Tx(emulator, *key, "session").hosts()) == HOSTS
        assert tx_code(Tx(emulator, *key).page) == "AuthFailure.TokenFailure"
    finally:
        for account in emulator.world.accounts.values():
            account.token = ""
