"""Checks of the daemon, by what it says of itself."""

from collections.abc import Iterator

from syncd import __version__
from syncd.doctor.case import Case, Json
from syncd.doctor.finding import Finding, Unknown, failed, ok, skipped, warning


def told(case: Case) -> Json:
    """Return what the daemon says of itself; raises Unknown when there is none."""
    if case.daemon is None:
        raise Unknown("no daemon answers")
    return case.daemon


def answers(case: Case) -> Finding:
    """Tell whether a daemon answers on the control socket."""
    if case.silence is not None:
        return case.silence
    status = told(case)["status"]
    manager = ", started by systemd" if case.environ.get("INVOCATION_ID") else ""
    since = f"{status['started_at']:%Y-%m-%d %H:%M:%S} UTC"
    return ok(f"process {status['pid']}, up since {since}{manager}")


def version(case: Case) -> Finding:
    """Compare the version of the daemon with the command's."""
    asks = told(case)["command"]
    if asks not in ("", __version__):
        return warning(
            f"the daemon is {__version__}, the command {asks}",
            "systemctl restart syncd, so that the installed version runs",
        )
    return ok(__version__)


def health(case: Case) -> Iterator[Finding]:
    """Tell the checks of /readyz."""
    for check in told(case)["status"]["checks"]:
        name = check["name"]
        if check["ok"]:
            yield ok(check["detail"] or "well", subject=name)
        elif name == "leader" and not told(case)["scheduler"]["leader"]:
            advice = "nothing, where two daemons share a store; else stop the other one"
            yield warning(check["detail"], advice, subject=name)
        else:
            yield failed(check["detail"], "see journalctl -u syncd", subject=name)


def reload(case: Case) -> Finding:
    """Tell how the last reload ended."""
    error = told(case)["reload_error"]
    if error:
        return failed(f"the last reload was refused: {error}", "mend the files, then syncd reload")
    return ok("the configuration in force is the last that was asked for")


def workers(case: Case) -> Finding:
    """Tell whether threads of workers came back."""
    scheduler = told(case)["scheduler"]
    count = scheduler["workers"]
    if count["stuck"]:
        jobs = ", ".join(sorted(run["job"] for run in scheduler["running"] if run["stuck"]))
        return failed(
            f"{count['stuck']} of {count['size']} do not come back from a run (jobs: {jobs})",
            'restart the daemon; isolation = "process" lets such a run be killed',
        )
    return ok(f"{count['busy']} of {count['size']} busy")


def watchdog(case: Case) -> Finding:
    """Tell whether the service manager watches, and whether it is told that all is well."""
    ailment = told(case)["ailment"]
    if ailment:
        return failed(f"it is not fed: {ailment}", "the service manager will restart the daemon")
    if not told(case)["managed"]:
        return skipped("no service manager has started the daemon")
    interval = told(case)["watchdog_interval"]
    if interval is None:
        return warning("the service manager does not watch", "set WatchdogSec=30 in the unit")
    return ok(f"fed every {interval:g} s, due within {2 * interval:g} s")
