"""Sessions with a real Redis: who answers, what is refused, and that every wait ends."""

import signal
import socket
import threading
import time
from contextlib import ExitStack, closing, contextmanager

import pytest
from engine_run import context
from mariadb_server import free_port
from mysql_certificates import Authority
from redis_server import HOST, private_redis

from syncd.context import CancelSource
from syncd.engines import registry
from syncd.engines.base import ServerAccess, Tls
from syncd.engines.redis.connection import MOST_BYTES, connected
from syncd.errors import (
    Authentication,
    BadData,
    Cancelled,
    ConfigurationError,
    Network,
    Permission,
    Throttled,
    TimedOut,
)

PASSWORD = "pä'ss\\w ord"


@pytest.fixture(scope="module")
def guarded():
    """Give a server with a password and two users more."""
    with private_redis({"requirepass": PASSWORD, "maxclients": "40"}) as server:
        with closing(server.client(password=PASSWORD)) as client:
            client.acl_setuser(
                "reader", enabled=True, passwords=[f"+{PASSWORD}"], keys=["stock:*"],
                commands=["+scan", "+get", "+mget", "+hget", "+type"],
            )  # fmt: skip
            client.acl_setuser("nobody", enabled=True, nopass=True, commands=["-@all"])
            client.set("stock:1", 5)
            client.set("other", 5)
        yield server


def told(server, **changed):
    return server.access(password=lambda: PASSWORD, **changed)


def test_it_tells_who_answers(redis_server):
    who = registry.build(redis_server.access()).identify(context())
    version = redis_server.client().info("server")["redis_version"]
    assert (who.engine, who.version, who.user, who.tls) == ("redis", version, "default", None)


def test_a_socket_is_as_good(redis_server):
    who = registry.build(redis_server.access(host=redis_server.socket)).identify(context())
    assert who.engine == "redis"


def test_a_password_alone_is_that_of_the_default_user(guarded):
    assert registry.build(told(guarded)).identify(context()).user == "default"


def test_a_user_who_may_hardly_anything_is_told_apart(guarded):
    who = registry.build(told(guarded, user="reader")).identify(context())
    assert who.version[0].isdigit()
    assert who.user == "reader"


@pytest.mark.parametrize(
    ("user", "password"),
    [("", "wrong"), ("", None), ("reader", "wrong"), ("nosuch", PASSWORD), ("", "\0\r\n$5\r\n")],
)
def test_wrong_credentials_are_refused(guarded, user, password):
    with pytest.raises(Authentication) as caught:
        registry.build(guarded.access(user=user, password=lambda: password)).identify(context())
    assert not password or password not in str(caught.value)


def test_a_password_where_none_is_asked_for_is_refused(redis_server):
    with pytest.raises(Authentication, match="without any password"):
        registry.build(told(redis_server)).identify(context())


def test_what_is_not_granted_is_told(guarded):
    with connected(told(guarded, user="reader"), context()) as session:
        assert session.ask("GET", "stock:1") == b"5"
        with pytest.raises(Permission, match="set"):
            session.ask("SET", "stock:1", "6")
        with pytest.raises(Permission, match="permissions"):
            session.ask("GET", "other")
        assert session.ask("GET", "stock:1") == b"5"


def test_each_command_has_its_own_error(redis_server):
    with connected(redis_server.access(), context()) as session:
        session.ask("DEL", "list", "text")
        session.ask("RPUSH", "list", "a")
        session.ask("SET", "text", b"\x00\xff")
        wrong, good = session.each([("GET", "list"), ("GET", "text")])
        assert "WRONGTYPE" in str(wrong)
        assert good == b"\x00\xff"


def test_databases_are_apart_and_one_that_is_not_there_is_told(redis_server):
    with connected(redis_server.access(), context(), 3) as session:
        session.ask("SET", "mine", 1)
    with connected(redis_server.access(), context()) as session:
        assert session.ask("GET", "mine") is None
    with (
        pytest.raises(ConfigurationError, match="index is out of range"),
        connected(redis_server.access(), context(), 4),
    ):
        pass


def test_too_many_clients_are_a_reason_to_wait(guarded):
    with ExitStack() as stack:
        for _ in range(45):
            stack.enter_context(socket.create_connection((HOST, guarded.port)))
        with pytest.raises(Throttled, match="max number of clients"):
            registry.build(told(guarded)).identify(context())


def test_a_node_of_a_cluster_is_refused():
    options = {"cluster-enabled": "yes", "databases": "1"}
    # By itself it would take the port that is 10,000 higher, which there need not be.
    with (
        private_redis({**options, "cluster-port": str(free_port())}) as server,
        pytest.raises(ConfigurationError, match="node of a cluster"),
    ):
        registry.build(server.access()).identify(context())


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x4a\0\0\0\n8.0.3\0", b""]
)
def test_what_is_no_redis_is_told(answer):
    with listening(lambda peer: peer.sendall(answer)) as port, pytest.raises(Network):
        registry.build(access_to(port)).identify(context(5))


def access_to(port, **changed):
    given = {"name": "x", "engine": "redis", "host": HOST, "port": port, "user": ""}
    return ServerAccess(**given, password=lambda: None, **changed)


@contextmanager
def listening(serve):
    """Give the port of a server that serves one connection after the other, and reads no more."""
    with socket.create_server((HOST, 0)) as listener:

        def run():
            with closing(listener.accept()[0]) as peer:
                peer.recv(10)
                serve(peer)

        thread = threading.Thread(target=run)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)


