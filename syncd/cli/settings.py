"""What every command knows: the configuration file, and what can be taken from it.

A command that only talks to the daemon must work while the file is broken: then the control socket
is looked for where the file, as far as it can be read, puts it.
"""

import os
from contextlib import suppress
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
        self.doubt: ConfigurationError | None = None  # why the two paths below may be wrong

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
            return Path(_likely(self.file, "listen", "control"))

    @cached_property
    def state_dir(self) -> Path:
        """The state directory of the daemon that uses this configuration."""
        try:
            return Path(self.config.daemon.state_dir)
        except ConfigurationError as error:
            self.doubt = error
            return Path(_likely(self.file, "daemon", "state_dir"))

    @cached_property
    def zone(self) -> tzinfo:
        """The zone in which times are shown."""
        try:
            return ZoneInfo(self.config.timezone)
        except ConfigurationError:
            return ZoneInfo("UTC")


def _likely(file: Path, table: str, key: str) -> str:
    """Return the path that an invalid configuration seems to ask for."""
    from syncd.config.environment import directories, read_variables

    written = _sound_tables(file)
    for tables in (read_variables(os.environ).tables, written):
        values = tables.get(table)
        named = values.get(key) if isinstance(values, dict) else None
        if isinstance(named, str):
            return named
    return str(directories(os.environ, written)[table][key])


def _sound_tables(file: Path) -> dict[str, Any]:
    """Return what the files say; of a main file that is no TOML, what stands before the mistake."""
    import tomllib

    from syncd.config.files import Unreadable, decode, read_files

    found = read_files(file)
    if not any(each.path == file for each in found.sources):
        return found.tables
    mistakes = [each.line for each in found.problems if each.file == str(file) and not each.key]
    for line in mistakes[:1]:
        with suppress(Unreadable, ValueError, RecursionError):
            head = decode(found.sources[0].content).split("\n")[: (line or 1) - 1]
            return {**tomllib.loads("\n".join(head)), **found.tables}
    return found.tables
