"""Checks of what HTTP jobs call and carry, with real servers."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from api_server import ApiServer, tls_context
from doctor_helpers import case
from fault_servers import closed_port
from mysql_certificates import Authority
from raw_server import serving
from token_helpers import TokenBench

from syncd import checkup
from syncd.config.configuration import Config, Tables
from syncd.context import Clock
from syncd.doctor import endpoints, jobs, tokens
from syncd.doctor.case import Case, now
from syncd.doctor.examination import examine
from syncd.errors import Network
from syncd.store.held_accounts import HeldAccount

GROUPS = ("tokens", "endpoints")


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


def configured(url: str, password: Any = "right", **keys: Any) -> Config:
    """Return the configuration of a job that calls with a token."""
    request = {"url": f"{url}/api/{{{{ date }}}}", "token": "iam", **keys}
    login = {"url": f"{url}/login", "body": {"username": "svc", "password": password}, **keys}
    tables = {
        "tokens": {"iam": {"login": login}, "unused": {"login": {"url": "http://nobody.invalid/"}}},
        "jobs": {
            "call": {"kind": "http", "request": request},
            "off": {"kind": "http", "enabled": False, "request": {"url": "http://nobody.invalid/"}},
        },
    }
    return Config.of(Tables.model_validate(tables))


def of(config: Config, bench: TokenBench | None = None, **told: Any) -> Case:
    found = bench or TokenBench(None, Clock())
    made = replace(case(), config=config, tokens=checkup.token_cases(config, found.tokens))
    return replace(made, **told)


def found(case: Case) -> dict[str, tuple[str, str]]:
    """Return state and text of each check of tokens and endpoints."""
    report = examine(case, GROUPS)
    return {row["name"]: (row["state"], row["found"]) for row in report["checks"]}


def test_what_is_well(api: ApiServer, tmp_path: Path) -> None:
    bench = TokenBench(tmp_path / "tokens", Clock())
    config = configured(api.url)
    report = examine(of(config, bench, records=Held), GROUPS)
    rows = {row["name"]: row for row in report["checks"]}
    assert {row["state"] for row in report["checks"]} == {"ok"}
    assert rows["tokens.obtained"]["subject"] == "iam"
    assert rows["tokens.obtained"]["found"].startswith("obtained now, good for 60 min until 20")
    assert rows["endpoints.reachable"]["subject"] == f"127.0.0.1:{api.port}"
    assert rows["endpoints.tls"]["found"] == "none, and it does not leave this machine"
    (token,) = api._tokens
    assert token not in str(report)
    again = found(of(config, bench, records=Held))
    assert again["tokens.obtained"][1].startswith("kept from an earlier login, good for 60 min")
    assert [record.path for record in api.log] == ["/login"]


class Held:
    """What the store remembers of held tokens."""

    def __init__(self, *names: str) -> None:
        moment = now()
        self.held = {name: HeldAccount(name, moment, "401", None, moment) for name in names}
        self.outcomes: Mapping[str, Any] = {}


def test_a_token_that_cannot_be_had(api: ApiServer, tmp_path: Path) -> None:
    state, told = found(of(configured(api.url, "wrong")))["tokens.obtained"]
    assert (state, told) == (
        "failed", "token iam: the login was answered 401: invalid_client 401",
    )  # fmt: skip
    missing = {"file": str(tmp_path / "missing")}
    state, told = found(of(configured(api.url, missing)))["tokens.obtained"]
    assert state == "failed"
    assert "can't be read" in told


def test_a_token_whose_life_is_over_when_it_comes(api: ApiServer) -> None:
    api.token_lifetime = timedelta(seconds=-1)
    assert found(of(configured(api.url)))["tokens.obtained"][0] == "warning"


def test_what_only_the_service_can_know_is_not_asked(api: ApiServer) -> None:
    config = configured(api.url, {"credential": "iam"})
    assert found(of(config))["tokens.obtained"][0] == "skipped"
    checked = found(of(configured(api.url), offline=True))
    for name in ("tokens.obtained", "endpoints.reachable", "endpoints.tls"):
        assert checked[name] == ("skipped", "not asked, for --offline")
    assert api.log == []


def test_a_held_token_and_the_job_that_has_no_other(api: ApiServer) -> None:
    looked = of(configured(api.url), records=lambda: Held("token iam"))
    assert tokens.held(looked, "iam").state == "warning"
    (job,) = jobs.holds(looked)
    assert (job.state, job.subject) == ("warning", "call")
    assert job.found == "the logins of all its tokens were refused"

    def gone() -> Any:
        raise Network("gone")

    assert found(of(configured(api.url), records=gone))["tokens.held"][0] == "skipped"


def test_a_host_that_may_not_be_called_is_not_connected_to() -> None:
    with serving(lambda peer: peer.hang()) as server:
        config = configured(f"http://127.0.0.1:{server.port}")
        shut = replace(config, http=config.http.model_copy(update={"allow_hosts": ("a.b",)}))
        checked = found(of(shut))
        assert checked["endpoints.allowed"][0] == "failed"
        assert checked["endpoints.reachable"][0] == checked["endpoints.tls"][0] == "skipped"
        assert checked["tokens.obtained"][0] == "failed"
        assert server.connections == 0


def test_a_port_where_nobody_listens() -> None:
    with closed_port() as port:
        checked = found(of(configured(f"https://127.0.0.1:{port}")))
    assert checked["endpoints.reachable"] == ("failed", "Connection refused")
    assert checked["endpoints.tls"] == ("skipped", "it can't be connected to")


def test_a_name_that_is_none() -> None:
    checked = found(of(configured("https://nobody.invalid")))
    assert checked["endpoints.reachable"] == ("failed", "the name of the host can't be resolved")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


def test_a_certificate_that_is_verified_is_told_with_its_end(authority: Authority) -> None:
    with ApiServer(tls=tls_context(authority.issue("127.0.0.1"))) as api:
        checked = found(of(configured(api.url, tls_ca=str(authority.file))))
        state, told = checked["endpoints.tls"]
        assert state == "warning"  # those of the tests are good for a day
        assert "the certificate is verified, and good for 24 h" in told
        assert checked["tokens.obtained"][0] == "ok"
        checked = found(of(configured(api.url)))
        assert checked["endpoints.tls"][0] == "failed"
        assert checked["endpoints.tls"][1].startswith("certificate refused: ")
        checked = found(of(configured(api.url, tls_verify=False)))
        assert checked["endpoints.tls"][0] == "warning"
        assert "not verified" in checked["endpoints.tls"][1]


def test_a_certificate_of_another_name_is_refused(authority: Authority) -> None:
    with ApiServer(tls=tls_context(authority.issue("other.internal"))) as api:
        checked = found(of(configured(api.url, tls_ca=str(authority.file))))
        assert checked["endpoints.tls"][0] == "failed"


def test_a_server_without_tls_at_an_https_url() -> None:
    with serving(lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        config = configured(f"https://127.0.0.1:{server.port}")
        state, told = found(of(config))["endpoints.tls"]
    assert state == "failed"
    assert told.startswith("no TLS: ")


def test_a_certificate_that_ends_soon_and_a_server_far_away_without_tls() -> None:
    moment = now()
    soon = endpoints.judge_certificate("TLSv1.3", moment + timedelta(days=5), moment)
    assert soon.state == "warning"
    later = endpoints.judge_certificate("TLSv1.3", moment + timedelta(days=50), moment)
    assert later.found == "TLSv1.3; the certificate is verified, and good for 50 d"
    assert endpoints.judge_plain("api.internal").state == "warning"
    assert endpoints.judge_plain("[::1]").state == "ok"
