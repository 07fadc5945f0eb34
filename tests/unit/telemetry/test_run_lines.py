"""Lines of runs: what they bear, and that they are kept."""

import contextvars
import io
import json
import logging
import threading
import warnings
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from syncd.telemetry.logging import bind_process, bound, configure, get_logger
from syncd.telemetry.masking import MASK
from syncd.telemetry.run_lines import keep_runs
from syncd.telemetry.run_logs import PIECE, RunLogs

RUN = "01890000-0000-7000-8000-000000000001"
OTHER = "01890000-0000-7000-8000-000000000002"
SECRET = 'hun"ter\x85ü2'


pytestmark = pytest.mark.usefixtures("own_logging")


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    configure("journal", "info", lambda: [SECRET], stream)
    return stream


@pytest.fixture
def logs(stream: io.StringIO, tmp_path: Path) -> RunLogs:
    logs = RunLogs(tmp_path)
    keep_runs(logs, lambda: [SECRET])
    return logs


def kept(logs: RunLogs, run: str = RUN) -> list[dict[str, Any]]:
    piece = logs.read(UUID(run))
    return piece.lines if piece else []


def test_a_line_is_kept_in_the_log_of_its_run_alone(logs: RunLogs) -> None:
    log = get_logger().bind(job="hosts", run=RUN)
    log.info("a", seconds=1.5, region="cn-a", names=["x"], nothing=None)
    log.bind(run=OTHER).warning("b")
    get_logger().info("of no run")
    get_logger().info("of no run either", run="the last one")
    (line,) = kept(logs)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"level": "info", "event": "a", "job": "hosts", "run": RUN, "region": "cn-a",
                    "seconds": 1.5, "names": ["x"], "nothing": None}  # fmt: skip
    assert [line["event"] for line in kept(logs, OTHER)] == ["b"]
    assert len(list(logs.path.iterdir())) == 2


def test_libraries_warnings_and_bugs_bear_what_their_thread_works_on(
    stream: io.StringIO, logs: RunLogs
) -> None:
    def work() -> None:
        logging.getLogger("some.library").warning("slow")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old", DeprecationWarning, stacklevel=1)
        try:
            json.loads("{")
        except ValueError:
            get_logger().exception("a bug")

    with bound(job="hosts", run=RUN):
        thread = threading.Thread(target=contextvars.copy_context().run, args=[work])
        thread.start()
        thread.join()
        with bound(item="a/cn-a/host", account="a", region="cn-a"):
            logging.getLogger("some.library").warning("slower")
    logging.getLogger("some.library").warning("not of the run")
    *of_run, item, other = stream.getvalue().splitlines()
    assert all(f" job=hosts run={RUN}" in line for line in of_run)
    assert f"job=hosts run={RUN} item=a/cn-a/host account=a region=cn-a" in item
    assert "run=" not in other
    lines = kept(logs)
    assert [line["level"] for line in lines] == ["warning", "warning", "error", "warning"]
    assert "JSONDecodeError" in lines[2]["exception"]
    assert lines[3]["region"] == "cn-a"
    assert {(line["job"], line["run"]) for line in lines} == {("hosts", RUN)}


def test_what_a_line_says_itself_counts_more_than_its_thread(logs: RunLogs) -> None:
    with bound(job="hosts", run=RUN):
        get_logger().warning("recovered", job="sizes", run=OTHER)
    assert kept(logs) == []
    assert kept(logs, OTHER)[0]["job"] == "sizes"


def test_a_process_of_one_run_names_it_in_every_thread(stream: io.StringIO, logs: RunLogs) -> None:
    bind_process(job="hosts", run=RUN)
    thread = threading.Thread(target=logging.getLogger("some.library").warning, args=["lost"])
    thread.start()
    thread.join()
    assert f"job=hosts run={RUN} logger=some.library" in stream.getvalue()
    assert kept(logs)[0]["event"] == "lost"


def test_no_secret_is_kept(logs: RunLogs) -> None:
    log = get_logger().bind(run=RUN, account=SECRET)
    log.info("key %s", SECRET, nested={"a": [SECRET]}, url="?k=hun%22ter%C2%85%C3%BC2")
    log.info("%s", SECRET * 10_000)
    try:
        int(SECRET)
    except ValueError:
        log.exception("failed")
    text = (logs.path / f"{RUN}.log").read_text()
    assert text.count(MASK) >= 8
    assert "hun" not in text
    assert "ü2" not in text
    assert "C3%BC2" not in text
    assert len(kept(logs)) == 3


def test_a_kept_line_can_neither_forge_another_nor_steer_a_terminal(logs: RunLogs) -> None:
    get_logger().info('x\n{"event": "forged"}', run=RUN, name="\x1b[2J\x9b2J\u2028\u202e\x7f")
    data = (logs.path / f"{RUN}.log").read_text()
    assert len(data.splitlines()) == 1
    assert data.rstrip("\n").isprintable()
    (line,) = kept(logs)
    assert line["name"] == "\x1b[2J\x9b2J\u2028\u202e\x7f"
    assert line["event"] == 'x\n{"event": "forged"}'


def test_a_very_long_line_keeps_both_ends_of_its_values(logs: RunLogs) -> None:
    ids = [f"i-{number}" for number in range(50_000)]
    get_logger().info("🚀" * 100_000 + "end", run=RUN, found_by_id=ids, last="seen")
    (line,) = kept(logs)
    assert line["event"].startswith("🚀🚀")
    assert line["event"].endswith("🚀end")
    assert line["found_by_id"].endswith('"i-49999"]')
    assert line["last"] == "seen"
    assert (logs.path / f"{RUN}.log").stat().st_size < PIECE / 4


def test_odd_text_is_kept_as_utf_8(logs: RunLogs) -> None:
    get_logger().info("主机", run=RUN, name="a\udc80", run_id=UUID(RUN))
    assert "主机" in (logs.path / f"{RUN}.log").read_text("utf-8")
    (line,) = kept(logs)
    assert (line["name"], line["run_id"]) == ("a?", RUN)


def test_lines_that_cannot_be_kept_harm_nobody_and_are_told_of_once(
    stream: io.StringIO, tmp_path: Path
) -> None:
    (tmp_path / "logs").write_text("in the way")
    keep_runs(RunLogs(tmp_path), list)
    for _ in range(3):
        get_logger().info("goes on", job="hosts", run=RUN)
    lines = stream.getvalue().splitlines()
    assert [line for line in lines if "goes on" in line] == [lines[0], *lines[2:]]
    assert len(lines) == 4
    assert lines[1].startswith("<4>level=warning event=\"lines of runs can't be kept")
    assert "Not a directory" in lines[1]


def test_a_record_that_cannot_be_rendered_is_told_of_once(
    stream: io.StringIO, logs: RunLogs
) -> None:
    class Broken:
        def __str__(self) -> str:
            raise ValueError("hidden")

    get_logger().info("hidden", run=RUN, value=Broken())
    assert stream.getvalue().startswith("a log record was lost: ValueError")
    assert len(stream.getvalue().splitlines()) == 1
    assert kept(logs) == []


def test_a_later_configuration_keeps_no_lines_until_it_is_told_to(logs: RunLogs) -> None:
    configure("journal", "info", list, io.StringIO())
    get_logger().info("x", run=RUN)
    assert kept(logs) == []
