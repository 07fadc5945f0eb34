"""Tables of real servers whose connections break at a step: as an attempt sees it that is cut off.

What the servers were told before stands or not as they decide; nothing more is said to them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from syncd.errors import Network


class Steps:
    """Counts steps; the one of the number `break_at` does not return."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.break_at: int | None = None
        self.then: Callable[[str], None] = lambda _name: None

    def begin(self, break_at: int | None = None) -> None:
        self.seen, self.break_at = [], break_at

    def __call__(self, name: str) -> None:
        self.seen.append(name)
        self.then(name)
        if len(self.seen) - 1 == self.break_at:
            raise Network(f"cut off at {name}")


class SteppingTables:
    """The tables of a server, with steps."""

    def __init__(self, inner: Any, steps: Steps) -> None:
        self._inner, self._steps = inner, steps

    @contextmanager
    def source(self, *told: Any, **how: Any) -> Iterator[Any]:
        with self._inner.source(*told, **how) as source:
            yield _Source(source, self._steps)

    @contextmanager
    def target(self, *told: Any, **how: Any) -> Iterator[Any]:
        with self._inner.target(*told, **how) as target:
            yield _Target(target, self._steps)


class _Stepping:
    STEPS: tuple[str, ...] = ()

    def __init__(self, inner: Any, steps: Steps) -> None:
        self._inner, self._steps = inner, steps

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self.STEPS:
            return found

        def stepped(*told: Any, **how: Any) -> Any:
            self._steps(name)
            result = found(*told, **how)
            self._steps(f"{name} done")
            return result

        return stepped


class _Source(_Stepping):
    STEPS = ("bound", "existing", "edge")

    def rows(self, *told: Any) -> Iterator[Any]:
        for part in self._inner.rows(*told):
            self._steps("part")
            yield part

    def blocks(self, *told: Any) -> Iterator[Any]:
        for block in self._inner.blocks(*told):
            self._steps("block")
            yield block


class _Target(_Stepping):
    STEPS = ("claim", "create", "settle")

    @contextmanager
    def page(self, *told: Any, **how: Any) -> Iterator[Any]:
        with self._inner.page(*told, **how) as page:
            yield _Page(page, self._steps)
            self._steps("commit")
        self._steps("committed")


class _Page(_Stepping):
    STEPS = ("put", "forward", "save", "keep_keys", "delete")
