"""What a job does, in words: it runs, waits and for what, is paused, held or stuck."""

from collections.abc import Mapping, Sequence
from datetime import timedelta, tzinfo
from typing import Any, Final

from syncd.cli.moments import clock_time, rough
from syncd.model.holder import holder_words

Json = dict[str, Any]
Began = Mapping[str, str]
"""When each run that is under way began, by its id."""

_AWAITED: Final = {
    "load": "load above load_limit",
    "disk": "disk space below min_free_disk",
    "paused": "the job is paused",
    "held": "an account or token is held",
    "overlap": "its run under way",
    "elsewhere": "its run in another process",
    "account": "an account in use",
    "server": "a server in use",
    "worker": "a worker",
}
"""What a run waits for, where the word for it says too little by itself."""


def began(scheduler: Json) -> Began:
    """Return when each run that is under way began, by its id."""
    return {run["run"]: run["since"] for run in scheduler["running"]}


def state_words(job: Json, since: Began, zone: tzinfo) -> list[str]:
    """Return what a job does now, what keeps it, and why its last due time had no run."""
    words = [*_work(job, since, zone), *trouble_words(job, since, zone), *_waits(job, zone)]
    if skip := job["last_skip"]:
        reason = skip["reason"].replace("_", " ")
        words.append(f"skipped {clock_time(skip['due'], zone)}: {reason}")
    return words


def trouble_words(job: Json, since: Began, zone: tzinfo) -> list[str]:
    """Return what somebody may have to do something about: stuck, paused, held."""
    words = []
    if job["stuck"]:
        words.append(f"stuck{_since(since.get(job['stuck']), zone)}")
    if paused := job["paused"]:
        until = paused["until"]
        span = f" until {clock_time(until, zone)}" if until else _since(paused["since"], zone)
        words.append(f"paused{span} by {paused['by']}")
    words += [f"held: {account_words(held, zone)}" for held in job["held"]]
    return words


def account_words(held: Json, zone: tzinfo) -> str:
    """Return how it is with an account or a token that is held."""
    probe = held["next_probe_at"]
    then = f", next try {clock_time(probe, zone)}" if probe else ""
    return f"{holder_words(held['account'])} refused{_since(held['since'], zone)}{then}"


def wait_words(run: Json, zone: tzinfo) -> str:
    """Return why a run waits: `waits: disk …`, `waits: window until 12:00`, `retries at 10:20`."""
    reason, until = run["reason"], run["until"]
    if reason == "retry" and until:
        return f"retries at {clock_time(until, zone)}"
    end = f" until {clock_time(until, zone)}" if until else ""
    return f"waits: {_AWAITED.get(reason, reason)}{end}"


def gate_words(gates: Json) -> list[str]:
    """Return which gates are closed, and by what."""
    load, disk = gates["load"], gates["disk"]
    words = []
    if load["closed"]:
        told = f"the load of {load['value']:.2f} a processor is over {load['limit']:.2f}"
        words.append(f"{told}: only urgent runs start")
    if disk["closed"]:
        told = f"{_mib(disk['free_bytes'])} free on disk are less than {_mib(disk['limit_bytes'])}"
        words.append(f"{told}: no run starts")
    if gates["store"]["closed"]:
        words.append("the store is out of reach: no run starts")
    return words


def _work(job: Json, since: Began, zone: tzinfo) -> list[str]:
    run = job["running"]
    return [f"running{_since(since.get(run), zone)}"] if run and run != job["stuck"] else []


def _waits(job: Json, zone: tzinfo) -> list[str]:
    """Return why runs wait, each reason once; a pause or a hold has been told already."""
    told = [reason for reason in ("paused", "held") if job[reason]]
    waiting: Sequence[Json] = [run for run in job["waiting"] if run["reason"] not in told]
    words = list(dict.fromkeys(wait_words(run, zone) for run in waiting))
    late = timedelta(seconds=job["delayed_seconds"])
    if late >= timedelta(seconds=1) and any(run["reason"] != "retry" for run in job["waiting"]):
        words.append(f"{rough(late)} late")
    return words


def _since(moment: str | None, zone: tzinfo) -> str:
    return f" since {clock_time(moment, zone)}" if moment else ""


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
