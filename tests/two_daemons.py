"""Several daemons on one store, and an account of who wrote what, by whom no due time was lost."""

import re
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise

import psycopg
from daemon_helpers import Process, Row, Site, check_records, neighbour, site, until
from databases import reachable_directory
from store_proxy import StoreProxy

from syncd.model.run import Selection

TAKEOVER = 15.0
"""Seconds in which another daemon has to lead, and run what is due."""

_AUDIT = """
create table public.audit (
    at   timestamptz not null default clock_timestamp(),
    who  text not null default split_part(current_setting('application_name'), ' ', 1),
    what text not null,
    row  jsonb
);
create function public.note() returns trigger language plpgsql as $$
begin
    insert into public.audit (what, row) values (tg_table_name, to_jsonb(coalesce(new, old)));
    return null;
end $$;
do $$
declare one text;
begin
    for one in select relname from pg_class
               where relnamespace = 'syncd'::regnamespace and relkind in ('r', 'p')
                 and not relispartition and relname !~ '_stage$'
    loop
        execute format('create trigger note after insert or update or delete on syncd.%I'
                       ' for each row execute function public.note()', one);
    end loop;
end $$;
"""
_SKIP = re.compile(r'event="due time skipped" .*job=(\S+) due=(\S+) reason=(\S+)')


