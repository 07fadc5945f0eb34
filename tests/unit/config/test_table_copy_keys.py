"""The keys of jobs that copy tables: what is refused, and where it is told."""

import pytest
from copied_tables import SERVERS, copy

LONG = "n" * 64
NAME_RULE = "must be the name of a {}: 1 to 64 characters, none of them NUL"
INCREMENTAL = 'mode = "incremental"'
NEEDS = "incremental needs watermark, the column that grows, for table"
ONE = 'server = "shop", database = "shop", tables = ["orders"]'


def of_table(*lines, table="orders"):
    return f"[jobs.c.per_table.{table}]\n" + "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SERVERS + '[jobs.c]\nkind = "table_copy"',
         ["10: jobs.c.source: is required", "10: jobs.c.target: is required"]),
        (copy(source='server = "shap", database = "a", tables = ["a"]'),
         ['12: jobs.c.source.server: no table [servers.NAME] defines "shap"; did you mean "shop"?; '
          "allowed: cache, house, shop"]),
        (copy(target='server = "hause"'),
         ['13: jobs.c.target.server: no table [servers.NAME] defines "hause"; did you mean '
          '"house"?; allowed: cache, house, shop']),
        (copy(target='server = "cache", database = "a"'),
         ["13: jobs.c.target.server: is of engine redis, which has no tables"]),
        (copy(source='server = "cache", tables = ["a"]'),
         ["12: jobs.c.source.server: is of engine redis, which has no tables"]),
        (copy(source='server = "shop", database = "a"'),
         ["12: jobs.c.source: needs tables or query: one of them"]),
        (copy(source='server = "shop", database = "a", tables = ["a"], query = "select 1", '
                     'key = ["a"]'),
         ["12: jobs.c.source: needs tables or query: one of them"]),
        (copy(source='server = "shop", database = "a", query = "select 1"'),
         ["12: jobs.c.source: query needs key: the columns that tell its rows apart"]),
        (copy(source='server = "shop", database = "a", query = "drop table a", key = ["a"]'),
         ['12: jobs.c.source.query: must be a query, such as "select * from orders"']),
        (copy(source='server = "shop", database = "a", query = "select 1 a", key = ["a"]'),
         ["13: jobs.c.target: needs table: the result of a query has no name"]),
        (copy(source='server = "shop", database = "a", tables = []'),
         ["12: jobs.c.source.tables: must have 1 to 10000 names"]),
        (copy(source='server = "shop", database = "a", tables = ["a", "b", "a"]'),
         ['12: jobs.c.source.tables: names "a" twice']),
        (copy(source='server = "shop", database = "a", tables = ["a\\u0000b"]'),
         [f"12: jobs.c.source.tables: {NAME_RULE.format('table')}"]),
        (copy(source=f'server = "shop", database = "a", tables = ["{LONG}n"]'),
         [f"12: jobs.c.source.tables: {NAME_RULE.format('table')}"]),
        (copy(source='server = "shop", tables = ["a"]'),
         ["12: jobs.c.source: needs database: the server is of engine mysql"]),
        (copy(source='server = "shop", database = "a", schema = "b", tables = ["a"]'),
         ["12: jobs.c.source.schema: is what database is with engine mysql: one of them is"]),
        (copy(target='server = "house", table = "a"'),
         ["13: jobs.c.target.table: is of one table alone: see per_table.NAME.table"]),
        (copy(of_table('table = "lines"')),
         ['13: jobs.c.target: "lines" is the target of 2 tables']),
        (copy(of_table("page_rows = 5", table="order")),
         ['14: jobs.c.per_table.order: is none of the tables "order"; did you mean "orders"?; '
          "allowed: lines, orders"]),
        (copy(of_table("pagerows = 5")),
         ['15: jobs.c.per_table.orders.pagerows: unknown key "pagerows"; did you mean "page_rows"'
          "?; allowed: delete, exclude, include, key, lookback, mask, max_rejected, page_rows, "
          "rename, table, values, watermark"]),
        (copy(target='server = "shop", database = "shop"'),
         ['13: jobs.c.target: table "orders" would be copied onto itself',
          '13: jobs.c.target: table "lines" would be copied onto itself']),
        (copy(source=ONE, target=f'server = "house", table = "{LONG}"'),
         [f'13: jobs.c.target.table: "{LONG}" is longer than the 63 bytes of postgresql']),
        (copy(source=ONE, target='server = "house", table = "Syncd_Watermark"'),
         ['13: jobs.c.target: syncd keeps in "syncd_watermark" how far copies are: see '
          "target.state_schema"]),
        (copy(f'rename = {{ a = "{"é" * 32}" }}'),
         [f'14: jobs.c.rename.a: "{"é" * 32}" is longer than the 63 bytes of postgresql']),
        (copy(INCREMENTAL),
         [f'14: jobs.c.mode: {NEEDS} "orders"',
          f'14: jobs.c.mode: {NEEDS} "lines"']),
        (copy(INCREMENTAL, of_table('watermark = "u"')),
         [f'14: jobs.c.mode: {NEEDS} "lines"']),
        (copy('lookback = "5m"', 'full_every = "1d"', 'watermark = "u"', 'watermark_zone = "UTC"'),
         ['14: jobs.c.lookback: has no meaning with mode = "full"',
          '15: jobs.c.full_every: has no meaning with mode = "full"',
          '16: jobs.c.watermark: has no meaning with mode = "full"',
          '17: jobs.c.watermark_zone: has no meaning with mode = "full"']),
        (copy(of_table("lookback = 5")),
         ['15: jobs.c.per_table.orders.lookback: has no meaning with mode = "full"']),
        (copy(INCREMENTAL, 'watermark = "u"', "lookback = -1"),
         ["16: jobs.c.lookback: must be at least 0"]),
        (copy(INCREMENTAL, 'watermark = "u"', "lookback = 1.5"),
         ['16: jobs.c.lookback: must be a duration such as "10m", or a whole number for a numeric '
          "watermark"]),
        (copy(INCREMENTAL, 'watermark = "u"', 'watermark_zone = "Asia/Shangai"'),
         ['16: jobs.c.watermark_zone: unknown time zone "Asia/Shangai"; did you mean '
          '"Asia/Shanghai"?; allowed: names such as Asia/Shanghai, UTC']),
        (copy('on_conflict = "never"'),
         ['14: jobs.c.on_conflict: unknown value "never"; allowed: error, newer(COLUMN), skip, '
          "update"]),
        (copy('on_conflict = "newer()"'),
         ['14: jobs.c.on_conflict: unknown value "newer()"; did you mean "newer(COLUMN)"?; '
          "allowed: error, newer(COLUMN), skip, update"]),
        (copy('delete = "yes"'),
         ['14: jobs.c.delete: unknown value "yes"; allowed: hard, none, soft']),
        (copy("page_rows = 0"), ["14: jobs.c.page_rows: must be at least 1"]),
        (copy("page_rows = 100001"), ["14: jobs.c.page_rows: must be at most 100000"]),
        (copy("max_rejected = -1"), ["14: jobs.c.max_rejected: must be at least 0"]),
        (copy("max_delete_percent = 101"),
         ["14: jobs.c.max_delete_percent: must be at most 100"]),
        (copy('rename = { a = "c", b = "c" }'),
         ['14: jobs.c.rename: gives two columns the name "c"']),
        (copy('rename = ["a"]'), ['14: jobs.c.rename: must be a table, such as { old = "new" }']),
        (copy('mask = { email = "sha" }'),
         ['14: jobs.c.mask: "email": unknown value "sha"; allowed: hash, null']),
        (copy('values = { born = "guess" }'),
         ['14: jobs.c.values: "born": unknown value "guess"; allowed: error, null, text']),
        (copy('include = ["a", "b"]', 'exclude = ["b"]'),
         ['15: jobs.c.exclude: "b" stands in include too']),
        (copy('include = ["a", "b"]', of_table('exclude = ["b"]')),
         ['16: jobs.c.per_table.orders.exclude: "b" stands in include too']),
        (copy('exclude = ["b"]', of_table('exclude = ["c"]', 'rename = { c = "d" }')),
         ["17: jobs.c.per_table.orders.rename.c: is a column that is left out"]),
        (copy(of_table('key = ["id"]', 'mask = { id = "hash" }')),
         ["16: jobs.c.per_table.orders.mask.id: is of the key: rows could not be told apart"]),
        (copy(of_table('key = ["id"]', 'exclude = ["id"]')),
         ['16: jobs.c.per_table.orders.exclude: "id" is of the key: it has to be copied']),
        (copy('include = ["a"]', of_table('key = ["id"]')),
         ['14: jobs.c.include: "id" is of the key: it has to be copied']),
        (copy(of_table('key = ["id"]', 'values = { id = "null" }')),
         ["16: jobs.c.per_table.orders.values.id: is of the key: rows could not be told apart"]),
        (copy('include = ["a"]', 'on_conflict = "newer(u)"'),
         ['14: jobs.c.include: "u" decides in on_conflict: it has to be copied']),
        (copy('exclude = ["u"]', 'on_conflict = "newer(u)"'),
         ['14: jobs.c.exclude: "u" decides in on_conflict: it has to be copied']),
        (copy('mask = { u = "null" }', 'on_conflict = "newer(u)"'),
         ["14: jobs.c.mask.u: decides in on_conflict: it can't be masked"]),
        (copy('delete = "soft"', 'rename = { gone = "deleted_at" }'),
         ['15: jobs.c.rename.gone: "deleted_at" is soft_delete_column']),
        (copy('soft_delete_column = ""'),
         [f"14: jobs.c.soft_delete_column: {NAME_RULE.format('column')}"]),
        (copy('rename = { a = "" }'),
         [f'14: jobs.c.rename: "a": {NAME_RULE.format("column")}']),
        (copy("tables = []"), ['14: jobs.c.tables: unknown key "tables"']),
    ],
)  # fmt: skip
def test_each_mistake_has_its_place_and_its_reason(folder, text, told):
    folder.write(text)
    found = [line.removeprefix("syncd.toml:") for line in folder.told()]
    assert [line[: len(told[n])] for n, line in enumerate(found)] == told


