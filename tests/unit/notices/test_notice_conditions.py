"""What is wrong with a machine: told after some patience, and well again after some more."""

from pathlib import Path

import pytest
from dispatch_helpers import HandClock

from syncd.notices.conditions import Conditions, Look, Rule
from syncd.notices.machine import Machine, rules

GIB = 2.0**30


class Readings:
    """A machine whose readings a test sets."""

    def __init__(self) -> None:
        self.free, self.load, self.memory = 100 * GIB, 0.1, 8 * GIB
        self.stuck, self.store, self.reload = 0, "", ""
        self.clock = HandClock()
        self.conditions = Conditions("web-1:abc", rules(self.machine()), self.clock)

    def machine(self) -> Machine:
        return Machine(
            directory=Path("/srv"), free_disk=lambda: int(GIB), load_limit=lambda: 0.8,
            stuck=lambda: self.stuck, store=lambda: self.store, reload=lambda: self.reload,
            disk=lambda _: self.free, load=lambda: self.load, memory=lambda: self.memory,
            memory_total=lambda: 16 * GIB,
        )  # fmt: skip

    def after(self, seconds: float, step: float = 5.0) -> list[str]:
        """Return what is wrong after some time, in which it is looked at again and again."""
        found = [c.key for c in self.conditions.look()]
        while seconds > 0:
            self.clock.pass_(min(step, seconds))
            seconds -= step
            found = [c.key for c in self.conditions.look()]
        return found


@pytest.mark.parametrize(
    ("change", "patience", "key"),
    [
        ({"free": GIB / 2}, 0, "web-1:abc disk resource"),
        ({"memory": 0.4 * GIB}, 60, "web-1:abc memory resource"),
        ({"load": 0.9}, 300, "web-1:abc load resource"),
        ({"stuck": 1}, 30, "web-1:abc workers resource"),
        ({"store": "no route"}, 60, "web-1:abc store resource"),
        ({"reload": "jobs.x: wrong"}, 0, "web-1:abc configuration reload_failed"),
    ],
)
def test_what_is_wrong_is_told_when_it_lasts(change, patience, key):
    readings = Readings()
    assert readings.after(0) == []
    for name, value in change.items():
        setattr(readings, name, value)
    if patience:
        assert readings.after(patience - 1) == []
        assert readings.after(1) == [key]
    assert readings.after(3600) == [key]
    assert readings.after(0) == [key]


def test_a_load_that_goes_down_for_a_moment_is_counted_anew():
    readings = Readings()
    readings.load = 0.9
    assert readings.after(299) == []
    readings.load = 0.1
    assert readings.after(0) == []
    readings.load = 0.9
    assert readings.after(299) == []


def test_a_disk_that_flaps_is_wrong_until_it_was_well_for_some_minutes():
    readings = Readings()
    readings.free = GIB / 2
    assert readings.after(0)
    for _ in range(10):
        readings.free = 2 * GIB
        assert readings.after(60)
        readings.free = GIB / 2
        assert readings.after(60)
    readings.free = 2 * GIB
    assert readings.after(299)
    assert readings.after(1) == []


def test_a_disk_that_ran_short_is_well_again_with_a_tenth_more_than_the_limit():
    readings = Readings()
    readings.free = 0.99 * GIB
    assert readings.after(0)
    readings.free = 1.05 * GIB
    assert readings.after(3600)
    readings.free = 1.11 * GIB
    assert readings.after(300) == []


def test_a_reload_that_succeeds_is_a_recovery_at_once():
    readings = Readings()
    readings.reload = "wrong"
    assert readings.after(0)
    readings.reload = ""
    assert readings.after(0) == []


def test_another_reason_is_told_with_the_same_moment():
    readings = Readings()
    readings.reload = "jobs.x: no kind"
    (first,) = readings.conditions.look()
    readings.clock.pass_(60)
    readings.reload = "jobs.y: no kind"
    (second,) = readings.conditions.look()
    assert second.detail["error"] == "jobs.y: no kind"
    assert (second.key, second.since) == (first.key, first.since)


def test_what_can_not_be_read_changes_nothing():
    def broken() -> Look:
        raise OSError("gone")

    conditions = Conditions("here:1", [Rule("x", "resource", broken)], HandClock())
    assert conditions.look() == []


def test_a_wall_clock_that_jumps_changes_nothing():
    readings = Readings()
    readings.load = 0.9
    readings.after(200)
    readings.clock.set(readings.clock.wall.replace(year=2036))
    assert readings.after(95) == []
    assert readings.after(5) == ["web-1:abc load resource"]


def test_what_is_told_says_how_much_there_is_and_should_be():
    readings = Readings()
    readings.free, readings.memory = GIB / 2, GIB / 4
    readings.after(60)
    told = [condition.detail["thing"] for condition in readings.conditions.look()]
    assert told == [
        "512 MiB of disk, where /srv is, are free; 1,024 MiB should be: no run starts meanwhile",
        "256 MiB of memory are free; 512 MiB should be",
    ]
