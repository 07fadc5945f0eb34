import io
import json
import logging
import os
import pty
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from uuid import UUID

import pytest

from syncd.telemetry.logging import JOURNAL_LIMIT, configure, get_logger
from syncd.telemetry.masking import MASK

SECRET = 'hun"ter ü2'


pytestmark = pytest.mark.usefixtures("own_logging")


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def started(form, level="info", secrets=(SECRET,), **options) -> io.StringIO:
    stream = io.StringIO()
    configure(form, level, lambda: secrets, stream, **options)
    return stream


def fail_with(message: str) -> None:
    raise RuntimeError(f"refused: {message}") from KeyError(message)


def test_a_line_carries_the_fields_that_were_bound_in_a_fixed_order():
    stream = started("journal")
    run = UUID("01234567-89ab-7def-8123-456789abcdef")
    log = get_logger().bind(region="cn-hangzhou", job="hosts", run=run, item="a/cn-hangzhou")
    log.warning("slow down", seconds=2.5, again=True)
    assert lines(stream) == [
        '<4>level=warning event="slow down" job=hosts run=01234567-89ab-7def-8123-456789abcdef '
        "item=a/cn-hangzhou region=cn-hangzhou seconds=2.5 again=true"
    ]


@pytest.mark.parametrize(
    ("level", "priority"),
    [("debug", 7), ("info", 6), ("warning", 4), ("error", 3), ("critical", 2)],
)
def test_the_journal_gets_the_priority_of_each_record(level, priority):
    stream = started("journal", "debug")
    getattr(get_logger(), level)("x")
    assert lines(stream)[0].startswith(f"<{priority}>level={level} ")


def test_a_pipe_gets_the_time_in_utc():
    stream = started("auto", environ={})
    get_logger().info("x")
    assert lines(stream)[0].startswith(f"timestamp={time.strftime('%Y-', time.gmtime())}")
    assert lines(stream)[0].split()[0].endswith("Z")


def test_json_is_one_object_a_line():
    stream = started("json")
    get_logger().info("two\nlines", run=UUID(int=7), name="主机\udc80")
    record = json.loads(stream.getvalue())
    assert record["event"] == "two\nlines"
    assert record["run"] == "00000000-0000-0000-0000-000000000007"
    assert record["name"] == "主机\udc80"
    assert record["level"] == "info"


def test_lines_below_the_level_are_not_written():
    stream = started("logfmt", "warning")
    get_logger().info("no")
    get_logger().warning("yes")
    assert len(lines(stream)) == 1


def test_libraries_go_the_same_way_but_only_from_warning_on():
    stream = started("journal", "debug")
    logging.getLogger("some.library").debug("no")
    logging.getLogger("some.library").info("no")
    logging.getLogger("some.library").warning("error connecting in %r: %s", "pool-1", SECRET)
    assert lines(stream) == [
        f"<4>level=warning event=\"error connecting in 'pool-1': {MASK}\" logger=some.library"
    ]


@pytest.mark.parametrize("form", ["console", "logfmt", "journal", "json"])
def test_a_secret_is_masked_wherever_it_comes_from(form):
    stream = started(form)
    log = get_logger().bind(account=SECRET)
    log.info("key %s", SECRET, url="https://x/?k=hun%22ter+%C3%BC2", nested={"a": [SECRET]})
    try:
        fail_with(SECRET)
    except RuntimeError:
        log.exception("failed")
    assert stream.getvalue().count(MASK) >= 7
    assert "hun" not in stream.getvalue()
    assert "refused" in stream.getvalue()


@pytest.mark.parametrize("form", ["logfmt", "journal"])
def test_a_traceback_stays_one_record(form):
    stream = started(form)
    try:
        fail_with("x\n<0>level=critical event=forged\r\0\u2028y")
    except RuntimeError:
        get_logger().exception("a\nb\x85c\x1b[31m", name="\r\n<0>event=forged")
    text = stream.getvalue()
    assert len(text.splitlines()) == 1
    assert "Traceback" in text
    assert text.endswith("\n")
    assert all(char.isprintable() for char in text[:-1])


def test_a_line_longer_than_the_journal_takes_keeps_both_ends():
    stream = started("journal", secrets=["key-of-12-chars"])
    get_logger().info("🚀" * JOURNAL_LIMIT + "key-of-12-chars" * 2_000, last="seen")
    (line,) = lines(stream)
    assert len(line) == JOURNAL_LIMIT
    assert line.startswith("<6>level=info event=🚀🚀")
    assert line.endswith(f"{MASK} last=seen")
    assert "key-of" not in line


