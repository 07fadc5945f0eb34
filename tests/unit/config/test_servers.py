"""The tables of database servers, and the jobs that look at them."""

import pytest
from config_folder import ACCOUNT, JOB

from syncd.assembly import server_access
from syncd.cli.config_diff import differences
from syncd.config.reload_diff import difference
from syncd.config.toml_secrets import secret_keys

SERVER = """[servers.orders]
engine = "postgresql"
host = "10.0.0.5"
user = "syncd"
password = { env = "SECRET" }
tags = ["prod", "orders"]
"""
MYSQL = SERVER.replace("postgresql", "mysql").replace("orders", "shop")
REDIS = """[servers.cache]
engine = "redis"
host = "10.0.0.7"
tags = ["prod"]
"""
ACCOUNTS = """[jobs.accts]
kind = "db_accounts"
schedule = "*/30 * * * *"
"""
HOST_RULE = (
    "must be a host name, an IP address without brackets and port, or the absolute path of a socket"
)
SERVERS_RULE = 'must be "all", a list of names, or { tags = ["..."] }'


def with_host(host):
    return SERVER.replace("10.0.0.5", host)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SERVER.replace("postgresql", "oracle"),
         ['2: servers.orders.engine: unknown value "oracle"; allowed: mysql, postgresql, redis']),
        (SERVER.replace('"postgresql"', "5"),
         ['2: servers.orders.engine: unknown value "5"; allowed: mysql, postgresql, redis']),
        ("[servers.x]\n", ["1: servers.x.engine: is required", "1: servers.x.host: is required",
                           "1: servers.x.user: is required"]),
        ("servers = 5", ["1: servers: must be a table"]),
        ("[servers]\nx = 5", ["2: servers.x: must be a table"]),
        ("[[servers]]\nx = 5", ["1: servers: must be a table"]),
        (SERVER.replace("orders]", '"x y"]').replace(', "orders"', ""),
         ["1: servers.\"x y\": the name must be 1 to 64 letters, digits, '.', '_' or '-', "
          "beginning with a letter or digit"]),
        (SERVER + "prot = 5", ['7: servers.orders.prot: unknown key "prot"; did you mean "port"?; '
          "allowed: capacity, commands_per_second, connect_timeout, database, enabled, engine, "
          "exclude_databases, host, options, password, port, statement_timeout, tags, tls, "
          "tls_ca, tls_cert, tls_key, user"]),
        (SERVER + "port = 0", ["7: servers.orders.port: must be at least 1"]),
        (SERVER + "port = 65536", ["7: servers.orders.port: must be at most 65535"]),
        (SERVER + "port = '5432'", ["7: servers.orders.port: must be a whole number"]),
        (SERVER.replace('"syncd"', '""'), ["4: servers.orders.user: must be the name of a user"]),
        (SERVER.replace('"syncd"', '"a\\u0000b"'),
         ["4: servers.orders.user: must be the name of a user"]),
        (SERVER.replace('{ env = "SECRET" }', '""'),
         ["5: servers.orders.password: must not be empty or hold NUL"]),
        (SERVER.replace("env =", "evn ="), ['5: servers.orders.password: unknown reference "evn"; '
                                            "allowed: credential, env, file"]),
        (SERVER.replace('"orders"]', '"prod"]'), ['6: servers.orders.tags: names "prod" twice']),
        (SERVER.replace('["prod", "orders"]', '"prod"'),
         ['6: servers.orders.tags: must be a list, such as ["a", "b"]']),
        (SERVER + "database = ''", ["7: servers.orders.database: must be the name of a database"]),
        (MYSQL + "database = 'shop'",
         ['1: servers.shop: database is of engine = "postgresql" alone']),
        (SERVER + "exclude_databases = ['a', 5]",
         ["7: servers.orders.exclude_databases: must be a string"]),
        (SERVER + "exclude_databases = ['a', 'a']",
         ['7: servers.orders.exclude_databases: names "a" twice']),
        (SERVER + "exclude_databases = ['']",
         ["7: servers.orders.exclude_databases: must be the name of a database"]),
        (SERVER + "enabled = 'no'", ["7: servers.orders.enabled: must be true or false"]),
        (SERVER + "connect_timeout = 5",
         ['7: servers.orders.connect_timeout: a bare number has no unit; write "5s"']),
        (SERVER + "statement_timeout = '0s'",
         ["7: servers.orders.statement_timeout: must be longer than 0s"]),
        (SERVER + "capacity = '0B'", ["7: servers.orders.capacity: must be more than 0B"]),
        (SERVER + "capacity = 5",
         ['7: servers.orders.capacity: a bare number has no unit; write "5B"']),
        (SERVER + "options = 'work_mem=64MB'",
         ['7: servers.orders.options: must be a table, such as { work_mem = "64MB" }']),
        (SERVER + "options = { 'work mem' = '1' }",
         ['7: servers.orders.options: "work mem" is not the name of a setting']),
        (SERVER + "options = { work_mem = 64 }",
         ["7: servers.orders.options: work_mem must be a printable string"]),
        (SERVER + "options = { work_mem = \"1\\n\" }",
         ["7: servers.orders.options: work_mem must be a printable string"]),
        (SERVER + "options = { default_transaction_read_only = 'off' }",
         ["1: servers.orders: options.default_transaction_read_only is set by syncd itself"]),
        (MYSQL + "options = { sql_mode = 'ANSI_QUOTES' }",
         ["1: servers.shop: options.sql_mode is set by syncd itself"]),
        (SERVER.replace('user = "syncd"\n', ""), ["1: servers.orders.user: is required"]),
        (MYSQL.replace('user = "syncd"\n', ""), ["1: servers.shop.user: is required"]),
        (SERVER + "commands_per_second = 5",
         ['1: servers.orders: commands_per_second is of engine = "redis" alone']),
        (REDIS + "commands_per_second = 0",
         ["5: servers.cache.commands_per_second: must be at least 1"]),
        (REDIS + "database = 'postgres'",
         ['1: servers.cache: database is not of engine = "redis"']),
        (REDIS + "exclude_databases = []",
         ['1: servers.cache: exclude_databases is not of engine = "redis"']),
        (REDIS + "options = {}", ['1: servers.cache: options is not of engine = "redis"']),
        (REDIS + "capacity = '1GB'", ['1: servers.cache: capacity is not of engine = "redis"']),
        (REDIS + "tls = 'prefer'",
         ['1: servers.cache: tls = "prefer" is not of engine = "redis": disable, or require']),
        (REDIS + "tls_cert = '/c'\ntls_key = '/k'",
         ["1: servers.cache: tls_ca, tls_cert and tls_key are of no use without tls"]),
        (REDIS + "user = ''", ["5: servers.cache.user: must be the name of a user"]),
        (SERVER + REDIS + ACCOUNTS + "servers = ['orders', 'cache']",
         ['14: jobs.accts.servers[1]: a redis has no accounts to read']),
    ],
)  # fmt: skip
def test_each_odd_value_of_a_server_has_one_clear_complaint(folder, text, told):
    folder.write(text)
    assert folder.told() == [f"syncd.toml:{line}" for line in told]


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("tls = 'verify'",
         '7: servers.orders.tls: unknown value "verify"; did you mean "verify-ca"?; allowed: '
         "disable, prefer, require, verify-ca, verify-full"),
        ("tls_cert = 'cert.pem'", "7: servers.orders.tls_cert: must be an absolute path"),
        ("tls_cert = '/c'", "1: servers.orders: tls_cert and tls_key go together"),
        ("tls_key = '/k'", "1: servers.orders: tls_cert and tls_key go together"),
        ("tls = 'disable'\ntls_ca = '/ca'",
         '1: servers.orders: tls_ca, tls_cert and tls_key are of no use with tls = "disable"'),
        ("tls_ca = '/ca'",
         '1: servers.orders: tls_ca is looked at with tls = "verify-ca" or "verify-full" alone'),
        ("tls = 'verify-ca'", '1: servers.orders: tls = "verify-ca" needs tls_ca'),
        ("tls_key = '''-----BEGIN PRIVATE KEY-----\nsesame\n'''",
         "7: servers.orders.tls_key: must be an absolute path"),
    ],
)  # fmt: skip
def test_rules_of_tls(folder, keys, told):
    folder.write(SERVER + keys)
    assert folder.told() == [f"syncd.toml:{told}"]


