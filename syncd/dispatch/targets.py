"""Which targets of a job a run is for."""

from typing import Any

from syncd.context import RunContext
from syncd.dispatch.spec import JobSpec
from syncd.errors import ConfigurationError
from syncd.jobs.base import Job
from syncd.model.run import Selection, Target


def chosen(spec: JobSpec, job: Job[Any], ctx: RunContext) -> list[Target]:
    """Return the targets that were asked for.

    Raises ConfigurationError when accounts, servers or tables that the job does not have are among
    what was asked for, or nothing fits it; besides what the finding of the targets raises.
    """
    asked = ctx.selection
    unknown = Selection(
        accounts=asked.accounts.difference(spec.accounts),
        servers=asked.servers.difference(spec.servers),
        tables=asked.tables.difference(spec.tables),
    )
    if unknown != Selection():
        raise _without_target(unknown)
    targets = [target for target in job.targets(ctx) if asked.wants(target)]
    if not targets and asked != Selection():
        raise _without_target(asked)
    return targets


def _without_target(asked: Selection) -> ConfigurationError:
    return ConfigurationError(f"the job has no target in what was asked for: {asked}")
