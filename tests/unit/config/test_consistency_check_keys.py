"""The keys of jobs that compare tables: what is refused, and where it is told."""

import pytest
from copied_tables import SERVERS, check, check_of, copy

TABLE = 'server = "house", table = "a"'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SERVERS + '[jobs.k]\nkind = "consistency_check"',
         ["10: jobs.k: needs copy, or left and right"]),
        (SERVERS + '[jobs.k]\nkind = "consistency_check"\nleft = { server = "shop", table = "a" }',
         ["10: jobs.k: needs copy, or left and right"]),
        (SERVERS + '[jobs.k]\nkind = "consistency_check"\ncopy = "c"',
         ['12: jobs.k.copy: no job of kind table_copy has the name "c"']),
        (copy() + '[jobs.k]\nkind = "consistency_check"\ncopy = "k"',
         ['20: jobs.k.copy: no job of kind table_copy has the name "k"; allowed: c']),
        (check_of('tables = ["orders", "line"]'),
         ['18: jobs.k.tables[1]: is no table of the copy "line"; did you mean "lines"?; allowed: '
          "lines, orders"]),
        (check_of('left = { server = "shop", database = "a", table = "a" }'),
         ["18: jobs.k.left: stands beside copy: only one may"]),
        (check_of('rename = { a = "b" }'), ["18: jobs.k.rename: stands beside copy"]),
        (check_of('compare = ["count"]', 'repair = "copy"'),
         ["19: jobs.k.repair: needs checksum in compare"]),
        (check('repair = "copy"'), ["14: jobs.k.repair: goes with copy"]),
        (check('tables = ["a"]'), ["14: jobs.k.tables: goes with copy"]),
        (check(left='server = "shap", table = "a"'),
         ['12: jobs.k.left.server: no table [servers.NAME] defines "shap"; did you mean "shop"?']),
        (check(left='server = "shop", table = "a"'),
         ["12: jobs.k.left: needs database: the server is of engine mysql"]),
        (check(left='server = "house"'),
         ["12: jobs.k.left: needs table, tables, query or pattern: one of them"]),
        (check(left='server = "house", query = "select 1"', right='server = "house"'),
         ["13: jobs.k.right: needs table, tables, query or pattern: one of them"]),
        (check(left='server = "house", query = "select 1", table = "a"'),
         ["12: jobs.k.left: table and query: only one of them may be"]),
        (check(left='server = "house", tables = ["a", "b"]', right=TABLE),
         ["13: jobs.k.right: must name as many tables as the left side"]),
        (check(left=TABLE, right='server = "house", tables = ["a", "b"]'),
         ["13: jobs.k.right: must name as many tables as the left side"]),
        (check(left='server = "house", query = "select 1"',
               right='server = "house", tables = ["a", "b"]'),
         ["13: jobs.k.right: must name as many tables as the left side"]),
        (check(left=TABLE, right=TABLE), ["13: jobs.k.right: is the same as left"]),
        (check(left=TABLE, right='server = "house", database = "warehouse", schema = "public"'),
         ["13: jobs.k.right: is the same as left"]),
        (check(right='server = "house", table = "a", field = "qty"'),
         ["13: jobs.k.right: field and as go with pattern"]),
        (check(right='server = "house", pattern = "stock:{sku}"'),
         ["13: jobs.k.right.pattern: is of engine redis; the server is of postgresql"]),
        (check(right='server = "house", pattern = "stock:sku"'),
         ["13: jobs.k.right.pattern: must be a pattern with a key in braces, such as stock:{sku}"]),
        (check(right='server = "cache", pattern = "a:{x}:{x}"'),
         ["13: jobs.k.right.pattern: has the same name twice"]),
        (check(right='server = "cache", pattern = "a:{x}{y}"'),
         ["13: jobs.k.right.pattern: needs a text between two names"]),
        (check(right='server = "cache", pattern = "a:{x}", as = "x"'),
         ['13: jobs.k.right: as: "x" is a name in the pattern too']),
        (check(right='server = "cache", table = "a"'),
         ["13: jobs.k.right: needs pattern: the server is of engine redis"]),
        (check(right='server = "cache", pattern = "a:{x}", database = "a"'),
         ["13: jobs.k.right.database: must be a number of redis, such as 0"]),
        (check(right='server = "cache", pattern = "a:{x}", schema = "a"'),
         ["13: jobs.k.right.schema: is not of redis"]),
        (check(left='server = "cache", pattern = "a:{x}"',
               right='server = "cache", pattern = "b:{x}"'),
         ["13: jobs.k.right.pattern: is of redis as the left side is: one must be a table"]),
        (check(right='server = "house", table = "a", database = 3'),
         ["13: jobs.k.right.database: must be the name of a database"]),
        (check('compare = ["sum"]'),
         ['14: jobs.k.compare: unknown value "sum"; allowed: aggregate, checksum, count']),
        (check("compare = []"),
         ['14: jobs.k.compare: must be a list, such as ["count", "checksum"]']),
        (check('compare = ["count", "count"]'), ["14: jobs.k.compare: names one of them twice"]),
        (check("tolerance = { qty = -1 }"),
         ['14: jobs.k.tolerance: "qty": must be a number such as 2 or "0.01", or a share such as '
          '"0.1%"']),
        (check('tolerance = { qty = "nan" }'), ['14: jobs.k.tolerance: "qty": must be a number']),
        (check('tolerance = { qty = "1 %%" }'), ['14: jobs.k.tolerance: "qty": must be a number']),
        (check("tolerance = { qty = true }"), ['14: jobs.k.tolerance: "qty": must be a number']),
        (check("tolerance = { qty = 1 }", 'exclude = ["qty"]'),
         ["14: jobs.k.tolerance.qty: is of the key or left out"]),
        (check('key = ["id"]', 'exclude = ["id"]'),
         ['15: jobs.k.exclude: "id" stands in key too']),
        (check('columns = ["a"]', 'exclude = ["a"]'),
         ['15: jobs.k.exclude: "a" stands in columns too']),
        (check('min_age = "5m"'), ["14: jobs.k.min_age: needs age_column"]),
        (check('age_column = "u"'), ["14: jobs.k.age_column: needs min_age"]),
        (check("report_limit = 10001"), ["14: jobs.k.report_limit: must be at most 10000"]),
        (check('on_difference = "warn"'),
         ['14: jobs.k.on_difference: unknown value "warn"; allowed: fail, report']),
        (check("recheck = 5"), ['14: jobs.k.recheck: a bare number has no unit; write "5s"']),
    ],
)  # fmt: skip
def test_each_mistake_has_its_place_and_its_reason(folder, text, told):
    folder.write(text)
    found = [line.removeprefix("syncd.toml:") for line in folder.told()]
    assert [line[: len(told[n])] for n, line in enumerate(found)] == told


