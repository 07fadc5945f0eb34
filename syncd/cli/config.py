"""`syncd config`: the versions of the configuration that were in force, and the way back to one.

Works on files alone, without daemon and store. Root acts as the owner of the state directory there.
"""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from syncd.cli.cells import Cell, cell, clean
from syncd.cli.config_diff import differences, summary
from syncd.cli.moments import moment_cell
from syncd.cli.screen import confirm, print_json, print_line, print_table, tell
from syncd.cli.session import me
from syncd.cli.settings import Settings
from syncd.config.restore import Restore, carry_out, check_valid, current_files, plan
from syncd.config.versions import Version, Versions, content_digest, in_force
from syncd.control.client import Client
from syncd.errors import BadRequest, Conflict, NotFound, StoreError, SyncdError
from syncd.state_dir import as_owner

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_NUMBER = click.IntRange(min=1)
_DIGEST_SHOWN = 12
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@click.group
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="The state directory; else the configuration's.",
)
@click.pass_context
def config(ctx: click.Context, state_dir: Path | None) -> None:
    """Look at the versions of the configuration that were in force, and restore one."""
    if state_dir:
        ctx.obj.state_dir = state_dir


@config.command
@_JSON
@click.pass_obj
def history(settings: Settings, *, as_json: bool) -> None:
    """List the versions, the newest first, with what changed in each."""
    rows = _history(settings)
    if as_json:
        print_json(rows)
        return
    cells = [
        [
            cell(str(row["number"])), moment_cell(row["kept_at"], settings.zone), cell(row["by"]),
            cell((row["digest"] or row["content_digest"])[:_DIGEST_SHOWN]), _state(row),
            cell("" if row is rows[-1] else _changed(row)),
        ]
        for row in rows
    ]  # fmt: skip
    headers = ["version", "time", "by", "digest", "state", "changed"]
    print_table(headers, cells, f"no version of the configuration is kept yet{_doubt(settings)}")


def _history(settings: Settings) -> list[dict[str, Any]]:
    """Return the versions as JSON shows them; what changed is told against the one in force."""
    versions = Versions(settings.state_dir)
    with as_owner(settings.state_dir):
        found = [(version, _files(versions, version)) for version in versions.all()]
    now = in_force([version for version, _ in found])
    rows: list[dict[str, Any]] = []
    before: dict[str, bytes] = {}
    for version, files in found:
        rows.append(
            {
                "number": version.number,
                "kept_at": version.kept_at,
                "by": version.by,
                "digest": version.digest,
                "content_digest": version.content,
                "files": list(files or ()),
                "accepted": version.accepted,
                "in_force": version == now,
                "damaged": files is None,
                "changed": [] if files is None else summary(before, files),
            }
        )
        before = files if version.accepted and files else before
    return rows[::-1]


def _files(versions: Versions, version: Version) -> dict[str, bytes] | None:
    """Return the files of a version, None where it is damaged: the others are told all the same."""
    try:
        return versions.files(version)
    except StoreError:
        return None


def _changed(row: dict[str, Any]) -> str:
    """Return what changed: the files, or what a calendar, a variable or a program makes of them."""
    if row["accepted"] and not row["changed"] and not row["damaged"]:
        return "what the same files mean"
    return ", ".join(row["changed"])


def _state(row: dict[str, Any]) -> Cell:
    if row["damaged"]:
        return Cell("damaged", "red")
    if row["in_force"]:
        return Cell("in force", "green")
    return Cell("was in force" if row["accepted"] else "was replaced", "dim")


def _doubt(settings: Settings) -> str:
    """Say why the versions may be elsewhere."""
    if settings.doubt is None:
        return ""
    return (
        f" in {settings.state_dir}; the configuration can't be used and may name another"
        " state_dir: see --state-dir"
    )