@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_a_socket_is_not_encrypted(folder, mode):
    folder.write(with_host("/run/postgresql") + f"tls = '{mode}'")
    assert folder.told() == [
        f'syncd.toml:1: servers.orders: tls = "{mode}" is not for a socket, which never leaves here'
    ]


@pytest.mark.parametrize(
    "host",
    ["db", "db.example.com", "db.example.com.", "db_1", "xn--db-5ka.example", "10.0.0.5", "::1",
     "fe80::1%eth0", "2001:db8::5", "::ffff:10.0.0.5", "/run/postgresql",
     "/run/mysqld/mysqld.sock"],
)  # fmt: skip
def test_good_hosts_are_taken_as_they_are(folder, host):
    folder.write(with_host(host))
    assert folder.load().server("orders").host == host


@pytest.mark.parametrize(
    "host",
    ["", "db:5432", "10.0.0.5:5432", "[::1]", "[::1]:5432", "me@db", "postgresql://db", "db,db2",
     "db db2", "db\\n", " db", "10.0.0.256", "1.2.3", ":::", "db..example", ".db", "-db", "db/x",
     "dätenbank", "x" * 64, "@socket", "run/postgresql", f"{'x.' * 126}xx"],
)  # fmt: skip
def test_a_host_with_something_about_it_is_none(folder, host):
    folder.write(with_host(host))
    assert folder.told() == [f"syncd.toml:3: servers.orders.host: {HOST_RULE}"]


