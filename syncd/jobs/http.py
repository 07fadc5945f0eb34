"""Jobs of kind `http`: their calls one after another, each sent, judged and recorded.

What they do is done elsewhere, in `read`; `apply` has nothing to write. A run has one item.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from syncd.calls.base import Composed, Credential, Shown
from syncd.calls.compose import compose
from syncd.calls.journal import call_name
from syncd.calls.masked import show
from syncd.calls.sending import Means
from syncd.calls.steps import Step, call_key
from syncd.config.http import Call
from syncd.context import Clock, RunContext
from syncd.errors import Interrupted, SyncdError
from syncd.jobs.base import Applied, Change
from syncd.model.run import Counts, Target
from syncd.store import http_calls
from syncd.store.database import Store, Transaction

_TARGET: Final = "calls"


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """What a job of this kind is told by its configuration; dates are those of the zone."""

    calls: Sequence[Call]
    means: Means
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Sent:
    """Nothing to be written; in a plan, the requests that a run would send, by their names."""

    planned: Sequence[tuple[str, Shown]] = field(default=())

    def discard(self) -> None:
        """Do nothing: what was sent can't be taken back."""


class HttpJob:
    """Sends the calls of the job."""

    def __init__(self, store: Store, settings: HttpSettings, clock: Clock) -> None:
        self._store, self._settings, self._clock = store, settings, clock

    def targets(self, ctx: RunContext) -> list[Target]:  # noqa: ARG002 - there is only one
        """Return the list of calls."""
        return [Target(_TARGET)]

    def read(self, ctx: RunContext, target: Target) -> Sent:  # noqa: ARG002 - there is only one
        """Send what is to be sent yet; the first call that fails ends the list."""
        if ctx.rehearsal:
            return Sent(self._planned(ctx))
        with self._store.transaction(ctx.deadline, ctx.cancel) as tx:
            before = http_calls.before(tx, ctx.run_id)
        values = self._values(ctx)
        of = len(self._settings.calls)
        for position, call in enumerate(self._settings.calls, 1):
            ctx.check()
            ctx.report.progress(position - 1, of)
            step = Step(
                ctx, self._store, self._settings.means, self._clock, call, position, dict(values)
            )
            try:
                values |= step.do(before.get(position))
            except SyncdError as error:
                if of > 1 and not _concerns_others(error):
                    error.args = (f"{step.journal.name}: {error}",)
                raise
        ctx.report.progress(of, of)
        return Sent()

    def apply(self, tx: Transaction, ctx: RunContext, staged: Sent) -> Applied:  # noqa: ARG002
        """Count nothing: calls change nothing of what the store keeps."""
        return Applied(Counts())

    def changes(
        self,
        tx: Transaction,  # noqa: ARG002 - a call is no row of an inventory
        ctx: RunContext,  # noqa: ARG002
        staged: Sent,
        limit: int | None,
    ) -> list[Change]:
        """Return the requests of a plan; what a run sent is in its own records."""
        return [
            Change(
                "send", f"{shown.method} {shown.url}", name,
                {"headers": dict(shown.headers), "body": shown.body}, "request",
            )
            for name, shown in staged.planned[:limit]
        ]  # fmt: skip

    def _planned(self, ctx: RunContext) -> list[tuple[str, Shown]]:
        """Return what a run would send; names in angles stand for what earlier answers tell."""
        values, now, planned = self._values(ctx), self._clock.now(), []
        for position, call in enumerate(self._settings.calls, 1):
            key = call_key(ctx, position)
            composed = compose(call.request, values, key=key, now=now, masked=True)
            shown = show(composed, self._credential(composed))
            planned.append((call_name(call, position), _readable(shown, values)))
            values |= {name: f"<{name}>" for name in call.save}
        return planned

    def _credential(self, composed: Composed) -> Credential | None:
        """Return the header of a request's token, without the token: a plan logs in nowhere."""
        if composed.token is None:
            return None
        return Credential("", self._settings.means.tokens.configured[composed.token].header, "")

    def _values(self, ctx: RunContext) -> dict[str, str]:
        """Return what may stand for names in the first call."""
        due = ctx.scheduled_for
        return {
            "run.id": str(ctx.run_id),
            "run.scheduled_for": f"{due:%Y-%m-%dT%H:%M:%SZ}",
            "date": due.astimezone(self._settings.zone).date().isoformat(),
        }


def _concerns_others(error: SyncdError) -> bool:
    """Tell whether an error is told to other jobs too: a stop, or that a login was refused."""
    return isinstance(error, Interrupted) or getattr(error, "holder", None) is not None


def _readable(shown: Shown, values: Mapping[str, str]) -> Shown:
    """Return a request whose URL has the names in angles as they are written."""
    url = shown.url
    for value in values.values():
        if value.startswith("<"):
            url = url.replace(quote(value, safe=""), value)
    return replace(shown, url=url)