def test_a_server_that_says_nothing_is_waited_for_no_longer_than_a_connect_may_take():
    done = threading.Event()
    with listening(lambda _: done.wait(5)) as port:
        began = time.monotonic()
        with pytest.raises(TimedOut):
            registry.build(access_to(port, connect_timeout=0.3)).identify(context())
        assert 0.2 < time.monotonic() - began < 1.5
        done.set()


def test_a_server_that_drips_is_waited_for_no_longer_either():
    def drip(peer):
        for _ in range(100):
            try:
                peer.sendall(b"*")
            except OSError:
                return
            if done.wait(0.05):
                return

    done = threading.Event()
    with listening(drip) as port:
        began = time.monotonic()
        with pytest.raises(TimedOut):
            registry.build(access_to(port, connect_timeout=0.5)).identify(context())
        assert time.monotonic() - began < 2
        done.set()


def test_a_closed_port_is_told():
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Network, match="refused"):
        registry.build(access_to(port)).identify(context())


def test_a_command_that_takes_too_long_is_ended(redis_server):
    with connected(redis_server.access(statement_timeout=0.3), context()) as session:
        began = time.monotonic()
        with pytest.raises(TimedOut):
            session.ask("DEBUG", "SLEEP", "2")
        assert time.monotonic() - began < 1


def test_a_cancelled_run_is_ended_within_a_second(redis_server):
    source = CancelSource()
    with connected(redis_server.access(), context(source=source)) as session:
        began = time.monotonic()
        threading.Timer(0.2, source.cancel, [Cancelled("enough")]).start()
        with pytest.raises(Cancelled):
            session.ask("DEBUG", "SLEEP", "3")
        assert time.monotonic() - began < 1


def test_paused_clients_are_cancelled_too():
    with private_redis() as server, closing(server.client()) as client:
        source = CancelSource()
        with connected(server.access(), context(source=source)) as session:
            client.execute_command("CLIENT", "PAUSE", "20000", "ALL")
            threading.Timer(0.2, source.cancel, [Cancelled("enough")]).start()
            began = time.monotonic()
            with pytest.raises(Cancelled):
                session.ask("GET", "a")
            assert time.monotonic() - began < 1
        server.stop(signal.SIGKILL)


def test_a_killed_server_is_told_and_not_connected_to_again():
    with private_redis() as server, connected(server.access(), context()) as session:
        server.kill()
        for _ in range(2):
            with pytest.raises(Network):
                session.ask("GET", "a")


def test_a_busy_script_is_a_reason_to_wait(redis_server):
    with closing(redis_server.client()) as client:
        client.config_set("busy-reply-threshold", 1)
        looping = threading.Thread(target=loop, args=[redis_server])
        looping.start()
        with connected(redis_server.access(), context()) as session:
            until = time.monotonic() + 5
            caught = None
            while caught is None and time.monotonic() < until:
                try:
                    session.ask("GET", "a")
                except Throttled as error:
                    caught = error
            assert "BUSY" in str(caught)
        client.script_kill()
        looping.join(10)


def loop(server):
    with closing(server.client()) as client:
        try:
            client.eval("while true do end", 0)
        except Exception:
            return


def test_more_than_memory_has_room_for_is_refused(redis_server):
    with (
        closing(redis_server.client()) as client,
        connected(redis_server.access(), context()) as session,
    ):
        client.setrange("large", (64 << 20) - 1, b"x")
        assert len(session.ask("GET", "large")) == 64 << 20
        assert session.received > 64 << 20
        with pytest.raises(BadData, match="too large"):
            session.each([("GET", "large")] * (MOST_BYTES // (64 << 20) + 1))
        client.delete("large")


def test_commands_are_counted(redis_server):
    with connected(redis_server.access(commands_per_second=200), context()) as session:
        began = time.monotonic()
        for _ in range(3):
            session.each([("PING",)] * 100)
        assert 0.45 < time.monotonic() - began < 3


def test_a_limit_that_would_pass_the_deadline_is_told_at_once(redis_server):
    access = redis_server.access(commands_per_second=1)
    with connected(access, context(5)) as session, pytest.raises(TimedOut, match="waiting"):
        session.each([("PING",)] * 100)


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory):
    """Give a server that only takes TLS, its authority, and one that it does not know."""
    folder = tmp_path_factory.mktemp("redis-tls")
    (foreign_folder := folder / "foreign").mkdir()
    ours = Authority(folder, "ours")
    certificate, key = ours.issue(HOST)
    options = {
        "tls-cert-file": str(certificate), "tls-key-file": str(key),
        "tls-ca-cert-file": str(ours.file), "tls-auth-clients": "optional",
    }  # fmt: skip
    with private_redis(options) as server:
        yield server, ours, Authority(foreign_folder, "foreign")


def test_tls_is_told_and_its_certificate_looked_at(encrypted):
    server, ours, foreign = encrypted
    who = registry.build(server.access(tls=Tls("verify-full", ours.file))).identify(context())
    assert who.tls in ("TLSv1.2", "TLSv1.3")
    assert registry.build(server.access(tls=Tls("require"))).identify(context()).tls
    with pytest.raises(Network, match="certificate is refused"):
        registry.build(server.access(tls=Tls("verify-ca", foreign.file))).identify(context())
    with pytest.raises(Network, match="certificate is refused"):
        registry.build(server.access(host="localhost", tls=Tls("verify-full", ours.file))).identify(
            context()
        )


def test_tls_and_none_do_not_go_together(encrypted, redis_server):
    server, _, _ = encrypted
    with pytest.raises((Network, TimedOut)):
        registry.build(server.access(connect_timeout=2)).identify(context())
    with pytest.raises((Network, TimedOut)):
        registry.build(redis_server.access(connect_timeout=2, tls=Tls("require"))).identify(
            context()
        )
