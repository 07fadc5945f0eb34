"""What docs/schedules.md shows is valid, and what it says of the adaptive rule is so."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from config_folder import ACCOUNT

from syncd.triggers.adaptive import Adaptive

PAGE = (Path(__file__).parents[3] / "docs" / "schedules.md").read_text()
SHOWN = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
(HOLIDAYS,) = re.findall(r"(?m)(?:^    \d{4}-.*\n)+", PAGE)


@pytest.mark.parametrize("keys", SHOWN)
def test_every_example_is_valid(folder, keys):
    folder.write(f'{ACCOUNT}[jobs.hosts]\nkind = "cloud"\naccounts = ["a"]\n{keys}')
    folder.write(HOLIDAYS.replace("2027", "2127"), "holidays")
    assert folder.load().warnings == ()


def test_a_quiet_source_gets_from_ten_minutes_to_six_hours_in_nine_runs():
    rule, interval, runs = Adaptive(timedelta(minutes=10), timedelta(hours=6)), None, 0
    while interval != rule.longest:
        interval, runs = rule.next_interval(interval, 0), runs + 1
    assert runs == 9
