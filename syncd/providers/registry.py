"""The providers that exist. A line here and a package beside it add one.

A provider's SDK is imported when the first of its accounts is built, since each takes some 10 MiB
and a tenth of a second.
"""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Final, cast

from syncd.errors import ConfigurationError
from syncd.http_client import HttpClient
from syncd.providers.base import AccountAccess, ApiObserver, Provider
from syncd.providers.calls import PATIENCE, Caller, Patience, unobserved
from syncd.providers.limiter import Limiters

PROVIDERS: Final = {
    "aliyun": ("syncd.providers.aliyun", "Aliyun"),
    "tencent": ("syncd.providers.tencent", "Tencent"),
}
"""Name in the configuration → package and class."""


def build(
    access: AccountAccess,
    http: HttpClient,
    *,
    patience: Patience = PATIENCE,
    observe: ApiObserver = unobserved,
) -> Provider:
    """Return the provider of an account, which any number of threads may use.

    It holds the account's limiters, so there should be one for each account and process, built
    when the account is first used. `http` must use the account's proxy. ConfigurationError for a
    provider that does not exist.
    """
    if access.provider not in PROVIDERS:
        raise ConfigurationError(f"account {access.name}: no provider {access.provider!r}")
    if access.endpoint:
        access = replace(access, endpoint=access.endpoint.rstrip("/"))
    package, name = PROVIDERS[access.provider]
    client = import_module(f"{package}.client")
    make = cast(Callable[[Caller], Provider], getattr(import_module(f"{package}.provider"), name))
    limiters = Limiters(access.requests_per_second or client.REQUESTS_PER_SECOND)
    return make(Caller(access, http, limiters, patience, observe))
