"""Which targets a selection holds."""

import pytest

from syncd.model.run import Selection, Target

HOSTS = Target("a/r1/host", account="a", provider="aliyun", region="r1", resource_type="host")
ACCOUNT = Target("a/*", account="a")
SERVER = Target("pg", server="pg")
UPKEEP = Target("runs")
TABLE = Target("orders", server="pg", table="orders")


@pytest.mark.parametrize(
    ("chosen", "held"),
    [
        ({}, [HOSTS, ACCOUNT, SERVER, UPKEEP, TABLE]),
        ({"tables": "orders"}, [TABLE]),
        ({"tables": "lines"}, []),
        ({"tables": "orders", "servers": "pg"}, [TABLE]),
        ({"tables": "orders", "servers": "my"}, []),
        ({"tables": "orders", "regions": "r1"}, []),
        ({"accounts": "a"}, [HOSTS, ACCOUNT]),
        ({"accounts": "b"}, []),
        ({"regions": "r1"}, [HOSTS, ACCOUNT]),
        ({"regions": "r2"}, [ACCOUNT]),
        ({"servers": "pg"}, [SERVER, TABLE]),
        ({"servers": "pg", "regions": "r1"}, []),
        ({"servers": "pg", "accounts": "a"}, []),
        ({"accounts": "a", "regions": "r1"}, [HOSTS, ACCOUNT]),
    ],
)
def test_regions_and_accounts_fit_no_server_and_servers_no_account(chosen, held):
    selection = Selection(**{part: frozenset({name}) for part, name in chosen.items()})
    targets = [HOSTS, ACCOUNT, SERVER, UPKEEP, TABLE]
    assert [target for target in targets if selection.wants(target)] == held
