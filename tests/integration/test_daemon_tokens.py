"""Tokens of a real daemon: one login for all jobs, kept, held, renewed, and told to nobody."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from api_server import ApiServer
from daemon_helpers import Process, Row, Site, site, until
from psycopg import sql
from toml_text import toml

from syncd.model.run import Selection

ALL = Selection()
PASSWORD = "pa55-w0rd-of-the-daemon"


@pytest.fixture
def place(dsn: str) -> Iterator[Site]:
    with site(dsn, hosts=0) as made:
        (made.directory / "password").write_text(PASSWORD)
        yield made


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with ApiServer() as server:
        server.password = PASSWORD
        yield server


def calling(api: ApiServer, **keys: Any) -> Row:
    """Return a job by hand that calls with the token."""
    request = {"url": f"{api.url}/api/effect", "token": "iam"}
    return {"kind": "http", "retries": [], "request": request, **keys}


def configure(place: Site, api: ApiServer, jobs: Mapping[str, Row], **daemon: Any) -> None:
    tables = place.tables({}, **daemon)
    secret = {"file": str(place.directory / "password")}
    login = {"url": f"{api.url}/login", "body": {"username": "svc", "password": secret}}
    place.write(
        toml({**tables, "tokens": {"iam": {"login": login}}, "jobs": tables["jobs"] | jobs})
    )


def run(place: Site, *names: str) -> list[str]:
    """Run jobs by hand, at once; return how they ended."""
    started = [place.client.trigger(name, ALL, "me") for name in names]
    for each in started:
        until(lambda each=each: place.client.wait(each, 5), 60, "the end of the run")
    ends = {str(each["id"]): each["status"] for each in place.runs()}
    return [ends[str(each)] for each in started]


def told(place: Site, process: Process) -> str:
    """Return all that the daemon wrote or says, but for the file of the token."""
    pages = [process.get(path)[1] for path in ("/jobs", "/status", "/metrics", "/scheduler")]
    files = [
        each.read_bytes().decode(errors="replace")
        for each in Path(place.state_dir).rglob("*")
        if each.is_file() and each.parent.name != "tokens"
    ]
    with psycopg.connect(place.dsn) as connection:
        names = connection.execute(
            "select tablename from pg_tables where schemaname = 'syncd'"
        ).fetchall()
        select = sql.SQL("select t::text from syncd.{} t")
        rows = [
            str(connection.execute(select.format(sql.Identifier(name))).fetchall())
            for (name,) in names
        ]
    doctor = str(place.client.examine((), (), "", offline=False))
    return "\n".join([process.text, doctor, *pages, *files, *rows])


def test_jobs_in_threads_and_processes_share_one_login_over_reload_and_restart(
    place: Site, api: ApiServer
) -> None:
    threads = {f"thread{number}": calling(api) for number in range(8)}
    processes = {f"process{number}": calling(api, isolation="process") for number in range(3)}
    jobs = threads | processes
    configure(place, api, jobs, max_concurrent_runs=11)
    process = place.up()
    assert place.client.plan("thread0", ALL, "me")
    assert api.log == []  # it is shown what would be sent, without a token
    assert run(place, *jobs) == ["success"] * len(jobs)
    assert api.logins == 1
    assert process.metric(
        "syncd_api_requests_total", provider="token", api="iam", outcome="ok"
    ) == 1  # fmt: skip
    for name in jobs:
        counted = {"provider": "http", "api": name, "outcome": "ok"}
        assert process.metric("syncd_api_requests_total", **counted) == 1
    configure(place, api, jobs | {"more": calling(api)}, max_concurrent_runs=11)
    assert place.client.reload("me") == []
    assert run(place, "more", "process0") == ["success"] * 2
    process.stop()
    process = place.up()
    assert run(place, "thread0", "process1") == ["success"] * 2
    assert api.logins == 1
    (token,) = api._tokens
    all_told = told(place, process)
    assert "token obtained" in process.site.processes[0].text
    for secret in (token, PASSWORD):
        assert secret not in all_told


def test_a_wrong_password_holds_all_jobs_until_it_is_mended(place: Site, api: ApiServer) -> None:
    api.password = "another one"
    jobs = {f"job{number}": calling(api, every="2s") for number in range(5)}
    jobs["alone"] = calling(api, isolation="process")
    configure(place, api, jobs)
    process = place.up()

    def held() -> bool:
        rows = [each for each in place.client.jobs() if each["name"] in jobs]
        return len(rows) == 6 and all(
            [held["account"] for held in row["held"]] == ["token iam"] for row in rows
        )

    until(held, 20, "all jobs are held")
    before = len(api.log)
    assert before <= 5  # those that had begun before it was known
    assert run(place, "alone") == ["failed"]
    assert len(api.log) == before + 1  # by hand, in a process of its own
    (checked,) = [
        each
        for each in place.client.examine((), (), "", offline=False)["checks"]
        if each["name"] == "tokens.held"
    ]
    assert (checked["state"], checked["subject"]) == ("warning", "iam")
    all_told = told(place, process)
    assert PASSWORD not in all_told
    api.password = "mended"
    (place.directory / "password").write_text("mended")
    until(lambda: len(place.runs("status = 'success'")) >= 5, 40, "the runs with the right one")
    until(lambda: not any(each["held"] for each in place.client.jobs()), 10, "nothing is held")
    assert api.logins == 1
