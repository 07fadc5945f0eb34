"""A whole crontab as a file of jobs: what was understood, what was not and why, and the secrets."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from syncd.config import http_secrets
from syncd.config.jobs import UPKEEP
from syncd.crontab import toml_text as toml
from syncd.crontab.jobs import Options, Unnamed, job_of, refuse_invalid
from syncd.crontab.lines import Crontab, Entry, Odd, read_lines
from syncd.crontab.names import Names, job_name
from syncd.crontab.reasons import NotUnderstood
from syncd.crontab.requests import PATIENT
from syncd.crontab.secret_words import (
    is_secret_name,
    longest_first,
    looks_secret,
    masked,
    without,
)
from syncd.crontab.vault import Kept, Vault

_TELLING: Final = 8
"""Characters; a shorter secret in what is printed may be there by chance."""


@dataclass(frozen=True, slots=True)
class ImportedJob:
    """A job with the line that it was, and what is told of it."""

    name: str
    line: int
    tables: dict[str, Any]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a crontab; `left` and `disabled` are shown as they may be printed."""

    jobs: tuple[ImportedJob, ...]
    left: tuple[Odd, ...]
    disabled: tuple[Odd, ...]
    secrets: tuple[Kept, ...]
    remarks: tuple[str, ...]
    toml: str


def import_crontab(content: bytes, options: Options) -> Imported:
    """Read a crontab; never raises for what stands in it."""
    crontab = read_lines(content, system=options.system)
    vault = Vault(options.secrets)
    jobs, left = _jobs(crontab, options, vault)
    secrets = longest_first({*vault.kept, *_settings(crontab)})
    jobs = [_shown(job, secrets) for job in jobs]
    left += _showing(jobs, secrets)
    leaking = {odd.number for odd in left}
    jobs = [job for job in jobs if job.line not in leaking]
    texts = {entry.number: entry.text for entry in crontab.entries}
    odd = sorted(
        (
            Odd(each.number, masked(each.text or texts.get(each.number, ""), secrets),
                without(each.reason, secrets))
            for each in left
        ),
        key=lambda each: each.number,
    )  # fmt: skip
    disabled = [Odd(each.number, masked(each.text, secrets)) for each in crontab.disabled]
    used = set(_references(job.tables for job in jobs))
    text = "\n".join(_file(jobs, odd, disabled, _mail(crontab, secrets))) + "\n"
    return Imported(
        tuple(jobs), tuple(odd), tuple(disabled),
        tuple(kept for kept in vault.kept.values() if kept.name in used),
        tuple(_remarks(crontab, jobs)), text,
    )  # fmt: skip


def _jobs(crontab: Crontab, options: Options, vault: Vault) -> tuple[list[ImportedJob], list[Odd]]:
    """Return the jobs of the entries, and the lines that become none."""
    jobs: list[ImportedJob] = []
    left = list(crontab.odd)
    names = Names(UPKEEP)
    for entry in crontab.entries:
        try:
            job = _job(entry, job_of(entry, options), options, vault, names)
        except NotUnderstood as reason:
            left.append(Odd(entry.number, "", str(reason)))
        else:
            jobs.append(job)
            names.take(job.name)
    return jobs, left


def _job(entry: Entry, found: Unnamed, options: Options, vault: Vault, names: Names) -> ImportedJob:
    """Give a job its name and its secrets theirs; raises NotUnderstood."""
    name = names.free(job_name(entry, found.first_url, options.prefix))
    new: dict[str, Kept] = {}
    tables = vault.opened(found.tables, name, entry.number, new)
    refuse_invalid(tables)
    vault.kept.update(new)
    return ImportedJob(
        name, entry.number, tables, (*(masked(each) for each in entry.comments), *found.notes)
    )


def _settings(crontab: Crontab) -> Iterator[str]:
    """Yield the values of variables that hold secrets."""
    for name, value in crontab.settings:
        if value and (is_secret_name(name) or looks_secret(value)):
            yield value


def _shown(job: ImportedJob, secrets: Iterable[str]) -> ImportedJob:
    """Return a job whose remarks may be printed."""
    remarks = tuple(without(each, secrets) for each in job.remarks if each)
    return ImportedJob(job.name, job.line, job.tables, remarks)


