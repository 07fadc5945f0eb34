"""`python -m syncd.attempt`: the process of one attempt of a run, started by the daemon alone.

It is a small daemon without a schedule: the configuration in force, a store with a connection for
each item, the one job; put together by the code that does so for the daemon.
"""

import io
import os
import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from syncd import assembly, state_dir
from syncd.config import secrets
from syncd.config.configuration import Config
from syncd.dispatch.inside import Parent
from syncd.dispatch.isolated import Entry
from syncd.dispatch.spec import JobSpec
from syncd.telemetry.logging import (
    LogFormat,
    LogLevel,
    bind_process,
    configure,
    get_logger,
)
from syncd.telemetry.run_lines import keep_runs
from syncd.telemetry.run_logs import RunLogs

_Setup = tuple[Config, str, str, LogFormat, LogLevel]


def entry(dsn: str, session: str, form: LogFormat, level: LogLevel) -> Callable[[JobSpec], Entry]:
    """Return how the process of an attempt is started, given the store and the form of the log."""

    def of(spec: JobSpec) -> Entry:
        if not isinstance(spec.build, assembly.Recipe):
            raise TypeError(f"job {spec.name} was not made of a configuration")
        return Entry(
            ["-m", "syncd.attempt"], _pickled((spec.build.config, dsn, session, form, level))
        )

    return of


def _pickled(setup: _Setup) -> bytes:
    """Return the setup as bytes."""
    file = io.BytesIO()
    _Pickler(file).dump(setup)
    return file.getvalue()


class _Pickler(pickle.Pickler):
    """Takes the read-only views in a configuration too, as plain dictionaries."""

    def reducer_override(self, value: object) -> Any:  # noqa: ANN401 - as the library says
        """Return how a value is made again."""
        if isinstance(value, MappingProxyType):
            return dict, (dict(value),)
        return NotImplemented


def main() -> None:
    """Do what the daemon orders on the descriptor that the first argument names."""
    parent = Parent(int(sys.argv[1]))
    setup: _Setup = pickle.loads(parent.order.setup)  # noqa: S301 - the parent's own
    config, dsn, session, form, level = setup
    secrets.resolve(secrets.parse_secret(dsn))  # the log has to know it, to mask it
    configure(form, level, secrets.known)
    job = parent.order.job
    bind_process(job=job, run=str(parent.order.claim.run_id))
    keep_runs(RunLogs(Path(config.daemon.state_dir)), secrets.known)
    pool = {"pool_min": 1, "pool_max": config.jobs[job].max_concurrent_items + 1}
    store = assembly.open_store(
        replace(config, store=config.store.model_copy(update=pool)), dsn, session
    )
    store.observe = parent.observe_statement
    directory = Path(config.daemon.state_dir)
    key = state_dir.fingerprint_key(directory)
    accounts = assembly.Accounts(store, parent.observe_api, key)
    tokens = assembly.open_tokens(directory, key, parent.observe_api)
    specs = assembly.job_specs(config, store, accounts, tokens, parent.observe_api)
    parent.work(specs[job], store, get_logger())
    store.close()
    os._exit(0)  # no thread of a library holds it up


if __name__ == "__main__":
    main()