@pytest.mark.parametrize(
    "text",
    [
        copy(),
        copy(INCREMENTAL, 'watermark = "u"', 'lookback = "0s"', 'full_every = "7d"'),
        copy(INCREMENTAL, of_table('watermark = "u"'), of_table('watermark = "v"', table="lines")),
        copy(source='server = "house", tables = ["a"]', target='server = "house", schema = "b"'),
        copy(source='server = "house", tables = ["a"]', target='server = "house", table = "b"'),
        copy(source='server = "house", tables = ["a"]',
             target='server = "house", database = "other"'),
        copy(source='server = "shop", schema = "s", database = "s", tables = ["ünï`\\"%s"]'),
        copy(source=f'server = "shop", database = "{LONG}", tables = ["{LONG}"]',
             target='server = "shop", database = "copy"'),
        copy(source='server = "shop", database = "s", tables = ["syncd_watermark"]',
             target='server = "house", state_schema = "states"'),
        copy('on_conflict = "newer(last change)"', 'mask = { email = "hash" }'),
        copy('exclude = ["a"]', of_table("exclude = []", 'include = ["a"]')),
        copy(source='server = "shop", schema = "a", query = " (select 1 as a) ; ", key = ["a"]',
             target='server = "house", table = "a"'),
    ],
)  # fmt: skip
def test_what_is_meant_is_taken(folder, text):
    folder.write(text)
    config = folder.load()
    assert [line for line in config.warnings if "upkeep" not in line] == []
    assert config.jobs["c"].enabled_servers(config.servers)


