"""How a connection over a socket of ours is encrypted, and whom it trusts."""

import ssl

from syncd.engines.base import Tls
from syncd.errors import ConfigurationError


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Return the context of a mode that encrypts.

    `prefer` and `require` encrypt without asking who answers, as MySQL's own `REQUIRED` does;
    `verify-ca` asks for a certificate that is trusted, `verify-full` for one of the host, too.
    Raises ConfigurationError when a file can't be read or holds no PEM.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = tls.mode == "verify-full"
    if not tls.mode.startswith("verify"):
        context.verify_mode = ssl.CERT_NONE
    try:
        if tls.ca is not None:
            context.load_verify_locations(tls.ca)
        else:
            context.load_default_certs()
    except OSError as error:
        raise ConfigurationError(f"tls_ca {tls.ca} can't be used: {error.strerror}") from error
    try:
        if tls.cert is not None:
            context.load_cert_chain(tls.cert, tls.key, lambda: b"")
    except OSError as error:
        raise ConfigurationError(
            f"tls_cert {tls.cert} can't be used with its key: {error.strerror}"
        ) from error
    return context
