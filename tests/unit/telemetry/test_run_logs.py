import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from syncd.errors import StoreError
from syncd.telemetry.run_logs import PIECE, Piece, RunLogs

RUN = UUID("01890000-0000-7000-8000-000000000001")
LATER = UUID("01890000-0000-7000-8000-000000000002")


def line(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def events(piece: Piece | None) -> list[str]:
    assert piece is not None
    return [each["event"] for each in piece.lines]


@pytest.fixture
def logs(tmp_path: Path) -> RunLogs:
    return RunLogs(tmp_path)


def test_lines_are_read_as_they_were_written(logs: RunLogs) -> None:
    logs.append(RUN, line(event="a", seconds=1.5))
    logs.append(RUN, line(event="b"))
    logs.append(LATER, line(event="c"))
    first = logs.read(RUN)
    assert first is not None
    assert first.lines == [{"event": "a", "seconds": 1.5}, {"event": "b"}]
    assert not first.more
    logs.append(RUN, line(event="d"))
    assert events(logs.read(RUN, first.next)) == ["d"]
    assert logs.find("01890000") == [RUN, LATER]
    assert logs.find(str(LATER)) == [LATER]


def test_only_the_group_may_read(logs: RunLogs) -> None:
    logs.append(RUN, b"{}")
    (file,) = logs.path.iterdir()
    assert file.stat().st_mode & 0o137 == 0
    assert logs.path.stat().st_mode & 0o027 == 0


def test_no_log_is_none_and_no_directory_holds_none(logs: RunLogs) -> None:
    assert logs.read(RUN) is None
    assert logs.find("") == []
    assert logs.last_of("hosts") is None
    assert logs.remove_older(datetime.now(UTC)) == 0


def test_no_file_stays_open(logs: RunLogs) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(300):
        logs.append(UUID(int=number), b"{}")
        logs.read(UUID(int=number))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_log_that_is_full_says_so_once_and_grows_no_more(tmp_path: Path) -> None:
    logs = RunLogs(tmp_path, limit=1_000)
    for number in range(500):
        logs.append(RUN, line(event=f"line {number}"))
    told = events(logs.read(RUN))
    assert told[-1] == "the log of this run is cut here: it has reached 1,000 bytes"
    assert told[:-1] == [f"line {number}" for number in range(len(told) - 1)]
    assert (logs.path / f"{RUN}.log").stat().st_size < 1_200


def test_a_torn_line_costs_no_line_but_itself(logs: RunLogs) -> None:
    logs.append(RUN, line(event="a"))
    with (logs.path / f"{RUN}.log").open("ab") as file:
        file.write(b'{"event": "to')
    assert events(logs.read(RUN)) == ["a"]
    logs.append(RUN, line(event="b"))
    assert events(logs.read(RUN)) == ["a", '{"event": "to', "b"]


def test_long_logs_are_read_in_pieces(logs: RunLogs) -> None:
    for number in range(3_000):
        logs.append(RUN, line(event=str(number), filler="x" * 300))
    seen, offset, pieces, more = [], 0, 0, True
    while more:
        piece = logs.read(RUN, offset)
        seen += events(piece)
        assert piece is not None
        assert piece.next - offset <= PIECE
        offset, more, pieces = piece.next, piece.more, pieces + 1
    assert seen == [str(number) for number in range(3_000)]
    assert pieces > 3


def test_what_is_no_log_of_ours_does_not_stop_the_reader(logs: RunLogs) -> None:
    logs.append(RUN, b"[1]")
    with (logs.path / f"{RUN}.log").open("ab") as file:
        file.write(b"x" * (PIECE + 5) + b"\n\xff\n")
    offset, lines, more = 0, [], True
    while more:
        piece = logs.read(RUN, offset)
        assert piece is not None
        lines, offset, more = [*lines, *piece.lines], piece.next, piece.more
    assert lines[0] == {"event": "[1]"}
    assert lines[-1] == {"event": "\N{REPLACEMENT CHARACTER}"}


def test_a_log_begun_anew_is_read_from_its_beginning(logs: RunLogs) -> None:
    logs.append(RUN, line(event="a" * 100))
    old = logs.read(RUN)
    assert old is not None
    assert logs.remove_older(datetime.now(UTC) + timedelta(seconds=60)) == 1
    logs.append(RUN, line(event="b"))
    assert events(logs.read(RUN, old.next)) == ["b"]


def test_the_last_run_of_a_job_is_found_by_its_log(logs: RunLogs) -> None:
    logs.append(LATER, line(event="x", job="hosts"))
    logs.append(RUN, line(event="x", job="hosts"))
    logs.append(UUID(int=2**127), line(event="x", job="other"))
    assert logs.last_of("hosts") == LATER
    assert logs.last_of("none") is None


WRITER = """
import sys
from pathlib import Path
from uuid import UUID
from syncd.telemetry.run_logs import RunLogs
logs = RunLogs(Path(sys.argv[1]))
for n in range(1_000):
    text = f'{{"event": "{sys.argv[2]} {n}", "filler": "{sys.argv[2] * (n * 37 % 9_000)}"}}'
    logs.append(UUID(sys.argv[3]), text.encode())
"""


def test_lines_of_several_processes_stay_whole(logs: RunLogs) -> None:
    arguments = [str(logs.path.parent), str(RUN)]
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, arguments[0], name, arguments[1]])
        for name in ("a", "b")
    ]
    assert [process.wait(60) for process in processes] == [0, 0]
    text = (logs.path / f"{RUN}.log").read_bytes()
    told = [json.loads(each) for each in text.splitlines() if each]
    for name in ("a", "b"):
        ours = [each["event"] for each in told if each["event"].startswith(name)]
        assert ours == [f"{name} {number}" for number in range(1_000)]
    assert len(told) == 2_000


