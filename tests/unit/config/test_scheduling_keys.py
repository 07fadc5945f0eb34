"""The keys that say when a job runs and how its runs stand to others."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from config_folder import ACCOUNT, JOB

from syncd.config.advice import warnings
from syncd.config.job import Sources
from syncd.config.reload_diff import difference
from syncd.triggers.base import Memory
from syncd.triggers.calendars import Except
from syncd.triggers.cron import Cron
from syncd.triggers.interval import Interval
from syncd.triggers.spread import Shifted, offset_of

NOW = datetime(2024, 5, 1, tzinfo=UTC)
BY_HAND = JOB.replace('schedule = "*/30 * * * *"\n', "")
MINUTES = timedelta(minutes=1)


def test_the_defaults(folder):
    folder.write(ACCOUNT + JOB)
    config = folder.load()
    job, daemon = config.jobs["hosts"], config.daemon
    assert (job.priority, job.overlap, job.isolation) == ("normal", "skip", "thread")
    assert (job.start_deadline, job.spread, job.calendar) == (None, timedelta(0), None)
    assert job.closed_until(NOW) is None
    assert (daemon.max_per_account, daemon.max_per_server) == (1, 1)
    assert (daemon.load_limit, daemon.min_free_disk) == (0.8, 100 * 1024**2)
    assert config.warnings == ()


def test_a_job_takes_them_from_the_defaults_or_says_its_own(folder):
    folder.write(
        '[defaults]\npriority = "low"\noverlap = "queue"\nstart_deadline = "1h"\nspread = "5m"\n'
        'windows = ["09:00-12:00"]\nisolation = "process"\ninterruptible = false\n'
        + ACCOUNT + JOB + JOB.replace("hosts", "own")
        + 'priority = "urgent"\noverlap = "replace"\nwindows = []\ninterruptible = true\n'
    )  # fmt: skip
    jobs = folder.load().jobs
    hosts, own = jobs["hosts"], jobs["own"]
    assert (hosts.priority, hosts.overlap, hosts.isolation) == ("low", "queue", "process")
    assert (hosts.start_deadline, hosts.spread) == (60 * MINUTES, 5 * MINUTES)
    assert hosts.closed_until(NOW.replace(hour=10)) == NOW.replace(hour=12)
    assert not hosts.gives_way
    assert (own.priority, own.overlap, own.gives_way) == ("urgent", "replace", True)
    assert own.closed_until(NOW.replace(hour=10)) is None


@pytest.mark.parametrize(
    ("priority", "gives_way"), [("urgent", False), ("high", False), ("normal", True), ("low", True)]
)
def test_what_an_urgent_run_may_interrupt_unless_told_otherwise(folder, priority, gives_way):
    folder.write(ACCOUNT + JOB + f'priority = "{priority}"\n')
    assert folder.load().jobs["hosts"].gives_way is gives_way


def test_windows_are_by_the_clock_of_the_job(folder):
    folder.write(ACCOUNT + JOB + 'timezone = "Asia/Shanghai"\nwindows = ["MON-FRI 09:00-12:00"]\n')
    closed_until = folder.load().jobs["hosts"].closed_until
    assert closed_until(NOW.replace(hour=1)) == NOW.replace(hour=4)
    assert closed_until(NOW.replace(hour=9)) is None


def test_an_adaptive_job(folder):
    folder.write(ACCOUNT + BY_HAND + 'adaptive = { min = "10m", max = "6h" }\nspread = "5m"\n')
    job = folder.load().jobs["hosts"]
    assert job.schedule_text == "every 10m to 6h by change rate"
    assert job.fixed_rate
    start = NOW + offset_of("hosts", 5 * MINUTES)
    assert job.trigger("hosts", Memory(), NOW) == Interval(10 * MINUTES, start)
    remembered = Memory(last_due=NOW - 20 * MINUTES, interval=90 * MINUTES)
    assert job.trigger("hosts", remembered, NOW) == Interval(90 * MINUTES, NOW - 20 * MINUTES)
    stale = Memory(last_due=NOW, interval=timedelta(days=9))
    assert job.trigger("hosts", stale, NOW) == Interval(timedelta(hours=6), NOW)
    assert job.change_rate.next_interval(None, 0) == 15 * MINUTES


def test_a_spread_shifts_a_schedule_and_the_first_of_an_interval(folder):
    folder.write(
        ACCOUNT + JOB + 'spread = "5m"\n'
        + BY_HAND.replace("hosts", "often") + 'every = "30m"\nspread = "5m"\n'
    )  # fmt: skip
    hosts, often = (folder.load().jobs[name] for name in ("hosts", "often"))
    offset = offset_of("hosts", 5 * MINUTES)
    assert offset
    half_hours = Cron("*/30 * * * *", ZoneInfo("UTC"))
    assert hosts.trigger("hosts", Memory(NOW), NOW) == Shifted(half_hours, offset)
    first = often.trigger("often", Memory(), NOW).next_after(NOW - timedelta.resolution)
    assert first == NOW + offset_of("often", 5 * MINUTES)
    assert often.trigger("often", Memory(first), NOW).next_after(first) == first + 30 * MINUTES


def test_a_calendar_is_read_with_the_configuration_and_part_of_its_digest(folder):
    folder.write(ACCOUNT + JOB + 'calendar = "holidays"\n' + JOB.replace("hosts", "other"))
    dates = folder.write("2100-05-01\n2100-12-24..2100-12-26  # Christmas\n", "holidays")
    old = folder.load()
    job = old.jobs["hosts"]
    christmas = (date(2100, 12, day) for day in (24, 25, 26))
    assert job.calendar.dates == {date(2100, 5, 1), *christmas}
    assert isinstance(job.trigger("hosts", Memory(), NOW), Except)
    dates.write_text("# the same\n2100-12-24\n2100-12-25\n2100-05-01\n2100-12-26")
    assert folder.load().digest == old.digest
    assert difference(old, folder.load()).changed == ()
    dates.write_text("2100-05-01")
    assert folder.load().digest != old.digest
    assert difference(old, folder.load()).changed == ("hosts",)


def test_the_path_of_a_calendar_may_be_absolute_and_in_conf_d(folder):
    dates = folder.write("2100-05-01", "holidays")
    folder.write(ACCOUNT)
    folder.write(JOB + f'calendar = "{dates}"\n', "conf.d/jobs.toml")
    assert folder.load().jobs["hosts"].calendar.dates == {date(2100, 5, 1)}
    folder.write(JOB + 'calendar = "holidays"\n', "conf.d/jobs.toml")
    assert folder.load().jobs["hosts"].calendar.dates == {date(2100, 5, 1)}


def test_a_bad_calendar_is_told_with_its_own_lines_beside_all_other_problems(folder):
    folder.write(
        ACCOUNT + JOB + 'calendar = "holidays"\npriority = "hihg"\n'
        + JOB.replace("hosts", "again") + 'calendar = "holidays"\n'
        + JOB.replace("hosts", "gone") + 'calendar = "nothing"\n'
        + JOB.replace("hosts", "odd") + "calendar = 5\n"
    )  # fmt: skip
    folder.write("2024-05-01\n2024-05-32\n", "holidays")
    assert sorted(folder.told()) == [
        'holidays:2: jobs.hosts.calendar: "2024-05-32" is no date: day is out of range for month',
        "nothing: jobs.gone.calendar: does not exist",
        'syncd.toml:12: jobs.hosts.priority: unknown value "hihg"; did you mean "high"?; allowed: '
        "high, low, normal, urgent",
        "syncd.toml:30: jobs.odd.calendar: must be the path of a file of dates",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('overlap = "replce"', 'overlap: unknown value "replce"; did you mean "replace"?'),
        ('isolation = "proces"', 'isolation: unknown value "proces"; did you mean "process"?'),
        ('isolation = "container"', "isolation: unknown value"),
        ("priority = 1", "priority: unknown value"),
        ('interruptible = "yes"', "interruptible: must be true or false"),
        ("start_deadline = 60", 'start_deadline: a bare number has no unit; write "60s"'),
        ('start_deadline = "0s"', "start_deadline: must be longer than 0s"),
        ("spread = 5", "spread: a bare number has no unit"),
        ('windows = "09:00-12:00"', "windows: must be a list"),
        ("windows = [9]", "windows: must be a string"),
        ('windows = ["09:00-12:00", "FUN 09:00-12:00"]', 'windows: unknown day "FUN"; allowed'),
        ('windows = ["00:00-12:00", "12:00-24:00"]', "windows: leave no time of the week"),
        ('sprad = "5m"', 'sprad: unknown key "sprad"; did you mean "spread"?'),
        ('calendr = "x"', 'calendr: unknown key "calendr"; did you mean "calendar"?'),
        ('calendar = ""', "calendar: must be the path"),
        ('every = "1h"', "every: stands beside schedule: only one may"),
        ('adaptive = { min = "1h", max = "2h" }', "adaptive: stands beside schedule: only one may"),
    ],
)
def test_a_wrong_value_has_its_line_and_what_is_allowed(folder, text, told):
    folder.write(ACCOUNT + JOB + text + "\n")
    (line,) = folder.told()
    assert line.startswith(f"syncd.toml:11: jobs.hosts.{told}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{ min = "2h", max = "1h" }', "jobs.hosts.adaptive: min must not be above max"),
        ('{ min = "2h" }', "jobs.hosts.adaptive.max: is required"),
        ('{ min = "2h", mx = "3h", max = "4h" }',
         'jobs.hosts.adaptive.mx: unknown key "mx"; did you mean "max"?; allowed: max, min'),
        ('{ min = "0s", max = "1h" }', "jobs.hosts.adaptive.min: must be longer than 0s"),
        ('"1h"', "jobs.hosts.adaptive: must be a table"),
    ],
)  # fmt: skip
def test_wrong_bounds_of_an_adaptive_job(folder, text, told):
    folder.write(ACCOUNT + BY_HAND + f"adaptive = {text}\n")
    assert folder.told() == [f"syncd.toml:10: {told}"]


@pytest.mark.parametrize("keys", ["calendar", "adaptive"])
def test_calendar_and_adaptive_are_no_defaults(folder, keys):
    folder.write(f'[defaults]\n{keys} = "x"\n')
    assert folder.told()[0].startswith(f'syncd.toml:2: defaults.{keys}: unknown key "{keys}"')


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("load_limit = -0.1", "load_limit: must be at least 0"),
        ("load_limit = inf", "load_limit: must be a finite number"),
        ("min_free_disk = 100", 'min_free_disk: a bare number has no unit; write "100B"'),
        ('min_free_disk = "100M"', 'min_free_disk: must be a size such as "100MiB"'),
        ("max_per_account = 0", "max_per_account: must be at least 1"),
        ("max_per_server = 1.5", "max_per_server: must be a whole number"),
    ],
)
def test_wrong_limits_of_the_daemon(folder, text, told):
    folder.write(f"[daemon]\n{text}\n")
    (line,) = folder.told()
    assert line.startswith(f"syncd.toml:2: daemon.{told}")


def test_limits_may_come_from_the_environment(folder):
    folder.write("")
    daemon = folder.load(
        {"SYNCD_DAEMON__LOAD_LIMIT": "0", "SYNCD_DAEMON__MIN_FREE_DISK": "1GB"}
    ).daemon
    assert (daemon.load_limit, daemon.min_free_disk) == (0, 10**9)


@pytest.mark.parametrize(
    ("job", "keys", "warning"),
    [
        (BY_HAND, 'start_deadline = "1h"',
         "start_deadline has no effect without schedule, every or adaptive"),
        (BY_HAND, 'spread = "1m"', "spread has no effect without schedule, every or adaptive"),
        (JOB, 'spread = "31m"', "its spread is longer than the 30m between due times"),
        (BY_HAND, 'every = "1m"\nspread = "2m"',
         "its spread is longer than the 1m between due times"),
        (BY_HAND, 'adaptive = { min = "1m", max = "1h" }\nspread = "2m"',
         "its spread is longer than the 1m between due times"),
        (BY_HAND, 'schedule = "0 10 * * *"\nwindows = ["09:00-12:00"]\nstart_deadline = "1h"',
         "each of its next due times falls into a window that outlasts its start_deadline"),
    ],
)  # fmt: skip
def test_what_cannot_do_what_it_says_is_warned_of(folder, job, keys, warning):
    folder.write(ACCOUNT + job + keys + "\n")
    assert folder.load().warnings == (f'job "hosts": {warning}',)


@pytest.mark.parametrize("hour", range(0, 24, 3))
def test_what_is_warned_of_does_not_depend_on_the_hour(folder, hour):
    minutely = BY_HAND + 'schedule = "* * * * *"\nstart_deadline = "1m"\n'
    folder.write(ACCOUNT + minutely + 'windows = ["00:10-23:50"]\n')
    config, now = folder.load(), datetime(2026, 11, 26, hour, 30, tzinfo=UTC)
    sources = Sources(config.accounts, config.servers, config.tokens)
    assert list(warnings(config.jobs, config.jobs, sources, now)) == []


@pytest.mark.parametrize(
    ("job", "keys"),
    [
        (JOB, 'spread = "30m"'),
        (JOB, 'windows = ["00:10-23:50"]'),
        (BY_HAND, 'schedule = "0 10 * * *"\nwindows = ["09:00-12:00"]\nstart_deadline = "2h"'),
        (BY_HAND, 'schedule = "0 10 * * *"\nwindows = ["09:00-12:00"]'),
        (BY_HAND, 'schedule = "0 10 * * *"\nwindows = ["MON 09:00-12:00"]\nstart_deadline = "1h"'),
    ],
)
def test_what_works_is_not_warned_of(folder, job, keys):
    folder.write('[defaults]\nstart_deadline = "3h"\n' + ACCOUNT + job + keys + "\n")
    assert folder.load().warnings == ()


def test_a_calendar_that_has_ended_is_warned_of(folder):
    folder.write(ACCOUNT + JOB + 'calendar = "holidays"\n')
    dates = folder.write("2001-01-01", "holidays")
    warning = f'job "hosts": its calendar {dates} has no date from today on'
    assert folder.load().warnings == (warning,)
    dates.write_text("2001-01-01\n2100-01-01")
    assert folder.load().warnings == ()


def test_what_a_calendar_holds_that_is_none_is_not_told(folder):
    folder.write("root:the-secret:0:0\n", "holidays")
    folder.write(ACCOUNT + JOB + 'calendar = "holidays"\n')
    (told,) = folder.told()
    assert told.startswith("holidays:1: jobs.hosts.calendar: no date such as 2024-12-25")
    assert "secret" not in told
