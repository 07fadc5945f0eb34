"""What a command line asks for, before it is put into the words of a job."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, get_args

from syncd.config.http import Method
from syncd.crontab.reasons import NotUnderstood
from syncd.crontab.secret_words import masked

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"
METHODS: Final = get_args(Method)
MOST_REDIRECTS: Final = 10  # of ours; curl follows 50, wget 20
_NOWHERE: Final = re.compile(r"-|/dev/(?:null|stdout|stderr|fd/[0-9]+)")
_PASSING: Final = re.compile(r"/(?:var/)?tmp/.*|/var/log/.*|.*\.(?:log|out|err|txt)", re.DOTALL)
_TAKEN_OUT: Final = frozenset({"accept", "connection", "expect", "user-agent"})
"""Headers of curl's own that a line may do without: no server does anything else then."""


@dataclass(slots=True)
class Draft:
    """A call of curl, wget or a wrapper; texts may hold TODAY, and secrets are still inside."""

    program: str
    urls: list[str] = field(default_factory=list)
    method: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    data: list[str] = field(default_factory=list)
    reads_input: bool = False
    joined_by: str = "&"
    content_type: str = FORM
    user: str | None = None
    bearer: str | None = None
    timeout: float | None = None
    redirects: int = 0
    follows: bool = False
    tls_verify: bool = True
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    proxy: str = ""
    no_proxy: bool = False
    token: str = ""
    retries: int | None = None
    retry_delay: float = 0
    as_query: bool = False
    head: bool = False
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Remember what differs; said once."""
        if text not in self.notes:
            self.notes.append(text)

    def keep(self, path: str = "") -> None:
        """Tell of a file for the answer, "" for one that nobody named.

        Raises NotUnderstood for one that is neither a log nor thrown away: somebody reads it.
        """
        if _NOWHERE.fullmatch(path):
            return
        if path and not _PASSING.fullmatch(path):
            raise NotUnderstood(f"{self.program}: keeps the answer in {masked(path)}")
        self.note(f"{self.program} keeps the answer in a file, syncd its beginning in the records")

    def header(self, line: str) -> None:
        """Take a header as it is sent; `Name:` takes one out, `Name;` sends an empty one."""
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if not colon:
            if not line.rstrip().endswith(";"):
                raise NotUnderstood(f"{self.program}: a header without a colon")
            raise NotUnderstood(f"{self.program}: an empty header")
        if name.lower() == "content-length" or (not value and name.lower() in _TAKEN_OUT):
            return
        if not value:
            raise NotUnderstood(f"{self.program}: takes the header {name[:40]} out")
        known = next((each for each in self.headers if each.lower() == name.lower()), None)
        if known and self.headers[known] != value:
            raise NotUnderstood(f"{self.program}: the header {name[:40]} stands twice")
        self.headers[known or name] = value

    def take_header(self, name: str) -> str | None:
        """Return a header's value and take it out; None where there is none."""
        found = next((each for each in self.headers if each.lower() == name), None)
        return self.headers.pop(found) if found else None


def seconds(program: str, text: str, units: str = "") -> float:
    """Return a number of seconds as programs take it, with a unit of those allowed."""
    factors = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    unit = text[-1:] if text[-1:] and text[-1:] in units else ""
    number = text.removesuffix(unit)
    plain = number.replace(".", "", 1)
    if not (plain.isascii() and plain.isdecimal() and len(plain) <= 9):
        raise NotUnderstood(f"{program}: a time that is no number")
    return float(number) * factors.get(unit, 1)


def count(program: str, text: str) -> int:
    """Return a number as programs take it."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):
        raise NotUnderstood(f"{program}: a count that is no number")
    return int(text)


def absolute(program: str, path: str, folder: str) -> str:
    """Return the path of a file, which a `cd` may have gone to; raises NotUnderstood."""
    if path.startswith("/"):
        return path
    if not folder or path.startswith("~"):
        raise NotUnderstood(f"{program}: a file named without its folder")
    return f"{folder.rstrip('/')}/{path.removeprefix('./')}"


def proxy_of(
    environ: Mapping[str, str], urls: Sequence[str], known: Mapping[str, Sequence[str]]
) -> str:
    """Return the proxy of URLs, "" for none; `known` has the variables for http and https.

    Raises NotUnderstood where not all URLs have the same one.
    """
    found = set()
    for url in urls:
        names = known["https" if url.lower().startswith("https:") else "http"]
        found.add(next((environ[name] for name in names if environ.get(name)), ""))
    if len(found) > 1:
        raise NotUnderstood("a proxy for some of the URLs")
    if found != {""} and (environ.get("no_proxy") or environ.get("NO_PROXY")):
        raise NotUnderstood("a proxy for some hosts (no_proxy)")
    return found.pop()
