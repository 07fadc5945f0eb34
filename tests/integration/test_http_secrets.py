"""No secret of HTTP jobs, tokens and channels shows anywhere, however they fail.

Every secret has a value of its own, with characters that are written otherwise in URLs, in JSON and
in base64. All that the daemon wrote and all that can be asked for is then searched by value.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import api_faults as faults
import pytest
from api_server import ApiServer, Record
from api_wire import Answer
from daemon_helpers import Row, Site, site, until
from secret_search import Search, of_files, of_store
from toml_text import toml

from syncd.model.run import Selection

ODD, ODDER = '+/=&"%', '+/=&"ü%'
"""What is written otherwise in a URL, in JSON, in base64; the first may stand in every header."""
HEADERS = ("bearer", "headerkey", "hookheader", "mail")
SECRETS = {
    name: f"{name.upper()}-7f3{ODD if name in HEADERS else ODDER}-{name}-5d41"
    for name in (
        *HEADERS, "password", "querykey", "basic", "shared", "pin", "form", "client", "dingsecret",
        "hooksecret",
    )
}  # fmt: skip
PLACES = {name: f"{name.upper()}-0123456789abcdef" for name in ("ding", "hook", "ping", "slack")}
"""What is secret in the path or the query of a URL that is a secret as a whole."""
CHANNELS = ("ding", "hook", "slack", "mail")
TOKENS = "TOKEN-issued-9e8d7c6b5a"
COOKIE = "COOKIE-of-the-answer-1a2b3c"
DONE = ("success", "failed", "cancelled")


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with ApiServer() as served:
        numbers = iter(range(10**6))
        served.password, served.client_secret = SECRETS["password"], SECRETS["client"]
        served.new_token = lambda: f"{TOKENS}-{next(numbers)}"
        for path in ("/api/echo", "/echo", "/echo/twice"):
            served.on(path, _echo)
        for path in ("/api/twice", f"/twice/{PLACES['hook']}"):
            served.on(path, lambda record: Answer(500, _said(record)))
        served.fault("/broken", faults.raw(b"HTTP/1.1 2x " + SECRETS["bearer"].encode()))
        served.fault("/text", faults.headers(content_type="text/html; charset=utf-16"))
        served.fault("/cut", faults.cut(150))
        served.fault("/away", faults.redirect("http://localhost:1/?key=x", 302))
        yield served


@pytest.fixture
def place(dsn: str, tmp_path: Path) -> Iterator[Site]:
    with site(dsn, hosts=1, providers=("aliyun",)) as made:
        yield made


def _said(record: Record) -> Row:
    """Return all of a request: what careless servers put into their errors."""
    said = {"code": 1, "target": record.target, "body": record.body.decode("utf-8", "replace")}
    lines = "\n".join(f"{name}: {value}" for name, value in record.headers.items())
    return {**said, "headers": record.headers, "message": f"bad request: {lines}"}


def _echo(record: Record) -> Answer:
    return Answer(200, _said(record), {"Set-Cookie": f"session={COOKIE}", "X-Request-Id": "req-1"})


def reference(place: Site, name: str, value: str = "") -> Row:
    """Return a reference of a secret in a file that stands outside of the state directory."""
    folder = place.directory / "secrets"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(value or SECRETS[name])
    return {"file": str(folder / name)}


def configured(place: Site, api: ApiServer) -> Row:
    """Return a configuration with every way to hold a secret, and most ways to fail."""

    def ref(name: str) -> Row:
        return reference(place, name)

    full: Row = {
        "method": "POST",
        "headers": {"X-Api-Key": ref("headerkey"), "X-Plain": ref("shared")},
        "query": {"key": ref("querykey"), "plain": "1"},
        "body": {"pin": ref("pin"), "run": "{{ run.id }}"},
    }
    urls = {name: f"{api.url}/{name}" for name in ("broken", "text", "cut", "away")}
    urls |= {
        "echo": f"{api.url}/api/echo", "server-error": f"{api.url}/api/twice",
        "nobody": "http://127.0.0.1:1/x", "no-host": "http://no-such-host.invalid/x",
        "no-tls": f"{api.url}/x".replace("http", "https"),
    }  # fmt: skip
    jobs: Row = {
        f"full-{name}": {"request": {**full, "url": url, "token": "iam"}}
        for name, url in urls.items()
    }
    jobs["full-away"]["request"]["redirects"] = 3
    jobs["full-no-tls"]["request"]["timeout"] = "1s"
    echo, basic = f"{api.url}/echo", {"user": "u", "password": ref("basic")}
    jobs["unmet"] = {
        "request": {**full, "url": echo, "bearer": ref("bearer")},
        "expect": {"json": {"code": 0, "message": "well"}},
    }
    jobs["pattern"] = {
        "request": {**full, "url": echo, "basic": basic}, "expect": {"matches": "^nothing$"},
    }  # fmt: skip
    signed = {"secret": ref("shared"), "key_id": "k"}
    jobs["well"] = {
        "request": {"method": "PUT", "url": echo, "form": {"pin": ref("form")}, "hmac": signed}
    }
    jobs["isolated"] = {**jobs["full-server-error"], "isolation": "process"}
    jobs["refused"] = {"request": {"url": f"{api.url}/api/echo", "token": "refused"}}
    jobs["granted"] = {"request": {"url": f"{api.url}/api/echo", "token": "sso"}}
    first = {"request": {"url": echo, "bearer": ref("bearer")}, "save": {"id": "target"}}
    second = {"request": {"url": f"{echo}/twice", "query": {"a": "{{ id }}"}}}
    jobs["several"] = {"calls": [first, {**second, "expect": {"status": [404]}}]}
    ping = reference(place, "ping url", f"{api.url}/ping/{PLACES['ping']}")
    tables = place.tables({})
    tables["jobs"] |= {
        name: {"kind": "http", "retries": [], "ping_url": ping, "timeout": "20s", **job}
        for name, job in jobs.items()
    }
    login = {"url": f"{api.url}/login", "body": {"username": "svc", "password": ref("password")}}
    grant = {"url": f"{api.url}/oauth/token", "client_id": "client", "client_secret": ref("client")}
    tables["tokens"] = {
        "iam": {"login": login},
        "refused": {"login": {**login, "body": {"username": "svc", "password": ref("pin")}}},
        "sso": {"client_credentials": grant},
    }
    tables["notify"] = channels(place, api)
    return tables


def channels(place: Site, api: ApiServer) -> Row:
    urls = {
        "ding": f"{api.url}/echo?access_token={PLACES['ding']}",
        "hook": f"{api.url}/twice/{PLACES['hook']}",
        "slack": f"http://127.0.0.1:1/{PLACES['slack']}",
    }
    told: Row = {
        name: {"channel": kind, "url": reference(place, f"{name} url", urls[name])}
        for name, kind in (("ding", "dingtalk"), ("hook", "webhook"), ("slack", "slack"))
    }
    told["ding"]["secret"] = reference(place, "dingsecret")
    told["hook"] |= {
        "secret": reference(place, "hooksecret"),
        "headers": {"X-Key": reference(place, "hookheader")},
    }
    told["mail"] = {
        "channel": "email", "host": "127.0.0.1", "port": 1, "tls": "none", "user": "u",
        "password": reference(place, "mail"), "sender": "a@b.example", "to": ["c@b.example"],
    }  # fmt: skip
    return told


def command(place: Site, *arguments: str) -> str:
    """Return all that a command prints, whatever becomes of it."""
    done = subprocess.run(
        [sys.executable, "-m", "syncd", "--config", str(place.config), *arguments],
        capture_output=True, text=True, timeout=120, check=False,
        env=os.environ | {"PYTHONWARNINGS": "error"},
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout + done.stderr


def shown(place: Site, jobs: list[str]) -> Iterator[tuple[str, str]]:
    """Yield all that commands and pages show."""
    failed = str(next(run["id"] for run in place.runs("job = 'full-server-error'")))
    for text in (
        "status", "status --json", "jobs --json", "runs", "runs export", "doctor", "check",
        "doctor --json", "config history --json", "config diff 1 2", f"show {failed}",
        f"show {failed} --json", f"logs {failed}", "jobs refused", "jobs refused --json",
        *(f"notify test {channel}" for channel in CHANNELS),
        *(f"sync {job} --plan" for job in ("full-echo", "pattern", "well", "several")),
        "sync unmet --plan --json", "sync full-echo --json", "import-crontab /dev/null",
    ):  # fmt: skip
        yield text, command(place, *text.split())
    process = place.processes[-1]
    runs = [str(run["id"]) for run in place.runs()]
    for path in (
        "/", "/metrics", "/healthz", "/readyz", "/status", "/overview", "/jobs", "/runs",
        "/scheduler", "/progress", *(f"/runs/{run}" for run in runs),
        *(f"/runs/{run}/log" for run in runs),
    ):  # fmt: skip
        yield path, process.get(path)[1]
    for job in jobs:
        yield f"plan of {job}", json.dumps(place.client.plan(job, Selection(), "me"), default=str)
    for channel in CHANNELS:
        yield f"test of {channel}", json.dumps(place.client.test_channel(channel, "me"))


def secrets_of(api: ApiServer) -> dict[str, str]:
    issued = {
        f"token {number}": json.loads(record.answer)["access_token"]
        for number, record in enumerate(api.log)
        if record.status == 200 and record.path in ("/login", "/oauth/token")
    }
    return {**SECRETS, **PLACES, **issued, "cookie": COOKIE}


def test_no_secret_shows_anywhere_however_jobs_and_channels_fail(
    place: Site, api: ApiServer
) -> None:
    tables = configured(place, api)
    jobs = [name for name, job in tables["jobs"].items() if job["kind"] == "http"]
    place.write(toml(tables))
    process = place.up()
    for job in jobs:
        place.client.trigger(job, Selection(), "me")
    until(lambda: len(place.runs("status = any(%s)", list(DONE))) == len(jobs), 60, "all runs")
    tables["jobs"]["well"]["timeout"] = "30s"
    place.write(toml(tables))
    command(place, "reload")
    outcomes = {row["job"]: (row["status"], row["error_class"]) for row in place.runs()}
    assert outcomes["well"] == ("success", None), outcomes
    assert {error for _, error in outcomes.values()} >= {
        "network", "bad_data", "authentication",
    }, outcomes  # fmt: skip
    until(lambda: api.requests(f"/twice/{PLACES['hook']}"), 30, "a notification")
    until(lambda: api.requests(f"/ping/{PLACES['ping']}/fail"), 30, "a ping")
    texts = list(shown(place, jobs))
    process.stop()
    search = Search(secrets_of(api))
    found = search.found(iter(texts))
    found += search.found(of_store(place.dsn))
    found += search.found(of_files(place.state_dir, "tokens"))
    found += search.found(iter([("the daemon's log", process.text)]))
    assert found == []
    assert_tokens_are_closed_to_others(place)


def assert_tokens_are_closed_to_others(place: Site) -> None:
    folder = place.state_dir / "tokens"
    assert folder.stat().st_mode & 0o077 == 0
    files = [file for file in folder.iterdir() if file.is_file()]
    assert [file.name for file in files if file.suffix == ".json"]
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)
