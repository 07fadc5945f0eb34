"""Where a line stops being one call: order, limits, names said twice, and what looks alike."""

import pytest
from crontab_helpers import imported, job, reason, request

URL = "https://api.internal/run"
JSON = "-H 'Content-Type: application/json'"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("curl {} | logger && curl {}", "two jobs"),
        ("curl {} || true && curl {}", "two jobs"),
        ("curl {} || echo down > /srv/status", "writes a file"),
        ("curl 'https://a/?token=abc&token=abd'", "stands twice"),
        ("curl http://svc:pa/ss@a/b", "looks like a secret"),
        ("curl " + JSON + " -d '{{\"'$(date +\\%F)'\": 1}}' {}", "the day stands in a name"),
        ("curl --noproxy a.internal -x p:1 {}", "--noproxy"),
        ("curl -e 'https://a/;auto' {}", ";auto"),
        ("wget --spider=yes {}", "--spider"),
        ("curl -x http://a:b/c@proxy:1 {}", "proxy with a password"),
        ("wget --method=PUT --post-data=a {}", "--post-data"),
        ("curl " + "{}/a " * 51, "more than 50 calls"),
    ],
)
def test_what_is_left_alone(command, told):
    assert told in reason(command.format(*[URL] * command.count("{}")))


@pytest.mark.parametrize("command", ["curl -f -- {}", "wget -q -O- --max-redirect=0 -- {}"])
def test_two_dashes_end_the_options(command):
    assert request(command.format(URL)) == {"url": URL}


@pytest.mark.parametrize("options", ["-X POST", "-H 'X-A: b'", "-d a=1", "-u a:b"])
def test_a_ping_says_nothing_else(options):
    tables = job(f"curl -f {URL} && curl -f {options} https://hc-ping.com/abc")
    assert len(tables["calls"]) == 2
    assert "ping_url" not in tables


def test_the_shortest_limit_counts():
    assert request(f"timeout 20 timeout 60 curl {URL}")["timeout"] == "20s"
    assert request(f"timeout 60 timeout 20 curl {URL}")["timeout"] == "20s"
    assert "overlap" not in job(f"flock /run/x -n curl {URL}")
    assert job(f"curl --retry 12 {URL}")["retries"][-2:] == ["10m", "10m"]


@pytest.mark.parametrize("program", ["curl", "wget"])
def test_what_goes_on_after_a_failure_is_told(program):
    (found,) = imported(f"0 1 * * * {program} {URL}/a {URL}/b\n").jobs
    told = f"{program} goes on to the next URL after a failure, a job does not"
    assert told in found.remarks


def test_a_limit_is_of_its_own_call():
    calls = job(f"curl {URL}/a && timeout 20 curl {URL}/b && sh -c 'curl {URL}/c'")["calls"]
    assert [each["request"]["timeout"] for each in calls] == ["15m", "20s", "15m"]
    assert len(calls) == 3


def test_only_what_starts_its_own_ping_is_dropped():
    ping = "https://hc-ping.com/abc"
    calls = job(f"curl {URL}/a && curl {URL}/b && curl {ping}")["calls"]
    assert [each["request"]["url"] for each in calls] == [f"{URL}/a", f"{URL}/b"]
    assert "calls" in job(f"curl https://hc-ping.com/xyz/start && curl {URL} && curl {ping}")


def test_wget_may_do_without_a_proxy():
    before = "https_proxy=http://proxy.internal:3128\n"
    assert "proxy" in request(f"wget -qO- {URL}", before)
    assert "proxy" not in request(f"wget -qO- --no-proxy {URL}", before)


def test_data_is_joined_as_its_program_joins_it():
    assert request(f"curl --json '[1,' --json '2]' {URL}")["body"] == [1, 2]
    assert request(f"wget --post-data=a=1 --post-data=b=2 {URL}")["form"] == {"b": "2"}


@pytest.mark.parametrize("name", ["credential", "env", "file"])
def test_what_looks_like_a_reference_is_none(name):
    text = f'{{"a":{{"{name}":"HOME"}}}}'
    if name == "credential":
        assert reason(f"curl {JSON} -d '{text}' {URL}")
    else:
        assert request(f"curl {JSON} -d '{text}' {URL}")["body"] == text


def test_a_zone_may_have_its_colon():
    command = f"curl -f {URL}?d=$(date +\\%F)"
    assert request(command, "TZ=:UTC\n")["url"] == f"{URL}?d={{{{ date }}}}"