def _showing(jobs: Sequence[ImportedJob], secrets: Iterable[str]) -> list[Odd]:
    """Return the lines whose jobs would show a secret in another place than its own."""
    telling = [each for each in secrets if len(each) >= _TELLING]
    found = []
    for job in jobs:
        text = "\n".join([*_strings(job.tables), job.name])
        if any(secret in text for secret in telling):
            reason = "a secret stands in a place that would show it"
            found.append(Odd(job.line, "", reason))
    return found


def _strings(value: object) -> Iterator[str]:
    match value:
        case dict():
            for name, each in value.items():
                yield name
                yield from _strings(each)
        case list():
            for each in value:
                yield from _strings(each)
        case str():
            yield value


def _references(value: object) -> Iterator[str]:
    """Yield the names of secrets that tables refer to."""
    match value:
        case {"credential": str(name), **rest} if not rest:
            yield name
        case {"file": str(path), **rest} if not rest:
            yield path.rpartition("/")[2]
        case dict():
            yield from _references(iter(value.values()))
        case str() | int() | float():
            return
        case Iterable():
            for each in value:
                yield from _references(each)


def _file(
    jobs: Sequence[ImportedJob], left: Sequence[Odd], disabled: Sequence[Odd], mail: list[str]
) -> Iterator[str]:
    """Yield the lines of the file, in the order of the crontab's."""
    yield "# Made by `syncd import-crontab`. `syncd check` shows when each job is due."
    if any(PATIENT in _strings(job.tables) for job in jobs):
        yield f"# Calls that had no time limit of their own have {PATIENT} now."
    parts: list[tuple[int, list[str]]] = [
        (job.line, list(toml.job_lines(job.name, job.tables, _heading(job)))) for job in jobs
    ]
    parts += [
        (odd.number, [toml.comment(f"Line {odd.number} is not understood: {odd.reason}"),
                      toml.comment(f"  {odd.text}")])
        for odd in left
    ]  # fmt: skip
    parts += [
        (
            odd.number,
            [toml.comment(f"Line {odd.number} is out of use:"), f"{toml.comment('  ')}{odd.text}"],
        )
        for odd in disabled
    ]
    for _, lines in sorted(parts, key=lambda part: part[0]):
        yield ""
        yield from lines
    yield from mail


def _heading(job: ImportedJob) -> list[str]:
    first, *rest = job.remarks or ("",)
    return [f"Line {job.line}: {first}" if first else f"Line {job.line}", *rest]


def _mail(crontab: Crontab, secrets: Iterable[str]) -> list[str]:
    """Return a channel that mails whom cron mailed, as a comment."""
    found: list[str] = []
    for number, (addresses, line) in enumerate(crontab.mail.items(), 1):
        to = [each.strip() for each in masked(addresses, secrets).split(",") if each.strip()]
        domain = next((each.rpartition("@")[2] for each in to if "@" in each), "localhost")
        found += [
            "",
            toml.comment(f"MAILTO in line {line}: cron mailed what a command printed; syncd mails "
                         "what failed, with this:"),
            toml.comment(f"[notify.mail{'' if number == 1 else f'-{number}'}]"),
            toml.comment('channel = "email"'),
            toml.comment('host = "localhost"'),
            toml.comment('tls = "none"'),
            toml.comment(f"sender = {toml.string(f'syncd@{domain}')}"),
            toml.comment(f"to = {toml.value(to)}"),
        ]  # fmt: skip
    return found


def _remarks(crontab: Crontab, jobs: Sequence[ImportedJob]) -> Iterator[str]:
    """Yield what is told of the crontab as a whole, and of what is printed in doubt."""
    for job in jobs:
        urls = [each for each in _strings(job.tables) if each.startswith(("http://", "https://"))]
        if any(http_secrets.looks_random(url.partition("?")[0]) for url in urls):
            yield f"line {job.line}: the path of its URL may be a key, and is printed"
    names = dict(crontab.settings)
    if "TZ" in names and "CRON_TZ" not in names:
        yield "TZ does not move cron's schedules (crontab(5)): --timezone says where they are read"
    if "CRON_TZ" in names:
        yield "CRON_TZ is taken as cronie takes it; Debian's cron does not know it"
    if crontab.unended:
        yield "the last line has no newline at its end: cron may not have run it"
