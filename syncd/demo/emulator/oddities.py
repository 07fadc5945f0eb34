"""Names, tags and addresses as odd as those found in real accounts, from a seeded generator."""

from random import Random
from typing import Final

ROLES: Final = ("web", "api", "db", "cache", "worker", "gateway", "batch", "ci")
STAGES: Final = ("prod", "staging", "test", "dev")
TEAMS: Final = ("billing", "search", "search", "growth", "платформа", "数据平台")

ODD_NAMES: Final = (
    "支付网关-生产-01",
    "база данных (резерв)",
    "rocket 🚀 launcher 👩‍💻",
    "O'Brien's \"main\" server",
    r"C:\hosts\old\n",
    "  two leading spaces",
    "trailing space ",
    "'; DROP TABLE resource; --",
    "<b>bold</b> & \u200bzero\u200bwidth",
    "e\u0301 is not é",
    "שרת-ראשי",
    "null",
    "100%_done {x} %s",
    "tab\there",
)


def code(rng: Random, length: int) -> str:
    """Return random hexadecimal digits for ids (letters beyond f would cost six times as much)."""
    return f"{rng.getrandbits(4 * length):0{length}x}"


def name(rng: Random) -> str:
    """Return the name of a host; about one in six is odd, some have all 128 characters."""
    draw = rng.random()
    plain = f"{rng.choice(ROLES)}-{rng.choice(STAGES)}-{rng.randrange(10_000):04d}"
    if draw < 0.03:
        return (plain + "·長" * 64)[:128]
    return f"{rng.choice(ODD_NAMES)} {plain[-4:]}"[:128] if draw < 0.17 else plain


def tags(rng: Random) -> list[tuple[str, str]]:
    """Return tags: often none, mostly a few, sometimes 34 (the most that was seen on one host)."""
    draw = rng.random()
    if draw < 0.35:
        return []
    found = [
        ("team", rng.choice(TEAMS)),
        ("stage", rng.choice(STAGES)),
        ("cost center", f"{rng.randrange(9_000)}"),
        ("acs:rm:group", ""),
        ("备注", 'says "hi" \\ 🎉'),
    ][: rng.randint(1, 5)]
    if draw > 0.98:
        found += [(f"label-{n:02d}", code(rng, 12)) for n in range(34 - len(found))]
    return found


def private_ip(rng: Random) -> str:
    """Return a private address; they repeat, as they do between the VPCs of a region."""
    return f"10.{rng.randrange(4)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"


def public_ip(rng: Random) -> str:
    """Return an address of the blocks kept for documentation and benchmarks (RFC 5737, 2544)."""
    return f"198.{rng.choice((18, 19))}.{rng.randrange(256)}.{rng.randrange(1, 255)}"


def ipv6(rng: Random) -> str:
    """Return an address of the documentation block (RFC 3849)."""
    return (
        f"2001:db8:{rng.randrange(65536):x}:{rng.randrange(65536):x}::{rng.randrange(1, 65536):x}"
    )


def day(rng: Random, first: int, last: int) -> str:
    """Return a date of the years from first to last as YYYY-MM-DD."""
    return f"{rng.randint(first, last)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"


def other(rng: Random, choices: tuple[str, ...], present: str) -> str:
    """Return one of the choices that is not the present one."""
    return rng.choice([choice for choice in choices if choice != present])
