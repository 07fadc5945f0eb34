"""What every database engine has to do, against real servers."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from engine_run import context
from engine_subjects import SUBJECTS, Subject

from syncd.context import CancelSource, RunContext
from syncd.engines.base import Engine, ServerAccess
from syncd.engines.registry import build
from syncd.errors import Authentication, Cancelled, Network, Permission, SyncdError, TimedOut

HASTE = 4.5
"""Seconds in which what has to stop at once has stopped, on a busy machine; every limit that could
end it instead is longer."""
CALLS: list[Callable[[Engine, RunContext], object]] = [
    lambda engine, ctx: engine.identify(ctx),
    lambda engine, ctx: engine.accounts(ctx),
    lambda engine, ctx: engine.sizes(ctx, 0),
]
EACH_CALL = pytest.mark.parametrize("call", CALLS, ids=["identify", "accounts", "sizes"])


@pytest.fixture(scope="module", params=SUBJECTS)
def subject(request: pytest.FixtureRequest) -> Subject:
    """Give a server of each engine."""
    return SUBJECTS[request.param](request)


@pytest.fixture(scope="module")
def filled(subject: Subject) -> Iterator[str]:
    """Give a database with tables and rows."""
    with subject.filled() as name:
        yield name


@pytest.fixture
def engine(subject: Subject) -> Engine:
    """Give the engine of somebody who may read everything."""
    return build(subject.access())


@contextmanager
def mute() -> Iterator[int]:
    """Give the port of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def cancelled_after(seconds: float) -> Iterator[RunContext]:
    """Give the context of a run that somebody cancels meanwhile."""
    source = CancelSource()
    timer = threading.Timer(seconds, source.cancel, [Cancelled("enough")])
    timer.start()
    try:
        yield context(source=source)
    finally:
        timer.join()


def _hang_up(listener: socket.socket) -> None:
    listener.accept()[0].close()


def error_of(access: ServerAccess, ctx: RunContext | None = None) -> SyncdError:
    """Return what a server's engine raises when it is asked who it is."""
    with pytest.raises(SyncdError) as caught:
        build(access).identify(ctx or context())
    assert caught.value.__cause__ is not None or isinstance(caught.value, TimedOut | Cancelled)
    assert "\n" not in str(caught.value)
    return caught.value


def test_who_answers_is_told(subject: Subject, engine: Engine) -> None:
    identity = engine.identify(context())
    assert (identity.engine, identity.version) == (subject.engine, subject.version())
    assert identity.user.startswith(subject.access().user)


def test_the_accounts_are_those_of_the_server(subject: Subject, engine: Engine) -> None:
    reading = engine.accounts(context())
    assert reading.engine == subject.engine
    assert {account.account for account in reading.accounts} == subject.accounts()
    assert reading.unread == ()


def test_accounts_and_privileges_are_sorted_and_come_once(engine: Engine) -> None:
    accounts = engine.accounts(context()).accounts
    names = [account.account for account in accounts]
    assert names == sorted(set(names))
    for account in accounts:
        assert list(account.privileges) == sorted(set(account.privileges))
        assert list(account.capabilities) == sorted(set(account.capabilities))
    assert sum(len(account.privileges) for account in accounts) > 0


def test_a_second_reading_is_equal(engine: Engine) -> None:
    assert engine.accounts(context()) == engine.accounts(context())


def test_sizes_are_those_of_the_server(subject: Subject, engine: Engine, filled: str) -> None:
    reading = engine.sizes(context(), 0)
    assert {one.database: one.size_bytes for one in reading.databases} == subject.sizes()
    assert filled in subject.sizes()
    assert (reading.unread, reading.tables) == ((), ())


def test_excluded_databases_are_left_out(subject: Subject, filled: str) -> None:
    engine = build(subject.access(excluded=frozenset({filled})))
    told = {one.database for one in engine.sizes(context(), 3).databases}
    assert told == set(subject.sizes()) - {filled}
    reading = engine.accounts(context())
    within = {p.database for account in reading.accounts for p in account.privileges}
    assert filled not in within
    assert reading.unread == ()


def test_the_largest_tables_come_first(engine: Engine, filled: str) -> None:
    reading = engine.sizes(context(), 2)
    tables = [table for table in reading.tables if table.database == filled]
    assert [table.table for table in tables] == ["t3000", "t300"]
    for table in tables:
        assert table.total_bytes == table.heap_bytes + table.index_bytes
        assert table.heap_bytes > 0
    [whole] = [one for one in reading.databases if one.database == filled]
    assert whole.tables == 3
    assert whole.data_bytes is not None
    assert whole.data_bytes >= sum(table.heap_bytes for table in tables)


@pytest.mark.parametrize("password", ["wrong", "", None])
def test_a_wrong_password_is_refused(subject: Subject, password: str | None) -> None:
    error = error_of(subject.ordinary(password=lambda: password))
    assert isinstance(error, Authentication)
    assert "wrong" not in str(error)


def test_a_port_where_nobody_listens_is_out_of_reach(subject: Subject) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert isinstance(error_of(subject.ordinary(port=port)), Network)


def test_a_server_that_hangs_up_is_out_of_reach(subject: Subject) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hanging_up = threading.Thread(target=_hang_up, args=[listener])
        hanging_up.start()
        error = error_of(subject.ordinary(port=listener.getsockname()[1]))
        hanging_up.join()
    assert isinstance(error, Network)


