"""Which hosts may be called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.config.hosts import allowed, pattern, plain


@pytest.mark.parametrize(
    ("written", "host", "port", "fits"),
    [
        ("api.internal", "api.internal", 443, True),
        ("api.internal", "API.Internal.", 443, True),
        ("api.internal", "evil-api.internal", 443, False),
        ("api.internal", "api.internal.evil.example", 443, False),
        ("api.internal:8443", "api.internal", 8443, True),
        ("api.internal:8443", "api.internal", 443, False),
        ("*.internal", "a.internal", 443, True),
        ("*.internal", "a.b.internal", 80, True),
        ("*.internal", "internal", 443, False),
        ("*.internal", "notinternal", 443, False),
        ("*.internal:80", "a.internal", 443, False),
        ("*.0.0.1x", "127.0.0.1x", 1, True),
        ("127.0.0.1", "127.0.0.1", 80, True),
        ("127.0.0.1", "::ffff:127.0.0.1", 80, True),
        ("127.0.0.1", "2130706433", 80, False),
        ("[::1]", "::1", 80, True),
        ("[::1]", "[0:0:0:0:0:0:0:1]", 80, True),
        ("[::1]:8443", "::1", 8443, True),
        ("[::1]:8443", "::1", 443, False),
        ("bücher.example", "xn--bcher-kva.example", 443, True),
        ("*.bücher.example", "a.BÜCHER.example", 443, True),
        ("api.internal", "api.internal%2eevil", 443, False),
        ("api.internal", "", 443, False),
        ("api.internal", "api..internal", 443, False),
        ("api.internal", "api.internal\0", 443, False),
        ("*.internal", "a b.internal", 443, False),
    ],
)
def test_a_pattern_fits_what_it_says(written, host, port, fits):
    assert allowed((pattern(written),), host, port) is fits


@pytest.mark.parametrize(
    "text",
    ["", "*", "*.", "a b", "http://a", "a/b", "a@b", "*.*.a", "a.*", "a:0", "a:70000", "*.1.2.3.4",
     "[::1", "::1]", "[fe80::1%eth0]", "1.2.3", "a..b", "-", "a\n", "\0", "x" * 300,
     "[::1]:", "a:b", "*.[::1]"],
)  # fmt: skip
def test_what_is_no_pattern_is_refused(text):
    with pytest.raises(ValueError, match=r"is no|has no|does not appear"):
        pattern(text)


def test_no_pattern_allows_all():
    assert allowed((), "anything", 1)


@given(st.text() | st.text("ab.:*[]-%1é"))
def test_any_text_is_a_host_or_none(text):
    try:
        name = plain(text)
    except ValueError:
        assert not allowed(("a",), text, 1)
    else:
        assert plain(name) == name


@given(st.from_regex(r"(\*\.)?[a-z]{1,5}(\.[a-z]{1,5}){0,2}(:[1-9][0-9]{0,3})?", fullmatch=True))
def test_a_pattern_stays_what_it_is(text):
    assert pattern(pattern(text)) == text
