"""HTTP jobs, tokens and notifications under the unit: credentials, sandbox, restarts."""

import hashlib
import hmac
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest
from api_faults import hold, reset_read
from api_server import ApiServer, Record, tls_context
from api_wire import Answer
from daemon_helpers import until
from machine import Machine
from service import STATE, Row, Service
from smtp_server import PASSWORD as MAIL_PASSWORD
from smtp_server import USER, mail_server

PASSWORD, SIGNING, PATH = "pa55-w0rd-of-the-unit", "s1gn1ng-key", "h00k-path"
CREDENTIALS = {"iam-password": PASSWORD, "hook-secret": SIGNING, "smtp-password": MAIL_PASSWORD}
BACK = 60.0
"""Seconds within which a killed service is at work again."""
IMPORTED = "/etc/syncd/conf.d/crontab.toml"
CRONTAB = """\
# Statistics of the day before
5 1 * * * /opt/ops/api-call.sh /statistics/daily /var/log/daily.log
*/5 * * * * curl -fsS -m 10 {url}/health >/dev/null 2>&1
"""


@pytest.fixture
def api(service: Service) -> Iterator[ApiServer]:
    """Give an API on the machine's loopback, by a name, behind TLS that the machine trusts."""
    service.machine.path("/etc/hosts").write_text("127.0.0.1 localhost\n")
    server = ApiServer(tls=trusted(service), host="localhost")
    server.password = PASSWORD
    service.machine.in_network(server.start)
    hook = f"{server.url}/{PATH}"
    service.drop_in({**CREDENTIALS, "hook-url": hook})
    server.on(f"/{PATH}", Answer(204, b""))
    try:
        yield server
    finally:
        server.stop()


def trusted(service: Service) -> ssl.SSLContext:
    """Return the context of a server that the machine trusts."""
    return tls_context((service.clouds.certificate, service.clouds.certificate))


def call(api: ApiServer, path: str, *, keys: Mapping[str, Any] | None = None, **rest: Any) -> Row:
    """Return a job by hand that sends a POST; `keys` are more of its request."""
    request = {"url": f"{api.url}{path}", "method": "POST", **(keys or {})}
    return {"kind": "http", "retries": ["1s"], "request": request, **rest}


def token(api: ApiServer, password: Row | None = None) -> Row:
    """Return the table of a token; the unit alone has its password if nothing else is said."""
    body = {"username": api.user, "password": password or {"credential": "iam-password"}}
    return {"iam": {"login": {"url": f"{api.url}/login", "body": body}}}


def hook() -> Row:
    """Return the table of a channel whose URL and key the unit alone has."""
    url, secret = {"credential": "hook-url"}, {"credential": "hook-secret"}
    return {"events": {"channel": "webhook", "url": url, "secret": secret}}


def mail(port: int) -> Row:
    """Return the table of a channel whose password the unit alone has."""
    sender = {"user": USER, "password": {"credential": "smtp-password"}, "sender": USER}
    server = {"channel": "email", "host": "localhost", "port": port}
    return {"mail": {**server, **sender, "to": ["ops@example.org"]}}


def told(api: ApiServer) -> list[Row]:
    """Return what the channel has taken, each signed."""

    def message(record: Record) -> Row:
        signed = record.headers["x-syncd-timestamp"].encode() + b"." + record.body
        digest = hmac.new(SIGNING.encode(), signed, hashlib.sha256).hexdigest()
        assert record.headers["x-syncd-signature"] == f"v1={digest}"
        return dict(record.json)

    return [message(record) for record in api.requests(f"/{PATH}") if record.status == 204]


def kill(service: Service, api: ApiServer, *healed: str) -> None:
    """Kill all of the service, heal paths of the server, and wait until systemd has it back."""
    before = service.restarts
    service.machine.run("systemctl", "kill", "--signal=KILL", "syncd")
    for path in healed:
        api.heal(path)
    until(lambda: service.restarts == before + 1, BACK, "the service is started again")
    service.await_active(BACK)


