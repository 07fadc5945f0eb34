"""What command lines mean: each option of curl and wget, and what stands around a call."""

import pytest
from crontab_helpers import imported, job, reason, request, wrapper

URL = "https://api.internal/run"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-fsS", {}),
        ("-fsSo /dev/null -w '%{http_code}'".replace("%", r"\%"), {}),
        ("-X DELETE", {"method": "DELETE"}),
        ("-XPUT", {"method": "PUT"}),
        ("--request PATCH", {"method": "PATCH", "idempotency_key": False}),
        ("--request post", {"method": "POST", "idempotency_key": False}),
        ("-I", {"method": "HEAD"}),
        (
            "-H 'Accept: text/csv' -H'X-Zone: eu'",
            {"headers": {"Accept": "text/csv", "X-Zone": "eu"}},
        ),
        ("-H 'Expect:'", {}),
        (
            "-A probe/1 -e https://x/",
            {"headers": {"User-Agent": "probe/1", "Referer": "https://x/"}},
        ),
        ("-fsSk", {"tls_verify": False}),
        ("-kfsm5", {"tls_verify": False, "timeout": "5s"}),
        ("-m 2.5", {"timeout": "3s"}),
        ("--max-time 90 --connect-timeout 5", {"timeout": "1m30s"}),
        ("-fL", {"redirects": 10}),
        ("-fL -X GET", {"redirects": 10}),
        ("-fL -X PUT", {"method": "PUT"}),
        ("-fL --max-redirs 3", {"redirects": 3}),
        ("-L --max-redirs 0", {}),
        ("--cacert /etc/ca.pem", {"tls_ca": "/etc/ca.pem"}),
        ("-E /etc/c.pem --key /etc/k.pem", {"tls_cert": "/etc/c.pem", "tls_key": "/etc/k.pem"}),
        ("--cert /etc/c.pem", {"tls_cert": "/etc/c.pem", "tls_key": "/etc/c.pem"}),
        ("-x proxy.internal:3128", {"proxy": "http://proxy.internal:3128"}),
        ("-G -d a=1 --data-urlencode 'b=x y'", {"url": f"{URL}?a=1&b=x%20y"}),
        ("-G -X POST -d a=1", {"method": "POST", "url": f"{URL}?a=1", "idempotency_key": False}),
        ("-G -I -d a=1", {"method": "HEAD", "url": f"{URL}?a=1"}),
        ("-X GET -d a=1", {"form": {"a": "1"}}),
    ],
)
def test_options_of_curl(options, expected):
    assert request(f"curl {options} {URL}") == {"url": URL} | expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-d 'a=1&b=x+y'", {"form": {"a": "1", "b": "x y"}}),
        ("-d a=1 -d b=2", {"form": {"a": "1", "b": "2"}}),
        ("-d a=1 -d a=2", {"body": "a=1&a=2", "content_type": "application/x-www-form-urlencoded"}),
        ("-d ''", {"body": "", "content_type": "application/x-www-form-urlencoded"}),
        ("--data-raw '@x=1'", {"form": {"@x": "1"}}),
        ("--data-urlencode 'q=a&b=c'", {"form": {"q": "a&b=c"}}),
        (
            "-H 'Content-Type: application/json' -d '{\"a\": [1, 2.5, true, \"x\"]}'",
            {"body": {"a": [1, 2.5, True, "x"]}},
        ),
        (
            "--json '{\"a\": {}}'",
            {"body": {"a": {}}, "headers": {"Accept": "application/json"}},
        ),
        (
            "-H 'Accept: a/b' --json '{\"a\": null}'",
            {
                "body": '{"a": null}',
                "content_type": "application/json",
                "headers": {"Accept": "a/b"},
            },
        ),
        (
            "-H 'content-type: text/xml; charset=utf-8' -d '<a/>'",
            {"body": "<a/>", "content_type": "text/xml; charset=utf-8"},
        ),
        ("-d @- ", {"form": {"a": "1"}}),
        ("-d 'a=\\%FF'", {"body": "a=%FF", "content_type": "application/x-www-form-urlencoded"}),
        (
            "-H 'Content-Type: application/json' -d '[1.10, 1e400]'",
            {"body": "[1.10, 1e400]", "content_type": "application/json"},
        ),
        (
            "-H 'Content-Type: application/json' -d '[1.0000000000000000001]'",
            {"body": "[1.0000000000000000001]", "content_type": "application/json"},
        ),
        (
            "-H 'Content-Type: application/json' -d '[\"\\ud800\"]'",
            {"body": '["\\ud800"]', "content_type": "application/json"},
        ),
        (
            "-H 'Content-Type: application/json' -H 'Digest: x' -d '[1]'",
            {"body": "[1]", "content_type": "application/json", "headers": {"Digest": "x"}},
        ),
    ],
)
def test_what_is_sent(options, expected):
    command = f"curl -f {options} {URL}" + ("%a=1" if "@-" in options else "")
    assert request(command) == {"method": "POST", "url": URL, "idempotency_key": False} | expected


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("curl -F a=@/b {}", "-F"),
        ("curl --netrc {}", "--netrc"),
        ("curl -n {}", "-n"),
        ("curl -T /f {}", "-T"),
        ("curl -K /etc/c {}", "-K"),
        ("curl --digest -u a:b {}", "--digest"),
        ("curl -d @/etc/body {}", "--data out of a file"),
        ("curl -b /tmp/jar {}", "cookies"),
        ("curl -H @/etc/h {}", "headers out of a file"),
        ("curl -u bob {}", "password"),
        ("curl --next {}", "--next"),
        ("curl -c /tmp/jar {}", "-c"),
        ("curl --frob {}", "--frob"),
        ("curl 'https://a/{{1,2}}'", "brackets"),
        ("curl -X PURGE {}", "PURGE"),
        ("curl -H 'Host: other' {}", "Host"),
        ("curl -x socks5://h:1 {}", "proxy"),
        ("curl --cacert ca.pem {}", "without its folder"),
        ("curl", "no URL"),
        ("curl -m", "-m"),
        ("curl -m soon {}", "no number"),
        ("curl -Z {} {}", "-Z"),
        ("curl ftp://a/b", "url"),
        ("http POST {}", '"http"'),
        ("wget -r {}", "-r"),
        ("wget --post-file=/a {}", "--post-file"),
        ("wget -i /list", "-i"),
        ("wget --user=a {}", "password"),
        ("/opt/x.sh {}", '"x.sh"'),
        ("curl {} > /tmp/a && mv /tmp/a /srv/a", '"mv"'),
        ("curl {} | jq .", '"jq"'),
        ("curl {} | mail -s answer root", '"mail"'),
        ("curl {} || rm x", '"rm"'),
        ("curl {}/$HOME", "$HOME"),
        ("curl -u $USER:x {}", "$HOME"),
        ("curl {}; curl {}/2", "two jobs"),
        ("curl {} || true; curl {}", "two jobs"),
        ("curl {}?a=1&b=2", "quoted"),
        ("[ -f /run/x ] && curl {}", '"["'),
        ("test -f /run/x && curl {}", '"test"'),
        ("if true; then curl {}; fi", '"if"'),
        ("(curl {})", '"("'),
        ("! curl {}", '"!"'),
        ("curl {} < /etc/passwd", '"<"'),
        ("curl '{}", "not closed"),
        ('curl "{}', "not closed"),
        ("curl $HOST/a", "$HOST"),
        ("curl {}/$1", "$1"),
        ("curl {}/$(hostname)", "$(...)"),
        ("curl {}/`hostname`", "$(...)"),
        ("curl {}/$((1+1))", "reckons"),
        ("curl {} &&", "complete"),
        ("curl {}/${{A:-b}}", "${"),
        ("sleep 30; curl {}", "sleeps"),
        ("cd sub && curl {}", "folder"),
        ("curl -g '{}?a={{{{ run.id }}}}'", "{{ }}"),
        ("echo hello", "no endpoint"),
        ("A=1", '""'),
        ("echo 1 > /run/flag && curl {}", "writes a file"),
        ("flock 9 curl {}", "flock"),
        ("timeout 5", "timeout"),
        ("bash -x curl {}", "-x"),
        ('sh -c \'sh -c "sh -c \\"sh -c \\\\\\"sh -c curl\\\\\\"\\""\'', "shells in shells"),
        ("curl -u 'a:b' -d '{{\"password\": 12}}' {}", "no text"),
        ("curl {} 2>", "leads nowhere"),
        ("&& curl {}", "no command"),
        ("curl {} <<< x", '"<<"'),
        ("curl --request=POST {}", "--request="),
        ("curl -d {{a:1,b:2}} {}", "braces"),
        ("curl https://a/{{1..3}}", "braces"),
        ("curl -u a:b -H 'Authorization: Token c' {}", "twice who calls"),
        ("curl -u a:b --oauth2-bearer c {}", "twice who calls"),
        ("curl -H 'Content-Type:' -d a=1 {}", "Content-Type out"),
        ("curl -H 'Authorization:' -u a:b {}", "Authorization out"),
        ("curl -H 'X-A;' {}", "empty header"),
        ("curl --json '{{}}' -d a=1 {}", "beside other data"),
        ("curl -G --json '{{}}' {}", "-G"),
        ("curl -I -d a=1 {}", "-I beside data"),
        ("curl ftp.internal/x", "another protocol"),
        ("curl -d @- {} && curl -d @- {}%a=1", "twice"),
        ("curl -d @- -d @- {}%a=1", "twice"),
        ("curl {} && curl https://hc-ping.com/$USER", "$HOME"),
        ("curl {} && curl https://hc-ping.com/$(date +\\%F)", "the day"),
        ("curl {} || curl https://hc-ping.com/a", '"curl" when'),
        ("echo a | tee /run/flag && curl {}", "writes a file"),
        ("curl 'https://u\\%FF:password@a/'", "UTF-8"),
        ("curl 'https://a/?token=\\%FF'", "UTF-8"),
    ],
)
def test_what_a_job_can_t_say_is_left_alone_with_its_reason(command, told):
    assert told in reason(command.format(*[URL] * command.count("{}")))


