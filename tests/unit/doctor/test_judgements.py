"""What the checks make of what they measure."""

import re
import stat
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from doctor_helpers import CONFIG, MOMENT, US, case

from syncd.config.jobs import parse_job
from syncd.doctor import accounts, clock, daemon, disk, embedded, files, jobs, machine, store
from syncd.doctor.case import Answer
from syncd.doctor.files import FileFacts, User
from syncd.doctor.finding import Finding, Unknown
from syncd.errors import Authentication, Throttled
from syncd.store.inspection import Link, Schema, Server, StoreFacts
from syncd.store.job_state import Pause

MIB = 2**20

SERVER = Server(
    version=180_006, encoding="UTF8", checksums="on", max_connections=100, reserved=3, used=10,
    size=9 * MIB, can_create=True, usable=True, lacking=[], foreign=[],
)  # fmt: skip
FACTS = StoreFacts(0.01, 0.001, 0.0, Link("/run", True, None), SERVER, Schema(3, (), (), (), None))


def of_server(**changed: object) -> StoreFacts:
    return replace(FACTS, server=replace(SERVER, **changed))


def of_schema(**changed: object) -> StoreFacts:
    return replace(FACTS, schema=replace(FACTS.schema, **changed))


def of_link(host: str, *, socket: bool = False, tls: str | None = None) -> StoreFacts:
    return replace(FACTS, link=Link(host, socket, tls))


STORE = [
    (store.version, FACTS, "ok", "PostgreSQL 18.6"),
    (store.version, of_server(version=150_000), "ok", "15.0"),
    (store.version, of_server(version=140_012), "failed", "14.12"),
    (store.version, of_server(version=190_000), "warning", "newer"),
    (store.encoding, FACTS, "ok", "UTF8"),
    (store.encoding, of_server(encoding="LATIN1"), "failed", "LATIN1"),
    (store.privileges, FACTS, "ok", ""),
    (store.privileges, of_server(lacking=["run"]), "failed", "run"),
    (store.privileges, of_server(usable=False), "failed", "may not use the schema"),
    (store.privileges, of_server(foreign=["run"]), "warning", "another owner: run"),
    (
        store.privileges,
        replace(of_server(can_create=False), schema=Schema(0, ["0001"], (), (), None)),
        "failed", "may not make the schema",
    ),
    (store.migrations, FACTS, "ok", "all 3"),
    (store.migrations, of_schema(pending=["0003 upkeep"]), "warning", "0003 upkeep"),
    (store.migrations, of_schema(unknown=["0009 later"]), "warning", "newer program"),
    (store.migrations, of_schema(changed=["0001 main_job"]), "failed", "0001 main_job"),
    (store.migrations, of_schema(too_new="9.0", pending=["x"]), "failed", "9.0"),
    (store.latency, FACTS, "ok", "1 ms"),
    (store.latency, replace(FACTS, latency=0.0001), "ok", "less than 1 ms"),
    (store.latency, replace(FACTS, latency=0.2), "warning", "200"),
    (store.latency, replace(FACTS, latency=2.0), "warning", "runs will be slow"),
    (store.connections, FACTS, "ok", "87 left"),
    (store.connections, of_server(max_connections=25, used=12), "warning", "pool_max is 20"),
    (store.connections, of_server(used=96), "failed", "1 left"),
    (store.clock, FACTS, "ok", "the same"),
    (store.clock, replace(FACTS, clock_ahead=-3.0), "warning", "3.0 s behind"),
    (store.clock, replace(FACTS, clock_ahead=300.0), "failed", "5 min before"),
    (store.database_size, FACTS, "ok", "9.0 MiB"),
    (store.transport, FACTS, "ok", "Unix socket"),
    (store.transport, of_link("10.0.0.1", tls="TLSv1.3"), "ok", "TLSv1.3 to 10.0.0.1"),
    (store.transport, of_link("127.0.0.1"), "ok", "this machine"),
    (store.transport, of_link("10.0.0.1"), "warning", "not encrypted"),
    (store.checksums, FACTS, "ok", "on"),
    (store.checksums, of_server(checksums="off"), "warning", "off"),
]  # fmt: skip


