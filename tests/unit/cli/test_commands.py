"""The command line against a daemon in memory, over a real socket."""

import json
import os
import pwd
import threading

import pytest
from fake_daemon import MOMENT, RUN, item_row, run_row, syncd

from syncd import errors
from syncd.config.problems import ConfigInvalid, Problem
from syncd.model.queries import ChangeQuery, ResourceQuery, RunQuery
from syncd.model.run import Selection

ME = pwd.getpwuid(os.getuid()).pw_name
HOST = {
    "account": "prod", "region": "cn-a", "type": "host", "resource_id": "i-1", "name": "web",
    "state": "running", "instance_type": "g6", "private_ips": ["10.0.0.1", "10.0.0.2"],
    "public_ips": [], "attributes": {"raw": 1},
}  # fmt: skip


def test_status_tells_health_jobs_inventory_and_what_is_held_back(served):
    result = syncd(served, "status")
    assert result.exit_code == 0, result.output
    for part in (
        "syncd 0.1.0, ready, pid 1", "1 job, 1 running", "hosts", "failed", "network: down",
        "12 deletions of prod/r/host are held back for", "syncd approve hosts",
    ):  # fmt: skip
        assert part in result.stdout


def test_status_says_what_is_wrong(served):
    served.commands.ready = False
    served.reads.store_is_gone = True
    result = syncd(served, "status")
    assert result.exit_code == 0
    assert "not ready" in result.stdout
    assert "! store" in result.stdout
    assert "can't be reached" in result.stdout
    assert "hosts" in result.stdout  # the jobs are told all the same


def test_times_are_shown_in_the_configured_zone_with_their_offset(served):
    assert "2026-03-01 20:00:00+08:00" in syncd(served, "runs").stdout
    assert "2026-03-01 20:00:00+08:00" in syncd(served, "jobs", "hosts").stdout
    row = json.loads(syncd(served, "runs", "--json").stdout)[0]
    assert row["created_at"] == "2026-03-01T12:00:00Z"


def test_why_a_run_was_cancelled_is_told(served):
    row = run_row(status="cancelled", error="cancelled by alice")
    served.reads.runs = lambda _: [row]
    served.reads.run = lambda _: row | {"items": [], "errors": [], "error_count": 0}
    assert "cancelled by alice" in syncd(served, "runs").stdout
    assert "cancelled by alice" in syncd(served, "show", str(RUN)).stdout


def test_runs_ask_what_the_options_say(served):
    result = syncd(
        served, "runs", "--job", "hosts", "--status", "failed", "--since",
        "2026-03-01T20:00", "--limit", "1",
    )  # fmt: skip
    assert served.reads.asked == [RunQuery("hosts", "failed", MOMENT, 1)]
    assert str(RUN) in result.stdout
    assert "there may be more" in result.stderr


def test_a_run_is_shown_with_items_and_errors(served):
    served.reads.run_answer = run_row(status="failed", error_class="network", error="down") | {
        "error_count": 1,
        "items": [
            item_row(status="failed", error_class="network", error="refused"),
            item_row(target="prod/cn-x/host", details={"skipped": "no such region", "new": 1}),
        ],
        "errors": [{"resource_id": "i-9", "attempt": 1, "error_class": "bad_data",
                    "error": "NUL", "occurred_at": MOMENT}],
    }  # fmt: skip
    shown = syncd(served, "show", "01890000")
    assert shown.exit_code == 0
    for part in (
        "network: down", "prod/cn-hangzhou/host", "network: refused", "skipped: no such region",
        "i-9", "NUL",
    ):  # fmt: skip
        assert part in shown.stdout
    document = json.loads(syncd(served, "show", str(RUN), "--json").stdout)
    assert document["items"][0]["error"] == "refused"
    assert document["errors"][0]["resource_id"] == "i-9"


def test_resources_are_read_page_by_page_to_the_end(served, monkeypatch):
    monkeypatch.setattr("syncd.cli.inventory.PAGE", 2)
    served.reads.resource_rows = [HOST | {"resource_id": f"i-{n}"} for n in range(5)]
    rows = json.loads(syncd(served, "resources", "--json").stdout)
    assert [row["resource_id"] for row in rows] == [f"i-{n}" for n in range(5)]
    assert len(served.reads.asked) == 3
    limited = json.loads(syncd(served, "resources", "--json", "--limit", "3").stdout)
    assert len(limited) == 3


def test_resources_pass_their_filters_on(served):
    syncd(
        served, "resources", "--type", "host", "--account", "prod", "--region", "cn-a",
        "--state", "running", "--as-of", "2026-03-01T12:00:00Z",
    )  # fmt: skip
    query = ResourceQuery("host", "prod", "cn-a", "running", MOMENT, limit=10_000)
    assert served.reads.asked == [query]
    assert json.loads(syncd(served, "resources", "--json").stdout) == []


