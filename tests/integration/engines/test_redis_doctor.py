"""What the doctor says of a Redis: who answers, and how encrypted; no word of accounts."""

from contextlib import closing

import pytest
from redis_server import private_redis

from syncd.config.configuration import Config, Tables
from syncd.config.servers import Server
from syncd.doctor import servers
from syncd.doctor.case import ServerCase, server_cases
from syncd.engines import registry


def case_of(server, **changed) -> ServerCase:
    told = {"engine": "redis", "host": "127.0.0.1", "port": server.port} | changed
    config = Config.of(Tables(servers={"cache": Server(**told)}))
    access = server.access(user=changed.get("user") or "")
    return server_cases(
        config, [], lambda _: registry.build(access), lambda _: registry.rights(access)
    )["cache"]


def test_it_tells_who_answers_and_leaves_out_accounts_and_sizes(redis_server):
    case = case_of(redis_server)
    (found,) = servers.reachable(case)
    with closing(redis_server.client()) as client:
        version = client.info("server")["redis_version"]
    assert (found.state, found.found.split(" in ")[0]) == ("ok", f"Redis {version} takes default")
    for read in (servers.accounts, servers.sizes):
        (found,) = read(case)
        assert found.state == "skipped"
        assert "consistency checks alone" in found.found


def test_it_tells_what_to_do_about_a_refused_log_in():
    with private_redis({"requirepass": "sesame"}) as server:
        (found,) = servers.reachable(case_of(server))
    assert found.state == "failed"
    assert "ACL of Redis" in found.advice


@pytest.mark.parametrize(("host", "status"), [("127.0.0.1", "ok"), ("10.0.0.7", "warning")])
def test_what_goes_over_a_network_unencrypted_is_told(redis_server, host, status):
    (found,) = servers.tls(case_of(redis_server, host=host))
    assert found.state == status
