"""All that libpq is told, so that nothing is left to the environment or to files of our user.

libpq fills what it is not told from PG* variables, ~/.pgpass and ~/.postgresql/ (libpq, chapters
"Environment Variables", "The Password File" and "SSL Support"). Each parameter is given here: ours,
else libpq's own default, else an empty text, which it takes for none. Only PGSERVICE can't be told
away: what its service says is overruled, but the service has to exist.
"""

import re
import ssl
from pathlib import Path
from typing import Final

from psycopg.pq import Conninfo

from syncd.engines.base import ServerAccess, Tls

_NO_FILE: Final = "/dev/null/none"  # one that can't exist: libpq warns of what is no plain file
_BUNDLES: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")

_FIXED: Final = {
    "application_name": "syncd",
    "client_encoding": "UTF8",
    "passfile": _NO_FILE,
    "gssencmode": "disable",
    "require_auth": "!sspi",  # any but Windows' own: an empty list would be none
    "sslcrl": _NO_FILE,
    "min_protocol_version": "3.0",
    "max_protocol_version": "3.0",
    # a server that a network no longer reaches is noticed in some 20 s (tcp(7))
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "2",
    "tcp_user_timeout": "20000",
}


def parameters(access: ServerAccess, database: str) -> dict[str, str]:
    """Return the parameters of a connection, its password among them.

    Raises ConfigurationError when the password can't be read.
    """
    ours = {
        **_FIXED,
        **_tls(access.tls),
        "host": access.host,
        "port": str(access.port),
        "user": access.user,
        "password": access.password() or "",
        "dbname": database,
        "options": " ".join(f"-c {name}={_word(text)}" for name, text in access.options.items()),
        "connect_timeout": "3600",  # the connection itself looks at the time
    }
    known = {option.keyword.decode(): option for option in Conninfo.get_defaults()}
    others = {
        name: (option.compiled or b"").decode()
        for name, option in known.items()
        if option.envvar and name != "service"  # an empty one would be looked for
    }
    return others | {name: value for name, value in ours.items() if name in known}


def _word(text: str) -> str:
    """Return a text as one word of `options` (libpq, "Parameter Key Words": options)."""
    return re.sub(r"([\\\s])", r"\\\1", text)


def _tls(tls: Tls) -> dict[str, str]:
    """Return what is said of TLS; who is trusted is never looked up in the home directory."""
    own = {"sslcert": str(tls.cert), "sslkey": str(tls.key)} if tls.cert and tls.key else {}
    mode, trusted = str(tls.mode), str(tls.ca or _NO_FILE)
    if mode.startswith("verify-") and not tls.ca:
        trusted = _authorities()
        if trusted == "system":
            mode = "verify-full"  # without the name libpq does not take the system's
    return {
        "sslmode": mode,
        "sslrootcert": trusted,
        "sslcertmode": "allow" if own else "disable",
        **own,
    }


def _authorities() -> str:
    """Return the file of the system's authorities, or the word by which libpq looks for it.

    The OpenSSL of psycopg's own packages looks in a place of its own, where there are none.
    """
    files = (ssl.get_default_verify_paths().cafile, *_BUNDLES)
    return next((file for file in files if file and Path(file).is_file()), "system")