def test_a_server_that_says_nothing_takes_the_limit_of_a_connect(subject: Subject) -> None:
    began = time.monotonic()
    with mute() as port:
        error = error_of(subject.ordinary(port=port, connect_timeout=0.5))
    assert isinstance(error, TimedOut)
    assert 0.5 <= time.monotonic() - began < 0.5 + HASTE


def test_a_run_is_not_held_up_by_a_server_that_says_nothing(subject: Subject) -> None:
    began = time.monotonic()
    with mute() as port:
        error = error_of(subject.ordinary(port=port, connect_timeout=30), context(0.3))
    assert isinstance(error, TimedOut)
    assert time.monotonic() - began < 0.3 + HASTE


def test_a_connect_can_be_cancelled(subject: Subject) -> None:
    began = time.monotonic()
    with mute() as port, cancelled_after(0.2) as ctx:
        error = error_of(subject.ordinary(port=port, connect_timeout=30), ctx)
    assert isinstance(error, Cancelled)
    assert time.monotonic() - began < 0.2 + HASTE


@pytest.fixture
def no_answer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the lookup of a name take very long."""
    over, real = threading.Event(), socket.getaddrinfo

    def stuck(host: str, port: int, *, flags: int = 0, **told: int) -> object:
        if flags:
            return real(host, port, flags=flags, **told)
        over.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "again")

    monkeypatch.setattr(socket, "getaddrinfo", stuck)
    yield
    over.set()


@pytest.mark.usefixtures("no_answer")
def test_the_limit_of_a_connect_holds_while_a_name_is_looked_up(subject: Subject) -> None:
    began = time.monotonic()
    error = error_of(subject.ordinary(host="db.example", connect_timeout=0.5))
    assert isinstance(error, TimedOut)
    assert 0.5 <= time.monotonic() - began < 0.5 + HASTE


@pytest.mark.usefixtures("no_answer")
def test_a_lookup_can_be_cancelled(subject: Subject) -> None:
    began = time.monotonic()
    with cancelled_after(0.2) as ctx:
        error = error_of(subject.ordinary(host="db.example", connect_timeout=30), ctx)
    assert isinstance(error, Cancelled)
    assert time.monotonic() - began < 0.2 + HASTE


def test_the_next_address_of_a_host_is_tried(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def two(host: str, port: int, *, flags: int = 0, **told: int) -> object:
        if host != "db.example":
            return real(host, port, flags=flags, **told)
        if flags:
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        return [each for ip in ("127.0.0.9", "127.0.0.1") for each in real(ip, port, **told)]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    identity = build(subject.ordinary(host="db.example")).identify(context())
    assert identity.engine == subject.engine


def test_a_statement_can_be_cancelled(subject: Subject, engine: Engine) -> None:
    began = time.monotonic()
    with subject.stalled(), cancelled_after(0.3) as ctx, pytest.raises(Cancelled, match="enough"):
        engine.accounts(ctx)
    assert 0.3 <= time.monotonic() - began < 0.3 + HASTE
    assert subject.sessions() == 0


def test_a_statement_ends_at_the_deadline(subject: Subject, engine: Engine) -> None:
    began = time.monotonic()
    with subject.stalled(), pytest.raises(TimedOut):
        engine.accounts(context(0.4))
    assert 0.4 <= time.monotonic() - began < 0.4 + HASTE


def test_a_statement_has_a_limit_of_its_own(subject: Subject) -> None:
    engine = build(subject.access(statement_timeout=0.4))
    began = time.monotonic()
    with subject.stalled(), pytest.raises(TimedOut):
        engine.accounts(context())
    assert 0.4 <= time.monotonic() - began < 0.4 + HASTE


@EACH_CALL
def test_nothing_begins_once_the_run_has_to_stop(
    engine: Engine, call: Callable[[Engine, RunContext], object]
) -> None:
    source = CancelSource()
    source.cancel(Cancelled("enough"))
    with pytest.raises(Cancelled):
        call(engine, context(source=source))
    with pytest.raises(TimedOut):
        call(engine, context(-1))


@EACH_CALL
def test_no_session_is_left(
    subject: Subject, engine: Engine, call: Callable[[Engine, RunContext], object]
) -> None:
    call(engine, context())
    assert subject.sessions() == 0


def test_the_session_can_not_write(subject: Subject) -> None:
    with pytest.raises(SyncdError, match=r"(?i)read[- ]only"):
        subject.write(context())


@pytest.mark.parametrize("largest_tables", [0, 3])
def test_whoever_may_log_in_is_told_what_is_unread(
    subject: Subject, filled: str, largest_tables: int
) -> None:
    reading = build(subject.ordinary()).sizes(context(), largest_tables)
    told = {one.database for one in reading.databases} | {name for name, _ in reading.unread}
    assert told == set(subject.sizes()) >= {filled}
    assert all(isinstance(error, Permission) for _, error in reading.unread)


def test_one_engine_serves_many_threads(subject: Subject, engine: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        readings = list(pool.map(lambda _: engine.accounts(context()), range(4)))
    assert all(reading == readings[0] for reading in readings)


def test_the_password_is_asked_for_at_each_connect(subject: Subject) -> None:
    answers = iter([subject.password, "outdated"])
    engine = build(subject.ordinary(password=lambda: next(answers)))
    engine.identify(context())
    with pytest.raises(Authentication):
        engine.identify(context())
