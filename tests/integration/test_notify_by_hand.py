"""`syncd notify test` and the doctor's look at channels, with a daemon that has the credentials."""

import json
import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from daemon_helpers import Site, job, site, until
from doctor_report import doctor, found
from mysql_certificates import Authority
from notify_receivers import SECRET, SERVICES, TOKEN, receiving
from smtp_server import PASSWORD, USER, mail_server
from toml_text import toml


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    """Give a directory as systemd makes it for the service alone."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    folder.joinpath("dingtalk-secret").write_text(f"{SECRET}\n")
    folder.joinpath("smtp").write_text(PASSWORD)
    return folder


def run(place: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as somebody who has no credentials."""
    environ = {k: v for k, v in os.environ.items() if k != "CREDENTIALS_DIRECTORY"}
    return subprocess.run(
        [sys.executable, "-m", "syncd", "--config", str(place.config), *arguments],
        capture_output=True, text=True, timeout=60, env=environ, check=False,
    )  # fmt: skip


def test_the_daemon_sends_with_its_credentials_and_tells_no_secret(
    migrated_dsn: str, credentials: Path, tmp_path: Path
) -> None:
    authority = Authority(tmp_path, "authority")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*authority.issue("localhost"))
    judge, path = SERVICES["dingtalk"]
    with (
        site(migrated_dsn) as place,
        receiving(judge, path, tls) as receiver,
        mail_server(tls=tls) as mails,
    ):
        credentials.joinpath("dingtalk-url").write_text(receiver.url)
        ca = str(authority.file)
        tables = place.tables({"hosts": job(every="1h")})
        tables["notify"] = {
            "oncall": {"channel": "dingtalk", "url": {"credential": "dingtalk-url"},
                       "secret": {"credential": "dingtalk-secret"}, "tls_ca": ca},
            "mail": {"channel": "email", "host": "localhost", "port": mails.port, "tls_ca": ca,
                     "user": USER, "password": {"credential": "smtp"}, "sender": "a@b.org",
                     "to": ["c@d.org"]},
        }  # fmt: skip
        place.write(toml(tables))
        daemon = place.up({"CREDENTIALS_DIRECTORY": str(credentials)})

        sent = run(place, "notify", "test", "oncall")
        assert (sent.returncode, sent.stdout) == (0, ""), sent.stderr
        assert sent.stderr.startswith("oncall: sent in ")
        assert "oncall is being tested" in receiver.last.document["markdown"]["text"]
        assert run(place, "notify", "test", "mail").returncode == 0
        assert mails.mails[0].message["Subject"].endswith("channel mail is being tested")

        unknown = run(place, "notify", "test", "mails")
        assert unknown.returncode == 1
        assert 'there is no channel "mails"; did you mean "mail"?' in unknown.stderr

        report = doctor(place, status=0)
        for name in ("oncall", "mail"):
            assert found(report, "notify.reachable", name)["state"] == "ok"
            assert found(report, "notify.encrypted", name)["state"] == "ok"
        assert len(mails.mails) == 1

        credentials.joinpath("dingtalk-secret").write_text("SECanother")
        refused = run(place, "notify", "test", "oncall", "--json")
        assert refused.returncode == 1
        told = json.loads(refused.stdout)
        assert (told["sent"], told["error_class"]) == (False, "authentication")
        assert "310000" in told["error"]

        until(lambda: place.runs("status = 'success'"), 30, "a run")
        shown = [daemon.get("/metrics")[1], json.dumps(report)]
        shown += [each.stdout + each.stderr for each in (sent, unknown, refused)]
        assert daemon.stop() == 0
        shown.append(daemon.text)
        alone = run(place, "notify", "test", "oncall")
        assert alone.returncode == 1
        assert "CREDENTIALS_DIRECTORY is not set" in alone.stderr
    for secret in (SECRET, TOKEN, PASSWORD, "SECanother"):
        assert not [text for text in shown if secret in text]
