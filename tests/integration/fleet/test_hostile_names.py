"""Names that are hard to spell come through whole: from a server to the store to the command."""

import json

from click.testing import CliRunner
from facts import facts
from psycopg import sql
from toml_text import toml

from syncd.cli.main import cli

NAMES = [
    "plain",
    "UPPER lower",
    "it's",
    'a "quoted" one',
    "back`tick",
    "back\\slash\\",
    "new\nline\ttab\r.",
    "per%cent %s %(x)s %%",
    "dollar $1 $$ ${x}",
    "dots.and,commas;and--dashes",
    "'; drop table syncd.db_account; --",
    "select * from public",
    "{braces} {0} {name!r}",
    "<b>&amp;</b>",
    "😀 emoji",
    "é e\u0301 ß İ ı",
    "\u202eright to left\u202c",
    "null",
    "NONE",
    "0",
    "trailing_",
    "[1, 2]",
    "\x1b[31mred\x07",
]
LONGEST_PG = "x" * 61 + "é"  # 63 bytes
LONGEST_USER = "y" * 78 + "é"  # 80 characters, as many as an account of MariaDB has
LONGEST_TABLE = "z" * 63 + "é"  # 64 characters


STATEMENTS = (
    "create schema {0}",
    "create table {0}.{0} ({0} integer, plain_one integer)",
    "grant usage on schema {0} to {0}",
    "grant select ({0}) on {0}.{0} to {0}",
    "alter table {0}.{0} owner to {0}",
)


def command(fleet, directory, *words: str):
    """Run a reading command on the fleet's store, without a daemon."""
    file = directory / "syncd.toml"
    file.write_text(toml({"store": {"dsn": fleet.dsn}, "daemon": {"state_dir": str(directory)}}))
    file.chmod(0o600)
    result = CliRunner().invoke(cli, ["--config", str(file), *words])
    assert result.exit_code == 0, result.output
    return result.stdout


def check_command(fleet, directory, names: list[str], privileges: dict[str, list]) -> None:
    """Check that the command tells of all accounts, as JSON and for people."""
    rows = json.loads(command(fleet, directory, "db-accounts", "--json"))
    told = {row["account"]: row for row in rows}
    assert set(names) <= told.keys()
    for name, known in privileges.items():
        assert told[name]["privileges"] == known
    shown = command(fleet, directory, "db-accounts")
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_postgresql(fleet, pg, tmp_path):
    names = [*NAMES, LONGEST_PG]
    bare = [sql.Identifier(name) for name in names]
    database = names[10]
    pg.execute(*(sql.SQL("create role {}").format(name) for name in bare))
    pg.execute(*(sql.SQL("create database {}").format(name) for name in bare[1::3]))
    try:
        pg.execute(
            *(sql.SQL(text).format(name) for name in bare for text in STATEMENTS), database=database
        )
        fleet.configure({"hard": pg.table()})
        assert fleet.run().run["status"] == "success"
        accounts = fleet.accounts("hard")
        for name in names:
            held = facts(accounts[name]["privileges"], lambda *_: [])
            held = {(f.on, f.name, f.privilege) for f in held if f.name[0] == database}
            assert held >= {
                ("schema", (database, name), "USAGE"),
                ("table", (database, name, name), "OWNER"),
                ("column", (database, name, name, name), "SELECT"),
            }
            assert {place[:3] for _, place, _ in held} <= {
                (database, name), (database, name, name)
            }  # fmt: skip
        again = fleet.run()
        assert again.counts["unchanged"] == again.counts["total"]
        assert fleet.run("sizes").run["status"] == "success"
        assert set(names[1::3]) <= fleet.sizes("hard").keys()
        check_command(
            fleet, tmp_path, names, {name: accounts[name]["privileges"] for name in names}
        )
    finally:
        pg.execute(*(sql.SQL("drop database {}").format(name) for name in bare[1::3]))
        pg.execute(*(sql.SQL("drop role {}").format(name) for name in bare))


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def escaped(name: str) -> str:
    """Return a database's name as a GRANT takes it, which has wildcards."""
    return name.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%")


def test_mariadb(fleet, my, tmp_path):
    names = [name for name in NAMES if max(name) < "\U00010000"]  # all that it takes
    users, places = [*names, LONGEST_USER], [*names, LONGEST_TABLE]
    made = [f"create user {quoted(name)}@localhost" for name in users]
    undone = [f"drop user if exists {quoted(name)}@localhost" for name in users]
    for name in places:
        user = f"{quoted(name if name in users else users[0])}@localhost"
        place = f"{quoted(name)}.{quoted(name)}"
        made += [
            f"create database {quoted(name)}",
            f"create table {place} ({quoted(name)} integer)",
            f"grant create on {quoted(escaped(name))}.* to {user}",
            f"grant insert on {place} to {user}",
            f"grant select ({quoted(name)}) on {place} to {user}",
        ]
        undone.append(f"drop database if exists {quoted(name)}")
    try:
        my.execute(*made)
        fleet.configure({"hard": my.table()})
        result = fleet.run()
        assert (result.run["status"], result.errors) == ("success", [])
        accounts = fleet.accounts("hard")
        for name in places:
            user = name if name in users else users[0]
            held = facts(accounts[f"{user}@localhost"]["privileges"], lambda *_: [])
            told = {(f.on, f.name, f.privilege) for f in held}
            assert told >= {
                ("database", (escaped(name),), "CREATE"),
                ("table", (name, name), "INSERT"),
                ("column", (name, name, name), "SELECT"),
            }
        again = fleet.run()
        assert again.counts["unchanged"] == again.counts["total"]
        sizes = fleet.run("sizes")
        assert (sizes.run["status"], sizes.errors) == ("success", [])
        found = fleet.sizes("hard")
        assert set(places) <= found.keys()
        assert all(found[name] > 0 for name in places)
        told_names = [f"{name}@localhost" for name in users]
        check_command(
            fleet, tmp_path, told_names, {n: accounts[n]["privileges"] for n in told_names}
        )
    finally:
        my.execute(*undone)
