r"""Regular expressions on texts from elsewhere, which may have been made to take for ever.

`re` can't be stopped, and holds every thread of the process while it searches: `\s+$` needs 15
seconds for 64 KiB of blanks, `(a+)+$` doubles its time with each letter. Whatever repeats is
searched by a process of its own, which ends itself.
"""

import json
import re
import signal
import subprocess
import sys
from typing import Final

from syncd.errors import SyncdError, Unexpected

SECONDS: Final = 5.0
"""How long a search may take."""
_GRACE: Final = 10.0
"""Seconds that a busy machine may need to start a process."""
_REPEATS: Final = re.compile(r"[*+?{]")
_PROGRAM: Final = (
    "import json, re, signal, sys\n"
    "pattern, text, seconds = json.load(sys.stdin)\n"
    "signal.setitimer(signal.ITIMER_REAL, seconds)\n"
    "print(int(re.search(pattern, text) is not None))\n"
)


def found(pattern: re.Pattern[str], text: str, seconds: float = SECONDS) -> bool:
    """Tell whether a pattern is found in a text.

    Raises Unexpected when that can't be told in time, SyncdError when no process can be started.
    """
    if not _REPEATS.search(pattern.pattern):
        return pattern.search(text) is not None
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-I", "-S", "-c", _PROGRAM],
            input=json.dumps([pattern.pattern, text, seconds]).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            check=False,
            timeout=seconds + _GRACE,
        )
    except subprocess.TimeoutExpired:
        raise _too_long(pattern, seconds) from None  # its text holds the whole command
    except OSError as error:
        raise SyncdError(f"no process for a regular expression: {error.strerror}") from error
    if done.returncode == -signal.SIGALRM:
        raise _too_long(pattern, seconds)
    if done.returncode != 0:
        raise SyncdError(f"the search of {pattern.pattern!r} ended with {done.returncode}")
    return done.stdout.strip() == b"1"


def _too_long(pattern: re.Pattern[str], seconds: float) -> Unexpected:
    return Unexpected(
        f"the search of {pattern.pattern!r} in the answer took more than {seconds:g} s: "
        "a simpler pattern would do"
    )