def test_the_path_of_a_socket_is_one(folder):
    folder.write(with_host("/" + "x" * 107))
    assert folder.told() == [
        "syncd.toml:3: servers.orders.host: must be at most 107 bytes long (a limit of sockets)"
    ]
    folder.write(with_host("/run\\u0007"))
    assert folder.told() == ["syncd.toml:3: servers.orders.host: must be an absolute path"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("servers = ['ordres']",
         ['9: jobs.a.servers[0]: no table [servers.NAME] defines "ordres"; did you mean "orders"?; '
          "allowed: orders"]),
        ("servers = { tags = ['prood', 'orders'] }",
         ['9: jobs.a.servers.tags[0]: no server has this tag "prood"; did you mean "prod"?; '
          "allowed: orders, prod"]),
        ("servers = []", ["9: jobs.a.servers: must have 1 to 1000 items"]),
        ("servers = { tags = [] }", ["9: jobs.a.servers: must have 1 to 1000 items"]),
        ("servers = ['orders', 'orders']", ['9: jobs.a.servers: names "orders" twice']),
        ("servers = 'orders'", [f"9: jobs.a.servers: {SERVERS_RULE}"]),
        ("servers = 5", [f"9: jobs.a.servers: {SERVERS_RULE}"]),
        ("servers = { tag = ['prod'] }", [f"9: jobs.a.servers: {SERVERS_RULE}"]),
        ("servers = { tags = 'prod' }",
         ['9: jobs.a.servers: must be a list, such as ["a", "b"]']),
        ("max_concurrent_items = 0", ["9: jobs.a.max_concurrent_items: must be at least 1"]),
        ("max_concurrent_items = 101", ["9: jobs.a.max_concurrent_items: must be at most 100"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["db_accounts", "db_sizes"])
def test_each_odd_choice_of_servers_has_one_clear_complaint(folder, kind, text, told):
    folder.write(f'{SERVER}[jobs.a]\nkind = "{kind}"\n{text}')
    assert folder.told() == [f"syncd.toml:{line}" for line in told]


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        ("db_accounts", "max_delete_percent = 101", "max_delete_percent: must be at most 100"),
        ("db_accounts", "max_delete_count = -1", "max_delete_count: must be at least 0"),
        ("db_accounts", "largest_tables = 1", 'largest_tables: unknown key "largest_tables"'),
        ("db_sizes", "largest_tables = -1", "largest_tables: must be at least 0"),
        ("db_sizes", "largest_tables = 10001", "largest_tables: must be at most 10000"),
        ("db_sizes", "largest_tables = '5'", "largest_tables: must be a whole number"),
        ("db_sizes", "max_delete_count = 1", 'max_delete_count: unknown key "max_delete_count"'),
        ("size_rollups", "servers = ['x']", 'servers: unknown key "servers"'),
        ("size_rollups", "servers = { tags = ['x'] }", 'servers: unknown key "servers"'),
        ("cloud", "servers = ['x']\naccounts = ['a']", 'servers: unknown key "servers"'),
    ],
)
def test_each_kind_has_keys_of_its_own(folder, kind, text, told):
    folder.write(f'[jobs.x]\nkind = "{kind}"\n{text}\n{ACCOUNT}')
    (line,) = folder.told()
    assert line.startswith(f"syncd.toml:3: jobs.x.{told}")