@pytest.mark.parametrize(
    "command",
    [
        "/usr/bin/curl -f {}",
        "curl -f {} >/dev/null 2>&1",
        "curl -f {} &> /dev/null",
        "curl -f {} >&2",
        "curl -f {} >> /var/log/x.log 2>> /var/log/e",
        "curl -f {} | logger -t x",
        "curl -f {} || true",
        "curl -f {} 2>&1 | tee -a /var/log/x",
        "cd /srv && curl -f {}",
        "nice -n 10 curl -f {}",
        "nice -19 ionice -c3 curl -f {}",
        "env LANG=C curl -f {}",
        "LANG=C curl -f {}",
        "curl -f {};",
        "chronic curl -f {}",
        "/bin/sh -c 'curl -f {}'",
        "flock -n /run/x curl -f {}",
        "curl -f {} &",
        "flock -n /run/x -c 'curl -f {}'",
        "flock -xn /run/x sh -c 'curl -f {}'",
        "exec curl -f {}",
        "echo start; curl -f {}; echo end",
        "curl -f {} && logger done",
        "curl -f {} # every hour",
        "date >> /var/log/x && curl -f {} || exit 0",
        "c\"ur\"l -f '{}'",
        "curl -f \\{}",
        "curl -f --url {}",
    ],
)
def test_what_stands_around_a_call_changes_nothing(command):
    assert request(command.format(URL)) == {"url": URL}
    assert "overlap" not in job(command.format(URL))


