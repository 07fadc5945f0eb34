"""What is valid in HTTP calls, tokens and channels, but hardly meant: told as warnings."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from syncd.config.durations import format_duration
from syncd.config.fields import is_loopback
from syncd.config.http import Call, ClientCredentials, Message, Request, Token
from syncd.config.job import Job
from syncd.config.jobs import HttpJob
from syncd.config.notify import Channel
from syncd.config.secrets import Secret
from syncd.config.spelling import quoted


def warnings(
    jobs: Mapping[str, Job], tokens: Mapping[str, Token], channels: Mapping[str, Channel]
) -> Iterator[str]:
    """Yield the warnings; `jobs` hold what they take from [defaults]."""
    for name, job in jobs.items():
        if job.enabled and isinstance(job, HttpJob):
            for warning in dict.fromkeys(_of_job(job)):
                yield f'job "{name}": {warning}'
    used = {token for job in jobs.values() for token in job.enabled_tokens()}
    for name, token in tokens.items():
        if name not in used:
            yield f'no job uses the token "{name}"'
        for warning in _of_message(token.source):
            yield f'token "{name}": {warning}'
    for name, channel in channels.items():
        for pattern in channel.jobs:
            if not any(fnmatchcase(job, pattern) for job in jobs):
                yield f'channel "{name}" tells of jobs {quoted(pattern)}, and there are none'


def _of_job(job: HttpJob) -> Iterator[str]:
    for call in job.steps:
        yield from _of_message(call.request)
        if call.request.method in ("GET", "HEAD") and (call.request.body or call.request.form):
            yield f"{call.request.method} with a body: many servers and proxies drop it"
    longest = sum((_longest(call, job) for call in job.steps), timedelta())
    if longest > job.timeout:
        yield (
            f"its calls may take {format_duration(longest)}, and its timeout is"
            f" {format_duration(job.timeout)}"
        )


def _longest(call: Call, job: Job) -> timedelta:
    """Return how long a call may take by itself; a wait without a limit has the run's."""
    wait = call.poll.timeout if call.poll else None
    return (call.request.timeout or job.api_timeout) + (wait or timedelta())


def _of_message(sent: Message | ClientCredentials) -> Iterator[str]:
    if not sent.tls_verify:
        yield "tls_verify = false takes any certificate: whoever is in between can read and answer"
    parts = urlsplit(sent.url)
    if parts.scheme == "http" and _carries_secret(sent) and not is_loopback(parts.hostname or ""):
        yield f"secrets go to {parts.hostname} over http://, where anybody in between can read them"


def _carries_secret(sent: Message | ClientCredentials) -> bool:
    """Tell whether a secret is sent itself; a signature does not tell its key."""
    if isinstance(sent, Request) and (sent.token or sent.bearer):
        return True
    keys = ("basic", "client_secret", "query", "headers", "body", "form")
    return any(_holds_secret(getattr(sent, key, None)) for key in keys)


def _holds_secret(value: Any) -> bool:  # noqa: ANN401 - whatever is sent
    match value:
        case Mapping():
            return any(map(_holds_secret, value.values()))
        case tuple():
            return any(map(_holds_secret, value))
    return isinstance(value, Secret) or hasattr(value, "password")