def test_jobs_choose_servers_by_name_by_tag_or_all_of_them(folder):
    off = MYSQL.replace("shop]", "off]") + "enabled = false\n"
    folder.write(
        SERVER + MYSQL + off + '[jobs.all]\nkind = "db_sizes"\n'
        '[jobs.named]\nkind = "db_sizes"\nservers = ["off", "shop"]\n'
        '[jobs.tagged]\nkind = "db_sizes"\nservers = { tags = ["orders", "none-else"] }\n'
        .replace(', "none-else"', "")
    )  # fmt: skip
    config = folder.load()
    chosen = {name: job.enabled_servers(config.servers) for name, job in config.jobs.items()}
    assert chosen["all"] == ("orders", "shop")
    assert chosen["named"] == ("shop",)
    assert chosen["tagged"] == ("orders",)
    assert chosen["retention"] == ()


def test_what_only_one_job_should_do_and_what_has_no_target_is_warned_of(folder):
    folder.write(
        SERVER.replace("tags =", "enabled = false\ntags =") + MYSQL + ACCOUNTS
        + ACCOUNTS.replace("accts", "again")
        + '[jobs.none]\nkind = "db_sizes"\nservers = ["orders"]\n'
        '[jobs.stats]\nkind = "size_rollups"\n[jobs.stats2]\nkind = "size_rollups"\n'
    )  # fmt: skip
    assert folder.load().warnings == (
        'job "none" has no enabled target',
        'jobs "accts" and "again" both sync accounts of server "shop": only one of them should',
        'jobs "stats" and "stats2" both sync the statistics of sizes: only one of them should',
    )


@pytest.mark.parametrize("mode", [0o604, 0o644])
def test_a_password_in_a_file_of_everybody_is_refused(folder, mode):
    folder.write(SERVER.replace('{ env = "SECRET" }', '"sesame"'), mode=mode)
    assert folder.told() == [
        "syncd.toml:5: servers.orders.password: an inline secret in a file that others can read: "
        "use a reference, or chmod o-r the file"
    ]


def test_secrets_and_files_of_tls_are_looked_for_when_asked(folder):
    files = {name: folder.path / f"{name}.pem" for name in ("tls_ca", "tls_cert", "tls_key")}
    keys = "".join(f'{name} = "{file}"\n' for name, file in files.items())
    off = MYSQL.replace("tags =", "enabled = false\ntags =") + 'tls = "verify-ca"\n' + keys
    folder.write(SERVER + 'tls = "verify-full"\n' + keys + off)
    assert folder.load()
    files["tls_key"].mkdir()
    assert folder.told(check_secrets=True) == [
        "syncd.toml:5: servers.orders.password: the environment variable SECRET is not set",
        *(f"syncd.toml:{line}: servers.orders.{name}: {name}.pem is not a file that can be read"
          for line, name in enumerate(files, start=8)),
    ]  # fmt: skip
    files["tls_key"].rmdir()
    for file in files.values():
        file.write_text("x")
    assert folder.load({"SECRET": "x"}, check_secrets=True)


