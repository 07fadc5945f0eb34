"""What a notice says: first what happened, below what is known, and how to look further."""

import pytest
from notice_book import DAY, HOUR, NOON, Looks, run, wants

from syncd.model.notice import Message
from syncd.notices.content import notice
from syncd.telemetry.notify.base import Notice


def notices(looks):
    return [notice(message, "db1", NOON) for message in looks.told]


def test_a_failure_says_what_is_known_of_the_run():
    looks = Looks(wants())
    failed = run(error="no\0route", attempt=4)
    looks.look(NOON, failed)
    (told,) = notices(looks)
    assert (told.title, told.host, told.job, told.severity) == (
        "job j failed", "db1", "j", "critical",
    )  # fmt: skip
    assert dict(told.facts) == {
        "error_class": "network", "error": "no\N{REPLACEMENT CHARACTER}route",
        "since": NOON.isoformat(), "counts": {"total": 10, "added": 1}, "items_failed": 1,
        "items_total": 2, "duration_seconds": 2.5, "attempt": 4, "run": str(failed.id),
    }  # fmt: skip
    assert told.look == f"syncd show {failed.id}"
    assert Notice.from_json(told.to_json()) == told


def test_a_recovery_says_how_long_and_how_often_and_not_the_error():
    looks = Looks(wants())
    looks.look(NOON, run())
    looks.look(NOON + HOUR, run(at=NOON + HOUR))
    looks.look(NOON + DAY, run("success", NOON + DAY))
    again, recovered = notices(looks)[1:]
    assert again.title == "still: job j failed 2 times"
    assert recovered.title == "job j is well again after 1 d"
    assert dict(recovered.facts).keys() == {"of", "times", "since", "lasted_seconds", "run"}
    assert recovered.key == again.key


def test_what_is_guarded_says_how_to_let_it_go():
    looks = Looks(wants())
    targets = [f"cn-{n}" for n in range(9)]
    looks.look(NOON, run(error_class="guard", guarded=targets))
    (told,) = notices(looks)
    assert told.look.endswith("syncd approve j")
    assert dict(told.facts)["guarded"] == "cn-0, cn-1, cn-2, cn-3, cn-4 and 4 more"


@pytest.mark.parametrize(
    ("event", "detail", "title", "look"),
    [
        ("resource", {"short": "disk", "thing": "1 MiB of disk is free", "host": "web-2"},
         "web-2: 1 MiB of disk is free", "syncd doctor"),
        ("recovered", {"short": "disk", "thing": "1 MiB of disk is free", "host": "web-2"},
         "web-2: disk is well again", "syncd doctor"),
        ("reload_failed", {"short": "configuration", "thing": "", "host": "web-2"},
         "the configuration of web-2 could not be reloaded", "syncd check"),
        ("recovered", {"short": "configuration", "thing": "", "host": "web-2"},
         "the configuration of web-2 is well again", "syncd doctor"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_machine_is_told_in_its_words(event, detail, title, look):
    told = notice(Message(event, "web-2:abc disk resource", None, detail, ["ops"]), "db1", NOON)
    assert (told.title, told.host, told.look) == (title, "web-2", look)


def test_texts_of_any_length_are_cut():
    looks = Looks(wants())
    looks.look(NOON, run(error="x" * 100_000))
    (told,) = notices(looks)
    assert len(dict(told.facts)["error"]) == 2000
