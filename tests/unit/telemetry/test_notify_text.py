"""What notices say in words, and how they travel through the queue."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notify_receivers import HOSTILE, notice

from syncd.errors import BadData
from syncd.model.document import has_nul
from syncd.telemetry.notify import dingtalk, feishu, slack, text, webhook, wecom
from syncd.telemetry.notify.base import Notice
from syncd.telemetry.notify.markup import harmless

VALUES = st.one_of(
    st.text(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.dictionaries(st.text(), st.integers(0, 2**53)),
)
NOTICES = st.builds(
    Notice,
    id=st.text(),
    event=st.sampled_from(["failed", "recovered", "test"]),
    key=st.text(),
    job=st.none() | st.text(max_size=128),
    host=st.text(),
    title=st.text(),
    facts=st.lists(st.tuples(st.text(), VALUES), max_size=12).map(tuple),
    look=st.text(),
    at=st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    severity=st.sampled_from(["info", "warning", "critical"]),
)


@given(NOTICES)
def test_a_notice_is_the_same_after_its_way_through_the_store(told):
    document = json.dumps(told.to_json())
    assert Notice.from_json(json.loads(document)) == told
    assert not has_nul(document.encode())
    assert json.loads(document)["facts"] == [list(fact) for fact in told.facts]


@given(NOTICES)
def test_every_channel_holds_its_limits_whatever_is_told(told):
    assert len(wecom.message(told)["markdown"]["content"].encode()) <= 4096
    markdown = dingtalk.message(told)["markdown"]
    assert len(markdown["title"]) <= 64
    assert len(markdown["text"].encode()) <= 5000
    assert len(json.dumps(feishu.message(told), ensure_ascii=False).encode()) < 20_000
    document = slack.message(told)
    header, section = (block["text"]["text"] for block in document["blocks"])
    assert 0 < len(header) <= 150
    assert 0 < len(section) <= 3000
    assert len(document["text"]) <= 4000
    json.dumps(webhook.document(told))
    assert "\n" not in text.headline(told)


@pytest.mark.parametrize(
    "document",
    [None, [], {}, {"id": 1}, notice().to_json() | {"event": "no such"},
     notice().to_json() | {"at": "2026-03-01T12:00:00"}, notice().to_json() | {"facts": {}}],
)  # fmt: skip
def test_what_is_no_notice_is_bad_data(document):
    with pytest.raises(BadData):
        Notice.from_json(document)


def test_fields_of_a_later_version_are_passed_over():
    assert Notice.from_json(notice().to_json() | {"later": 1}) == notice()


@pytest.mark.parametrize(
    ("event", "facts", "words"),
    [
        ("success", (), "job x succeeded"),
        ("failed", (), "job x failed"),
        ("failed", (("times", 1),), "job x failed"),
        ("failed", (("times", 12),), "job x failed 12 times"),
        ("overrun", (), "job x runs longer than it should"),
        ("stale", (), "job x has not succeeded for too long"),
        ("recovered", (), "job x is well again"),
        ("recovered", (("lasted_seconds", 7260.0),), "job x is well again after 2 h 1 min"),
        ("guarded", (), "job x holds deletions back"),
    ],
)
def test_a_title_says_what_happened(event, facts, words):
    assert text.title(event, "job x", facts) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0.0 s"), (0, "0.0 s"), (0.31, "0.3 s"), (9.94, "9.9 s"), (10, "10 s"),
        (59.6, "1 min"), (60, "1 min"), (200, "3 min 20 s"), (3600, "1 h"), (3661, "1 h 1 min"),
        (86400, "1 d"), (90061, "1 d 1 h"), (86400 + 59, "1 d"), (10**9, "11574 d 1 h"),
    ],
)  # fmt: skip
def test_a_length_of_time_is_told_in_its_largest_units(seconds, words):
    assert text.span(seconds) == words


def test_the_lines_tell_facts_time_and_where_to_look():
    east = timezone(timedelta(hours=8))
    facts = (
        ("error_class", "network"),
        ("error", ""),
        ("counts", {"added": 1200, "gone": 0}),
        ("counts", {}),
        ("since", "2026-03-01T20:00:00+08:00"),
        ("since", "long ago"),
    )
    told = notice(facts=facts, at=datetime(2026, 3, 1, 20, 5, tzinfo=east))
    assert text.lines(told) == [
        ("error class", "network"),
        ("counts", "1,200 added"),
        ("since", "2026-03-01 12:00:00 UTC"),
        ("since", "long ago"),
        ("time", "2026-03-01 12:05:00 UTC"),
        ("look", "syncd show 0195"),
    ]
    assert text.plain(told).startswith("[syncd db1] job hosts failed 3 times\n\nerror class: ")


def test_one_line_has_nothing_that_moves_the_cursor():
    assert text.one_line("a\r\n\tb\x1b[1m\u202ec\u2028d\0") == "a b [1m cd".replace("cd", "c d")
    family = "\N{WOMAN}\u200d\N{GIRL}"
    assert text.one_line(family) == family


def test_a_text_is_cut_between_characters():
    assert text.cut("abcdef", 6) == "abcdef"
    assert text.cut("abcdefg", 6) == "abc..."
    poo = "\N{PILE OF POO}"
    assert text.cut_bytes(poo * 3, 12) == poo * 3
    assert text.cut_bytes(poo * 4, 12) == poo * 2 + "..."


def test_markup_and_mentions_are_made_harmless_and_addresses_stay():
    assert harmless("[a](http://b) <@all> **x** `y` ~z~ |") == (
        "［a］(http://b) ＜＠all＞ ＊＊x＊＊ ｀y｀ ～z～ ｜"
    )
    assert harmless("@all hi @张三 (@here)") == "＠all hi ＠张三 (＠here)"
    assert harmless("'root'@'%' root@db1 a & b") == "'root'@'%' root@db1 a & b"
    assert harmless("&lt;b&gt; &#64;all") == "＆lt;b＆gt; ＆#64;all"
    assert set(harmless(HOSTILE)).isdisjoint("<>[]`*|~")
