"""The emulator itself: a world, its faults and its log behind one server."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from syncd.demo.emulator.aliyun import Aliyun
from syncd.demo.emulator.control import PREFIX, Control
from syncd.demo.emulator.delivery import Reset
from syncd.demo.emulator.faults import Fault, Faults, Hits
from syncd.demo.emulator.log import RequestLog
from syncd.demo.emulator.server import Server
from syncd.demo.emulator.tencent import Tencent
from syncd.demo.emulator.wire import Answer, ApiError, Call, Request
from syncd.demo.emulator.world import World

NO_HITS: Final = Hits(())
REFUSING: Final = (
    "throttled", "authentication", "permission", "unavailable", "internal_error",
    "region_not_found", "unsupported_action", "dry_run_unsupported",
)  # fmt: skip


class Emulator:
    """Serves both clouds on a loopback port, from `start` (or `with`) to `stop`.

    `clock` gives the server's idea of the time in seconds since 1970. Functions in `on_page` are
    called behind each listed page of hosts, before the next can be asked for.
    """

    def __init__(self, world: World, port: int = 0, clock: Callable[[], float] = time.time) -> None:
        self.world = world
        self.faults = Faults()
        self.log = RequestLog()
        self.on_page: list[Callable[[Call], None]] = []
        self._aliyun = Aliyun(world, clock)
        self._tencent = Tencent(world, clock)
        self._control = Control(world, self.faults, self.log)
        self._server = Server(port, self._dated)
        self._clock = clock
        self._thread = threading.Thread(target=self._serve, name="emulator")

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._server.server_port

    @property
    def endpoint(self) -> str:
        """Host and port, as the SDKs want them."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return f"http://{self.endpoint}"

    def start(self) -> None:
        """Start serving; the port already takes connections since the emulator was made."""
        self._thread.start()

    def stop(self) -> None:
        """Let hanging calls go, break all connections and wait for all threads."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self.faults.clear()
        self._server.close_all()
        self._server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=0.02)

    def _dated(self, request: Request) -> tuple[Answer, Hits]:
        """Answer with the time of day by the cloud's clock."""
        answer, hits = self._respond(request)
        return replace(answer, date=self._clock()), hits

    def _respond(self, request: Request) -> tuple[Answer, Hits]:
        if request.path.startswith(PREFIX):
            return self._control.answer(request), NO_HITS
        cloud = self._tencent if "x-tc-action" in request.headers else self._aliyun
        try:
            call = cloud.authenticate(request)
        except ApiError as error:
            self.log.count_refusal(cloud.provider, error.code)
            return cloud.failure(error), NO_HITS
        hits = self.faults.strike(call)
        with self.log.running(call):
            return self._carry_out(cloud, call, hits), hits

    def _carry_out(self, cloud: Aliyun | Tencent, call: Call, hits: Hits) -> Answer:
        _hold_up(hits)
        if hits.first("bad_gateway"):
            return Answer(502, b"<html><h1>502 Bad Gateway</h1></html>", content_type="text/html")
        try:
            if fault := hits.first(*REFUSING):
                raise cloud.refusal(fault)
            answer = cloud.perform(call, hits)
        except ApiError as error:
            self.log.count_error(cloud.provider, error.code)
            return cloud.failure(error)
        self._turn_page(call, hits)
        return answer

    def _turn_page(self, call: Call, hits: Hits) -> None:
        if call.action != "DescribeInstances" or call.lookup or call.dry_run:
            return
        for struck in hits.all("churn"):
            _churn(struck.fault, call)
        for hook in self.on_page:
            hook(call)


def _hold_up(hits: Hits) -> None:
    for struck in hits.all("latency"):
        struck.cleared.wait(struck.fault.seconds)
    for struck in hits.all("hang"):
        struck.cleared.wait()
    if hits.all("hang", "reset"):
        raise Reset


def _churn(fault: Fault, call: Call) -> None:
    call.account.regions[call.region].churn(
        adds=fault.adds,
        changes=fault.changes,
        releases=fault.releases,
        moves=fault.moves,
    )