@config.command
@click.argument("version", type=_NUMBER)
@click.argument("other", type=_NUMBER, required=False)
@_JSON
@click.pass_obj
def diff(settings: Settings, version: int, other: int | None, *, as_json: bool) -> None:
    """Show what changed from one VERSION to another, or to the files as they are now.

    Secrets that are written into the files are masked: a changed one shows as a changed line.
    """
    old = _version(settings, version)[1]
    new = current_files(settings.file) if other is None else _version(settings, other)[1]
    found = differences(old, new, _all_files(settings))
    names = f"version {version}", "now" if other is None else f"version {other}"
    if as_json:
        print_json({"from": version, "to": other, "files": [asdict(each) for each in found]})
        return
    for each in found:
        print_line(cell(f"--- {each.name} ({names[0]})", "bold"))
        print_line(cell(f"+++ {each.name} ({names[1]})", "bold"))
        for line in each.lines:
            print_line(Cell(clean(line.expandtabs(4)), _COLOURS.get(line[0], "")))
        if each.unread:
            tell(f"{each.name} is not TOML on one side: its values are not shown")
        elif not each.lines:
            tell(f"{each.name} differs in nothing but its ends of lines or its byte order mark")
    if not found:
        tell(f"the files are the same in {' and '.join(names)}")


def _all_files(settings: Settings) -> list[dict[str, bytes]]:
    """Return the files of all versions that are whole."""
    versions = Versions(settings.state_dir)
    with as_owner(settings.state_dir):
        return [files for each in versions.all() if (files := _files(versions, each))]


def _version(settings: Settings, number: int) -> tuple[Version, dict[str, bytes]]:
    """Return a version and its files; raises NotFound, which names those that exist."""
    versions = Versions(settings.state_dir)
    with as_owner(settings.state_dir):
        try:
            version = versions.get(number)
        except NotFound as error:
            raise NotFound(f"{error}{_doubt(settings)}") from error
        return version, versions.files(version)


@config.command
@click.argument("version", type=_NUMBER)
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--reload", "reloads", is_flag=True, help="Have the daemon take it up.")
@_JSON
@click.pass_obj
def restore(settings: Settings, version: int, *, yes: bool, reloads: bool, as_json: bool) -> None:
    """Put the files of VERSION back, if this program can use them.

    The files that it replaces or removes are kept first, as a version of their own.
    """
    found, files = _version(settings, version)
    if found.main != settings.file.name:
        raise BadRequest(
            f"version {version} is of a main file {found.main}, not {settings.file.name}:"
            " name one with --config"
        )
    check_valid(settings.file, files, f"version {version}")
    current = current_files(settings.file)
    todo = plan(settings.file, files, current)
    kept = None
    if todo.changes_nothing:
        tell(f"the files are those of version {version} already")
    else:
        kept = _put_back(settings, todo, current, version, yes=yes)
    fixed = _reload(settings) if reloads else []
    if as_json:
        print_json(
            {
                "restored": version, "kept": kept, "written": list(todo.written),
                "removed": todo.removed, "reloaded": reloads, "restart_needed": fixed,
            }
        )  # fmt: skip
    elif not reloads:
        tell("`syncd reload` has the daemon take it up")


def _put_back(
    settings: Settings, todo: Restore, current: dict[str, bytes], version: int, *, yes: bool
) -> int | None:
    """Keep the current files and replace them; return the number under which they are kept."""
    changes = [(name, "replaced" if name in current else "made") for name in todo.written]
    changes += [(name, "removed") for name in todo.removed]
    confirm("go on?", [f"{name} is to be {done}" for name, done in changes], yes=yes)
    kept = _keep(settings, current, version)
    if current_files(settings.file) != current:
        raise Conflict("the files have changed meanwhile: nothing is replaced")
    try:
        carry_out(todo)
    except SyncdError as error:
        stands = f"\nwhat stood there is kept as version {kept}" if kept else ""
        raise SyncdError(f"{error}{stands}") from error
    for name, done in changes:
        tell(f"{name} is {done}")
    tell(f"the files are those of version {version} now")
    if kept:
        tell(f"what stood there is version {kept}")
    return kept


def _keep(settings: Settings, current: dict[str, bytes], restored: int) -> int | None:
    """Keep the files as they are, unless the last version has them; return the number."""
    if not current:
        return None
    versions, content = Versions(settings.state_dir), content_digest(current)
    with as_owner(settings.state_dir), versions.locked():
        for last in versions.all()[-1:]:
            if last.content == content:
                return last.number
        by = f"{me()}, restoring {restored}"
        number = versions.largest() + 1
        now = datetime.now(UTC)
        versions.write(Version(number, now, by, None, content, settings.file.name), current)
    return number


def _reload(settings: Settings) -> list[str]:
    """Have the daemon read the files; return what needs a restart."""
    fixed = list(Client(Settings(settings.file).socket).reload(me()))
    tell("the configuration is reloaded")
    for key in fixed:
        tell(f"{key} has changed: needs a restart")
    return fixed
