"""The questions of docs/http.md, asked of a store with calls."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
QUESTIONS = dict(
    re.findall(r"^### ([^#\n]+)$[^#]*?```sql\n(.+?)```", PAGE, re.MULTILINE | re.DOTALL)
)
NOW = datetime.now(UTC)


@pytest.fixture
def store(migrated_dsn):
    """Give a store with a run that ended well, one that was refused, and two that nobody knows."""
    with psycopg.connect(migrated_dsn, autocommit=True, row_factory=dict_row) as made:
        call(made, run(made, "good", "success"), "success", 200, 0.5)
        call(made, run(made, "good", "success"), "success", 200, 1.5)
        call(made, run(made, "refused", "failed"), "failed", 422, 0.1)
        call(made, run(made, "unknown", "failed"), None, None, None)
        call(made, run(made, "stopped", "cancelled"), None, None, None)
        yield made


def run(store, job, status):
    made = uuid4()
    store.execute(
        "insert into syncd.run (id, job, kind, trigger, status, max_attempts, scheduled_for,"
        " created_at, error, config_digest)"
        " values (%s, %s, 'http', 'schedule', %s, 4, clock_timestamp(), now(), 'why', 'd')",
        (made, job, status),
    )
    return made


def call(store, run_id, outcome, status, seconds):
    store.execute(
        "insert into syncd.http_call (run_id, position, attempt, name, method, url, safe,"
        " request_sent_at, finished_at, outcome, status, total_seconds, answer, error)"
        " values (%s, 1, 1, 'call-1', 'POST', 'https://a/', false, %s, %s, %s, %s, %s, 'body',"
        " 'why')",
        (run_id, NOW - timedelta(minutes=1), outcome and NOW, outcome, status, seconds),
    )


def test_each_question_has_its_answer(store):
    answers = {name: store.execute(text).fetchall() for name, text in QUESTIONS.items()}
    shown = {name: [row["job"] for row in rows] for name, rows in answers.items()}
    assert shown == {
        "Calls whose outcome nobody knows": ["unknown", "stopped"],
        "What endpoints answered in the last day": ["good", "refused", "stopped", "unknown"],
        "What was wrong with the answers that were refused": ["refused"],
        "Which calls are getting slower": ["good"],
    }
    (good, *_) = answers["What endpoints answered in the last day"]
    assert (good["calls"], float(good["slowest"])) == (2, 1.5)
    assert answers["Which calls are getting slower"][0]["median_seconds"] == 1.0
