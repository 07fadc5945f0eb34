"""COPY, both ways, block by block: a wait for each block, rather than for each row."""

from collections.abc import Generator, Iterable
from contextlib import suppress

import psycopg
from psycopg import pq
from psycopg.abc import PQGen
from psycopg.errors import error_from_result
from psycopg.generators import execute, fetch_many
from psycopg.sql import Composable
from psycopg.waiting import Wait

from syncd.context import RunContext
from syncd.engines.postgresql.connection import Session
from syncd.store.connection import LAST_WAIT


def copy_out(
    connection: Session, ctx: RunContext, query: Composable, size: int, *, whole: bool
) -> Generator[bytearray]:
    """Yield what COPY … TO STDOUT sends, in parts of whole rows of some `size` bytes.

    Whoever leaves early has the statement cancelled; with `whole` the rest comes in vain, since a
    transaction would not outlive that.
    """
    pgconn = connection.pgconn
    pgconn.send_query(query.as_bytes(connection))
    [result] = connection.wait(execute(pgconn))
    if result.status != pq.ExecStatus.COPY_OUT:
        raise error_from_result(result)
    over = False
    try:
        while not over:
            rows, over = connection.wait(_take(pgconn, size))
            ctx.check()
            if rows:
                yield rows
    finally:
        if not over:
            _abandon(connection, ctx, whole=whole)


def _take(pgconn: pq.abc.PGconn, size: int) -> PQGen[tuple[bytearray, bool]]:
    """Take rows until they are so many bytes; tell whether these were the last.

    This is done for each row: to keep the rows apart would take twice the time.
    """
    rows, take = bytearray(), pgconn.get_copy_data
    while len(rows) < size:
        length, row = take(1)
        if length > 0:
            rows += row
        elif length == 0:
            yield Wait.R
            pgconn.consume_input()
        else:
            results = yield from fetch_many(pgconn)
            if results[-1].status != pq.ExecStatus.COMMAND_OK:
                raise error_from_result(results[-1])
            return rows, True
    return rows, False


def _abandon(connection: Session, ctx: RunContext, *, whole: bool) -> None:
    """End a COPY of which nobody wants the rest."""
    with suppress(psycopg.Error):
        if connection.pgconn.transaction_status != pq.TransactionStatus.ACTIVE:
            return  # it failed, or the connection did
        if ctx.cancel.is_set() or not whole:
            connection.cancel_safe(timeout=LAST_WAIT)
        while not connection.wait(_take(connection.pgconn, 1 << 20))[1]:
            ctx.deadline.check()


def copy_in(
    connection: Session, ctx: RunContext, query: Composable, blocks: Iterable[bytes | memoryview]
) -> int:
    """Send blocks to COPY … FROM STDIN; return the number of rows."""
    with connection.cursor() as cursor:
        with cursor.copy(query.as_bytes(connection)) as copy:
            for block in blocks:
                ctx.check()
                copy.write(block)
        return cursor.rowcount