@pytest.mark.parametrize(("judge", "facts", "state", "words"), STORE)
def test_what_is_found_in_the_store_is_judged(judge, facts, state, words):
    check(judge(facts, CONFIG), state, words)


def check(finding: Finding, state: str, words: str) -> None:
    assert (finding.state, words in finding.found) == (state, True), finding
    assert bool(finding.advice) == (state in ("warning", "failed"))


def space(**changed: object) -> disk.Space:
    return replace(disk.Space(50 << 30, 100 << 30, 500, 1000, read_only=False), **changed)


HERE = Path("/var/lib/syncd")
REST = [
    (disk.judge_space(space(), 100 * MIB, HERE), "ok", "50.0 GiB free (50%)"),
    (disk.judge_space(space(free=5 << 30), 100 * MIB, HERE), "warning", "5%"),
    (disk.judge_space(space(free=50 * MIB), 100 * MIB, HERE), "failed", "no run starts"),
    (disk.judge_inodes(space(), HERE), "ok", "500 free"),
    (disk.judge_inodes(space(inodes=0, inodes_free=0), HERE), "ok", "no fixed number"),
    (disk.judge_inodes(space(inodes_free=10), HERE), "warning", "1%"),
    (disk.judge_inodes(space(inodes_free=0), HERE), "failed", "0 free"),
    (disk.judge_outbox(0), "ok", "none"),
    (disk.judge_outbox(2), "warning", "2 wait"),
    (disk.judge_backups([], 0, 900, enabled=True), "ok", "none yet"),
    (disk.judge_backups([], 0, 900, enabled=False), "warning", "no dump"),
    (disk.judge_backups([], 0, 10**6, enabled=True), "warning", "no dump"),
    (disk.judge_backups([5, 990_000], 0, 10**6, enabled=True), "ok", "2, the newest 3 h old"),
    (disk.judge_backups([5], 0, 10**6, enabled=True), "warning", "12 d old"),
    (clock.judge_synchronised((True, 0.02), []), "ok", "20 ms"),
    (clock.judge_synchronised((False, 16.0), ["chronyd"]), "ok", "by chronyd"),
    (clock.judge_synchronised(None, ["chronyd"]), "ok", "chronyd"),
    (clock.judge_synchronised((False, 16.0), []), "warning", "nobody"),
    (clock.judge_boot(7200.0, 2026), "ok", "2 h"),
    (clock.judge_boot(7200.0, 1970), "failed", "1970"),
    (machine.judge_memory(2 << 30), "ok", "2.0 GiB"),
    (machine.judge_memory(100 * MIB), "warning", "100.0 MiB"),
    (machine.judge_memory(10 * MIB), "failed", "10.0 MiB"),
    (machine.judge_files(20, -1), "ok", "without limit"),
    (machine.judge_files(20, 4096), "ok", "20 of 4096"),
    (machine.judge_files(20, 256), "warning", "20 of 256"),
    (machine.judge_files(900, 1024), "failed", "900 of 1024"),
    (machine.judge_load(9.0, 9.0, 0), "ok", "the gate is off"),
    (machine.judge_load(0.5, 9.0, 0.8), "ok", "0.50"),
    (machine.judge_load(0.9, 0.1, 0.8), "warning", "above load_limit 0.8"),
    (machine.judge_load(0.9, 0.95, 0.8), "warning", "0.95 over a quarter of an hour"),
    (accounts.judge_owner("1", None, "a"), "ok", "account 1"),
    (accounts.judge_owner(None, "1", "a"), "ok", "does not tell"),
    (accounts.judge_owner("2", "1", "a"), "failed", "account 2, and was 1"),
    (accounts.refusal(Authentication("x: InvalidAccessKeyId"), "a"), "failed", "InvalidAccess"),
    (accounts.refusal(Throttled("x: Throttling"), "a"), "warning", "Throttling"),
    (accounts.judge_calls([("ok", 0.1), ("ok", 0.3)], "a"), "ok", "2 calls, 200 ms each, none"),
    (
        accounts.judge_calls([("throttled", 0.1)], "a"),
        "warning",
        "100 ms each, 1 throttled",
    ),
    (jobs.judge_pause("a", Pause(MOMENT, None, "eve")), "warning", "until it is resumed"),
    (jobs.judge_pause("a", Pause(MOMENT, MOMENT, "eve")), "warning", "until 2026-03-01 12:00"),
    (embedded.judge_crashes(["2026-03-01 12:00:00.1 UTC [1] LOG:  ready\n"]), "ok", "none"),
]