def test_a_title_is_of_the_lines_that_follow_without_a_gap():
    first, second = f"0 1 * * * curl -f {URL}\n", f"0 2 * * * curl -f {URL}/b\n"
    assert [each.name for each in imported(f"# Warm\n{first}\n{second}").jobs] == ["warm", "run-b"]
    assert [each.name for each in imported(f"# Warm\n{first}{second}").jobs] == ["run", "run-b"]


@pytest.mark.parametrize(
    "command",
    [
        "curl -f {u} && curl -fsS {p}",
        "curl -f {u} && curl -m 10 --retry 5 {p} >/dev/null",
        "curl {p}/start && curl -f {u} && curl {p}",
        "curl -f {u} && curl {p} || curl {p}/fail",
    ],
)
@pytest.mark.parametrize(
    "ping",
    [
        "https://hc-ping.com/0f3b9a52-6d0c-4c1e-9a3f-2b7d5e8c4a10",
        "https://hc.internal/ping/0f3b9a52-6d0c-4c1e-9a3f-2b7d5e8c4a10",
    ],
)
def test_a_ping_after_success_is_a_dead_man_service(command, ping):
    tables = job(command.format(u=URL, p=ping))
    assert tables["ping_url"] == {"credential": "run-ping"}
    assert tables["request"]["url"] == URL
    assert job(f"curl -f {ping}")["request"]["url"] == ping  # alone it is the call


@pytest.mark.parametrize(
    "to", ["> /tmp/x.json", ">/var/log/x 2>/dev/null", "-o x.log", "| tee /tmp/x", "2> $HOME/x.err"]
)
def test_an_answer_that_a_log_keeps_is_told_of(to):
    (found,) = imported(f"0 1 * * * curl -f {URL} {to}\n").jobs
    assert found.remarks == ("curl keeps the answer in a file, syncd its beginning in the records",)
    (found,) = imported(f"0 1 * * * curl -f {URL} >> /var/log/x 2>&1\n").jobs
    assert found.remarks == ()


@pytest.mark.parametrize(
    "command",
    [
        "curl -f {} > /srv/x.json",
        "curl -f {} >/srv/x 2>/dev/null",
        "sh -c 'curl -f {}' > /srv/x",
        "curl -f {} | tee /srv/x.json",
        "curl -f {} | cat > /srv/x.json",
        "curl -fo x.json {}",
        "curl -fO {}",
        "wget -O /srv/x {}",
        "wget -P /srv {}",
    ],
)
def test_an_answer_that_somebody_may_read_in_a_file_keeps_the_line(command):
    assert "keeps the answer in" in reason(command.format(URL))


def test_an_answer_in_a_file_of_no_name_is_told_of():
    (found,) = imported(f"0 1 * * * wget -q {URL}\n").jobs
    assert found.remarks == ("wget keeps the answer in a file, syncd its beginning in the records",)


def test_data_goes_in_front_of_a_fragment():
    assert request(f"curl -G -d a=1 '{URL}#top'") == {"url": f"{URL}?a=1"}


def test_a_redirect_that_would_not_be_the_same_is_told_of():
    (found,) = imported(f"0 1 * * * curl -fL -X POST {URL}\n").jobs
    assert "redirects" not in found.tables["request"]
    assert any("-X" in each for each in found.remarks)
    assert request(f"curl -L -d a=1 {URL}")["redirects"] == 10  # of both a GET, after a 303


def test_a_call_behind_a_call_is_a_ping_by_its_address_alone():
    uuid = "0f3b9a52-6d0c-4c1e-9a3f-2b7d5e8c4a10"
    for second in (f"https://a/things/{uuid}", f"https://a/{uuid}", "https://hc.internal/api/run"):
        assert "ping_url" not in job(f"curl -f {URL} && curl -f {second}")
    for second in (
        f"https://a/ping/{uuid}",
        f"https://hc.internal/{uuid}",
        "https://hc-ping.com/x",
    ):
        assert "ping_url" in job(f"curl -f {URL} && curl -f {second}")


@pytest.mark.parametrize("shell", ["/bin/false", "/usr/bin/fish", "/usr/bin/python3"])
def test_what_no_shell_reads_is_left_alone(shell):
    assert "SHELL" in reason(f"curl {URL}", f"SHELL={shell}\n")
    assert request(f"curl {URL}", "SHELL=/bin/bash\n") == {"url": URL}
