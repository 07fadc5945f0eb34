"""Whatever is killed comes back by itself, with nothing lost and nothing done twice."""

import pytest
from daemon_helpers import until
from service import STATE, Service

BACK = 60.0
"""Seconds within which a killed service is at work again."""


def servers(service: Service) -> list[int]:
    """Return the first process of each embedded server; what it has just forked looks like it."""
    return [pid for pid, line in service.processes().items() if "/postgres -D " in line]


def at_work(service: Service) -> bool:
    """Tell whether the daemon answers and is ready."""
    done = service.machine.run("syncd", "status", "--json", check=False)
    return done.returncode == 0 and '"ready": true' in done.stdout


def inventory(service: Service) -> list[tuple[str, str]]:
    """Return what hosts the store has."""
    return sorted((r["account"], r["resource_id"]) for r in service.ask("resources"))


def known_runs(service: Service) -> set[str]:
    """Return the ids of the runs that the store has."""
    return {str(run["id"]) for run in service.runs("--limit", "10000")}


def is_whole(service: Service, before: set[str]) -> None:
    """Check that no run of before is lost, that each comes to an end, and no due time ran twice."""

    def ended() -> set[str]:
        runs = service.runs("--limit", "10000")
        ends = ("success", "failed", "cancelled")
        return {str(run["id"]) for run in runs if run["status"] in ends}

    assert before <= known_runs(service)
    until(lambda: before <= ended(), BACK, "the runs of before the crash have ended")
    runs = service.runs("--limit", "10000")
    dues = [(r["job"], r["scheduled_for"]) for r in runs if r["trigger"] == "schedule"]
    assert len(dues) == len(set(dues))


@pytest.mark.parametrize("victim", ["the daemon", "the store", "all at once"])
def test_what_is_killed_in_the_middle_of_runs_comes_back(service: Service, victim: str) -> None:
    jobs = {"hosts": {}, "often": {"every": "1s"}, "isolated": {"isolation": "process"}}
    service.configure(jobs, daemon={"max_per_account": 1})
    service.start()
    service.sync("hosts")
    known = inventory(service)
    service.clouds.fault("latency", seconds=0.5)
    service.syncd("trigger", "isolated")
    until(lambda: service.runs("--status", "running"), 20, "a run is under way")
    before, runs = service.pid, known_runs(service)
    match victim:
        case "the daemon":
            service.machine.signal("KILL", before)
        case "the store":
            service.machine.signal("KILL", servers(service)[0])
        case _:
            service.kill_all()
    if victim != "the store":
        until(lambda: service.pid not in (0, before), BACK, "the daemon is started again")
        assert service.restarts == 1
    until(lambda: at_work(service), BACK, "the daemon is at work")
    assert (service.pid == before) == (victim == "the store")
    service.clouds.clear()
    is_whole(service, runs)
    assert inventory(service) == known
    assert service.sync("hosts")["unchanged"] == len(known)
    changes = service.ask("changes", "--limit", "1000")
    assert {change["change"] for change in changes} == {"added"}
    assert sorted((c["account"], c["resource_id"]) for c in changes) == known


def test_a_killed_daemon_leaves_no_child_and_no_second_server(service: Service) -> None:
    service.configure({"isolated": {"isolation": "process"}})
    service.start()
    service.clouds.fault("hang")
    service.syncd("trigger", "isolated")
    until(lambda: service.runs("--status", "running"), 20, "a run is under way")
    before = service.processes()
    service.machine.signal("KILL", service.pid)
    until(lambda: service.restarts == 1 and at_work(service), BACK, "the daemon is at work")
    service.clouds.clear()
    stale = [pid for pid, line in before.items() if "postgres" not in line]
    assert not set(stale) & set(service.processes())
    until(lambda: len(servers(service)) == 1, 10, "one server is there")


def test_a_full_disk_is_said_and_got_over(service: Service) -> None:
    machine = service.machine
    machine.run("mount", "-t", "tmpfs", "-o", "size=256m,mode=0700", "tmpfs", STATE)
    try:
        machine.run("chown", "syncd:syncd", STATE)
        service.configure({"hosts": {}, "often": {"every": "1s"}})
        service.start()
        service.sync("hosts")
        before = service.pid
        service.clouds.fault("latency", seconds=1.0)
        service.syncd("trigger", "hosts")
        until(lambda: service.runs("--job", "hosts", "--status", "running"), 20, "it runs")
        runs = known_runs(service)
        machine.shell(f"dd if=/dev/zero of={STATE}/filler bs=4k 2>/dev/null", check=False)
        service.clouds.clear()
        until(lambda: "disk" in machine.run("syncd", "status", check=False).stdout
              or not at_work(service), BACK, "somebody is told of the disk")  # fmt: skip
        machine.run("rm", f"{STATE}/filler")
        until(lambda: at_work(service), BACK, "the daemon is at work")
        assert service.pid == before
        is_whole(service, runs)
        service.configure({"hosts": {}})  # of two jobs at once one may fail: they list the same
        machine.run("systemctl", "reload", "syncd")
        until(lambda: not service.runs("--status", "running"), 20, "nothing runs")
        assert service.sync("hosts")["status"] == "success"
        service.stop()
    finally:
        machine.run("systemctl", "stop", "syncd", check=False)
        machine.run("umount", STATE)


def test_data_of_another_major_version_are_refused_and_the_way_out_is_named(
    service: Service,
) -> None:
    service.configure({"hosts": {}})
    service.start()
    service.sync("hosts")
    service.syncd("backup")
    service.stop()
    version = min(service.machine.path(STATE).rglob("PG_VERSION"), key=lambda p: len(p.parts))
    version.write_text("15\n")
    after = service.machine.cursor()
    failed = service.machine.run("systemctl", "start", "syncd", check=False)
    assert failed.returncode != 0
    shown = service.machine.show("syncd", "ActiveState", "ExecMainStatus", "NRestarts")
    assert shown["ActiveState"] == "failed"
    assert shown["ExecMainStatus"] == "78"
    assert shown["NRestarts"] == "0"
    told = "\n".join(e["MESSAGE"] for e in service.machine.journal(after=after))
    assert "PostgreSQL 15" in told, told
    assert "move the directory away and run `syncd backup restore latest`" in told, told
    data = f"/{version.parent.relative_to(service.machine.root)}"
    service.machine.run("mv", data, f"{data}-15")
    service.syncd("backup", "restore", "latest", "--yes")
    service.machine.run("systemctl", "reset-failed", "syncd")
    service.start()
    assert len(inventory(service)) == 2 * service.clouds.hosts
    assert service.sync("hosts")["unchanged"] == 2 * service.clouds.hosts
