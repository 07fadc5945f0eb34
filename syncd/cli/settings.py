"""What every command knows: the configuration file, and what can be taken from it.

A command that only talks to the daemon must work while the file is broken: then the control socket
is looked for where the file, as far as it can be read, puts it.
"""

import os
from datetime import tzinfo
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from syncd.errors import ConfigurationError

DEFAULT_FILE: Final = Path("/etc/syncd/syncd.toml")


class Settings:
    """The configuration as far as a command asks for it; nothing is read before."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.doubt: ConfigurationError | None = None  # why `socket` may be wrong

    @cached_property
    def config(self) -> Any:  # noqa: ANN401 - Config, whose import would be paid by every command
        """The valid configuration; raises ConfigInvalid."""
        from syncd.config.load import load

        return load(self.file)

    @cached_property
    def socket(self) -> Path:
        """The control socket of the daemon that uses this configuration."""
        try:
            return Path(self.config.listen.control)
        except ConfigurationError as error:
            self.doubt = error
            return Path(_likely_socket(self.file))

    @cached_property
    def zone(self) -> tzinfo:
        """The zone in which times are shown."""
        try:
            return ZoneInfo(self.config.timezone)
        except ConfigurationError:
            return ZoneInfo("UTC")


def _likely_socket(file: Path) -> str:
    """Return the control socket that an invalid configuration seems to ask for."""
    from syncd.config.environment import directories
    from syncd.config.files import read_files

    tables = read_files(file).tables
    listen = tables.get("listen")
    named = listen.get("control") if isinstance(listen, dict) else None
    return named if isinstance(named, str) else directories(os.environ, tables)["listen"]["control"]
