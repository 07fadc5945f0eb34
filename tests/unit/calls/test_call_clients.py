"""The clients of calls: shared where servers are reached the same way, anew with new files."""

from collections.abc import Iterator

import pytest
from api_server import ApiServer, tls_context
from exchange_helpers import composed, sending
from mysql_certificates import Authority

from syncd.calls.clients import Clients
from syncd.config.http import Connection
from syncd.errors import ConfigurationError, Network


@pytest.fixture
def clients() -> Iterator[Clients]:
    clients = Clients()
    yield clients
    clients.close()


def test_one_way_has_one_client(clients) -> None:
    assert clients.get(Connection()) is clients.get(Connection(timeout="5s"))
    assert clients.get(Connection()) is not clients.get(Connection(tls_verify=False))
    assert clients.get(Connection()) is not clients.get(Connection(proxy="http://127.0.0.1:1"))


def test_files_that_were_renewed_are_read_again(clients, tmp_path) -> None:
    authority = Authority(tmp_path, "ca")
    connection = Connection(tls_ca=str(authority.file))
    first = clients.get(connection)
    assert clients.get(connection) is first
    (tmp_path / "new").mkdir()
    Authority(tmp_path / "new", "ca").file.rename(authority.file)
    assert clients.get(connection) is not first
    authority.file.write_text("")
    with pytest.raises(ConfigurationError, match=r"ca\.pem"):
        clients.get(connection)


def test_a_renewed_authority_is_trusted_by_the_next_call(tmp_path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    before, after = Authority(old, "ca"), Authority(new, "ca")
    with ApiServer(tls=tls_context(after.issue("127.0.0.1"))) as api, sending() as send:
        request = composed(url=api.url + "/x", tls_ca=str(before.file))
        with pytest.raises(Network, match="certificate refused"):
            send.send(request)
        assert not send.trace.sent
        after.file.rename(before.file)
        assert send.send(request).status == 200
