"""The life of the demonstration's HTTP jobs: an API, its troubles, and who is told of them."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from queue import Empty
from types import TracebackType
from typing import Any, Final, Self

from syncd.demo.emulator.statistics import HOOK, PASSWORD, SYNC, USER, StatisticsApi
from syncd.demo.line import readable
from syncd.demo.part import Part

_QUIET: Final = 8.0  # seconds between two scenes
_TURN: Final = 0.5  # seconds between two looks at what was told
_LONGEST: Final = 160  # characters of what is told

_TABLES: Final = """
[tokens.iam.login]
url = "{url}/login"
body = {{ username = "{user}", password = "{password}" }}

[jobs.stat-daily]
kind = "http"
every = "5s"
request = {{ method = "POST", url = "{url}{sync}daily", token = "iam" }}
expect = {{ json = {{ code = 0 }} }}

[jobs.stat-weekly]
kind = "http"
every = "7s"
request = {{ method = "POST", url = "{url}{sync}weekly", token = "iam" }}
expect = {{ json = {{ code = 0 }} }}

[jobs.stat-quarterly]  # answered 202, and asked for until it is done
kind = "http"
every = "15s"
request = {{ method = "POST", url = "{url}{sync}quarterly", token = "iam" }}
poll = {{ every = "1s", until = {{ json = {{ state = "done" }} }} }}

[notify.oncall]
channel = "webhook"
url = "{url}{hook}"
on = ["failed", "recovered", "guarded"]
"""


@dataclass(frozen=True, slots=True)
class _Scene:
    announce: str
    begin: Callable[[StatisticsApi], None]


_SCENES: Final = (
    _Scene(
        "the next call for the weekly statistics is answered 200, with an error inside (code 1)",
        lambda api: api.trouble("weekly", "refuses", 1),
    ),
    _Scene(
        "the statistics forget every token: syncd logs in once more, and calls again",
        lambda api: api.forget_tokens(),
    ),
    _Scene(
        "the next call for the daily statistics is done, and its answer lost: syncd asks again"
        " with the same Idempotency-Key",
        lambda api: api.trouble("daily", "loses", 1),
    ),
    _Scene(
        "the daily statistics are busy (503, Retry-After): syncd waits as long as they ask",
        lambda api: api.trouble("daily", "busy", 1),
    ),
)


class Statistics(Part):
    """Serves the API in the `with` block; from `start` on it is troubled now and then."""

    def __init__(self) -> None:
        super().__init__("the API", statistics=self._play, webhook=self._listen)
        self._api = StatisticsApi()

    def configuration(self) -> str:
        """Return the tables of the jobs, their token and the channel."""
        return _TABLES.format(url=self._api.url, user=USER, password=PASSWORD, sync=SYNC, hook=HOOK)

    def __enter__(self) -> Self:
        self._api.__enter__()
        return super().__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, traceback)
        self._api.__exit__(kind, error, traceback)

    def _play(self) -> None:
        """Play the scenes, over and over."""
        for scene in cycle(_SCENES):
            if self._stop.wait(_QUIET):
                return
            self._tell("fault", scene.announce)
            scene.begin(self._api)

    def _listen(self) -> None:
        """Tell what came to the webhook."""
        while not self._stop.is_set():
            try:
                told = self._api.told.get(timeout=_TURN)
            except Empty:
                continue
            self._tell("told", f"the webhook hears: {_words(told)}")


def _words(told: dict[str, Any]) -> str:
    return readable(str(told.get("title") or told), _LONGEST)
