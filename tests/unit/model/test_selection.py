"""Which targets a selection holds."""

import pytest

from syncd.model.run import Selection, Target

HOSTS = Target("a/r1/host", account="a", provider="aliyun", region="r1", resource_type="host")
ACCOUNT = Target("a/*", account="a")
SERVER = Target("pg", server="pg")
UPKEEP = Target("runs")


@pytest.mark.parametrize(
    ("chosen", "held"),
    [
        ({}, [HOSTS, ACCOUNT, SERVER, UPKEEP]),
        ({"accounts": "a"}, [HOSTS, ACCOUNT]),
        ({"accounts": "b"}, []),
        ({"regions": "r1"}, [HOSTS, ACCOUNT]),
        ({"regions": "r2"}, [ACCOUNT]),
        ({"servers": "pg"}, [SERVER]),
        ({"servers": "pg", "regions": "r1"}, []),
        ({"servers": "pg", "accounts": "a"}, []),
        ({"accounts": "a", "regions": "r1"}, [HOSTS, ACCOUNT]),
    ],
)
def test_regions_and_accounts_fit_no_server_and_servers_no_account(chosen, held):
    selection = Selection(**{part: frozenset({name}) for part, name in chosen.items()})
    targets = [HOSTS, ACCOUNT, SERVER, UPKEEP]
    assert [target for target in targets if selection.wants(target)] == held