def test_a_server_that_is_disabled_leaves_nothing_to_copy(folder):
    folder.write(copy().replace('host = "house', 'enabled = false\nhost = "house'))
    config = folder.load()
    assert config.jobs["c"].enabled_servers(config.servers) == ()
    assert 'job "c" has no enabled target' in config.warnings


@pytest.mark.parametrize(
    ("target", "same"),
    [
        ('server = "house", schema = "shop"', True),
        ('server = "house", schema = "shop", database = "warehouse"', True),
        ('server = "house", schema = "other"', False),
        ('server = "house", schema = "shop", database = "other"', False),
        ('server = "house", schema = "shop", table = "lines"', False),
    ],
)
def test_two_jobs_that_write_the_same_table_are_told(folder, target, same):
    second = f'[jobs.d]\nkind = "table_copy"\nsource = {{ {ONE} }}\ntarget = {{ {target} }}\n'
    folder.write(copy(source=ONE) + second)
    warning = (
        'jobs "c" and "d" both sync table "warehouse.shop.orders" of server "house": only one of'
        " them should"
    )
    assert (warning in folder.load().warnings) == same


def also(*lines, source=ONE, target='server = "house", schema = "shop"'):
    """Return a second job; `c`, the first one, deletes in both of its tables."""
    first = copy('delete = "hard"', of_table("page_rows = 5"))
    head = f'[jobs.d]\nkind = "table_copy"\nsource = {{ {source} }}\ntarget = {{ {target} }}\n'
    return first + head + "\n".join(lines) + "\n"


