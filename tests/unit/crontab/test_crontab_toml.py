"""Whatever is written as TOML is read back as it was."""

import tomllib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syncd.crontab import toml_text as toml

TEXT = st.text()
VALUES = st.recursive(
    st.one_of(
        TEXT, st.booleans(), st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=12,
)  # fmt: skip


@given(TEXT, VALUES)
@example('a"]\n[x]\nb = "', "\x7f\u0085\u2028\U0001f986'''\"\"\"\\")
@example("", {"": {"a.b": [1e300, -0.0, 5e-324]}})
def test_a_value_is_read_back(name, value):
    assert tomllib.loads(f"{toml.key(name)} = {toml.value(value)}\n") == {name: value}


@given(TEXT)
def test_a_comment_is_one_line_and_says_nothing(text):
    written = toml.comment(text)
    assert len(written.splitlines()) == 1
    assert tomllib.loads(written) == {}


@given(TEXT.filter(bool), st.dictionaries(TEXT, VALUES, max_size=4), st.booleans(), st.lists(TEXT))
def test_a_job_is_read_back(name, values, several, remarks):
    request = {"url": "https://a", "idempotency_key": False, **values}
    job = {"kind": "http", "schedule": "@daily"}
    job |= {"calls": [{"request": request}] * 2} if several else {"request": request}
    text = "\n".join(toml.job_lines(name, job, remarks))
    assert tomllib.loads(text) == {"jobs": {name: job}}


def test_what_toml_has_no_word_for():
    with pytest.raises(TypeError):
        toml.value(None)
