"""What a configuration wants to be run, as whoever takes the schedule over asks for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from syncd.dispatch.gates import Limits
from syncd.dispatch.spec import JobSpec
from syncd.store.resources import Managed


@dataclass(frozen=True, slots=True)
class Wanted:
    """The enabled jobs, what they look after, and how much may happen at once."""

    specs: Mapping[str, JobSpec]
    managed: Sequence[Managed]
    limits: Limits
