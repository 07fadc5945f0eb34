"""What one table says about another: names that must exist, keys that exclude each other."""

import os
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from syncd.config import copy_references, http_references
from syncd.config.configuration import Config, Tables
from syncd.config.jobs import KINDS, UPKEEP
from syncd.config.problems import MOST, KeyPath, Places, Problem
from syncd.config.secrets import Secret, for_service_alone, resolve
from syncd.config.spelling import hint
from syncd.errors import ConfigurationError

SPARE_CONNECTIONS: Final = 2
"""Beside the workers, the dispatcher and the pages each hold a connection at times."""
EMBEDDED_CONNECTIONS: Final = 120
"""What the embedded server leaves of its `max_connections` to the daemon: commands need some."""
PROCESS_CONNECTIONS: Final = 60
"""What it leaves to attempts in processes of their own."""

_READ: Final = {"db_accounts": "accounts", "db_sizes": "sizes"}


def broken_references(tables: Mapping[str, Any], places: Places) -> list[Problem]:
    """Check tables that nobody validated yet, so that one wrong key does not hide the next."""
    known = {name: _table(tables.get(name)) for name in ("accounts", "servers", "tokens")}
    jobs = (_of_job(*each, known, places) for each in _tables(tables.get("jobs")))
    copies = (
        copy_references.of_job(*each, known["servers"], _table(tables.get("jobs")), places)
        for each in _tables(tables.get("jobs"))
    )
    tokens = (http_references.of_token(*each, places) for each in _tables(known["tokens"]))
    return list(islice(chain.from_iterable((*jobs, *copies, *tokens)), MOST))


def cross_checks(tables: Tables, places: Places) -> list[Problem]:
    """Check what can be compared only when every key is valid."""
    forbidden = http_references.forbidden_hosts(tables, places)
    twice = http_references.headers_twice(tables, places)
    copies = copy_references.cross_checks(tables, places)
    return [*_of_store(tables, places), *islice(chain(forbidden, twice, copies), MOST)]


def _of_store(tables: Tables, places: Places) -> list[Problem]:
    """Check that the store is large enough for all that uses it, and ours to be dumped."""
    backups = [name for name, job in tables.jobs.items() if job.enabled and job.kind == "backup"]
    if backups and not tables.store.embedded:
        message = "only the embedded store is dumped; another is its owner's to back up"
        return [places.problem(("jobs", name, "kind"), message) for name in backups]
    runs = tables.daemon.max_concurrent_runs
    items = sorted(
        (j.max_concurrent_items for j in tables.jobs.values() if j.enabled), reverse=True
    )
    needed = max(sum(items[:runs]), runs) + SPARE_CONNECTIONS
    if tables.store.pool_max < needed:
        message = (
            f"must be at least {needed}: max_concurrent_items of the daemon.max_concurrent_runs"
            f" largest jobs, and {SPARE_CONNECTIONS} spare"
        )
        if tables.store.embedded and needed > EMBEDDED_CONNECTIONS:
            message += f"; the embedded store has {EMBEDDED_CONNECTIONS}: lower one of the two"
        return [places.problem(("store", "pool_max"), message)]
    if tables.store.embedded and tables.store.pool_max > EMBEDDED_CONNECTIONS:
        message = f"must be at most {EMBEDDED_CONNECTIONS} with the embedded store"
        return [places.problem(("store", "pool_max"), message)]
    connections = _of_processes(tables)
    if tables.store.embedded and connections > PROCESS_CONNECTIONS:
        message = (
            f'so many runs with isolation = "process" may take {connections} connections,'
            f" and the embedded store has {PROCESS_CONNECTIONS} for them"
        )
        return [places.problem(("daemon", "max_concurrent_runs"), message)]
    return []


def _of_processes(tables: Tables) -> int:
    """Return how many connections the attempts in processes of their own may take at once."""
    isolated = [
        job
        for job in tables.jobs.values()
        if job.enabled
        and (job if "isolation" in job.model_fields_set else tables.defaults).isolation == "process"
    ]
    each = sorted((job.max_concurrent_items + 1 for job in isolated), reverse=True)
    return sum(each[: tables.daemon.max_concurrent_runs])


def secret_references(config: Tables | Config) -> dict[KeyPath, Secret]:
    """Return the secrets that would be used, by the paths of their keys."""
    found: dict[KeyPath, Secret] = {}
    if not config.store.embedded:  # that word is no secret, and would be masked in the log
        found["store", "dsn"] = config.store.dsn
    found.update((path, value) for path, value in _used(config) if isinstance(value, Secret))
    return found


