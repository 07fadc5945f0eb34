"""Which tables the enabled jobs read and write on which server: pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from syncd.config.consistency_check import ConsistencyCheckJob
from syncd.config.copy_rules import check_rules, copy_rules
from syncd.config.job import Job
from syncd.config.servers import Server
from syncd.config.table_copy import TableCopyJob
from syncd.engines.rights import Writing
from syncd.model.check import CheckRules
from syncd.model.copy import CopyRules
from syncd.model.table import Relation


@dataclass(frozen=True, slots=True)
class Read:
    """A relation that is read: some columns (none: all) without others.

    `watermark` is the column by which rows are found, "" where none is. `keyed`: rows have to be
    told apart.
    """

    relation: Relation
    columns: tuple[str, ...]
    without: frozenset[str]
    watermark: str
    keyed: bool


@dataclass(frozen=True, slots=True)
class Used:
    """The copies and comparisons of some jobs; `written` are those that write, repairs too."""

    copied: tuple[CopyRules, ...]
    compared: tuple[CheckRules, ...]
    written: tuple[CopyRules, ...]

    @classmethod
    def of(cls, jobs: Iterable[Job], servers: Mapping[str, Server]) -> Self:
        """Return those of jobs, none of whose servers is disabled."""
        copied, compared, repaired = list[CopyRules](), list[CheckRules](), list[CopyRules]()
        for job in jobs:
            if isinstance(job, TableCopyJob):
                copied += copy_rules(job, servers)
            elif isinstance(job, ConsistencyCheckJob):
                rules = check_rules(job, servers)
                compared += rules
                names = {each.name for each in rules if each.repair}
                again = copy_rules(job.copied, servers) if job.copied and names else ()
                repaired += [each for each in again if each.name in names]
        return cls(tuple(copied), tuple(compared), (*copied, *repaired))

    def reads(self, server: str) -> list[Read]:
        """Return what is read of a server, each once."""
        of_copies = (_of_copy(each) for each in self.copied)
        of_checks = (each for rules in self.compared for each in _of_check(rules))
        found = [each for read in (of_copies, of_checks) for each in read]
        return list(dict.fromkeys(each for each in found if each.relation.server == server))

    def writes(self, server: str) -> list[Writing]:
        """Return what is written on a server, each once."""
        found = (_writing(each) for each in self.written if each.target.server == server)
        return list(dict.fromkeys(found))


def _of_copy(rules: CopyRules) -> Read:
    of = rules.columns
    watermark = rules.watermark.column if rules.watermark else ""
    columns = (*of.include, *([watermark] if of.include and watermark else []))
    return Read(rules.source, columns, frozenset(of.exclude) - {watermark}, watermark, keyed=True)


def _of_check(rules: CheckRules) -> Iterator[Read]:
    """Yield the sides that are tables; the key is that of the left one."""
    named = dict.fromkeys((*rules.key, *rules.columns)) if rules.columns else ()
    keyed = "checksum" in rules.compare and not rules.key
    for side, names in ((rules.left, {}), (rules.right, rules.rename)):
        if isinstance(side, Relation):
            columns = tuple(names.get(each, each) for each in named)
            without = frozenset(names.get(each, each) for each in rules.exclude)
            yield Read(side, columns, without, "", keyed=keyed and side is rules.left)


def _writing(rules: CopyRules) -> Writing:
    updates = rules.conflict in ("update", "newer") or rules.delete == "soft"
    verbs = ["SELECT", "INSERT", *(["UPDATE"] if updates else [])]
    verbs += ["DELETE"] if rules.delete == "hard" else []
    extends = rules.columns.new == "evolve"
    return Writing(rules.target, rules.state_schema, tuple(verbs), extends)