def test_time_limits_locks_and_retries():
    assert request(f"timeout 2m curl -m 30 {URL}")["timeout"] == "30s"
    assert request(f"timeout -k 5 20 curl -m 30 {URL}")["timeout"] == "20s"
    assert request(f"timeout 20 sh -c 'curl {URL}'")["timeout"] == "20s"
    assert job(f"flock /run/x curl {URL}")["overlap"] == "queue"
    assert job(f"curl --retry 4 {URL}")["retries"] == ["1s", "2s", "4s", "8s"]
    assert job(f"curl --retry 2 --retry-delay 30 {URL}")["retries"] == ["30s", "30s"]
    assert job(f"wget -t 1 -O- {URL}")["retries"] == []
    assert job(f"curl -m 3600 {URL}")["timeout"] == "1h1m"
    assert "timeout" not in job(f"curl -m 60 {URL}")


def test_calls_come_one_after_another():
    tables = job(f"curl -f {URL}/1 {URL}/2 && wget -qO- {URL}/3")
    urls = [each["request"]["url"] for each in tables["calls"]]
    assert urls == [f"{URL}/1", f"{URL}/2", f"{URL}/3"]
    assert "request" not in tables


def test_wget():
    assert request(f"wget -q -O - {URL}") == {"url": URL, "redirects": 10}
    assert request(f"wget -nv --spider --max-redirect=0 {URL}") == {"url": URL, "method": "HEAD"}
    found = request(f"wget -qO/dev/null --no-check-certificate -T 7 --header='X-A: b' {URL}")
    assert found == {
        "url": URL,
        "headers": {"X-A": "b"},
        "timeout": "7s",
        "redirects": 10,
        "tls_verify": False,
    }
    found = request(f"wget -qO- --method=PUT --body-data='a=1' {URL}")
    assert (found["method"], found["form"]) == ("PUT", {"a": "1"})


def test_a_wrapper_is_read_by_its_pattern():
    command = "/opt/qs-api-call.sh stat/daily /var/log/d.log"
    (first,) = imported(
        f"5 1 * * * {command}\n", wrappers=wrapper("qs-api-call.sh ENDPOINT [LOG]")
    ).jobs
    assert first.tables["request"] == {"url": "https://api.internal/stat/daily", "timeout": "15m"}
    assert first.remarks == ("qs-api-call.sh wrote to /var/log/d.log; see syncd logs",)
    assert first.name == "stat-daily"
    found = request(
        "bash /opt/call post /stat '{\"day\": \"'$(date +\\%F)'\"}'",
        wrappers=wrapper("call post ENDPOINT BODY", method="POST", token="iam"),
    )
    assert found == {
        "method": "POST",
        "url": "https://api.internal/stat",
        "token": "iam",
        "body": {"day": "{{ date }}"},
        "idempotency_key": False,
    }
    assert "arguments" in reason("call a b c", wrappers=wrapper("call ENDPOINT [LOG]"))
    assert "another word" in reason("call get a", wrappers=wrapper("call post ENDPOINT"))
    assert "--base-url" in reason("call /a", wrappers=wrapper("call ENDPOINT", base_url=""))
    assert request("call https://b/c", wrappers=wrapper("call ENDPOINT"))["url"] == "https://b/c"


