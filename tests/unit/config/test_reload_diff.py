"""What a reload changes."""

from config_folder import ACCOUNT, JOB

from syncd.config.reload_diff import Difference, difference

OTHER = JOB.replace("hosts", "other")


def loaded(folder, text):
    folder.write(text)
    return folder.load()


def test_jobs_are_told_apart_by_what_became_of_them(folder):
    before = ACCOUNT + JOB + OTHER + JOB.replace("hosts", "gone")
    old = loaded(folder, before + JOB.replace("hosts", "off"))
    new = loaded(
        folder,
        ACCOUNT + JOB + JOB.replace("hosts", "new") + OTHER + 'timeout = "1m"\n'
        + JOB.replace("hosts", "off") + "enabled = false\n",
    )  # fmt: skip
    assert difference(old, new) == Difference(
        added=("new",),
        changed=("other",),
        removed=("gone", "off"),
        unchanged=("hosts", "retention", "backup"),
        restart_needed=(),
    )


def test_changed_defaults_change_the_jobs_that_take_them(folder):
    old = loaded(folder, ACCOUNT + JOB + OTHER + 'timeout = "1m"\n')
    new = loaded(folder, ACCOUNT + JOB + OTHER + 'timeout = "1m"\n[defaults]\ntimeout = "2m"\n')
    assert difference(old, new).changed == ("hosts", "retention", "backup")
    assert difference(old, new).unchanged == ("other",)


def test_what_waits_for_a_restart_is_named(folder):
    old = loaded(folder, "")
    new = loaded(
        folder,
        '[store]\ndsn = "postgresql:///x"\npool_min = 3\npool_max = 25\n[listen]\nhttp = "off"\n'
        '[daemon]\nstate_dir = "/d"\nmax_concurrent_runs = 4\nshutdown_grace = "1s"\n'
        'load_limit = 0\nmin_free_disk = "1GB"\nmax_per_account = 2\nmax_per_server = 2\n',
    )
    assert difference(old, new).restart_needed == (
        "store.dsn", "listen.http", "listen.control", "daemon.state_dir",
    )  # fmt: skip
    assert difference(new, new).restart_needed == ()
