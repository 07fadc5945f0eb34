"""Whatever happens to a login, neither password nor token gets into a text."""

import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_faults import answers, cut, header_flood, raw, redirect, reset_read, wrong_length
from api_server import ApiServer
from api_wire import Answer
from token_helpers import TokenBench, limits, token_of

from syncd.calls.lease import Lease
from syncd.calls.token_files import Stored
from syncd.config import secrets
from syncd.context import Clock
from syncd.errors import SyncdError
from syncd.telemetry.masking import Masker

PASSWORD = "pa55-w0rd-of-the-test"
TOKEN = "t0ken/of+the=test"
ECHO = {"error": f"{PASSWORD} and {TOKEN} of svc", "message": f"token={TOKEN}"}
FAULTS = {
    "refused with an echo": answers(Answer(401, ECHO)),
    "a failure with an echo": answers(Answer(500, ECHO)),
    "an echo inside a success": answers(Answer(200, ECHO)),
    "a token with a line break": answers(Answer(200, {"token": f"{TOKEN}\r\nX: {PASSWORD}"})),
    "a token in a list": answers(Answer(200, {"token": [TOKEN, PASSWORD]})),
    "no JSON": answers(Answer(200, f"{TOKEN} {PASSWORD}".encode())),
    "a broken status line": raw(f"HTTP/1.1 {TOKEN} {PASSWORD}\r\n\r\n".encode()),
    "a broken header": raw(f"HTTP/1.1 200 OK\r\n{PASSWORD}\r\n\r\n".encode()),
    "a redirect": redirect(f"http://127.0.0.1:1/?token={TOKEN}&password={PASSWORD}"),
    "a cut answer": cut(150),
    "a wrong length": wrong_length(100),
    "a reset": reset_read(),
    "many headers": header_flood(),
}


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with ApiServer() as server:
        server.password, server.new_token = PASSWORD, lambda: TOKEN
        yield server


def texts(error: BaseException, bench: TokenBench) -> str:
    """Return all that anybody could be told of it; a traceback stands in the log alone."""
    chain = Masker(secrets.known)("".join(traceback.format_exception(error)))
    logged = [f"{call.args} {call.kwargs}" for call in bench.heard.calls]
    return "\n".join(
        [chain, repr(error), *logged, *map(str, bench.calls), repr(bench.tokens._slots)]
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_a_login_that_fails_tells_no_secret(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(secrets, "_lent", {})
    secrets.remember(TOKEN)  # it was issued before
    api.fault("/login", FAULTS[fault])
    bench = TokenBench(tmp_path / "tokens", Clock())
    with pytest.raises(SyncdError) as caught:
        bench.get(token_of(api.url, PASSWORD))
    told = texts(caught.value, bench)
    assert PASSWORD not in told
    assert TOKEN not in told
    for file in (tmp_path / "tokens").iterdir():
        content = file.read_text()
        assert PASSWORD not in content
        assert TOKEN not in content


def test_a_token_is_shown_by_nothing_that_holds_it(api: ApiServer, tmp_path: Path) -> None:
    bench = TokenBench(tmp_path / "tokens", Clock())
    token = token_of(api.url, PASSWORD)
    credential = bench.tokens.get("iam", token, limits())
    lease = bench.tokens.known("iam", token)
    assert isinstance(lease, Lease)
    shown = [credential, lease, Stored(TOKEN, lease.obtained, 1.0), bench.tokens._slots,
             *bench.heard.calls]  # fmt: skip
    assert TOKEN not in str(shown)
    assert PASSWORD not in str(shown)
    assert (
        Masker(secrets.known)(f"Authorization: {credential.value}")
        == "Authorization: Bearer ******"
    )
    assert PASSWORD not in bench.file.read_text()


def test_of_tokens_that_come_and_go_the_last_ones_are_masked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(secrets, "_lent", {})
    for number in range(3 * secrets.MOST_LENT):
        secrets.remember("the one that lasts")
        secrets.remember(f"token number {number}")
    assert "token number 0" not in secrets.known()
    assert {"the one that lasts", "token number 767"} <= secrets.known()
    assert len(secrets._lent) == secrets.MOST_LENT
