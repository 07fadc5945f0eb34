"""Checks of the channels of notifications: whether they could be told something; nothing is sent.

`syncd notify test` sends a message, and is what tells whether a token or a signature is right.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from syncd.config.fields import is_loopback
from syncd.config.notify import Channel, Email, HttpChannel
from syncd.config.references import leaves
from syncd.config.secrets import Secret
from syncd.context import CancelSource, Deadline
from syncd.doctor.case import CALL_LIMIT, Case
from syncd.doctor.finding import Finding, Unknown, failed, ok, span, warning
from syncd.errors import (
    Authentication,
    ConfigurationError,
    SyncdError,
    Unexpected,
    describe,
)
from syncd.telemetry.notify import posting, smtp

_SLOW: Final = 3.0  # seconds

OfChannel = Callable[[str, Channel], Finding]


def names(case: Case) -> list[str]:
    """Return the channels that are told."""
    return [name for name, channel in case.config.notify.items() if channel.enabled]


def of_channels(check: OfChannel) -> Callable[[Case, str], Iterator[Finding]]:
    """Return a check of one channel, by name, that gives the finding the channel as subject."""

    def run(case: Case, name: str) -> Iterator[Finding]:
        channel = case.config.notify[name]
        if case.offline:
            raise Unknown("not asked, for --offline")
        secrets = [value for _, value in leaves(channel, ()) if isinstance(value, Secret)]
        if any(case.unknowable(secret) for secret in secrets):
            raise Unknown("a secret of it can only be read by the service, and no daemon answers")
        yield replace(check(name, channel), subject=name)

    return run


def reachable(name: str, channel: Channel) -> Finding:
    """Ask the other side for nothing: name, connection, TLS, an answer; of mail the log-in, too."""
    limits, began = (Deadline.after(CALL_LIMIT), CancelSource().token), time.monotonic()
    try:
        match channel:
            case HttpChannel():
                told = f"{_host(channel)} answers {posting.probe(channel, *limits)}"
            case Email():
                told = smtp.converse(channel, *limits, lambda _: _greeted(channel))
            case _:
                raise Unknown("there is nothing that could be asked")
    except SyncdError as error:
        return refusal(error, name)
    seconds = time.monotonic() - began
    told = f"{told}, in {span(seconds)}"
    slow = seconds > _SLOW
    return warning(told, "see the network's way to it") if slow else ok(told)


def refusal(error: SyncdError, name: str) -> Finding:
    """Say what to do about a channel that can't be reached."""
    table, told = f"[notify.{name}]", describe(error)
    match error:
        case ConfigurationError():
            advice = f"mend {table}, or what it names"
        case Authentication():
            advice = f"see user and password in {table}"
        case Unexpected():
            advice = f"see host, port and tls in {table}"
        case _ if "certificate" in told:
            advice = (
                f"see tls_ca in {table}, and that the certificate is in force and names the host"
            )
        case _:
            advice = f"see DNS, firewall and proxy of this machine, and what {table} names"
    return failed(told, advice)


def encrypted(name: str, channel: Channel) -> Finding:
    """Judge whether somebody on the way could read what is sent, and the secrets with it."""
    host, tls = _end(channel)
    if tls:
        return ok("the certificate and name of the other side are verified")
    if is_loopback(host):
        return ok("it does not leave this machine")
    advice = f"have the other side offer TLS, and use it in [notify.{name}]"
    return warning(f"what is sent goes to {host} unencrypted", advice)


def _end(channel: Channel) -> tuple[str, bool]:
    """Return the host of a channel, and whether it is spoken to with TLS."""
    if isinstance(channel, Email):
        return channel.host, channel.tls != "none"
    if isinstance(channel, HttpChannel):
        try:
            return _host(channel), urlsplit(posting.address(channel)).scheme == "https"
        except ConfigurationError as error:
            raise Unknown("its URL can't be read") from error
    raise Unknown("it goes nowhere that is known")


def _host(channel: HttpChannel) -> str:
    return urlsplit(posting.address(channel)).hostname or ""


def _greeted(channel: Email) -> str:
    """Return what a mail server took of us before a mail would begin."""
    how = {"none": "", "tls": " over TLS", "starttls": " after STARTTLS"}[channel.tls]
    return f"{channel.host} takes {f'user {channel.user}' if channel.user else 'us'}{how}"
