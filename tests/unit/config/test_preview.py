"""The next runs that `syncd check` shows."""

from datetime import UTC, datetime

from config_folder import ACCOUNT, JOB

from syncd.config.preview import as_json, upcoming
from syncd.config.problems import Problem

NOW = datetime(2024, 5, 1, 10, 20, 5, 123, tzinfo=UTC)


def test_each_enabled_job_has_its_next_times_in_its_own_zone(folder):
    folder.write(
        ACCOUNT + JOB + 'timezone = "Asia/Shanghai"\n'
        + '[jobs.often]\nkind = "cloud"\naccounts = ["a"]\nevery = "30m"\n'
        + '[jobs.by-hand]\nkind = "cloud"\naccounts = ["a"]\n'
        + JOB.replace("hosts", "off") + "enabled = false\n"
    )  # fmt: skip
    jobs = upcoming(folder.load(), NOW, count=2)
    problem = Problem("f", None, "k", "m")
    assert as_json(jobs, [problem]) == {
        "jobs": [
            {"name": "hosts", "kind": "cloud", "schedule": "*/30 * * * *",
             "timezone": "Asia/Shanghai",
             "next_runs": ["2024-05-01T18:30:00+08:00", "2024-05-01T19:00:00+08:00"]},
            {"name": "often", "kind": "cloud", "schedule": "every 30m", "timezone": "UTC",
             "next_runs": ["2024-05-01T10:20:05+00:00", "2024-05-01T10:50:05+00:00"]},
            {"name": "by-hand", "kind": "cloud", "schedule": "", "timezone": "UTC",
             "next_runs": []},
            {"name": "retention", "kind": "retention", "schedule": "17 3 * * *", "timezone": "UTC",
             "next_runs": ["2024-05-02T03:17:00+00:00", "2024-05-03T03:17:00+00:00"]},
            {"name": "backup", "kind": "backup", "schedule": "47 2 * * *", "timezone": "UTC",
             "next_runs": ["2024-05-02T02:47:00+00:00", "2024-05-03T02:47:00+00:00"]},
        ],
        "problems": [{"file": "f", "line": None, "key": "k", "message": "m"}],
    }  # fmt: skip


def test_one_job_may_be_asked_for(folder):
    folder.write(ACCOUNT + JOB + JOB.replace("hosts", "other"))
    config = folder.load()
    assert [job.name for job in upcoming(config, NOW, job="other")] == ["other"]
    assert upcoming(config, NOW, job="nothing") == []
    assert len(upcoming(config, NOW)[0].next_runs) == 3
