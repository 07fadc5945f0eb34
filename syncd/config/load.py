"""From the files and the environment to one valid, frozen configuration, or to all its problems.

pydantic-settings puts the sources in order and validates; the sources are our own, since its TOML
source merges two files' tables silently, reads a missing file as empty, and its environment source
ignores a misspelt variable.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from syncd.config.calendar_files import take_calendars
from syncd.config.configuration import Config, Tables
from syncd.config.environment import directories, read_variables
from syncd.config.files import FileSet, read_files
from syncd.config.problems import ConfigInvalid, Places, Problem, explain
from syncd.config.references import broken_references, cross_checks, missing_secrets

# With PYDANTIC_SETTINGS_DEBUG set, the library would log the values, inline secrets among them.
logging.getLogger("pydantic_settings").disabled = True


class Source(PydanticBaseSettingsSource):
    """Tables that were read before, so that every source's problems are told together."""

    def __init__(self, settings_cls: type[BaseSettings], tables: Mapping[str, Any]) -> None:
        super().__init__(settings_cls)
        self._tables = dict(tables)

    def __call__(self) -> dict[str, Any]:
        """Return the tables."""
        return self._tables

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return one of the tables."""
        return self._tables.get(field_name), field_name, self.field_is_complex(field)


class DirectorySource(Source):
    """The directories that the environment names, which depend on what the others say."""

    def __call__(self) -> dict[str, Any]:
        """Return the directories that nothing before named."""
        return directories(self._tables, self.current_state)


class Settings(Tables, BaseSettings):
    """The tables, filled from variables, then files, then the directories of the environment."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", strict=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library names them
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put our sources, which come as arguments, in their order: the first wins."""
        given = init_settings.init_kwargs if isinstance(init_settings, InitSettingsSource) else {}
        return (
            Source(settings_cls, given["variables"]),
            Source(settings_cls, given["files"]),
            DirectorySource(settings_cls, given["environ"]),
        )


def load(
    main_file: Path,
    environ: Mapping[str, str] = os.environ,
    *,
    check_secrets: bool = False,
    outside: bool = False,
) -> Config:
    """Read, validate and freeze the configuration; connects nowhere.

    With `check_secrets`, every reference of an enabled account and the store must give a value;
    `outside` of the service, but for credentials that systemd gives to the service alone.
    Raises ConfigInvalid with all problems.
    """
    files = read_files(main_file)
    return validate(main_file, files, environ, check_secrets=check_secrets, outside=outside)


def validate(
    main_file: Path,
    files: FileSet,
    environ: Mapping[str, str] = os.environ,
    *,
    check_secrets: bool = False,
    outside: bool = False,
) -> Config:
    """Do the same with files that were read before, as if they stood where `main_file` does."""
    variables = read_variables(environ)
    problems = [*files.problems, *variables.problems]
    places = Places(str(main_file), files.lines, variables.names)
    problems += take_calendars(files.tables, main_file.parent)
    problems += [] if files.broken else broken_references(files.tables, places)
    sources: dict[str, Any] = {
        "variables": variables.tables, "files": files.tables, "environ": environ,
    }  # fmt: skip
    try:
        tables = Settings(**sources)
    except ValidationError as error:
        raise ConfigInvalid([*problems, *explain(error, files.tables, places)]) from None
    problems += cross_checks(tables, places)
    if check_secrets:
        problems += missing_secrets(tables, places, environ, outside=outside)
    if problems:
        raise ConfigInvalid(problems)
    return Config.of(tables, tuple(files.sources))


__all__ = ["Config", "ConfigInvalid", "Problem", "load", "validate"]