@pytest.mark.parametrize(
    "pattern",
    ["", "call", "a/b ENDPOINT", "c [LOG] ENDPOINT", "c ENDPOINT ENDPOINT", "c ENDPOINT OTHER"],
)
def test_a_pattern_that_is_none(pattern):
    with pytest.raises(ValueError, match=r"."):
        wrapper(pattern)


def test_variables_of_the_crontab_are_put_in_as_a_shell_would():
    before = "CURL=\"curl -fsS\"\nHOST = api.internal\nLATER=$HOST\nQ='a b'\n"
    assert request("$CURL https://${HOST}/run", before) == {"url": URL}
    assert '"a"' in reason("$Q https://$HOST/", before)
    assert "url" in reason("curl https://$LATER/", before)  # cron expands nothing in a setting
    assert request('curl -f "https://$HOST/\\$x"', before)["url"] == "https://api.internal/$x"
    assert request("curl -f 'https://api.internal/$x'", before)["url"] == "https://api.internal/$x"


@pytest.mark.parametrize("mail", ["mail -s failed root", "echo failed | mail -s failed root"])
def test_a_failure_that_was_mailed_is_told_of(mail):
    (found,) = imported(f"0 1 * * * curl -f {URL} || {mail}\n").jobs
    assert found.remarks == ("a failure was mailed: a channel of [notify] does",)


@pytest.mark.parametrize(
    "command",
    ["curl -f {} >> $HOME/x.log", "cd $HOME && curl -f {}", "PATH=$HOME/bin:$PATH curl -f {}"],
)
def test_what_differs_for_each_user_matters_where_it_is_sent(command):
    assert request(command.format(URL)) == {"url": URL}
    found = request("$HOME/bin/call.sh /run", wrappers=wrapper("call.sh ENDPOINT"))
    assert found == {"url": URL}


def test_an_address_of_ipv6_needs_no_option():
    assert request("curl -f 'http://[::1]:80/a'")["url"] == "http://[::1]:80/a"


def test_a_proxy_of_the_environment_counts():
    before = "https_proxy=http://proxy.internal:3128\n"
    assert request(f"curl {URL}", before)["proxy"] == "http://proxy.internal:3128"
    assert "proxy" not in request("curl http://api.internal/", before)
    for options in ("--noproxy '*'", "--noproxy '*' -x p:1", "-x p:1 --noproxy '*'", "-x ''"):
        assert "proxy" not in request(f"curl {options} {URL}", before)
    assert request(f"http_proxy=p:1 curl {URL.replace('https', 'http')}")["proxy"] == "http://p:1"
    both = "http_proxy=p:1\nall_proxy=a:1\nHTTP_PROXY=x:1\n"
    assert request("curl http://a/", both)["proxy"] == "http://p:1"
    assert request("curl https://a/", both)["proxy"] == "http://a:1"
    assert "proxy" not in request("wget -qO- https://a/", both)
    assert "some of the URLs" in reason("curl http://a/ https://a/", both)
    assert "no_proxy" in reason(f"curl {URL}", f"{before}no_proxy=internal\n")
    assert "password" in reason(f"curl -x http://a:b@proxy:1 {URL}")


def test_the_day_is_the_job_s_only_where_it_is_the_same():
    command = f"curl -f {URL}?d=$(date +\\%F)"
    assert request(command)["url"] == f"{URL}?d={{{{ date }}}}"
    assert request(f"curl -f {URL}/`date -I`")["url"] == f"{URL}/{{{{ date }}}}"
    assert request(f"curl -f {URL}?d=$(date -u +\\%Y-\\%m-\\%d)", zone="Etc/UTC")
    assert "the day in UTC" in reason(command.replace("date", "date -u"), zone="Asia/Tokyo")
    assert "the day in UTC" in reason(command, "CRON_TZ=Asia/Tokyo\n")
    assert request(command, "CRON_TZ=Asia/Tokyo\nTZ=Asia/Tokyo\n")
    assert "$(...)" in reason(command.replace("F)", "F-\\%H)"))
    assert "$(...)" in reason(command.replace("date +", "date -d yesterday +"))
