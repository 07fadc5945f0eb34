"""What HTTP calls refer to: tokens, `{{ names }}`, and hosts that may be called.

The first two are looked for in tables that nobody validated yet, so that one wrong key does not
hide the next: whatever stands there, of any type, is passed over or told.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from syncd.config import hosts, templates
from syncd.config.configuration import Tables
from syncd.config.files import is_reference
from syncd.config.http import Call
from syncd.config.jobs import MOST_CALLS, HttpJob
from syncd.config.problems import KeyPath, Places, Problem
from syncd.config.spelling import hint

_FILLED: Final = ("url", "query", "headers", "body", "form")
"""The keys of a request whose texts may hold {{ names }}."""
_PORTS: Final = {"http": 80, "https": 443}


def of_job(
    name: str, job: Mapping[str, Any], tokens: Mapping[str, Any], places: Places
) -> Iterator[Problem]:
    """Yield the tokens and names in the calls of a job that nothing defines."""
    known: set[str] = set(templates.OF_RUN)
    for path, call in _calls(("jobs", name), job):
        request, poll = _table(call.get("request")), _table(call.get("poll"))
        token = request.get("token")
        if isinstance(token, str) and token not in tokens:
            text = f"no table [tokens.NAME] defines{hint(token, tokens)}"
            yield places.problem((*path, "request", "token"), text)
        yield from _names(request, (*path, "request"), known, places)
        known |= set(_table(call.get("save")))
        yield from _names({"url": poll.get("url")}, (*path, "poll"), known, places)


def of_token(name: str, token: Mapping[str, Any], places: Places) -> Iterator[Problem]:
    """Yield the names in the requests of a token, which belongs to no run: there are none."""
    for key in ("login", "client_credentials"):
        yield from _names(_table(token.get(key)), ("tokens", name, key), set(), places)


def forbidden_hosts(tables: Tables, places: Places) -> Iterator[Problem]:
    """Yield the URLs that `http.allow_hosts` does not allow."""
    patterns = tables.http.allow_hosts
    for path, url in _urls(tables) if patterns else ():
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        if not hosts.allowed(patterns, host, port):
            text = f"{host}:{port} is none of http.allow_hosts: {', '.join(patterns[:10])}"
            yield places.problem(path, text)


def headers_twice(tables: Tables, places: Places) -> Iterator[Problem]:
    """Yield the tokens that come in a header which something else of the request gives too."""
    for path, call in _steps(tables):
        request = call.request
        header = tables.tokens[request.token].header if request.token in tables.tokens else ""
        if header and (other := request.header_of(header)):
            text = f"comes in {header}, and so does {other}: only one may"
            yield places.problem((*path, "request", "token"), text)


def _urls(tables: Tables) -> Iterator[tuple[KeyPath, str]]:
    """Yield the URLs that would be called, by the paths of their keys."""
    for path, call in _steps(tables):
        yield (*path, "request", "url"), call.request.url
        if call.poll and call.poll.url:
            yield (*path, "poll", "url"), call.poll.url
    for name, token in tables.tokens.items():
        key = "login" if token.login else "client_credentials"
        yield ("tokens", name, key, "url"), token.source.url


def _steps(tables: Tables) -> Iterator[tuple[KeyPath, Call]]:
    """Yield the calls of all jobs, by the paths of their tables."""
    jobs = ((name, job) for name, job in tables.jobs.items() if isinstance(job, HttpJob))
    for name, job in jobs:
        for index, call in enumerate(job.steps):
            yield ("jobs", name) if job.request else ("jobs", name, "calls", index), call


def _calls(path: KeyPath, job: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    """Yield the calls of a job as they are written, the single one of `request` first."""
    yield path, {key: job.get(key) for key in ("request", "poll")}
    calls = job.get("calls")
    for index, call in enumerate(calls[:MOST_CALLS] if isinstance(calls, list) else ()):
        yield (*path, "calls", index), _table(call)


def _names(
    request: Mapping[str, Any], path: KeyPath, known: set[str], places: Places
) -> Iterator[Problem]:
    """Yield the names in a request's texts that stand for nothing there."""
    for key in _FILLED:
        for place, text in _inside(request.get(key), (*path, key)):
            if templates.is_broken(text):
                yield places.problem(place, "begins a {{ name }} without ending it")
            for each in templates.names(text):
                if each not in known:
                    yield places.problem(place, _unknown(each, known))


def _unknown(name: str, known: set[str]) -> str:
    if not known:
        return "a token belongs to no run: it has no {{ names }}"
    return f"no call before saves{hint(name, known)}" if name else "holds an empty {{ }}"


def _texts(value: object, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Yield the texts that are sent as they are written, references to secrets left out."""
    if isinstance(value, str):
        yield path, value
    elif not (isinstance(value, dict) and is_reference(value)):
        yield from _inside(value, path)


def _inside(value: object, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Yield the same of what is no reference itself, such as a query of one parameter `file`."""
    match value:
        case str():
            yield path, value
        case dict():
            for name, each in value.items():
                yield from _texts(each, (*path, name))
        case list():
            for index, each in enumerate(value):
                yield from _texts(each, (*path, index))


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
