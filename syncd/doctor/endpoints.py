"""Checks of the servers that HTTP jobs call and log in at: whether they may be, and answer.

No request is sent: a connection is made, and TLS set up, as a call would.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from syncd import http_tls, resolver
from syncd.config import hosts, templates
from syncd.config.configuration import Config
from syncd.config.http import Connection
from syncd.config.jobs import HttpJob
from syncd.context import CancelSource, Deadline
from syncd.doctor.case import CALL_LIMIT, Case, now
from syncd.doctor.finding import Finding, Unknown, failed, ok, span, warning
from syncd.errors import ConfigurationError, TimedOut
from syncd.http_client import Origin, origin
from syncd.http_tls import TlsFiles

_SOON: Final = 14 * 86_400.0  # seconds that a certificate should still be good
_SLOW: Final = 2.0  # seconds for a connection

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server, and a way in which calls reach it."""

    origin: Origin
    proxy: str | None
    tls: TlsFiles

    @property
    def name(self) -> str:
        """Return `host:port`."""
        return f"{self.origin.host}:{self.origin.port}"

    @property
    def connects_to(self) -> tuple[str, int]:
        """Return host and port of the connection itself."""
        if self.proxy is None:
            return self.origin.host.strip("[]"), self.origin.port
        parts = urlsplit(self.proxy)
        return parts.hostname or "", parts.port or 80


OfEndpoint = Callable[[Endpoint], Finding]


def names(case: Case) -> list[str]:
    """Return the servers that enabled jobs call or log in at."""
    return list(dict.fromkeys(each.name for each in _endpoints(case.config)))


def of_endpoints(check: OfEndpoint) -> Callable[[Case, str], Iterator[Finding]]:
    """Return a check of one server, by name, for each way in which it is reached."""

    def run(case: Case, name: str) -> Iterator[Finding]:
        if case.offline:
            raise Unknown("not asked, for --offline")
        for each in _of(case, name):
            if not _may_be_called(case, each):
                raise Unknown("it may not be called")
            yield replace(check(each), subject=name)

    return run


def allowed(case: Case, name: str) -> Finding:
    """Judge whether [http] lets calls go there."""
    if not case.config.http.allow_hosts:
        return ok("as any host, without [http] allow_hosts", subject=name)
    if all(_may_be_called(case, each) for each in _of(case, name)):
        return ok("by [http] allow_hosts", subject=name)
    advice = "add it to allow_hosts in [http], or mend the URL"
    return failed("it is not among allow_hosts of [http]", advice, subject=name)


def reachable(endpoint: Endpoint) -> Finding:
    """Connect."""
    began = time.monotonic()
    advice = "see DNS, firewalls and routes of this machine, and host and port in the URL"
    try:
        _connected(endpoint, lambda _: None)
    except TimedOut:
        return failed(f"no answer within {span(CALL_LIMIT)}", advice)
    except OSError as error:
        return failed(error.strerror or str(error), advice)
    took = time.monotonic() - began
    told = f"{'its proxy' if endpoint.proxy else 'it'} answers in {span(took)}"
    slow = "see the network's way to it, and its load"
    return warning(told, slow) if took > _SLOW else ok(told)


def tls(endpoint: Endpoint) -> Finding:
    """Judge whether somebody in between could read, or pretend to be the server."""
    if endpoint.origin.scheme == "http":
        return judge_plain(endpoint.origin.host)
    if endpoint.proxy:
        raise Unknown("it is reached through a proxy, which would have to be asked")
    try:
        version, until = _connected(endpoint, lambda sock: _handshake(sock, endpoint))
    except ConfigurationError as error:
        return failed(str(error), "mend tls_ca, tls_cert or tls_key of the request")
    except ssl.SSLCertVerificationError as error:
        advice = "see the server's certificate, and tls_ca of the request for one of your own"
        return failed(f"certificate refused: {error.verify_message}", advice)
    except ssl.SSLError as error:
        return failed(f"no TLS: {error.reason or error}", "see the scheme and port of the URL")
    except (OSError, TimedOut) as error:
        raise Unknown("it can't be connected to") from error
    return judge_certificate(version, until, now())


def judge_plain(host: str) -> Finding:
    """Judge a connection without TLS by how far it goes."""
    if _loopback(host):
        return ok("none, and it does not leave this machine")
    told = "none: what is sent, tokens and passwords too, goes over the network unencrypted"
    return warning(told, "have the server offer TLS, and use https in the URL")


def judge_certificate(version: str, until: datetime | None, moment: datetime) -> Finding:
    """Judge how long a certificate is still good, None for one that was not verified."""
    if until is None:
        told = f"{version}; the certificate is not verified (tls_verify = false)"
        return warning(told, "name the authority in tls_ca instead: else anybody can answer")
    left = (until - moment).total_seconds()
    told = f"{version}; the certificate is verified, and good for {span(left)}"
    return warning(told, "have the server's certificate renewed") if left < _SOON else ok(told)


def _endpoints(config: Config) -> Iterator[Endpoint]:
    for url, way in _messages(config):
        filled = templates.fill(url, dict.fromkeys(templates.names(url), "x"))
        files = TlsFiles(way.tls_ca, way.tls_cert, way.tls_key, way.tls_verify)
        yield Endpoint(origin(filled), way.proxy, files)


def _messages(config: Config) -> Iterator[tuple[str, Connection]]:
    """Yield all URLs that are called, and how."""
    jobs = config.enabled_jobs().values()
    for call in (call for job in jobs if isinstance(job, HttpJob) for call in job.steps):
        yield call.request.url, call.request
        if call.poll and call.poll.url:
            yield call.poll.url, call.request
    for name in dict.fromkeys(name for job in jobs for name in job.enabled_tokens()):
        source = config.token(name).source
        yield source.url, source


def _of(case: Case, name: str) -> list[Endpoint]:
    return list(dict.fromkeys(each for each in _endpoints(case.config) if each.name == name))


def _may_be_called(case: Case, endpoint: Endpoint) -> bool:
    place = endpoint.origin
    return hosts.allowed(case.config.http.allow_hosts, place.host, place.port)


def _connected(endpoint: Endpoint, then: Callable[[socket.socket], T]) -> T:
    """Do something with a connection; raises OSError and TimedOut."""
    deadline, cancel = Deadline.after(CALL_LIMIT), CancelSource().token
    addresses = resolver.addresses(*endpoint.connects_to, deadline, cancel)
    for left in range(len(addresses), 0, -1):
        family, kind, protocol, _, address = addresses[-left]
        with socket.socket(family, kind, protocol) as sock:
            sock.settimeout(max(deadline.remaining() / left, 0.001))
            try:
                sock.connect(address)
            except TimeoutError as error:
                if left == 1:
                    raise TimedOut("no connection within the time limit") from error
                continue
            except OSError:
                if left == 1:
                    raise
                continue
            sock.settimeout(max(deadline.remaining(), 0.001))
            return then(sock)
    raise OSError("its name has no address")


def _handshake(sock: socket.socket, endpoint: Endpoint) -> tuple[str, datetime | None]:
    """Set up TLS; return its version, and until when the certificate is good if it is verified."""
    context = http_tls.context(endpoint.tls)
    with context.wrap_socket(sock, server_hostname=endpoint.origin.host.strip("[]")) as secure:
        end: Any = (secure.getpeercert() or {}).get("notAfter")
        moment = datetime.fromtimestamp(ssl.cert_time_to_seconds(end), UTC) if end else None
        return secure.version() or "TLS", moment


def _loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
