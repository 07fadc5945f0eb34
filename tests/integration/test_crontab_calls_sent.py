"""What curl and wget send for a line of a crontab, and what the job made of it sends."""

import json
import os
import shutil
import subprocess
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import pytest
from click.testing import CliRunner

from syncd.calls.compose import compose
from syncd.cli.main import cli
from syncd.config.jobs import HttpJob

NOT_COMPARED = {
    "accept-encoding", "connection", "content-length", "host", "user-agent", "expect",
    "proxy-connection",
}  # fmt: skip
"""Headers that each client writes as it likes."""

COMMANDS = [
    "curl -fsS {url}/plain",
    "curl -fsS '{url}/q?a=1&b=x\\%20y&c'",
    "curl -sS -X DELETE {url}/things/7",
    "curl -sS -I {url}/head",
    "curl -sS -d 'a=1&b=x+y&c=\\%26' {url}/form",
    "curl -sS -d a=1 -d b=2 --data-urlencode 'c=1 + 1 = 2' --data-urlencode '=x' {url}/form",
    "curl -sS -d 'user=svc&password=p\\%40ss+word' {url}/login",
    "curl -sS -G -d a=1 --data-urlencode 'b=ü &' '{url}/get?z=0'",
    "curl -sS -H {json} -d '{{\"a\": [1, 2.5, true, \"ü\"], \"b\": {{}}}}' {url}/json",
    "curl -sS -H {json} -d '{{\"password\": \"geheim\\\"s\", \"n\": 1}}' {url}/json",
    "curl -sS -H {json} -d '{{\"a\": null}}' {url}/json",
    "curl -sS -d '{{\"a\": 1}}' {url}/json-as-form",
    "curl -sS --json '{{\"a\": 1}}' {url}/json",
    "curl -sS -X PUT --data-binary 'line' -H 'Content-Type: text/plain' {url}/text",
    "curl -sS -u 'svc:p:ss wörd' {url}/basic",
    "curl -sS http://svc:geheim\\%40x@{host}/basic",
    "curl -sS -H 'Authorization: Basic c3ZjOmdlaGVpbQ==' {url}/basic",
    "curl -sS -H 'Authorization: Bearer abc.def-123' {url}/bearer",
    "curl -sS -H 'Authorization: Token abcdef' {url}/token",
    "curl -sS -b 'sid=1; theme=dark' -e https://ref/ -A probe/2 {url}/cookie",
    "curl -sS -H 'X-Api-Key: k3y' -H 'X-Zone: eu' '{url}/q?a=1&token=t\\%2Bk&b=2&sign=xyz'",
    "curl -sS -d @- {url}/stdin%a=1%&b=2",
    "curl -sS --data-binary @- -H 'Content-Type: text/plain' {url}/stdin%one%two",
    "curl -sS {url}/deep/../path",
    "curl -sS -G -d a=1 '{url}/get?z=0#top'",
    "curl -sS -X GET -d a=1 {url}/get-with-body",
    "curl -sS -G -X POST -d a=1 {url}/post",
    "curl -sS --data-binary @- -H 'Content-Type: text/plain' {url}/stdin%one%",
    "curl -sS --json '[1,' --json '2.50]' {url}/json",
    "curl -sS --data-binary 'a=\\%FF' {url}/bytes",
    "wget -q -O- --post-data=a=1 --post-data=b=2 {url}/last",
    "curl -sS \"{url}/v?x=$REGION\" -H \"X-Region: ${{REGION}}\"",
    "curl -sS -X POST -H {json} -d '{{\"day\": \"'$(date +\\%F)'\"}}' {url}/day",
    "$CURL {url}/alias",
    "nice -n 5 timeout 20 sh -c 'curl -sS \"{url}/nested?q=1\"' >/dev/null 2>&1",
    "curl -sS {url}/day?d=$(date +\\%F)",
    "wget -q -O- {url}/wget",
    "wget -q -O- --post-data='a=1&b=2' --header='X-A: b' {url}/wget",
    "wget -q -O- --method=PUT --body-data='{{\"a\": 1}}' --header={json} {url}/wget",
]  # fmt: skip
SETTINGS = 'REGION=eu-west\nCURL="curl -sS"\n'


class _Recorder(BaseHTTPRequestHandler):
    def _answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path, dict(self.headers.items()), body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Recorder)
    server.seen = []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def sent_by_shell(server, command):
    """Run a command as cron does, and return the request that came."""
    text, _, stdin = command.replace("\\%", "\0").partition("%")
    lines = stdin.replace("%", "\n")
    lines += "\n" if lines and not lines.endswith("\n") else ""  # as cron(8) does
    server.seen.clear()
    subprocess.run(
        ["/bin/sh", "-c", text.replace("\0", "%")],
        input=lines.replace("\0", "%").encode(),
        env={"PATH": os.environ["PATH"], "REGION": "eu-west", "CURL": "curl -sS", "TZ": "UTC"},
        capture_output=True, timeout=30, check=True,
    )  # fmt: skip
    (found,) = server.seen
    return found


def sent_by_job(tmp_path, command):
    """Import a command, its secrets into files, and return what its job sends."""
    file = tmp_path / "crontab"
    file.write_text(f"{SETTINGS}0 * * * * {command}\n")
    arguments = ["import-crontab", "--json", "--secrets", str(tmp_path / "secrets")]
    result = CliRunner().invoke(cli, [*arguments, "--timezone", "UTC", str(file)])
    assert result.exit_code == 0, result.output
    (job,) = json.loads(result.stdout)["jobs"]
    request = HttpJob.model_validate(job["job"]).request
    now = datetime.now(UTC)
    values = {"date": now.date().isoformat(), "run.id": "1", "run.scheduled_for": "2"}
    made = compose(request, values, key="key", now=now)
    parts = urlsplit(made.url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return made.method, target, made.headers, made.body or b""


def comparable(method, target, headers, body):
    """Return what two requests must share; what its form leaves open is made the same."""
    named = {n.lower(): v for n, v in headers.items() if n.lower() not in NOT_COMPARED}
    if named.get("accept") == "*/*":
        del named["accept"]
    path, _, query = target.partition("?")
    if body and named.get("content-type", "").startswith("application/json"):
        body = json.loads(body)
    elif body and named.get("content-type") == "application/x-www-form-urlencoded":
        text = body.decode()
        pairs = parse_qsl(text, keep_blank_values=True, errors="surrogateescape")
        body = json.loads(text) if text.startswith("{") else pairs
    return method, path, sorted(parse_qsl(query, keep_blank_values=True)), named, body


@pytest.mark.parametrize("command", COMMANDS)
def test_the_job_sends_what_the_line_sent(server, tmp_path, command):
    program = "wget" if command.startswith("wget") else "curl"
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    host = f"127.0.0.1:{server.server_port}"
    line = command.format(url=f"http://{host}", host=host, json="'Content-Type: application/json'")
    expected = comparable(*sent_by_shell(server, line))
    assert comparable(*sent_by_job(tmp_path, line)) == expected
