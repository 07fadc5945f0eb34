"""What a command line asks for, before it is put into the words of a job."""

from dataclasses import dataclass, field
from typing import Final, get_args

from syncd.config.http import Method
from syncd.crontab.reasons import NotUnderstood

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"
KEPT: Final = "{program} keeps the answer in a file, syncd its beginning in the records"
METHODS: Final = get_args(Method)


@dataclass(slots=True)
class Draft:
    """A call of curl, wget or a wrapper; texts may hold TODAY, and secrets are still inside."""

    program: str
    urls: list[str] = field(default_factory=list)
    method: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    data: list[str] = field(default_factory=list)
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

    def header(self, line: str) -> None:
        """Take a header as it is sent; `Name:` takes one out, `Name;` sends an empty one."""
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if not colon:
            if not line.rstrip().endswith(";"):
                raise NotUnderstood(f"{self.program}: a header without a colon")
            raise NotUnderstood(f"{self.program}: an empty header")
        if not value or name.lower() == "content-length":
            return
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