def tls_files(config: Tables | Config) -> dict[KeyPath, Path]:
    """Return the files of certificates and keys that would be used, by the paths of their keys."""
    return {
        path: value
        for path, value in _used(config)
        if path[-1] in ("tls_ca", "tls_cert", "tls_key") and isinstance(value, Path)
    }


def _used(config: Tables | Config) -> Iterator[tuple[KeyPath, Any]]:
    """Yield the values that are not taken out with their table, by the paths of their keys."""
    tokens = {t for job in config.jobs.values() if job.enabled for t in job.enabled_tokens()}
    tables: dict[str, Mapping[str, BaseModel]] = {
        "accounts": {name: a for name, a in config.accounts.items() if a.enabled},
        "servers": {name: s for name, s in config.servers.items() if s.enabled},
        "tokens": {name: t for name, t in config.tokens.items() if name in tokens},
        "notify": {name: c for name, c in config.notify.items() if c.enabled},
        "jobs": {name: j for name, j in config.jobs.items() if j.enabled},
    }
    for table, entries in tables.items():
        for name, entry in entries.items():
            yield from leaves(entry, (table, name))


def leaves(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:  # noqa: ANN401
    """Yield the values inside a table that hold no others, by the paths of their keys."""
    match value:
        case BaseModel():
            for name, info in type(value).model_fields.items():
                yield from leaves(getattr(value, name), (*path, info.alias or name))
        case Mapping():
            for name, each in value.items():
                yield from leaves(each, (*path, str(name)))
        case tuple() | list():
            for index, each in enumerate(value):
                yield from leaves(each, (*path, index))
        case _:
            yield path, value


def missing_secrets(
    tables: Tables, places: Places, environ: Mapping[str, str], *, outside: bool
) -> list[Problem]:
    """Return the references of secrets that give nothing, and the files of TLS that can't be read.

    `outside` of the service, credentials that only it can read are passed over.
    """
    problems = []
    for path, secret in secret_references(tables).items():
        if outside and for_service_alone(secret, environ):
            continue
        try:
            resolve(secret, environ)
        except ConfigurationError as error:
            problems.append(places.problem(path, str(error)))
    for path, file in tls_files(tables).items():
        if not (file.is_file() and os.access(file, os.R_OK)):
            problems.append(places.problem(path, f"{file} is not a file that can be read"))
    return problems


def _of_job(
    name: str, job: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]], places: Places
) -> Iterator[Problem]:
    if name in UPKEEP and job.get("kind") not in (None, name):
        yield places.problem(("jobs", name), f'the name is kept for a job of kind "{name}"')
    rules = [key for key in ("schedule", "every", "adaptive") if key in job]
    for key in rules[1:]:
        yield places.problem(("jobs", name, key), f"stands beside {rules[0]}: only one may")
    kind = KINDS.get(str(job.get("kind")))
    for key, defined in known.items():
        named = job.get(key) if kind is None or key in kind.model_fields else None
        for index, each in enumerate(named if isinstance(named, list) else ()):
            if isinstance(each, str) and each not in defined:
                text = f"no table [{key}.NAME] defines{hint(each, defined)}"
                yield places.problem(("jobs", name, key, index), text)
            elif key == "servers" and _table(defined.get(str(each))).get("engine") == "redis":
                text = f"a redis has no {_READ.get(str(job.get('kind')), 'such things')} to read"
                yield places.problem(("jobs", name, key, index), text)
    yield from http_references.of_job(name, job, known["tokens"], places)
    if kind is None or "servers" in kind.model_fields:
        yield from _unknown_tags(name, job, known["servers"], places)


def _unknown_tags(
    name: str, job: Mapping[str, Any], servers: Mapping[str, Any], places: Places
) -> Iterator[Problem]:
    """Yield the tags by which a job chooses and that no server has."""
    known = {
        tag
        for server in servers.values()
        if isinstance(tags := _table(server).get("tags"), list)
        for tag in tags
        if isinstance(tag, str)
    }
    chosen = _table(job.get("servers")).get("tags")
    for index, tag in enumerate(chosen if isinstance(chosen, list) else ()):
        if isinstance(tag, str) and tag not in known:
            text = f"no server has this tag{hint(tag, known)}"
            yield places.problem(("jobs", name, "servers", "tags", index), text)


def _tables(value: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the tables inside a table by their names, an empty one for what is none."""
    return ((name, _table(each)) for name, each in _table(value).items())


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
