"""The engines that exist. A line here and a package beside it add one.

A driver is imported when the first of its servers is looked at.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Final, cast

from syncd.engines.base import Engine, ServerAccess
from syncd.errors import ConfigurationError

ENGINES: Final = {
    "postgresql": ("syncd.engines.postgresql.engine", "PostgreSQL"),
    "mysql": ("syncd.engines.mysql.engine", "MySQL"),
}
"""Name in the configuration → module and class."""


def build(access: ServerAccess) -> Engine:
    """Return the engine of a server, which any number of threads may use.

    Raises ConfigurationError for an engine that does not exist.
    """
    if access.engine not in ENGINES:
        raise ConfigurationError(f"server {access.name}: no engine {access.engine!r}")
    module, name = ENGINES[access.engine]
    return cast(Callable[[ServerAccess], Engine], getattr(import_module(module), name))(access)
