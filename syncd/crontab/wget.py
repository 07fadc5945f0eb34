"""wget(1) as a call: what fetches one URL, not what mirrors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from syncd.crontab.drafts import MOST_REDIRECTS, Draft, absolute, count, proxy_of, seconds
from syncd.crontab.options import options
from syncd.crontab.reasons import NotUnderstood

_FLAGS: Final = (
    "q/quiet v/verbose no-verbose S/server-response no-check-certificate spider no-proxy "
    "4/inet4-only 6/inet6-only auth-no-challenge no-cookies delete-after retry-connrefused "
    "no-http-keep-alive show-progress no-hsts no-config no-clobber"
)
_VALUED: Final = (
    "O/output-document post-data body-data method header T/timeout read-timeout t/tries user "
    "password http-user http-password ca-certificate certificate private-key U/user-agent referer "
    "max-redirect o/output-file a/append-output connect-timeout dns-timeout w/wait waitretry "
    "progress P/directory-prefix"
)
_OPTIONS: Final = options("wget", _FLAGS, _VALUED)
_PROXIES: Final = {"http": ("http_proxy",), "https": ("https_proxy",)}
_LETTERS: Final = {"-nv": "--no-verbose", "-nc": "--no-clobber"}


def read_wget(words: Sequence[str], folder: str, environ: Mapping[str, str]) -> Draft:
    """Read the words behind `wget`; raises NotUnderstood."""
    return _Wget(folder).read([_LETTERS.get(word, word) for word in words], environ)


class _Wget:
    def __init__(self, folder: str) -> None:
        self.draft = Draft("wget", redirects=MOST_REDIRECTS, follows=True)
        self._folder = folder
        self._user: str | None = None
        self._password: str | None = None
        self._take: dict[str, Callable[[str], None]] = {
            "": self.draft.urls.append, "post-data": self._post,
            "body-data": self._body,
            "method": self._method, "header": self.draft.header, "timeout": self._timeout,
            "read-timeout": self._timeout, "tries": self._tries, "user": self._name,
            "http-user": self._name, "password": self._secret, "http-password": self._secret,
            "ca-certificate": self._ca, "certificate": self._cert, "private-key": self._key,
            "user-agent": self._agent, "referer": self._referer, "max-redirect": self._redirects,
            "output-document": self.draft.keep, "directory-prefix": self.draft.keep,
        }  # fmt: skip

    def read(self, words: Sequence[str], environ: Mapping[str, str]) -> Draft:
        draft, seen = self.draft, set()
        for name, value in _OPTIONS.read(words):
            seen.add(name)
            if take := self._take.get(name):
                take(value)
        if {"post-data", "method"} <= seen:
            raise NotUnderstood("wget: --method beside --post-data")
        if not draft.urls:
            raise NotUnderstood("wget: names no URL")
        if "output-document" not in seen and not seen & {"spider", "delete-after"}:
            draft.keep()
        draft.tls_verify = "no-check-certificate" not in seen
        draft.head, draft.no_proxy = "spider" in seen, "no-proxy" in seen
        if (self._user is None) != (self._password is None):
            raise NotUnderstood("wget: a user without a password, or the reverse")
        if self._user is not None:
            draft.user = f"{self._user}:{self._password}"
        if not draft.no_proxy:
            draft.proxy = proxy_of(environ, draft.urls, _PROXIES)
        return draft

    def _post(self, value: str) -> None:
        self.draft.method = "POST"
        self._body(value)

    def _body(self, value: str) -> None:
        self.draft.data[:] = [value]  # the last one counts

    def _method(self, value: str) -> None:
        self.draft.method = value.upper()

    def _timeout(self, value: str) -> None:
        self.draft.timeout = seconds("wget", value) or None

    def _tries(self, value: str) -> None:
        tries = count("wget", value)
        self.draft.retries = tries - 1 if tries else None

    def _name(self, value: str) -> None:
        self._user = value

    def _secret(self, value: str) -> None:
        self._password = value

    def _ca(self, value: str) -> None:
        self.draft.tls_ca = absolute("wget", value, self._folder)

    def _cert(self, value: str) -> None:
        self.draft.tls_cert = absolute("wget", value, self._folder)

    def _key(self, value: str) -> None:
        self.draft.tls_key = absolute("wget", value, self._folder)

    def _agent(self, value: str) -> None:
        self.draft.header(f"User-Agent: {value}")

    def _referer(self, value: str) -> None:
        self.draft.header(f"Referer: {value}")

    def _redirects(self, value: str) -> None:
        self.draft.redirects = min(count("wget", value), MOST_REDIRECTS)
