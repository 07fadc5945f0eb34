"""What becomes of the answers to "may this account do that there?"."""

import json

from syncd.doctor.accounts import Verdict, judge_permissions
from syncd.doctor.side_by_side import Outcome
from syncd.errors import Network, Permission
from syncd.providers.aliyun.provider import policy as ram
from syncd.providers.base import Needs, Probe, RegionNotOpen
from syncd.providers.tencent.provider import policy as cam

LIST = Probe("ecs:DescribeInstances", lambda ctx, region: True)
DISKS = Probe("ecs:DescribeDisks", lambda ctx, region: True, needed=False, without="no disks")
NEEDS = Needs("https://x", 900.0, "ecs:DescribeRegions", (LIST, DISKS), ram)
ALLOWED = Outcome(0.1, True)
DENIED = Outcome(0.1, False)


def judged(hosts, disks):
    verdicts = {LIST.action: Verdict.of(hosts), DISKS.action: Verdict.of(disks)}
    return list(judge_permissions("prod", NEEDS, verdicts))


def test_all_allowed_is_well_and_brings_no_policy():
    found = judged({"a": ALLOWED, "b": Outcome(0.1, error=RegionNotOpen("b"))}, {"a": ALLOWED})
    assert [each.state for each in found] == ["ok", "ok"]
    assert found[0].found == "allowed in 1 of 2 regions, 1 not open"
    assert found[0].subject == "prod ecs:DescribeInstances"
    assert [each.denied for each in found] == [None, None]


def test_one_policy_grants_all_that_is_denied():
    found = judged({"a": ALLOWED, "b": DENIED}, {"a": DENIED, "b": DENIED})
    assert [each.state for each in found] == ["failed", "warning"]
    assert [each.found for each in found] == ["denied in b", "denied: no disks"]
    assert found[0].denied.actions == ["ecs:DescribeInstances", "ecs:DescribeDisks"]
    assert found[1].denied is None


def test_a_permission_error_is_a_denial_too():
    found = judged({"a": Outcome(0.1, error=Permission("Forbidden.RAM"))}, {"a": ALLOWED})
    assert [each.state for each in found] == ["failed", "ok"]
    assert found[0].denied.actions == ["ecs:DescribeInstances"]


def test_what_can_not_be_told_is_said_to_be_unknown_and_not_denied():
    hosts = {"a": Outcome(8.0, late=True), "b": Outcome(0.1), "c": ALLOWED}
    found = judged(hosts, {"a": Outcome(0.1, error=Network("reset"))})
    assert [each.state for each in found] == ["warning", "warning"]
    assert found[0].found == "not known in a, b; a: no answer within 8.0 s"
    assert found[1].found == "not known in a; a: reset"


def test_policies_have_the_form_of_their_cloud():
    assert json.loads(ram(["ecs:DescribeDisks"])) == {
        "Version": "1",
        "Statement": [{"Effect": "Allow", "Action": ["ecs:DescribeDisks"], "Resource": "*"}],
    }
    assert json.loads(cam(["cvm:DescribeInstances"])) == {
        "version": "2.0",
        "statement": [{"effect": "allow", "action": ["cvm:DescribeInstances"], "resource": ["*"]}],
    }