@pytest.mark.parametrize(("finding", "state", "words"), REST)
def test_what_is_measured_is_judged(finding, state, words):
    check(finding, state, words)


def test_a_crash_of_the_server_is_found_in_its_logs():
    line = "2026-03-0{} 12:00:00.123 UTC [1] LOG:  database system was not properly shut down; x\n"
    finding = embedded.judge_crashes([line.format(3) + line.format(1), line.format(2)])
    check(finding, "warning", "3 in the last week, the last one 2026-03-03 12:00:00 UTC")


@pytest.mark.parametrize(
    ("found", "state", "words"),
    [
        (embedded.Directory(HERE, 0o700, 990, "18"), "ok", "PostgreSQL 18"),
        (embedded.Directory(HERE, 0o750, 990, "18"), "ok", "mode 0750"),
        (embedded.Directory(HERE, 0o770, 990, "18"), "failed", "mode 0770"),
        (embedded.Directory(HERE, 0o700, 0, "18"), "failed", "root"),
        (embedded.Directory(HERE, 0o700, 990, "17"), "failed", "PostgreSQL 17"),
    ],
)
def test_the_data_directory_is_judged(found, state, words):
    check(embedded.judge_directory(found, "18"), state, words)


def test_an_unreadable_kernel_clock_is_no_fault():
    with pytest.raises(Unknown):
        clock.judge_synchronised(None, [])


@pytest.mark.parametrize(
    ("ahead", "window", "state"),
    [(0.0, 300, "ok"), (-0.9, 300, "ok"), (200.0, 300, "warning"), (-302.0, 300, "failed"),
     (302.0, 900, "ok"), (902.0, 900, "failed")],
)  # fmt: skip
def test_a_clock_is_judged_by_how_long_the_cloud_takes_a_signature(ahead, window, state):
    answer = Answer(0.1, MOMENT + timedelta(seconds=ahead), MOMENT)
    assert accounts.judge_clock(answer, window).state == state


def test_a_cloud_that_tells_no_time_is_no_fault():
    assert accounts.judge_clock(Answer(0.1, None, MOMENT), 300).state == "skipped"


def file(mode: int, uid: int = 0, gid: int = 0, role: files.Role = "configuration") -> FileFacts:
    kind = stat.S_IFDIR if role == "folder" else stat.S_IFREG
    return FileFacts("/etc/syncd/x", role, kind | mode, uid, gid)


@pytest.mark.parametrize(
    ("found", "state", "words"),
    [
        (file(0o644), "ok", "mode 0644, owner root:root"),
        (file(0o640, gid=990), "ok", "0640"),
        (file(0o600, uid=990), "ok", "0600"),
        (file(0o640), "failed", "syncd can't read it"),
        (file(0o007, uid=990), "failed", "anybody may write"),
        (file(0o044, uid=990), "failed", "can't read it"),
        (file(0o644, uid=1234), "warning", "neither root nor syncd"),
        (file(0o640, gid=990, role="secret"), "ok", "0640"),
        (file(0o644, role="secret"), "warning", "others can read it"),
        (file(0o755, role="folder"), "ok", "0755"),
        (file(0o744, role="folder"), "failed", "can't read it"),
        (FileFacts("/x", "secret", error="can't be looked at: gone"), "failed", "gone"),
    ],
)
def test_the_rights_of_a_file_are_judged_for_the_user_of_the_service(found, state, words):
    check(files.judge(found, US), state, words)


