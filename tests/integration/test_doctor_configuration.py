"""`syncd doctor` on configurations: rights of files, references, and what a reload would take."""

import signal

from daemon_helpers import job, site
from doctor_report import doctor, found
from toml_text import toml


def test_files_with_wrong_rights_are_told(dsn: str) -> None:
    with site(dsn) as place:
        key = place.directory / "key"
        key.write_text("s3cr3t")
        key.chmod(0o644)
        tables = place.tables({"hosts": job()})
        tables["accounts"]["aliyun-demo"]["access_key_secret"] = {"file": str(key)}
        del tables["accounts"]["tencent-demo"]
        tables["jobs"]["hosts"]["accounts"] = ["aliyun-demo"]
        place.write(toml(tables))
        place.config.chmod(0o666)
        report = doctor(place, "--offline", status=1)
        secret = found(report, "configuration.files", str(key))
        assert (secret["state"], secret["advice"]) == ("warning", f"chmod o-r {key}")
        main = found(report, "configuration.files", str(place.config))
        assert (main["state"], "anybody may write it" in main["found"]) == ("failed", True)


def test_credentials_that_only_the_service_has_are_skipped_without_it(dsn: str) -> None:
    with site(dsn) as place:
        credentials = place.directory / "credentials"
        credentials.mkdir()
        tables = place.tables({"hosts": job()})
        account = tables["accounts"]["aliyun-demo"]
        (credentials / "key").write_text(account["access_key_secret"])
        account["access_key_secret"] = {"credential": "key"}
        place.write(toml(tables))
        report = doctor(place, status=0)
        key = "accounts.aliyun-demo.access_key_secret"
        assert found(report, "configuration.secrets", key)["state"] == "skipped"
        assert found(report, "accounts.credentials", "aliyun-demo")["state"] == "skipped"
        place.up({"CREDENTIALS_DIRECTORY": str(credentials)})
        report = doctor(place, status=0)
        assert found(report, "configuration.secrets", key)["state"] == "ok"
        assert found(report, "accounts.credentials", "aliyun-demo")["state"] == "ok"


def test_a_broken_configuration_is_told_with_all_problems(dsn: str) -> None:
    with site(dsn) as place:
        place.configure({"hosts": job()})
        good = place.config.read_text()
        place.up()
        place.write(good.replace("[store]", "colour = 1\n[store]").replace("kind =", "knd ="))
        place.processes[0].send(signal.SIGHUP)
        place.processes[0].await_line("reload failed")
        report = doctor(place, status=78)
        assert found(report, "daemon.reload")["state"] == "failed"
        told = [row["found"] for row in report["checks"] if row["name"] == "configuration.valid"]
        assert len(told) > 1
        assert found(report, "store.reachable")["state"] == "ok"  # the daemon goes on
        place.processes[0].stop()
        report = doctor(place, status=78)
        assert [row["found"] for row in report["checks"]] == told


def test_files_whose_secret_is_missing_are_not_called_ready_for_a_reload() -> None:
    with site() as place:
        place.configure({"hosts": job(every="1h")})
        place.up()
        missing = place.state_dir / "no-such-secret"
        later = {
            "provider": "tencent",
            "access_key_id": "id",
            "access_key_secret": {"file": str(missing)},
        }
        folder = place.config.parent / "conf.d"
        folder.mkdir()
        (folder / "later.toml").write_text(toml({"accounts": {"later": later}}))
        row = found(doctor(place, "--offline", status=78), "configuration.valid")
        assert row["state"] == "failed"
        assert str(missing) in row["found"]


def test_a_changed_configuration_asks_for_a_reload(dsn: str) -> None:
    with site(dsn) as place:
        place.configure({"hosts": job()})
        place.up()
        place.configure({"hosts": job(every="1h")})
        row = found(doctor(place, "--offline", status=0), "configuration.valid")
        assert (row["state"], row["advice"]) == ("warning", "syncd reload")