def test_a_table_in_a_pipe_is_as_wide_as_its_content(served):
    served.reads.resource_rows = [HOST | {"name": "x" * 300}]
    lines = syncd(served, "resources").stdout.splitlines()
    assert len(lines) == 2
    assert "x" * 300 in lines[1]
    assert "10.0.0.1, 10.0.0.2" in lines[1]


@pytest.mark.parametrize("command", [["resources"], ["resources", "--json"], ["changes"]])
def test_hostile_names_do_not_reach_the_terminal_raw(served, command):
    name = "[red]a\nb\x1b[2J\x9b2J\u202e\x07"
    served.reads.resource_rows = [HOST | {"name": name}]
    served.reads.change_rows = [
        {"changed_at": MOMENT, "change": "added", "fields": {"name": name}, "id": 1} | HOST
    ]
    result = syncd(served, *command)
    assert result.exit_code == 0
    assert "[red]a\\nb" in result.stdout
    assert not set(result.stdout) & set("\x1b\x9b\u202e\x07")
    if "--json" in command:
        assert json.loads(result.stdout)[0]["name"] == name


def test_changes_show_before_and_after(served):
    served.reads.change_rows = [
        {"id": 1, "run_id": RUN, "change": "updated", "changed_at": MOMENT,
         "fields": {"state": ["running", "stopped"], "public_ips": [[], ["1.2.3.4"]]}} | HOST
    ]  # fmt: skip
    result = syncd(served, "changes", "--job", "hosts", "--account", "prod")
    assert "state: running → stopped; public_ips: - → 1.2.3.4" in result.stdout
    assert served.reads.asked == [ChangeQuery(None, "hosts", "prod", 100)]


def test_sync_runs_waits_and_prints_each_item(served):
    served.commands.ended.set()
    result = syncd(served, "sync", "hosts", "--account", "prod", "--region", "cn-a")
    assert result.exit_code == 0, result.output
    selection = Selection(frozenset({"prod"}), frozenset({"cn-a"}))
    assert served.commands.asked == [("trigger", "hosts", selection, ME, None)]
    assert "prod/cn-hangzhou/host" in result.stdout


def test_sync_waits_for_the_end(served):
    results = []
    thread = threading.Thread(target=lambda: results.append(syncd(served, "sync", "hosts")))
    thread.start()
    thread.join(0.3)
    assert not results
    served.commands.ended.set()
    thread.join(10)
    assert results[0].exit_code == 0


def test_sync_json_gives_the_columns_of_runs(served):
    served.commands.ended.set()
    (run,) = json.loads(syncd(served, "sync", "hosts", "hosts", "--json").stdout)
    assert run["id"] == str(RUN)
    assert run["errors"] == 0
    assert len(run["items"]) == 1
    assert "error_count" not in run


def test_a_failed_sync_says_why_and_exits_with_1(served):
    served.commands.ended.set()
    served.reads.run_answer |= {"status": "failed", "error_class": "network", "error": "1 of 1"}
    result = syncd(served, "sync", "hosts")
    assert result.exit_code == 1
    assert "syncd: hosts failed: network: 1 of 1" in result.stderr


def test_sync_of_an_unknown_job_after_a_known_one_reports_both(served):
    served.commands.ended.set()
    result = syncd(served, "sync", "hosts", "nosuch")
    assert result.exit_code == 1
    assert "prod/cn-hangzhou/host" in result.stdout
    assert "there is no enabled job 'nosuch'" in result.stderr


PLANNED = {
    "target": "prod/cn-a/host",
    "counts": {"total": 3, "added": 1, "updated": 1, "deleted": 1, "unchanged": 1, "errors": 0},
    "changes": [
        {"change": "added", "resource_id": "i-1", "name": "new", "fields": {"name": "new"}},
        {"change": "updated", "resource_id": "i-2", "name": "old",
         "fields": {"state": ["running", "stopped"]}},
        {"change": "deleted", "resource_id": "i-3", "name": "gone", "fields": {"name": "gone"}},
    ],
    "error_class": None, "error": None,
}  # fmt: skip


def test_a_plan_shows_what_would_change(served):
    served.commands.planned = [PLANNED]
    result = syncd(served, "sync", "hosts", "--plan")
    assert result.exit_code == 0
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert "1 to add, 1 to update, 1 to delete, 1 unchanged" in lines[0]
    assert lines[1:] == [
        "+ i-1  new", "~ i-2  old  state: running → stopped", "- i-3  gone"
    ]  # fmt: skip
    assert json.loads(syncd(served, "sync", "hosts", "--plan", "--json").stdout) == [PLANNED]


def test_a_plan_that_can_not_be_made_fails(served):
    served.commands.planned = [PLANNED | {"error_class": "permission", "error": "no"}]
    result = syncd(served, "sync", "hosts", "--plan")
    assert result.exit_code == 1
    assert "permission: no" in result.stderr
    served.commands.planned = [PLANNED | {"error_class": "permission", "error": "", "changes": []}]
    assert syncd(served, "sync", "hosts", "--plan").stdout == "", "nothing was listed"


