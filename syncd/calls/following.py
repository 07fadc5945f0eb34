"""Follows a call that was accepted (202) until it is done, and records how it ended."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from syncd.calls.base import Answer
from syncd.calls.expectations import judge, saved
from syncd.calls.journal import Journal
from syncd.calls.polling import Poller, end_of
from syncd.calls.sending import Line, Means
from syncd.config.http import Call, Poll
from syncd.errors import (
    Cancelled,
    OutcomeUnknown,
    SyncdError,
    TimedOut,
    Unexpected,
    describe,
    final,
)

Values = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Following:
    """A call that was accepted, whose status is told at a URL."""

    journal: Journal
    means: Means
    values: Values
    """What may stand for names in the headers of a look."""

    def end(self, url: str) -> Values:
        """Return what later calls may take from the last status, once it is done.

        Raises Unexpected when it failed, TimedOut when time is over, OutcomeUnknown when nobody
        could follow it later either, and what a look ends with that is not worth repeating.
        """
        journal, call = self.journal, self.journal.call
        poll, ctx = call.poll or Poll(), journal.ctx
        if poll.timeout is not None:
            left = self._time_left(poll.timeout, poll.every)
            ctx = replace(ctx, deadline=ctx.deadline.sooner(left))
        line = Line(ctx, self.means, fresh=False)
        polls = journal.found.polls
        poller = Poller(line, call, url, self.values, journal.clock, journal.masked, polls)
        try:
            answer = poller.done()
            if poll.until is None:
                judge(end_of(call), answer, journal.clock.now(), journal.masked)
            values = all_saved(call, answer, journal.found.saved)
        except SyncdError as error:
            raise self._lost_sight(poller, error) from error
        journal.tell(polls=poller.polls)
        journal.succeeded(answer, values)
        return values

    def _time_left(self, limit: timedelta, every: timedelta) -> float:
        """Return the seconds left of the wait; a clock that was set back makes it no longer.

        A later attempt has time for a look at least: while nobody asked it may have been done.
        """
        journal, now = self.journal, self.journal.clock.now()
        waited = max(now - (journal.found.answered_at or now), timedelta(0))
        look = every.total_seconds() + self.means.timeout
        least = look if journal.attempt < journal.ctx.attempt else 0.0
        return max((limit - waited).total_seconds(), least)

    def _lost_sight(self, poller: Poller, error: SyncdError) -> SyncdError:
        """Record why it is not followed further, and return what to raise.

        It goes on elsewhere: as long as its end may still be seen, a later attempt follows it.
        """
        journal, over = self.journal, isinstance(error, Unexpected)
        if isinstance(error, TimedOut):
            over = poller.line.ctx.deadline.at < journal.ctx.deadline.at
            text = "accepted, and not done in time" if over else "accepted, and not done yet"
            error = TimedOut(f"{text}{poller.state}")
        if not journal.call.request.safe_to_repeat:
            if over:
                error = final(error)
            elif journal.found.poll_url is None and not isinstance(error, Cancelled):
                error = unknown(error)
        journal.tell(polls=poller.polls)
        journal.failed(error, over=over)
        return error


def all_saved(call: Call, answer: Answer, before: Values) -> Values:
    """Return what is to be saved, rather of this answer than of the one before it.

    Raises Unexpected for what neither has.
    """
    values = {**before, **what_is_there(call, answer)}
    missing = {name: path for name, path in call.save.items() if name not in values}
    return {**values, **saved(missing, answer)}


def what_is_there(call: Call, answer: Answer) -> Values:
    """Return what an answer has of what is to be saved."""
    found: dict[str, str] = {}
    for name, path in call.save.items():
        with suppress(SyncdError):
            found |= saved({name: path}, answer)
    return found


def unknown(error: SyncdError) -> OutcomeUnknown:
    """Return what the loss of an answer means where it must not be asked for again."""
    return OutcomeUnknown(f"{describe(error)}; it may have taken effect, and is not sent again")
