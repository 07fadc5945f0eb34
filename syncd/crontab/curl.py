"""curl(1) as a call: what each option means here, or why it has no counterpart."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import quote

from syncd.crontab.drafts import JSON, MOST_REDIRECTS, Draft, absolute, count, proxy_of, seconds
from syncd.crontab.options import options
from syncd.crontab.reasons import NotUnderstood
from syncd.crontab.shell import TODAY

_IGNORED: Final = (
    "s/silent S/show-error v/verbose f/fail fail-with-body fail-early i/include show-headers "
    "N/no-buffer #/progress-bar no-progress-meter compressed 4/ipv4 6/ipv6 http1.1 http2 "
    "tlsv1.2 tlsv1.3 1/tlsv1 q/disable retry-connrefused retry-all-errors basic no-keepalive "
    "tcp-nodelay styled-output no-styled-output a/append create-dirs R/remote-time "
    "J/remote-header-name path-as-is Z/parallel"
)
_FLAGS: Final = (
    f"{_IGNORED} k/insecure L/location O/remote-name remote-name-all I/head G/get g/globoff"
)
_IGNORED_VALUES: Final = (
    "w/write-out connect-timeout stderr keepalive-time Y/speed-limit y/speed-time limit-rate "
    "retry-max-time D/dump-header trace trace-ascii output-dir"
)
_VALUED: Final = (
    f"{_IGNORED_VALUES} X/request H/header d/data data-ascii data-raw data-binary data-urlencode "
    "json u/user oauth2-bearer m/max-time retry retry-delay max-redirs o/output cacert E/cert key "
    "x/proxy noproxy A/user-agent e/referer b/cookie url"
)
_OPTIONS: Final = options("curl", _FLAGS, _VALUED)
_IPV6: Final = re.compile(r"//(?:[^/@]*@)?\[[0-9A-Fa-f:.]+\]")
_PARALLEL: Final = "curl: several at once (-Z)"
_OTHER_DATA: Final = frozenset(
    {"data", "data-ascii", "data-raw", "data-binary", "data-urlencode", "get"}
)
READ_TWICE: Final = "reads twice what stands behind its %"
_OF_ALL: Final = ("all_proxy", "ALL_PROXY")
PROXIES: Final = {
    "http": ("http_proxy", *_OF_ALL),
    "https": ("https_proxy", "HTTPS_PROXY", *_OF_ALL),
}
"""The variables that name a proxy, as curl(1) asks for them."""


def read_curl(
    words: Sequence[str], stdin: str | None, folder: str, environ: Mapping[str, str]
) -> Draft:
    """Read the words behind `curl`; raises NotUnderstood.

    `stdin` is what it may read, `folder` where files lie that are named without one, `environ`
    what may name a proxy.
    """
    return _Curl(stdin, folder).read(words, environ)


class _Curl:
    def __init__(self, stdin: str | None, folder: str) -> None:
        self.draft = Draft("curl")
        self._stdin, self._folder = stdin, folder
        self._seen: set[str] = set()
        self._take: dict[str, Callable[[str], None]] = {
            "": self.draft.urls.append, "url": self.draft.urls.append,
            "request": self._method, "header": self._header,
            "data": self._data, "data-ascii": self._data, "data-raw": self.draft.data.append,
            "data-binary": self._binary, "data-urlencode": self._encoded, "json": self._json,
            "user": self._user, "oauth2-bearer": self._bearer, "max-time": self._timeout,
            "retry": self._retry, "retry-delay": self._retry_delay,
            "max-redirs": self._redirects, "output": self._output, "cacert": self._ca,
            "cert": self._cert, "key": self._key, "proxy": self._proxy, "noproxy": self._noproxy,
            "user-agent": self._agent, "referer": self._referer, "cookie": self._cookie,
        }  # fmt: skip

    def read(self, words: Sequence[str], environ: Mapping[str, str]) -> Draft:
        draft = self.draft
        for name, value in _OPTIONS.read(words):
            self._seen.add(name)
            if take := self._take.get(name):
                take(value)
        self._flags()
        if not draft.urls:
            raise NotUnderstood("curl: names no URL")
        if "globoff" not in self._seen and any(_stands_for_several(url) for url in draft.urls):
            raise NotUnderstood("curl: brackets in a URL stand for several")
        if not draft.proxy and not draft.no_proxy:
            draft.proxy = proxy_of(environ, draft.urls, PROXIES)
        return draft

    def _flags(self) -> None:
        draft, seen = self.draft, self._seen
        draft.tls_verify = "insecure" not in seen
        draft.as_query, draft.head = "get" in seen, "head" in seen
        draft.follows = "location" in seen
        if draft.follows and "max-redirs" not in seen:
            draft.redirects = MOST_REDIRECTS
        if draft.follows and draft.method not in ("", "GET", "HEAD"):
            draft.follows = False
            draft.note("curl repeats -X where -L leads; here a redirect of this call is a failure")
        if "json" in seen and seen & _OTHER_DATA:
            raise NotUnderstood("curl: --json beside other data, or -G")
        if draft.head and draft.data and not draft.as_query:
            raise NotUnderstood("curl: -I beside data")
        if not seen & {"fail", "fail-with-body"}:
            draft.note("curl without -f takes an error page for a success; here it is a failure")
        if "remote-name" in seen or "remote-name-all" in seen:
            raise NotUnderstood("curl: keeps the answer in a file (-O)")
        if "parallel" in seen and len(draft.urls) > 1:
            raise NotUnderstood(_PARALLEL)

    def _method(self, value: str) -> None:
        self.draft.method = value.upper()

    def _header(self, value: str) -> None:
        if value.startswith("@"):
            raise NotUnderstood("curl: headers out of a file")
        self.draft.header(value)

    def _data(self, value: str) -> None:
        text = self._from_stdin(value, "data")
        self.draft.data.append(text.replace("\n", "") if value.startswith("@") else text)

    def _binary(self, value: str) -> None:
        self.draft.data.append(self._from_stdin(value, "data-binary"))

    def _json(self, value: str) -> None:
        self.draft.data.append(self._from_stdin(value, "json"))
        self.draft.joined_by, self.draft.content_type = "", JSON
        if not any(name.lower() == "accept" for name in self.draft.headers):
            self.draft.header(f"Accept: {JSON}")

    def _from_stdin(self, value: str, option: str) -> str:
        if not value.startswith("@"):
            return value
        if value == "@-" and self._stdin is not None:
            if self.draft.reads_input:
                raise NotUnderstood(READ_TWICE)
            self.draft.reads_input = True
            return self._stdin
        raise NotUnderstood(f"curl: --{option} out of a file")

    def _encoded(self, value: str) -> None:
        name, equals, content = value.partition("=")
        if "@" in (name if equals else value):
            raise NotUnderstood("curl: --data-urlencode out of a file")
        if not equals:
            name, content = "", value
        encoded = quote(content, safe=TODAY).replace(quote(TODAY), TODAY)
        self.draft.data.append(f"{name}={encoded}" if name else encoded)

    def _user(self, value: str) -> None:
        if ":" not in value:
            raise NotUnderstood("curl: -u without a password asks for one")
        self.draft.user = value

    def _bearer(self, value: str) -> None:
        self.draft.bearer = value

    def _timeout(self, value: str) -> None:
        self.draft.timeout = seconds("curl", value) or None

    def _retry(self, value: str) -> None:
        self.draft.retries = count("curl", value)

    def _retry_delay(self, value: str) -> None:
        self.draft.retry_delay = seconds("curl", value)

    def _redirects(self, value: str) -> None:
        self.draft.redirects = (
            MOST_REDIRECTS if value == "-1" else min(count("curl", value), MOST_REDIRECTS)
        )

    def _output(self, value: str) -> None:
        self.draft.keep(value)

    def _ca(self, value: str) -> None:
        self.draft.tls_ca = self._path(value)

    def _cert(self, value: str) -> None:
        if ":" in value:
            raise NotUnderstood("curl: a client certificate with a password")
        self.draft.tls_cert = self._path(value)

    def _key(self, value: str) -> None:
        self.draft.tls_key = self._path(value)

    def _path(self, value: str) -> str:
        return absolute("curl", value, self._folder)

    def _proxy(self, value: str) -> None:
        self.draft.proxy = value
        self.draft.no_proxy |= not value

    def _noproxy(self, value: str) -> None:
        if value != "*":
            raise NotUnderstood("curl: --noproxy for some hosts")
        self.draft.no_proxy = True

    def _agent(self, value: str) -> None:
        self.draft.header(f"User-Agent: {value}")

    def _referer(self, value: str) -> None:
        if ";auto" in value:
            raise NotUnderstood("curl: -e with ;auto")
        self.draft.header(f"Referer: {value}")

    def _cookie(self, value: str) -> None:
        if "=" not in value:
            raise NotUnderstood("curl: cookies out of a file")
        self.draft.header(f"Cookie: {value}")


def _stands_for_several(url: str) -> bool:
    """Tell whether curl makes several URLs of one; an address of IPv6 has its brackets by right."""
    return bool(set(_IPV6.sub("", url, count=1)) & set("[]{}"))
