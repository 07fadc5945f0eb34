"""The client: errors come back as they were raised behind the socket."""

import socket
import threading

import pytest
from fake_daemon import RUN, serving

from syncd import errors
from syncd.config.problems import ConfigInvalid, Problem
from syncd.control.client import Client
from syncd.control.wire import error_from
from syncd.model.run import Selection

ALL = Selection()


@pytest.fixture
def served():
    with serving() as (daemon, _):
        yield daemon, Client(daemon.path, timeout=10)


@pytest.mark.parametrize(
    "error",
    [
        errors.NotFound("no such job"),
        errors.Conflict("the run has ended"),
        errors.ConfigurationError("bad"),
        errors.StoreError("gone"),
        errors.BadRequest("what?"),
        errors.TimedOut("late"),
        errors.Guarded("too many"),
        errors.Throttled("slow down"),
        errors.Authentication("who?"),
        errors.Permission("no"),
        errors.BadData("broken"),
        errors.Network("down"),
    ],
)
def test_an_error_keeps_its_class_and_text(served, error):
    daemon, client = served
    daemon.commands.raises = error
    with pytest.raises(type(error)) as raised:
        client.reload("")
    assert str(raised.value) == str(error)
    assert type(raised.value) is type(error)


def test_a_refused_configuration_comes_with_all_its_problems(served):
    daemon, client = served
    problems = (
        Problem("/etc/a.toml", 3, "jobs.x", "unknown key 'é'"),
        Problem("environment", None, "", "b"),
    )
    daemon.commands.raises = ConfigInvalid(problems)
    with pytest.raises(ConfigInvalid) as raised:
        client.reload("")
    assert raised.value.problems == problems


def test_acts_arrive(served):
    daemon, client = served
    assert client.trigger("hosts", ALL, "") == RUN
    assert not client.wait(RUN, 0.01)
    client.cancel(RUN, "")
    daemon.commands.ended.set()
    assert client.wait(RUN, 5)
    assert client.approve("hosts", "") == 12
    assert client.reload("") == ["store.dsn"]
    assert client.progress()[str(RUN)]["items"] == 1
    assert client.run(str(RUN)[:13])["items"][0]["total"] == 10
    with pytest.raises(errors.Conflict):
        client.cancel(RUN, "")


def test_a_name_with_a_slash_stays_a_name(served):
    _, client = served
    with pytest.raises(errors.NotFound):
        client.trigger("../runs", ALL, "")


def test_nobody_there(tmp_path):
    with pytest.raises(errors.Unreachable, match="No such file"):
        Client(tmp_path / "none").status()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
    with pytest.raises(errors.Unreachable, match="refused"):
        Client(tmp_path / "dead").status()


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0\r\n", b"HTTP/1.1 200 OK\r\n\r\n<html>"])
def test_something_else_answers(tmp_path, answer):
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "s"))
        other.listen()

        def serve():
            connection, _ = other.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(errors.Unreachable):
            Client(tmp_path / "s", timeout=5).status()
        thread.join(5)


def test_an_error_of_another_shape_is_told_as_it_came():
    assert isinstance(error_from(413, b"Request Entity Too Large"), errors.BadRequest)
    assert str(error_from(502, b"<html>bad")) == "HTTP 502: <html>bad"
    assert str(error_from(500, b'{"error": "text"}')).startswith("HTTP 500")