def test_a_terminal_is_not_steered_by_names():
    stream = started("console")
    get_logger().info("name \x1b[2J\nnext", host="\x1b]0;title\x07")
    (line,) = lines(stream)
    assert "\x1b" not in line
    assert "name \\x1b[2J\\nnext" in line


def test_a_terminal_gets_colours_unless_it_asks_for_none():
    def shown(environ: dict[str, str]) -> str:
        leader, follower = pty.openpty()
        with os.fdopen(leader, "rb", 0) as screen, os.fdopen(follower, "w") as stream:
            configure("auto", "info", list, stream, environ)
            get_logger().info("hosts read", job="hosts")
            return screen.read(4_096).decode()

    assert "\x1b[1mhosts read" in shown({"TERM": "xterm"})
    assert "\x1b" not in shown({"TERM": "xterm", "NO_COLOR": "1"})
    assert "\x1b" not in shown({"TERM": "dumb"})


def test_the_journal_is_recognised_by_the_identity_of_the_stream(tmp_path):
    def written(journal: str) -> str:
        path = tmp_path / "log"
        with path.open("w") as stream:
            status = os.fstat(stream.fileno())
            environ = {"JOURNAL_STREAM": journal.format(status.st_dev, status.st_ino)}
            configure("auto", "info", list, stream, environ)
            get_logger().info("x")
        return path.read_text()

    assert written("{}:{}") == "<6>level=info event=x\n"
    assert written("1:{1}").startswith("timestamp=")


def test_characters_that_the_stream_cannot_encode_do_no_harm():
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding="ascii", errors="strict") as stream:
        configure("logfmt", "info", list, stream)
        get_logger().info("主机", surrogate="\udc80")
        assert b"event=\\u4e3b\\u673a surrogate=\\udc80" in raw.getvalue()


def test_a_record_that_cannot_be_rendered_is_told_of_without_its_content():
    class Broken:
        def __str__(self) -> str:
            raise ValueError("hidden")

    stream = started("logfmt")
    get_logger().info("hidden", value=Broken())
    assert lines(stream)[0].startswith("a log record was lost: ValueError at ")
    assert "hidden" not in stream.getvalue()


def test_a_line_is_dropped_rather_than_written_unmasked():
    def locked() -> list[str]:
        raise RuntimeError("the secrets can't be read")

    stream = io.StringIO()
    configure("logfmt", "info", locked, stream)
    get_logger().info("hidden")
    assert lines(stream)[0].startswith("a log record was lost: RuntimeError")


def test_a_closed_stream_does_no_harm():
    stream = started("logfmt")
    stream.close()
    get_logger().info("x")


def test_a_later_configuration_replaces_the_earlier_one():
    first, second = started("logfmt"), started("json", "debug")
    get_logger().debug("x")
    assert not first.getvalue()
    assert len(lines(second)) == 1


def test_warnings_and_uncaught_exceptions_of_threads_are_records():
    stream = started("journal")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"old {SECRET}", DeprecationWarning, stacklevel=1)
    thread = threading.Thread(target=fail_with, args=[SECRET], name="syncd-worker-1")
    thread.start()
    thread.join()
    warning, uncaught = lines(stream)
    assert warning.startswith("<4>")
    assert MASK in warning
    assert uncaught.startswith('<2>level=critical event="uncaught exception"')
    assert "thread=syncd-worker-1" in uncaught
    assert MASK in uncaught


SCRIPT = """
import sys
from syncd.telemetry.logging import configure, get_logger
configure("auto", "info", lambda: ["topsecret"])
sys.stdin.readline()
for _ in range(3):
    get_logger().error("nobody hears it")
print("alive", flush=True)
if "raise" in sys.argv:
    raise ValueError("topsecret")
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_process_outlives_the_reader_of_its_logs(unbuffered: str):
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
    )
    assert process.stderr is not None
    process.stderr.close()
    out, _ = process.communicate(b"go\n", timeout=60)
    assert out == b"alive\n"
    assert process.returncode == 0


def test_a_process_without_standard_error_works(tmp_path: Path):
    command = f'"{sys.executable}" -c "$0" 2>&-'
    done = subprocess.run(
        ["/bin/sh", "-c", command, SCRIPT], input=b"\n", capture_output=True, timeout=60, check=True
    )
    assert done.stdout == b"alive\n"


def test_what_ends_the_process_is_logged_and_masked():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "raise"],
        check=False,
        input=b"\n",
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert b'level=critical event="uncaught exception"' in done.stderr
    assert b"topsecret" not in done.stderr
    assert MASK.encode() in done.stderr
