"""Two sides asked at the same time; what ends one ends the other."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TypeVar

from syncd.context import CancelSource, RunContext
from syncd.engines.sides import Side, Sides
from syncd.errors import Interrupted, SyncdError, told_where
from syncd.model.check import RedisKeys
from syncd.model.table import Relation

T = TypeVar("T")
Place = tuple[Sides, Relation | RedisKeys]


class Both:
    """Both sides of a comparison: this thread asks the left one, another thread the right one."""

    left: Side
    right: Side

    def __init__(self, ctx: RunContext, other: ThreadPoolExecutor) -> None:
        self._source, self._other = CancelSource(), other
        self._lock = threading.Lock()
        self._first: BaseException | None = None
        self.ctx = replace(ctx, cancel=self._source.token)

    def ask(self, left: Callable[[Side], T], right: Callable[[Side], T]) -> tuple[T, T]:
        """Ask both; raises what came first of what they raise, and ends the other one then."""
        return self.do(lambda: left(self.left), lambda: right(self.right))

    def do(self, left: Callable[[], T], right: Callable[[], T]) -> tuple[T, T]:
        """Do two things at the same time."""
        self.ctx.check()
        theirs: Future[T | None] = self._other.submit(self._tried, right)
        ours = self._tried(left)
        answer = theirs.result()
        if self._first is not None:
            raise self._first
        return ours, answer  # type: ignore[return-value] # neither has failed

    def stop(self, error: SyncdError) -> None:
        """Stop what both are at."""
        self._source.cancel(error)

    def _tried(self, act: Callable[[], T]) -> T | None:
        """Act; keep what it raises if it is the first to."""
        try:
            return act()
        except BaseException as error:  # noqa: BLE001 - raised again by whoever asked
            with self._lock:
                self._first = self._first or error
            self.stop(Interrupted("the other side failed"))  # so its server is told to stop, too
            return None


@contextmanager
def both(ctx: RunContext, left: Place, right: Place) -> Iterator[Both]:
    """Begin a session on each side, for as long as the block."""
    with ThreadPoolExecutor(1, thread_name_prefix="right-side") as other, ExitStack() as ends:
        made = Both(ctx, other)
        ends.enter_context(ctx.cancel.watch(lambda: made.stop(_why(ctx))))
        ours, theirs = ends.enter_context(ExitStack()), ExitStack()
        ends.push(lambda *error: other.submit(theirs.__exit__, *error).result())
        made.left, made.right = made.do(
            lambda: _begun(ours, made.ctx, left),
            lambda: _begun(theirs, made.ctx, right),
        )
        yield made


def _begun(ends: ExitStack, ctx: RunContext, place: Place) -> Side:
    """Begin a session; why one does not begin is told with its place."""
    sides, relation = place
    with told_where(str(relation)):
        return ends.enter_context(sides.side(ctx, relation))


def _why(ctx: RunContext) -> SyncdError:
    """Return what a run was stopped with."""
    try:
        ctx.cancel.check()
    except SyncdError as error:
        return error
    return Interrupted("interrupted")
