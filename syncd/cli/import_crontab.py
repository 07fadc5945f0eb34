"""`syncd import-crontab`: lines of a crontab that call an endpoint, as jobs of kind http."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from syncd.cli.screen import print_json, print_text, tell
from syncd.errors import BadRequest, ConfigurationError

if TYPE_CHECKING:
    from syncd.crontab.importing import Imported
    from syncd.crontab.jobs import Options
    from syncd.crontab.vault import Kept

_LARGEST: Final = 16 * 1024 * 1024
_SYSTEM: Final = (Path("/etc/crontab"), Path("/etc/cron.d"))
_FILE = click.Path(path_type=Path)


@click.command("import-crontab")
@click.argument("file", metavar="FILE|-", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--system",
    is_flag=True,
    help="The sixth column is a user, as it is by itself in /etc/crontab and /etc/cron.d.",
)
@click.option(
    "--wrapper",
    "patterns",
    multiple=True,
    metavar="PATTERN",
    help="A script that calls an endpoint, and how its words are read, such as "
    "'api-call.sh ENDPOINT [LOG]'; METHOD, BODY, TIMEOUT and words in lower case too.",
)
@click.option(
    "--base-url",
    default="",
    metavar="URL",
    help="What stands in front of the ENDPOINT of wrappers.",
)
@click.option("--method", default="", metavar="METHOD", help="What wrappers send; unset: GET.")
@click.option(
    "--token",
    default="",
    metavar="NAME",
    help="The table [tokens.NAME] from which calls of wrappers take their token.",
)
@click.option(
    "--timezone", "zone", default="", metavar="ZONE", help="Where cron ran. Unset: this machine's."
)
@click.option("--prefix", default="", metavar="TEXT", help="What the jobs' names begin with.")
@click.option(
    "--secrets",
    type=_FILE,
    metavar="DIR",
    help="Write the secrets to files there, for their owner alone.",
)
@click.option("--output", type=_FILE, metavar="FILE", help="Write the jobs there, not to stdout.")
@click.option("--force", is_flag=True, help="Replace the file of --output.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def import_crontab(
    ctx: click.Context,
    /,
    *,
    file: Path,
    secrets: Path | None,
    output: Path | None,
    force: bool,
    as_json: bool,
    **words: Any,  # noqa: ANN401 - what _options takes
) -> None:
    """Print the lines of a crontab that call an endpoint as jobs; nothing is run or changed.

    FILE is a crontab, - standard input. Lines with curl, wget or a wrapper script are understood;
    of every other one the reason is told and printed as a comment, and the exit status is 65.
    Secrets are not printed: a reference stands in their place, and where they belong is told.
    """
    from syncd.cli.main import INCOMPLETE
    from syncd.crontab.importing import import_crontab as read

    folder = Path(os.path.abspath(secrets)) if secrets else None  # noqa: PTH100 - links stay
    options = _options(file, folder, **words)
    if output is not None and not force and os.path.lexists(output):
        raise BadRequest(f"{output} is there already: --force replaces it")
    found = read(_content(file), options)
    if folder is not None:
        _write_secrets(folder, found.secrets)
    if output is not None:
        _write(output, found.toml)
    if as_json:
        print_json(_document(found))
    elif output is None:
        print_text(found.toml)
    _tell(found, folder)
    if found.left:
        ctx.exit(INCOMPLETE)


def _options(
    file: Path,
    secrets: Path | None,
    *,
    system: bool,
    patterns: tuple[str, ...],
    zone: str,
    prefix: str,
    **of_wrappers: str,
) -> "Options":
    """Return how the crontab is to be read; raises BadRequest for what makes no sense."""
    from zoneinfo import ZoneInfo

    from syncd.config.fields import NAME, NAME_RULE
    from syncd.crontab.jobs import Options
    from syncd.crontab.wrapper import parse_wrapper

    try:
        wrappers = tuple(parse_wrapper(each, **of_wrappers) for each in patterns)
    except ValueError as error:
        raise BadRequest(f"--wrapper: {error}") from error
    if of_wrappers["token"] and not NAME.fullmatch(of_wrappers["token"]):
        raise BadRequest(f"--token {NAME_RULE}")
    if prefix and not NAME.fullmatch(prefix[:32]):
        raise BadRequest(f"--prefix {NAME_RULE}")
    if len(prefix) > 32:
        raise BadRequest("--prefix must have at most 32 characters")
    zone = zone or _machine_zone()
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise BadRequest(f"--timezone: unknown time zone {zone!r}") from error
    system = system or file == _SYSTEM[0] or file.parent == _SYSTEM[1]
    return Options(system, wrappers, prefix, zone, secrets)


def _machine_zone() -> str:
    """Return the zone that /etc/localtime links to (localtime(5)), else that of /etc/timezone."""
    with suppress(OSError):
        if name := str(Path("/etc/localtime").readlink()).partition("zoneinfo/")[2]:
            return name
    with suppress(OSError, ValueError):
        if name := Path("/etc/timezone").read_text().strip():
            return name
    tell("this machine does not say its time zone: UTC is taken, --timezone says another")
    return "UTC"


def _content(file: Path) -> bytes:
    """Return what the crontab holds; raises ConfigurationError."""
    try:
        if str(file) == "-":
            content = sys.stdin.buffer.read(_LARGEST + 1)
        else:
            with file.open("rb") as stream:
                content = stream.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{file} can't be read: {reason}") from error
    if len(content) > _LARGEST:
        raise ConfigurationError(f"{file} is larger than {_LARGEST // 1024**2} MiB")
    return content


def _write(output: Path, text: str) -> None:
    from syncd.durable import write_whole

    try:
        write_whole(output, text.encode())
    except OSError as error:
        raise ConfigurationError(f"{output} can't be written: {error.strerror}") from error


def _write_secrets(folder: Path, secrets: "tuple[Kept, ...]") -> None:
    """Write secrets that are not there yet, all or none; raises ConfigurationError."""
    from syncd.durable import sync_directory, write_new

    there = [kept.name for kept in secrets if os.path.lexists(folder / kept.name)]
    if there:
        raise BadRequest(f"{folder} holds {', '.join(there)} already: nothing was written")
    written: list[Path] = []
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for kept in secrets:
            written.append(folder / kept.name)
            write_new(written[-1], kept.value.encode())
        sync_directory(folder)
    except OSError as error:
        if isinstance(error, FileExistsError) and written:
            written.pop()  # somebody else's
        for path in written:
            path.unlink(missing_ok=True)
        raise ConfigurationError(f"{folder} can't be written: {error.strerror}") from error


def _tell(found: "Imported", folder: Path | None) -> None:
    """Say what became of the lines, and what is left to do."""
    disabled = f", {len(found.disabled)} out of use" if found.disabled else ""
    tell(f"{len(found.jobs)} understood, {len(found.left)} not{disabled}")
    for remark in found.remarks:
        tell(remark)
    for odd in found.left:
        tell(f"line {odd.number}: {odd.reason}")
    for kept in found.secrets:
        if folder is not None:
            tell(f"line {kept.line}: {kept.what} is in {folder / kept.name}")
        else:
            tell(f"line {kept.line}: {kept.what} belongs to the credential {kept.name}")
    if found.secrets and folder is None:
        tell("give them to the service: systemctl edit syncd, and under [Service] a line each, "
             "LoadCredential=NAME:FILE")  # fmt: skip
    elif found.secrets:
        tell(f"the service must be able to read them: chown -R syncd: {folder}")


def _document(found: "Imported") -> dict[str, Any]:
    return {
        "jobs": [
            {"name": job.name, "line": job.line, "remarks": list(job.remarks), "job": job.tables}
            for job in found.jobs
        ],
        "not_understood": [
            {"line": odd.number, "reason": odd.reason, "text": odd.text} for odd in found.left
        ],
        "disabled": [{"line": odd.number, "text": odd.text} for odd in found.disabled],
        "secrets": [
            {"name": kept.name, "line": kept.line, "what": kept.what} for kept in found.secrets
        ],
        "remarks": list(found.remarks),
        "toml": found.toml,
    }