def test_trigger_prints_the_id_at_once(served):
    assert syncd(served, "trigger", "hosts").stdout.strip() == str(RUN)
    assert json.loads(syncd(served, "trigger", "hosts", "--json").stdout) == {"id": str(RUN)}


def test_trigger_and_wait_tells_the_outcome(served):
    served.commands.ended.set()
    served.reads.run_answer |= {"status": "failed", "error_class": "guard", "error": "held"}
    result = syncd(served, "trigger", "hosts", "--wait")
    assert result.exit_code == 1
    assert "hosts failed: guard: held" in result.stderr


def test_acts_reach_the_daemon(served):
    assert syncd(served, "cancel", "01890000").exit_code == 0
    assert "12 deletions of hosts" in syncd(served, "approve", "hosts").stderr
    assert "store.dsn has changed: needs a restart" in syncd(served, "reload", "--wait").stderr
    assert served.commands.asked == [
        ("cancel", RUN, ME), ("approve", "hosts", ME), ("reload", ME)
    ]  # fmt: skip


def test_an_approval_of_nothing_says_so(served, monkeypatch):
    monkeypatch.setattr(served.commands, "approve", lambda *_: 0)
    assert syncd(served, "approve", "hosts").stderr == "no deletions of hosts are held back\n"


def test_a_refused_reload_prints_every_problem(served):
    served.commands.raises = ConfigInvalid(
        [Problem("a.toml", 1, "x", "wrong"), Problem("b.toml", 2, "y", "worse")]
    )
    result = syncd(served, "reload", "--wait")
    assert result.exit_code == 78
    assert result.stderr.splitlines() == ["syncd: a.toml:1: x: wrong", "syncd: b.toml:2: y: worse"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NotFound("none"), 1),
        (errors.Conflict("ended"), 1),
        (errors.StoreError("gone"), 69),
        (errors.ConfigurationError("bad"), 78),
        (errors.BadRequest("what"), 2),
    ],
)
def test_errors_are_one_line_and_a_status(served, error, status):
    served.commands.raises = error
    result = syncd(served, "approve", "hosts")
    assert result.exit_code == status
    assert result.stderr == f"syncd: {error}\n"
    assert result.stdout == ""


def test_a_broken_file_does_not_keep_one_from_the_daemon(served):
    served.file.write_text(served.file.read_text() + "\n[nonsense]\na = 1\n")
    assert syncd(served, "status").exit_code == 0
    assert syncd(served, "sync", "hosts", "--plan").exit_code == 0


def test_without_a_daemon_acts_exit_with_69(served):
    served.file.write_text('[listen]\ncontrol = "/tmp/nobody-listens-here"\n')
    for command in (
        ["status"], ["jobs"], ["jobs", "hosts"], ["trigger", "hosts"], ["reload"],
        ["cancel", "01"], ["priority", "01", "high"], ["pause", "hosts"], ["resume", "hosts"],
    ):  # fmt: skip
        result = syncd(served, *command)
        assert result.exit_code == 69, command
        assert "the daemon does not answer on /tmp/nobody-listens-here" in result.stderr
        assert "may be elsewhere" not in result.stderr


def test_a_socket_that_is_only_guessed_is_said_to_be(served):
    served.file.write_text('[listen]\ncontrol = "/tmp/nobody-listens-here"\nnonsense = 1\n')
    result = syncd(served, "status")
    assert result.exit_code == 69
    assert "the daemon does not answer on /tmp/nobody-listens-here" in result.stderr
    assert "may be elsewhere" in result.stderr
    assert 'unknown key "nonsense"' in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["nosuch"], ["runs", "--since", "yesterday"], ["runs", "--status", "bad"],
        ["runs", "--limit", "0"], ["sync"], ["resources", "--as-of", "x"], ["show", ""],
        ["cancel", ""], ["trigger", ""], ["approve", ""], ["sync", ""],
        ["resources", "--state", "runing"], ["changes", "--since", "0001-01-01"],
        ["check", "--from", "9999-12-31"], ["jobs", ""], ["pause", ""], ["resume", ""],
        ["pause", "hosts", "--for", "2"], ["pause", "hosts", "--for", "0s"],
        ["pause", "hosts", "--for", "-1h"], ["pause", "hosts", "--for", "11000d"],
        ["pause", "hosts", "--for", "nan"], ["pause", "hosts", "--for", ""],
        ["pause", "\udcff"], ["priority", "\udcff", "high"], ["trigger", "hosts", "--account", ""],
        ["sync", "hosts", "--region", "\udcff"], ["runs", "--job", "\udcff"],
        ["resources", "--type", "\udcff"], ["changes", "--account", "\udcff"],
        ["priority", "", "high"], ["priority", "01"], ["priority", "01", "highest"],
        ["priority", "01", ""], ["trigger", "hosts", "--priority", "0"],
        ["sync", "hosts", "--priority", "asap"], ["sync", "hosts", "--plan", "--priority", "low"],
    ],
)  # fmt: skip
def test_wrong_usage_exits_with_2(served, arguments):
    assert syncd(served, *arguments).exit_code == 2
    assert served.commands.asked == []
