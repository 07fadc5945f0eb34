"""`syncd notify list`."""

import json

from fake_daemon import syncd

CHANNELS = """
[notify.oncall]
channel = "webhook"
url = "https://example.test/s3cr3t"
on = ["failed", "recovered"]
jobs = ["stat-*"]

[notify.spare]
channel = "slack"
url = "https://example.test/s3cr3t"
enabled = false

[jobs.stat-daily]
kind = "http"
request = { url = "https://example.test/" }
ping_url = "https://example.test/s3cr3t"
"""


def test_channels_are_listed_with_what_waits_and_what_lasts(served):
    served.file.write_text(served.file.read_text() + CHANNELS)
    result = syncd(served, "notify", "list")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == [
        "channel",
        "kind",
        "on",
        "jobs",
        "waiting",
        "last",
        "sent",
        "last",
        "error",
    ]
    assert "oncall" in lines[1]
    assert "failed, recovered" in lines[1]
    assert "reset by peer" in lines[1]
    assert lines[2].split()[:3] == ["spare", "slack,", "off"]
    assert "hosts failed" in result.stdout
    assert "s3cr3t" not in result.stdout


def test_json_has_channels_without_messages_too(served):
    served.file.write_text(served.file.read_text() + CHANNELS)
    document = json.loads(syncd(served, "notify", "list", "--json").stdout)
    rows = {row["channel"]: row for row in document["channels"]}
    assert list(rows) == ["oncall", "spare", "ping stat-daily"]
    assert (rows["oncall"]["waiting"], rows["oncall"]["on"]) == (2, ["failed", "recovered"])
    assert (rows["spare"]["enabled"], rows["spare"]["waiting"]) == (False, 0)
    assert document["lasting"][0]["key"] == "hosts failed"


def test_a_channel_that_is_gone_is_listed_as_that(served):
    result = syncd(served, "notify", "list")
    assert result.stdout.splitlines()[1].split()[:2] == ["oncall", "gone"]
