"""`syncd runs export`, and the group `syncd runs` that it stands in."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from fake_daemon import MOMENT, RUN, run_row, syncd

from syncd.errors import StoreError
from syncd.model.queries import RUN_COLUMNS, RUN_START, RunQuery


def answer(served, *rows):
    """Have the daemon answer with rows, all of which are younger than the start."""
    asked = []

    def runs(query):
        asked.append(query)
        later = [row for row in rows if (row["created_at"], row["id"]) > query.after]
        return later[: query.limit]

    served.reads.runs = runs
    return asked


def test_the_list_of_runs_is_still_a_command(served):
    assert str(RUN) in syncd(served, "runs").stdout
    assert syncd(served, "runs", "--job", "hosts").exit_code == 0
    assert served.reads.asked == [RunQuery(limit=50), RunQuery("hosts", limit=50)]
    assert "export" in syncd(served, "runs", "--help").stdout


@pytest.mark.parametrize("options", [["--job", "hosts"], ["--json"], ["--limit", "5"]])
def test_options_of_the_list_before_the_subcommand_are_refused(served, options):
    result = syncd(served, "runs", *options, "export")
    assert result.exit_code == 2
    assert f"{options[0]} must stand behind export" in result.stderr
    assert served.reads.asked == []


@pytest.mark.parametrize(
    "arguments",
    [["--format", "xml"], ["--since", "x"], ["--until", "x"], ["--status", "x"], ["--job", ""]],
)
def test_wrong_options_are_refused(served, arguments):
    assert syncd(served, "runs", "export", *arguments).exit_code == 2


def test_what_is_asked_for_goes_to_the_daemon(served):
    asked = answer(served)
    result = syncd(
        served, "runs", "export", "--job", "hosts", "--status", "failed",
        "--since", "2026-03-01T20:00", "--until", "2026-03-02T20:00",
    )  # fmt: skip
    assert (result.exit_code, result.stdout) == (0, "")
    end = MOMENT + timedelta(days=1)
    assert asked == [RunQuery("hosts", "failed", MOMENT, 1_000, end, RUN_START)]


def test_runs_that_are_made_meanwhile_are_not_waited_for(served):
    asked = answer(served)
    syncd(served, "runs", "export")
    assert datetime.now(UTC) - asked[0].until < timedelta(minutes=1)


def test_page_follows_page_also_among_runs_of_one_moment(served):
    rows = [run_row(id=UUID(int=number)) for number in range(1, 2_502)]
    asked = answer(served, *rows)
    lines = syncd(served, "runs", "export").stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [str(row["id"]) for row in rows]
    assert [query.after for query in asked] == [
        RUN_START, (MOMENT, UUID(int=1_000)), (MOMENT, UUID(int=2_000))
    ]  # fmt: skip


def test_csv_is_that_of_rfc_4180(served):
    hard = 'say "no",\nthen\x1b[31m =1'
    answer(served, run_row(selection={"accounts": ["prod"]}, error=hard, duration_seconds=None))
    text = syncd(served, "runs", "export", "--format", "csv").stdout_bytes.decode()
    assert text.startswith(",".join(RUN_COLUMNS) + "\r\n")
    assert text.endswith("\r\n")
    (record,) = csv.DictReader(io.StringIO(text, newline=""))
    assert record["created_at"] == "2026-03-01T12:00:00Z"
    assert record["error"] == 'say "no",\nthen\\x1b[31m =1'
    assert record["selection"] == '{"accounts":["prod"]}'
    assert (record["duration_seconds"], record["total"]) == ("", "10")


def test_csv_without_runs_is_its_header(served):
    answer(served)
    text = syncd(served, "runs", "export", "--format", "csv").stdout_bytes.decode()
    assert text == ",".join(RUN_COLUMNS) + "\r\n"


def test_one_that_breaks_off_says_how_far_it_came(served):
    rows = [run_row(id=UUID(int=number)) for number in range(1, 2_502)]
    answer(served, *rows)
    whole = served.reads.runs

    def runs(query):
        if query.after != RUN_START:
            raise StoreError("the store can't be reached")
        return whole(query)

    served.reads.runs = runs
    result = syncd(served, "runs", "export")
    assert result.exit_code == 69
    assert len(result.stdout.splitlines()) == 1_000
    assert result.stderr.splitlines() == [
        "syncd: the export is incomplete: it ends after 1,000 runs",
        "syncd: the store can't be reached",
    ]