def test_a_variable_sets_no_server(folder):
    folder.write(SERVER)
    assert folder.told({"SYNCD_SERVERS__ORDERS__HOST": "x"}) == [
        "environment: SYNCD_SERVERS__ORDERS__HOST: servers can't be set by variables, only in "
        "the files"
    ]


def test_a_server_stands_in_one_file(folder):
    folder.write(SERVER)
    folder.write("[servers.orders.options]\nwork_mem = '1MB'", "conf.d/b.toml")
    assert folder.told() == [
        "conf.d/b.toml: servers.orders: is defined in syncd.toml:1 already; a table stands in "
        "one file"
    ]


def test_what_is_taken_is_what_the_engine_gets(folder):
    folder.write(
        with_host("::1") + 'port = 6432\ndatabase = "main"\ntls = "verify-full"\n'
        'tls_ca = "/ca"\ntls_cert = "/c"\ntls_key = "/k"\nconnect_timeout = "2s"\n'
        'statement_timeout = "1m"\nexclude_databases = ["Old Shop"]\ncapacity = "2TiB"\n'
        '[servers.orders.options]\nwork_mem = "64MB"\n"auto_explain.log_level" = "log"\n'
    )
    server = folder.load().server("orders")
    access = server_access("orders", server)
    assert (access.host, access.port, access.database) == ("::1", 6432, "main")
    assert [str(each) for each in (access.tls.ca, access.tls.cert, access.tls.key)] == [
        "/ca", "/c", "/k",
    ]  # fmt: skip
    assert (access.connect_timeout, access.statement_timeout) == (2.0, 60.0)
    assert access.options == {"work_mem": "64MB", "auto_explain.log_level": "log"}
    assert access.excluded == {"Old Shop"}
    assert server.capacity == 2 * 1024**4
    folder.write(MYSQL)
    assert folder.load().server("shop").port_number == 3306


def test_a_changed_server_changes_the_digest_though_no_job(folder):
    folder.write(SERVER + ACCOUNTS)
    old = folder.load()
    folder.write(with_host("10.0.0.6") + ACCOUNTS)
    new = folder.load()
    assert old.digest != new.digest
    assert difference(old, new).unchanged == ("accts", "retention", "backup")


@pytest.mark.parametrize(
    "line",
    ['password = "Zq9-hunter2"', "options = { x = '''\n-----BEGIN RSA PRIVATE KEY-----'''}",
     'tls_key = "-----BEGIN PRIVATE KEY-----"', '# tls_key: -----BEGIN EC PRIVATE KEY----- x'],
)  # fmt: skip
def test_a_diff_shows_no_secret_of_a_server(line):
    assert "password" in secret_keys()
    old = {"syncd.toml": f"[servers.x]\n{line}\nport = 1".encode()}
    new = {"syncd.toml": f"[servers.x]\n{line}\nport = 2".encode()}
    (changed,) = differences(old, new)
    shown = "\n".join(changed.lines)
    assert "port = 2" in shown
    assert "hunter2" not in shown
    assert "PRIVATE" not in shown


def test_jobs_and_servers_may_have_the_names_of_others(folder):
    folder.write(ACCOUNT + JOB + SERVER.replace("orders]", "a]") + ACCOUNTS.replace("accts", "a"))
    assert folder.load().jobs["a"].kind == "db_accounts"


def test_a_redis_is_in_no_job_that_reads_accounts_or_sizes(folder):
    folder.write(SERVER + REDIS + ACCOUNTS + "[jobs.sizes]\nkind = 'db_sizes'\n"
                 "every = '1h'\nservers = { tags = ['prod'] }\n")  # fmt: skip
    config = folder.load({"SECRET": "x"})
    for name in ("accts", "sizes"):
        assert config.jobs[name].enabled_servers(config.servers) == ("orders",)


def test_a_redis_needs_only_a_host(folder):
    folder.write('[servers.cache]\nengine = "redis"\nhost = "/run/redis/redis.sock"\n')
    access = server_access("cache", folder.load({}).servers["cache"])
    assert (access.user, access.password(), access.port) == ("", None, 6379)
    assert access.commands_per_second == 1000
