"""`syncd backup`: dumps of the embedded store are made, listed and restored."""

from pathlib import Path
from typing import Any

import click

from syncd.cli.cells import Cell, cell
from syncd.cli.moments import moment_cell
from syncd.cli.screen import confirm, print_json, print_line, print_table, tell
from syncd.cli.session import working
from syncd.cli.settings import Settings
from syncd.cli.watch import ended_well, tell_failure, watch
from syncd.errors import ConfigurationError
from syncd.model.run import Selection
from syncd.state_dir import as_owner

Json = dict[str, Any]
_KIND = "backup"
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(invoke_without_command=True)
@_JSON
@click.option("--verbose", "-v", is_flag=True, help="Show the log of a run without daemon.")
@click.pass_context
def backup(ctx: click.Context, *, verbose: bool, as_json: bool) -> None:
    """Dump the embedded store now, by a run of its backup job, and say where the dump is.

    The daemon makes it when one answers, else this process does.
    """
    if ctx.invoked_subcommand is not None:
        return
    settings: Settings = ctx.obj
    job = _job(settings)
    with working(settings, verbose=verbose) as session:
        run_id = session.acts.trigger(job, Selection(), session.by, None)
        (run,) = watch(session, {run_id: job}, settings.zone)
    if ended_well([run]):
        _print_made(run, as_json=as_json)
    else:
        tell_failure(run)
        ctx.exit(1)


@backup.command("list")
@_JSON
@click.pass_obj
def list_dumps(settings: Settings, *, as_json: bool) -> None:
    """List the dumps there are, the newest first."""
    from syncd.store.backups import Backups

    directory = Path(settings.config.daemon.state_dir)
    with as_owner(directory):
        dumps = Backups(directory).dumps()
    if as_json:
        print_json(
            [
                {"file": str(d.path), "kind": d.kind, "made_at": d.made_at, "bytes": d.bytes}
                for d in dumps
            ]
        )
        return
    rows = [
        [moment_cell(d.made_at, settings.zone), cell(d.kind), cell(d.bytes), cell(str(d.path))]
        for d in dumps
    ]
    print_table(["made", "kind", "bytes", "file"], rows, "no dumps")


@backup.command
@click.argument("file", metavar="FILE|latest")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_JSON
@click.pass_obj
def restore(settings: Settings, file: str, *, yes: bool, as_json: bool) -> None:
    """Put a dump in the place of the embedded store's data; the daemon must be stopped.

    FILE is a path, or the name of a dump that `syncd backup list` shows; `latest` is the newest of
    the regular ones. What is in the store now is dumped first. A dump is a program for PostgreSQL:
    restore only what you trust.
    """
    from syncd import app

    config = settings.config
    app.own_server(config)
    confirm(f"replace the data of {config.daemon.state_dir} by those of {file}?", yes=yes)
    done = app.restore_dump(config, file, tell)
    applied = [f"{m.number:04}" for m in done.migrations]
    safety = str(done.safety.path) if done.safety else None
    if as_json:
        print_json({"replaced": safety, "kept_database": done.kept, "migrations": applied})
        return
    tell(f"{file} is restored")
    if applied:
        tell(f"the schema was brought up to date: {', '.join(applied)}")
    if safety:
        tell(f"the data of before are in {safety}")
    if done.kept:
        tell(f"the data of before are kept in the database {done.kept} of the embedded server")


def _job(settings: Settings) -> str:
    """Return the job that makes dumps; raises ConfigurationError where there is none."""
    from syncd import app

    app.own_server(settings.config)
    jobs = settings.config.enabled_jobs()
    names = [name for name, job in jobs.items() if job.kind == _KIND]
    if not names:
        raise ConfigurationError("there is no enabled job of kind backup: enable jobs.backup")
    return _KIND if _KIND in names else names[0]


def _print_made(run: Json, *, as_json: bool) -> None:
    """Say what a run has made."""
    (item,) = run["items"]
    made = {"run": run["id"], **{name: item["details"][name] for name in ("file", "bytes")}}
    if as_json:
        print_json(made)
    else:
        size = cell(made["bytes"])
        print_line(cell(made["file"]), Cell("  "), size, Cell(" bytes"))