@pytest.mark.parametrize(
    "text",
    [
        check(),
        check(left='server = "house", tables = ["a", "b"]',
              right='server = "house", schema = "copy"'),
        check(left='server = "house", tables = ["a", "b"]',
              right='server = "house", tables = ["b", "c"]'),
        check(left='server = "house", query = "select 1 as id"', right=TABLE),
        check(left=TABLE, right='server = "house", query = "with x as (select 1) select * from x"'),
        check('age_column = "u"', 'min_age = "5m"', 'tolerance = { a = 0.5, b = "2%" }'),
        check_of('tables = ["orders"]', 'repair = "copy"'),
        check(right='server = "cache", pattern = "stock:{sku}:{shop}", field = "qty", as = "qty"'),
        check(left='server = "cache", pattern = "{sku}", database = 3', right=TABLE),
    ],
)  # fmt: skip
def test_what_is_meant_is_taken(folder, text):
    folder.write(text)
    config = folder.load()
    assert [line for line in config.warnings if "upkeep" not in line] == []
    assert config.jobs["k"].enabled_servers(config.servers)


@pytest.mark.parametrize("text", [check(), check_of()])
def test_a_server_that_is_disabled_leaves_nothing_to_check(folder, text):
    folder.write(text.replace('host = "house', 'enabled = false\nhost = "house'))
    config = folder.load()
    assert config.jobs["k"].enabled_servers(config.servers) == ()
    assert 'job "k" has no enabled target' in config.warnings


def test_a_check_changes_with_the_copy_that_it_checks(folder):
    folder.write(check_of())
    before = folder.load()
    folder.write(check_of(copied=['exclude = ["note"]']))
    assert before.jobs["k"] != folder.load().jobs["k"]


def test_the_copy_that_is_checked_may_be_disabled(folder):
    folder.write(check_of(copied=["enabled = false"]))
    config = folder.load()
    assert config.jobs["k"].items == ("orders", "lines")
    assert config.jobs["k"].enabled_servers(config.servers) == ("shop", "house")
