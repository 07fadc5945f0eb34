"""docs/notifications.md: what it shows is valid, and as it is sent."""

import hashlib
import hmac
import json
import re
import tomllib
from pathlib import Path

from notify_receivers import notice

from syncd.config.configuration import Tables
from syncd.config.notify import CHANNELS
from syncd.telemetry.notify.text import plain
from syncd.telemetry.notify.webhook import document, signature

PAGE = Path(__file__).parents[3].joinpath("docs/notifications.md").read_text()
BLOCKS = re.findall(r"(?:^    .*\n|^\n(?=    ))+", PAGE, re.MULTILINE)


def test_the_tables_are_valid_and_of_every_kind():
    text = "\n".join(re.sub("^    ", "", b, flags=re.MULTILINE) for b in BLOCKS if "channel =" in b)
    channels = Tables.model_validate(tomllib.loads(text)).notify
    assert {each.channel for each in channels.values()} == set(CHANNELS)


def test_the_table_and_the_headings_tell_of_every_kind():
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) >= set(CHANNELS)
    assert len(re.findall(r"^### ", PAGE, re.MULTILINE)) == len(CHANNELS)


def test_the_fields_and_the_signature_are_as_they_are_sent():
    (shown,) = [block for block in BLOCKS if '"event"' in block]
    told = document(notice())
    assert json.loads(shown.replace("\n", " ")).keys() == told.keys()
    for name in re.findall(r"^\| `(\w+)` \| ", PAGE.partition("| field |")[2], re.MULTILINE):
        assert name in told
    body = json.dumps(told).encode()
    made = "v1=" + hmac.new(b"key", b"7." + body, "sha256").hexdigest()
    assert signature("key", "7", body) == made
    assert len(made) == 3 + 2 * hashlib.sha256().digest_size


def test_the_message_is_as_it_is_written():
    (shown,) = [block for block in BLOCKS if "[syncd db1]" in block and '"event"' not in block]
    facts = (("error_class", "network"), ("error", "no connection: Connection refused"),
             ("times", 3), ("since", "2026-03-01T12:00:00Z"))  # fmt: skip
    look = shown.rpartition("look: ")[2].strip()
    told = plain(notice(facts=facts, look=look))
    assert told.splitlines() == [line.strip() for line in shown.strip().splitlines()]