@dataclass
class Member:
    """One of the daemons: its site, its way to the store, its processes."""

    site: Site
    proxy: StoreProxy

    @property
    def name(self) -> str:
        return self.proxy.mark

    @property
    def process(self) -> Process:
        return self.site.processes[-1]

    def leads(self) -> bool:
        return self.process.popen.poll() is None and bool(self.process.lines("event=ready"))

    def stands_by(self) -> bool:
        return bool(self.process.lines("another daemon leads"))

    def freeze(self) -> None:
        self.process.send(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send(signal.SIGCONT)

    def log(self) -> str:
        return "".join(process.text for process in self.site.processes)


@dataclass
class Cluster:
    """The daemons on one store; `place` sees the store as it is, past all proxies."""

    place: Site
    jobs: Mapping[str, Row]
    stack: ExitStack
    members: list[Member] = field(default_factory=list)

    def join(self) -> Member:
        """Add a daemon that is not started yet."""
        beside = self.stack.enter_context(neighbour(self.place))
        directory = self.stack.enter_context(reachable_directory())
        proxy = StoreProxy(self.place.dsn, directory, f"no-{len(self.members) + 1:02}")
        self.stack.callback(proxy.close)
        beside.dsn = proxy.dsn
        beside.configure(self.jobs, max_per_account=1)
        self.members.append(Member(beside, proxy))
        return self.members[-1]

    def pair(self) -> tuple[Member, Member]:
        """Start a leader, and one that stands by; the leader has run each job."""
        first, second = self.join(), self.join()
        first.site.up()
        second.site.start()
        for name, keys in self.jobs.items():
            if "every" not in keys and "schedule" not in keys:
                first.site.client.trigger(name, Selection(), "me")
        ran = "select distinct job from syncd.run where status = 'success'"
        expected = [name for name, keys in self.jobs.items() if "schedule" not in keys]
        until(lambda: len(self.place.rows(ran)) >= len(expected), 20, "a run of each job")
        second.process.await_line("another daemon leads")
        return first, second

    def done(self, member: Member) -> bool:
        """Tell whether a member has begun a run in its present epoch."""
        return self.first_start(member, self.epoch) is not None

    @property
    def epoch(self) -> int:
        rows = self.place.rows("select epoch from syncd.leader")
        return int(rows[0]["epoch"]) if rows else 0

    def first_start(self, member: Member, epoch: int) -> datetime | None:
        """Return when a member began its first run in an epoch."""
        (row,) = self.place.rows(
            """select min(at) as at from public.audit where who = %s and what = 'run'
               and row ->> 'status' = 'running' and (row ->> 'owner_epoch')::bigint = %s""",
            member.name, epoch,
        )  # fmt: skip
        found: datetime | None = row["at"]
        return found

    def led_since(self, epoch: int) -> datetime:
        """Return when an epoch began."""
        (row,) = self.place.rows(
            """select min(at) as at from public.audit where what = 'leader'
               and (row ->> 'epoch')::bigint = %s""",
            epoch,
        )
        began: datetime = row["at"]
        return began

    def lease_renewed(self, member: Member) -> datetime:
        """Return when a member's lease was renewed last."""
        (row,) = self.place.rows(
            "select max(at) as at from public.audit where what = 'leader' and who = %s", member.name
        )
        at: datetime = row["at"]
        return at

    def taken_over(
        self, by: Member, since: datetime, before: int, within: float = TAKEOVER
    ) -> datetime:
        """Wait until a member leads and runs; check how long it took, return when it led."""
        until(lambda: self.epoch > before, within + 5, "a takeover")
        until(partial(self.done, by), within, "a run of the new leader")
        started, led = self.first_start(by, self.epoch), self.led_since(self.epoch)
        assert started is not None
        print(f"led after {led - since}, ran after {started - since}")
        assert (started - since).total_seconds() < within
        return led

    def writes(self, member: Member, since: datetime) -> list[Row]:
        """Return what a member has written since a moment, but records that were refused."""
        return self.place.rows(
            """select * from public.audit where who = %s and at > %s
               and not (what = 'run_error' and row ->> 'error' like 'record refused%%')""",
            member.name, since,
        )  # fmt: skip

    def dues(self, job: str) -> list[Row]:
        """Return what became of the due times of a job: made by their trigger, or skipped."""
        made = self.place.rows(
            """select scheduled_for as at, trigger as what from syncd.run
               where job = %s and trigger in ('schedule', 'catch_up')""",
            job,
        )
        known = {row["at"] for row in made}
        assert len(known) == len(made), "a due time has two runs"
        stored = self.place.rows(
            """select distinct (row ->> 'skipped_due')::timestamptz as at from public.audit
               where what = 'job_state' and row ->> 'job' = %s and row ->> 'skipped_due' <> ''""",
            job,
        )
        logged = [
            datetime.fromisoformat(due)
            for member in self.members
            for name, due, _ in _SKIP.findall(member.log())
            if name == job
        ]
        skips = {row["at"] for row in stored} | set(logged)
        return sorted(
            [*made, *({"at": at, "what": "skip"} for at in skips - known)], key=lambda d: d["at"]
        )

    def holes(self, job: str, every: float = 1.0) -> list[tuple[datetime, datetime, str]]:
        """Return the due times around each hole, and what was made of the later one."""
        dues = self.dues(job)
        step = timedelta(seconds=every)
        for before, after in pairwise(dues):
            assert ((after["at"] - before["at"]) / step).is_integer(), "off the grid"
        return [
            (before["at"], after["at"], after["what"])
            for before, after in pairwise(dues)
            if after["at"] - before["at"] > step
        ]

    def check(self) -> None:
        """Check the records; no run may be under way."""
        check_records(self.place)
        assert self.place.runs("status = 'running'") == []


@contextmanager
def cluster(dsn: str, jobs: Mapping[str, Row]) -> Iterator[Cluster]:
    """Give a cluster without members, on a migrated store that keeps account of all writes."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_AUDIT.encode())
    with site(dsn) as place, ExitStack() as stack:
        made = Cluster(place, jobs, stack)
        try:
            yield made
        finally:
            place.emulator.faults.clear()
            for member in made.members:
                for process in member.site.processes:
                    process.end()
                print(f"--- {member.name}", member.log(), sep="\n")  # shown when the test fails


def now() -> datetime:
    """Return the time, of the clock that the server has too."""
    return datetime.fromtimestamp(time.time(), UTC)
