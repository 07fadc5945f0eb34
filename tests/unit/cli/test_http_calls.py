"""HTTP calls on the screen: those that a run has sent, and those that it would send."""

import json

from fake_daemon import MOMENT, RUN, run_row, syncd


def call(**changes):
    return {
        "position": 1, "attempt": 1, "name": "call-1", "method": "POST", "url": "https://h/a?k=******",
        "safe": True, "tries": 1, "request_sent_at": MOMENT, "answered_at": MOMENT,
        "finished_at": MOMENT, "outcome": "success", "status": 200, "connect_seconds": 0.1,
        "first_byte_seconds": 0.2, "total_seconds": 1.25, "request_id": "r-1", "answer": "{}",
        "answer_cut": False, "poll_url": None, "polls": 0, "saved": {}, "error_class": None,
        "error": None,
    } | changes  # fmt: skip


def test_a_run_is_shown_with_its_calls(served):
    lost = {"outcome": None, "status": None, "error_class": "outcome_unknown", "error": "reset\x1b"}
    calls = [call(), call(attempt=2, **lost), call(outcome="accepted", status=202, polls=7)]
    served.reads.run_answer = run_row(kind="http") | {
        "error_count": 0, "items": [], "errors": [], "calls": calls,
    }  # fmt: skip
    shown = syncd(served, "show", str(RUN))
    assert shown.exit_code == 0, shown.output
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines() if "https://h/" in line]
    assert lines[0].startswith("call-1 1 POST https://h/a?k=****** 2026-03-01")
    assert lines[0].endswith("success 200 1 0 1.250 -")
    assert lines[1].endswith("sent - 1 0 1.250 outcome_unknown: reset\\x1b")
    assert "accepted 202 1 7" in lines[2]
    document = json.loads(syncd(served, "show", str(RUN), "--json").stdout)
    assert document["calls"][0]["answer"] == "{}"


def test_a_run_by_hand_shows_its_calls_in_place_of_their_item(served):
    served.commands.ended.set()
    served.reads.run_answer = run_row(kind="http") | {
        "error_count": 0, "items": [], "errors": [], "calls": [call()],
    }  # fmt: skip
    shown = syncd(served, "sync", "hosts")
    assert "https://h/a?k=******" in shown.stdout, shown.output
    assert "no items" not in shown.stdout


def test_a_run_of_a_daemon_that_tells_of_no_calls_is_shown_too(served):
    assert syncd(served, "show", str(RUN)).exit_code == 0


def planned(*changes):
    counts = dict.fromkeys(("total", "added", "updated", "deleted", "unchanged", "errors"), 0)
    return {
        "target": "calls", "counts": counts, "changes": list(changes), "error_class": None,
        "error": None,
    }  # fmt: skip


def request(body="{}", **headers):
    return {
        "change": "send", "thing": "request", "resource_id": "POST https://h/a", "name": "call-1",
        "fields": {"headers": headers, "body": body},
    }  # fmt: skip


def test_a_plan_shows_the_requests_whole(served):
    served.commands.planned = [
        planned(request('{\n  "a": "\x1b[2J"\n}', Authorization="******"), request(""))
    ]
    result = syncd(served, "sync", "hosts", "--plan")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "calls: 2 requests to send",
        "  > call-1  POST https://h/a",
        "      Authorization: ******",
        "      {",
        '        "a": "\\x1b[2J"',
        "      }",
        "  > call-1  POST https://h/a",
    ]
    assert "request" in syncd(served, "sync", "hosts", "--plan", "--json").stdout


def test_of_a_long_body_the_beginning_is_shown(served):
    served.commands.planned = [planned(request("x\n" * 150))]
    lines = syncd(served, "sync", "hosts", "--plan").stdout.splitlines()
    assert lines[0] == "calls: 1 request to send"
    assert len(lines) == 103
    assert lines[-1].strip() == "… 50 lines more: --json"
