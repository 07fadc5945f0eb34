"""Lines of keys, best effort."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from syncd.config.positions import lines_of

TEXT = '''# comment [not.a.table]
timezone = "UTC"
[store]   # [x]
dsn = """
[not.a.table]
key = 1
"""
"pool_max" = 5
[accounts . "a.b"]
regions = [
  "x", # ]
  "y = [",
]
secret = { env = "X" }
a.b = 1
[[list]]
z = \'\'\'one line\'\'\'
last = 1
'''


def test_headers_keys_and_what_spans_lines():
    tomllib.loads(TEXT)
    assert lines_of(TEXT) == {
        ("timezone",): 2, ("store",): 3, ("store", "dsn"): 4, ("store", "pool_max"): 8,
        ("accounts", "a.b"): 9, ("accounts", "a.b", "regions"): 10,
        ("accounts", "a.b", "regions", "0"): 11, ("accounts", "a.b", "regions", "1"): 12,
        ("accounts", "a.b", "secret"): 14, ("accounts", "a.b", "secret", "env"): 14,
        ("accounts", "a.b", "a"): 15, ("accounts", "a.b", "a", "b"): 15,
        ("list",): 16, ("list", "0"): 16, ("list", "0", "z"): 17, ("list", "0", "last"): 18,
    }  # fmt: skip


CALLS = """[[jobs.x.calls]]
name = "plan"
request = { url = "https://a/" }
[[jobs.x.calls]]
request.url = "https://a/"
request.body = { list = [
  1,
  { b = 2 },
] }
[jobs.x.calls.expect]
status = [200]
[[jobs.x.calls.more]]
a = 1
[[jobs.x.calls.more]]
a = 2
[jobs.y]
calls = [
  { name = "a" },
  { name = "b" },
]
"""


def test_tables_in_tables_and_in_lists():
    tomllib.loads(CALLS)
    lines, calls = lines_of(CALLS), ("jobs", "x", "calls")
    assert {
        (*calls, "0"): 1, (*calls, "0", "request", "url"): 3, (*calls, "1"): 4,
        (*calls, "1", "request"): 5, (*calls, "1", "request", "body", "list", "1", "b"): 8,
        (*calls, "1", "expect", "status"): 11, (*calls, "1", "more", "0", "a"): 13,
        (*calls, "1", "more", "1", "a"): 15, ("jobs", "y", "calls", "1", "name"): 19,
    }.items() <= lines.items()  # fmt: skip


@given(st.text("ab.=\"'[]{}#\\\n ") | st.text())
def test_any_text_is_scanned(text):
    count = text.count("\n") + 1
    assert all(1 <= line <= count for line in lines_of(text).values())


def test_a_long_line_of_anything_takes_no_time():
    for text in (
        '"' * 500_000,
        "a." * 250_000,
        "a." * 250_000 + "a = 1",
        "[" * 500_000,
        "'\"" * 250_000,
        '\\"' * 250_000,
    ):
        lines_of(text)