def test_root_reads_everything():
    root = User("root", 0, frozenset({0}))
    assert files.judge(file(0o600, uid=0), root).state == "ok"


def hourly():
    return parse_job({"kind": "cloud", "accounts": ["a"], "schedule": "0 * * * *"})


def test_the_longest_gap_is_that_of_the_schedule():
    assert jobs.longest_gap("x", hourly(), MOMENT) == timedelta(hours=1)
    office = parse_job({"kind": "cloud", "accounts": ["a"], "schedule": "0 9 * * MON-FRI"})
    assert jobs.longest_gap("x", office, MOMENT) == timedelta(days=3)
    assert jobs.longest_gap("x", parse_job({"kind": "cloud", "accounts": ["a"]}), MOMENT) is None


def outcome(success: datetime | None, status: str = "success", error: str | None = None):
    return {"last_success_at": success, "last_completion_at": MOMENT, "status": status,
            "error_class": error}  # fmt: skip


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("found", "gap", "state", "words"),
    [
        (None, HOUR, "skipped", "no run has ended"),
        (None, None, "ok", "only by hand"),
        (outcome(MOMENT - HOUR), HOUR, "ok", "60 min ago"),
        (outcome(MOMENT - 3 * HOUR, "failed", "network"), HOUR, "warning", "failed: network"),
        (outcome(MOMENT - 3 * HOUR), None, "ok", "3 h ago"),
        (outcome(None, "failed", "permission"), HOUR, "warning", "never succeeded"),
    ],
)
def test_a_job_is_judged_by_its_last_success(found, gap, state, words):
    check(jobs.judge_success("hosts", found, gap, MOMENT), state, words)


def test_a_stuck_worker_is_named_by_its_job():
    stuck = {"leader": True, "running": [{"job": "hosts", "stuck": True}],
             "workers": {"size": 3, "busy": 0, "idle": 2, "stuck": 1}}  # fmt: skip
    check(daemon.workers(case(scheduler=stuck)), "failed", "1 of 3 do not come back")
    assert "hosts" in daemon.workers(case(scheduler=stuck)).found
    check(daemon.workers(case()), "ok", "1 of 3 busy")


def test_a_command_of_another_version_asks_for_a_restart():
    check(daemon.version(case(command="99.0")), "warning", "the command 99.0")
    assert daemon.version(case()).state == "ok"


def test_a_refused_reload_is_told():
    check(daemon.reload(case(reload_error="x.toml:1: unknown key")), "failed", "x.toml:1")


def test_the_watchdog_is_judged_by_what_the_service_manager_has_set():
    assert daemon.watchdog(case()).state == "skipped"
    check(daemon.watchdog(case(managed=True)), "warning", "does not watch")
    fed = daemon.watchdog(case(managed=True, watchdog_interval=15.0))
    check(fed, "ok", "within 30 s")
    check(daemon.watchdog(case(ailment="2 workers are stuck")), "failed", "2 workers")


def test_a_daemon_that_stands_by_is_no_failure():
    checks = [{"name": "leader", "ok": False, "detail": "standing by"},
              {"name": "store", "ok": False, "detail": "nothing heard"}]  # fmt: skip
    status = case().daemon["status"] | {"checks": checks}
    scheduler = case().daemon["scheduler"] | {"leader": False}
    found = list(daemon.health(case(status=status, scheduler=scheduler)))
    assert [each.state for each in found] == ["warning", "failed"]


def test_a_clock_that_can_be_read_is_read():
    told = clock._kernel_says()
    assert told is None or (isinstance(told[0], bool) and told[1] >= 0)


def test_files_in_use_are_counted():
    used, limit = re.match(r"(\d+)(?: of (\d+))? open", machine.files(case()).found).groups()
    assert 0 < int(used) < int(limit or 10**9)