def ended(service: Service, job: str) -> Row:
    """Return the one run of a job, once it has ended."""

    def found() -> Row | None:
        (run,) = service.runs("--job", job)
        return run if run["status"] in ("success", "failed", "cancelled") else None

    run: Row = until(found, BACK, f"the end of {job}")
    return run


def job_of(path: str) -> str:
    """Return the name of the job that calls a path."""
    return path.strip("/").replace("/", "-")


def kill_in_calls(service: Service, api: ApiServer, *paths: str) -> None:
    """Kill the service while the server holds the answers to calls that took effect."""
    never = threading.Event()
    for path in paths:
        api.fault(path, hold(never))
        service.syncd("trigger", job_of(path))
    until(lambda: all(api.effects(path) for path in paths), 20, "the calls have taken effect")
    kill(service, api, *paths)


def test_a_token_of_a_credential_is_had_once_and_kept_over_a_restart(
    service: Service, api: ApiServer
) -> None:
    after = service.machine.cursor()
    expect = {"json": {"code": 0}, "matches": '"co+de": 0'}  # this is searched in a child process
    needs = {"token": "iam", "body": {"run": "{{ run.id }}"}}
    jobs = {
        isolation: call(api, f"/api/{isolation}", keys=needs, expect=expect, isolation=isolation)
        for isolation in ("thread", "process")
    }
    service.configure(jobs, tokens=token(api))
    service.start()
    for job in jobs:
        run = service.sync(job)
        assert run["status"] == "success", run
        assert api.requests(f"/api/{job}")[0].json == {"run": run["id"]}
    assert service.machine.shell(f"stat -c '%a %U %G' {STATE}/tokens {STATE}/tokens/*.json") == (
        "700 syncd syncd\n600 syncd syncd"
    )
    service.machine.run("systemctl", "restart", "syncd")
    for job in jobs:
        assert service.sync(job)["status"] == "success"
    assert api.logins == 1
    assert [api.effects(f"/api/{job}") for job in jobs] == [2, 2]
    everything = json.dumps(service.machine.journal(after=after))
    for secret in (PASSWORD, *api._tokens):
        assert secret not in everything


def test_a_token_that_a_command_of_root_fetched_is_the_service_s_too(
    service: Service, api: ApiServer
) -> None:
    machine, file = service.machine, "/etc/syncd/iam-password-of-the-group"
    machine.path(file).write_text(PASSWORD)
    machine.shell(f"chown root:syncd {file} && chmod 640 {file}")
    jobs = {"daily": call(api, "/api/daily", keys={"token": "iam"})}
    service.configure(jobs, tokens=token(api, {"file": file}))
    assert service.sync("daily")["status"] == "success"  # by the command itself
    service.start()
    assert service.sync("daily")["status"] == "success"
    assert (api.logins, api.effects("/api/daily")) == (1, 2)
    assert machine.shell(f"stat -c '%a %U' {STATE}/tokens/*.json") == "600 syncd"


def test_of_calls_that_a_kill_cut_off_each_took_effect_once(
    service: Service, api: ApiServer
) -> None:
    keyed, once = ("/keyed/thread", "/keyed/process"), ("/once/thread", "/once/process")
    jobs = {
        job_of(path): call(
            api, path, keys={"idempotency_key": False} if path in once else {},
            isolation=path.rpartition("/")[2],
        )
        for path in (*keyed, *once)
    }  # fmt: skip
    service.configure(jobs, daemon={"max_concurrent_runs": len(jobs)})
    service.start()
    kill_in_calls(service, api, *keyed, *once)
    for path in keyed:
        run = ended(service, job_of(path))
        assert run["status"] == "success", run
        assert [record.key for record in api.requests(path)] == [run["id"]] * 2
        assert api.effects(path) == 1
    for path in once:
        run = ended(service, job_of(path))
        assert (run["status"], run["error_class"]) == ("failed", "outcome_unknown"), run
        assert len(api.requests(path)) == 1


