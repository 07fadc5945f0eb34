"""What a provider's host maker gives and takes: one host with the disks that stand beside it."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final

Raw = dict[str, Any]

CHANGES: Final = ("status", "name", "type", "ips", "security_groups", "tags", "disks")


@dataclass(slots=True)
class Made:
    """A raw host as its cloud shows it, and its data disks where the cloud lists them apart."""

    host: Raw
    disks: list[Raw]


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes and changes hosts of one cloud.

    `changes` knows each of CHANGES, and two that a good inventory ignores or only refreshes:
    `order` shuffles what is a set, `noise` alters a field that nobody compares.
    """

    make: Callable[[Random, str], Made]
    changes: dict[str, Callable[[Random, Made], None]]
    detach: Callable[[Raw], Raw | None]
    """Gives what is left of a data disk when its host is released, None if it goes too."""
