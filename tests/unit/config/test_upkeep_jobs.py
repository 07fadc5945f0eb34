"""The jobs that look after syncd itself are there unasked, and can be changed or taken out."""

from config_folder import ACCOUNT, JOB


def test_a_table_of_its_name_changes_one_without_saying_its_kind(folder):
    folder.write('[jobs.retention]\nenabled = false\n[jobs.backup]\nschedule = "0 1 * * *"\n')
    config = folder.load()
    assert list(config.enabled_jobs()) == ["backup"]
    assert config.jobs["backup"].schedule == "0 1 * * *"
    assert config.jobs["retention"].kind == "retention"


def test_one_under_another_name_takes_its_place(folder):
    folder.write('[jobs.tidy]\nkind = "retention"\nevery = "1h"\n')
    assert set(folder.load().jobs) == {"tidy", "backup"}


def test_its_name_is_kept_for_its_kind(folder):
    folder.write(ACCOUNT + JOB.replace("hosts", "backup"))
    assert folder.told() == [
        'syncd.toml:7: jobs.backup: the name is kept for a job of kind "backup"'
    ]


def test_a_store_of_somebody_else_is_not_dumped(folder):
    folder.write('[store]\ndsn = "postgresql:///x"\n')
    assert list(folder.load().jobs) == ["retention"]
    folder.write('[store]\ndsn = "postgresql:///x"\n[jobs.backup]\n')
    assert folder.told() == [
        "syncd.toml:3: jobs.backup.kind: only the embedded store is dumped; another is its owner's "
        "to back up"
    ]