def test_a_failure_and_the_recovery_are_told_once_though_the_daemon_is_killed(
    service: Service, api: ApiServer
) -> None:
    once = {"idempotency_key": False}
    service.configure({"once": call(api, "/once", keys=once)}, notify=hook())
    service.start()
    api.fault(f"/{PATH}", reset_read())
    kill_in_calls(service, api, "/once")
    assert ended(service, "once")["error_class"] == "outcome_unknown"
    until(lambda: api.requests(f"/{PATH}"), 30, "the channel is tried")
    kill(service, api, f"/{PATH}")
    until(lambda: told(api), BACK, "the failure is told")
    assert service.sync("once")["status"] == "success"
    until(lambda: len(told(api)) > 1, 30, "the recovery is told")
    events = [(each["event"], each["job"]) for each in told(api)]
    assert events == [("failed", "once"), ("recovered", "once")]
    failure = told(api)[0]
    assert failure["facts"]["error_class"] == "outcome_unknown"
    tries = [r.json["id"] for r in api.requests(f"/{PATH}") if r.json["event"] == "failed"]
    assert tries == [failure["id"]] * len(tries)
    assert len(tries) > 1


def test_channels_are_tried_with_the_credentials_of_the_unit(
    service: Service, api: ApiServer
) -> None:
    machine = service.machine
    machine.shell("id helpful 2>/dev/null || useradd -G syncd helpful")

    def tried(channel: str) -> tuple[int, str]:
        command = ("runuser", "-u", "helpful", "--", "syncd", "notify", "test", channel)
        done = machine.run(*command, check=False)
        return done.returncode, done.stdout + done.stderr

    with ExitStack() as stack:
        server = mail_server(tls=trusted(service))
        mails = machine.in_network(lambda: stack.enter_context(server))
        service.configure({}, notify=hook() | mail(mails.port))
        service.start()
        sent = [tried("events"), tried("mail")]
        assert [status for status, _ in sent] == [0, 0], sent
        assert [each["event"] for each in told(api)] == ["test"]
        (taken,) = mails.mails
        assert (taken.encrypted, taken.user) == (True, USER)
        assert taken.message["Subject"].endswith("channel mail is being tested")
        service.syncd("doctor")
        service.stop()
        alone = [tried("events"), tried("mail")]
        assert [status for status, _ in alone] == [1, 1]  # that person has no credentials
        assert (len(told(api)), len(mails.mails)) == (1, 1)
    for secret in (PATH, SIGNING, MAIL_PASSWORD):
        assert secret not in str(sent + alone)


def test_an_imported_crontab_is_taken_up_by_a_reload(service: Service, api: ApiServer) -> None:
    machine = service.machine
    service.configure({}, tokens=token(api))
    service.start()
    machine.path("/root/ops.crontab").write_text(CRONTAB.format(url=api.url))
    try:
        done = machine.shell(
            "cd /root && syncd import-crontab --wrapper 'api-call.sh ENDPOINT [LOG]' --method POST"
            f" --token iam --base-url {api.url}/api --timezone UTC --output crontab.toml --force"
            f" ops.crontab 2>&1 && install -m 640 -g syncd crontab.toml {IMPORTED}"
            " && syncd check >/dev/null && systemctl reload syncd"
        )
        assert done.startswith("2 understood, 0 not"), done
        imported = [job["name"] for job in service.ask("jobs") if job["kind"] == "http"]
        assert len(imported) == 2
        for name in imported:
            assert service.sync(name)["status"] == "success"
        (statistics,) = api.requests("/api/statistics/daily")
        assert (statistics.method, statistics.effect) == ("POST", True)
        assert api.requests("/health")[0].method == "GET"
        assert api.logins == 1
    finally:
        machine.run("rm", "--force", IMPORTED)


def test_each_module_can_be_loaded_as_it_is_installed(machine: Machine) -> None:
    """A module that prune.py dropped, or that Debian's interpreter lacks, would show up late."""
    script = (
        "import importlib, pkgutil, syncd; [importlib.import_module(m.name) for m in"
        " pkgutil.walk_packages(syncd.__path__, 'syncd.') if not m.name.endswith('__main__')]"
    )
    machine.run("/opt/syncd/bin/python3", "-I", "-c", script)