OTHERS = 'server = "shop", database = "abroad", tables = ["orders"]'
QUERY = 'server = "shop", database = "shop", query = "select * from orders", key = ["id"]'
SOFT = 'delete = "soft"'
AGAIN = SERVERS.partition("[servers.house]")[0].replace("servers.shop", "servers.again")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (also(SOFT, source=OTHERS), "delete"),
        (also(of_table(SOFT).replace("jobs.c", "jobs.d"), source=OTHERS),
         "per_table.orders.delete"),
        (also(SOFT, source=OTHERS.replace("shop", "again", 1)) + AGAIN, "delete"),
        (also(SOFT, source=QUERY, target='server = "house", schema = "shop", table = "orders"'),
         "delete"),
    ],
)  # fmt: skip
def test_two_jobs_that_would_delete_each_others_rows_are_refused(folder, text, key):
    folder.write(text)
    (line,) = folder.told()
    assert line.endswith(
        f' jobs.d.{key}: job "c" deletes in "orders" too, and reads something else: each would'
        " delete the other's rows"
    )


@pytest.mark.parametrize(
    "text",
    [
        also(SOFT),
        also(source=OTHERS),
        also(SOFT, of_table('delete = "none"').replace("jobs.c", "jobs.d"), source=OTHERS),
        also(SOFT, "enabled = false", source=OTHERS),
        also(SOFT, source=OTHERS, target='server = "house", schema = "abroad"'),
        also(SOFT, source=OTHERS, target='server = "house", schema = "shop", table = "others"'),
        also(SOFT, source=ONE.replace("shop", "again", 1)) + AGAIN,
    ],
)  # fmt: skip
def test_two_jobs_of_one_table_may_delete_what_is_not_the_others(folder, text):
    folder.write(text)
    assert set(folder.load().jobs) >= {"c", "d"}


def test_a_rule_changed_is_a_job_changed(folder):
    folder.write(copy(of_table("page_rows = 5")))
    before = folder.load()
    folder.write(copy(of_table("page_rows = 6")))
    after = folder.load()
    assert before.digest != after.digest
    assert before.jobs["c"] != after.jobs["c"]