def test_only_old_logs_are_removed(logs: RunLogs, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    old = (now - timedelta(days=31)).timestamp()
    logs.append(RUN, b"{}")
    logs.append(LATER, b"{}")
    outside = tmp_path / "outside"
    outside.write_text("mine")
    link = logs.path / f"{UUID(int=7)}.log"
    link.symlink_to(outside)
    folder = logs.path / f"{UUID(int=8)}.log"
    folder.mkdir()
    others = [logs.path / name for name in ("notes.log", f"{RUN}.log.gz", f"x{RUN}.log")]
    for other in others:
        other.write_text("mine")
    for path in (logs.path / f"{RUN}.log", outside, folder, *others):
        os.utime(path, (old, old))
    os.utime(link, (old, old), follow_symlinks=False)
    assert logs.remove_older(now - timedelta(days=30)) == 1
    left = set(logs.path.iterdir())
    assert left == {logs.path / f"{LATER}.log", link, folder, *others}
    assert outside.read_text() == "mine"


def test_a_log_that_cannot_be_removed_is_named(tmp_path: Path) -> None:
    logs = RunLogs(tmp_path)
    logs.path.touch()
    with pytest.raises(StoreError, match=f"{logs.path}: a run's log can't be removed"):
        logs.remove_older(datetime.now(UTC))


def test_what_is_no_plain_file_is_no_log_and_holds_nobody_up(logs: RunLogs, tmp_path: Path) -> None:
    logs.append(RUN, line(job="hosts"))
    (tmp_path / "outside").write_bytes(line(job="secret"))
    (logs.path / f"{LATER}.log").symlink_to(tmp_path / "outside")
    os.mkfifo(logs.path / f"{UUID(int=9)}.log")
    assert logs.find("") == [RUN]
    assert logs.last_of("secret") is None
    with pytest.raises(OSError, match="symbolic links"):
        logs.read(LATER)
    with pytest.raises(OSError, match="Illegal seek"):
        logs.read(UUID(int=9))


FULL = """
import resource, sys
from pathlib import Path
from uuid import UUID
from syncd.telemetry.run_logs import RunLogs
resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))
logs, run = RunLogs(Path(sys.argv[1])), UUID(sys.argv[2])
for _ in range(3):
    try:
        logs.append(run, b'{"event": "twenty-five"}')
        print("kept")
    except OSError as error:
        print(error.strerror)
"""


def test_a_line_of_which_a_part_found_room_is_an_error_and_costs_no_other(logs: RunLogs) -> None:
    logs.append(RUN, line(event="a"))
    command = [sys.executable, "-c", FULL, str(logs.path.parent), str(RUN)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split("\n") == ["kept", "No space left on device", "File too large", ""]
    logs.append(RUN, line(event="b"))
    first, whole, torn, last = events(logs.read(RUN))
    assert (first, whole, torn, last) == ("a", "twenty-five", '{"event": ', "b")
