"""What of an answer may be recorded: never a secret, by value or by the name of its field."""

import json
import time
from urllib.parse import quote

import pytest
from exchange_helpers import answer
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import HTTPHeaderDict

from syncd.calls.masked import KEPT, body_text, public_url, recorded, request_id, safe_text
from syncd.config import secrets

NAMES = frozenset({"pin", "kennwort"})
SECRET = "hush-h0sh"


def is_safe(text: str, names=NAMES) -> str:
    masked = safe_text(text, names)
    assert SECRET not in masked
    return masked


@pytest.mark.parametrize("name", ["password", "access_token", "PIN", "kennwort", "clientSecret"])
@pytest.mark.parametrize(
    "form",
    [
        '{{"a": 1, "{n}": "{s}", "b": 2}}', '{{"{n}":"{s}"', '{{"{n}"  :\n "{s}"}}', '"{n}": "{s}',
        '{{"{n}": "\\"{s}"}}', '{{"{n}": {{"x": "}}", "y": ["{s}"]}}, "b": 2}}', '{{"{n}": ["{s}',
        '{{"text": "{{\\"{n}\\": \\"{s}\\"}}"}}', '{{"t": "{{\\"{n}\\": \\"a\\\\\\"{s}\\"}}"}}',
        '{{"t": "{{\\"{n}\\": {{\\"x\\": \\"a, {s}\\"}}}}"}}',
        "a=1&{n}={s}&b=2", "{n}={s}", "{n}: {s}", "{n} = '{s}'", "{{'{n}': '{s}'}}", "--{n}={s} -x",
        "<a><{n}>{s}</{n}></a>", '<ns:{n} type="x">{s}</ns:{n}>', '<a {n}="{s}" b="1"/>',
        "see https://x/?{n}={s}.", "{n}=\"{s} {s}\"", "x.{n}={s}", "my-{n}: {s}",
    ],
)  # fmt: skip
def test_secret_fields_are_masked_whatever_the_form(name, form) -> None:
    assert "******" in is_safe(form.format(n=name, s=SECRET), NAMES | {"x.pin", "my-pin",
                               "x.kennwort", "my-kennwort"})  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer " + SECRET, "authorization: Basic " + SECRET, "Bearer " + SECRET,
        "Cookie: " + SECRET, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0." + SECRET,
        '"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.' + SECRET + '"',
    ],
)  # fmt: skip
def test_credentials_are_masked_wherever_they_stand(text) -> None:
    is_safe(text)


def test_what_is_no_secret_is_left_as_it_is() -> None:
    text = '{"code": 0, "passed": true, "items": [{"id": 5, "name": "a=b: c"}], "token": null}\n'
    assert safe_text(text) == text
    assert (
        safe_text("tests passed: 12, author: me; a=1&b=2")
        == "tests passed: 12, author: me; a=1&b=2"
    )


def test_json_stays_json() -> None:
    value = {"password": "a", "x": {"token": {"deep": [1, {"y": "z"}]}}, "pin": 12, "n": [1, "b"]}
    for indent in (None, 2):
        masked = json.loads(safe_text(json.dumps(value, indent=indent), NAMES))
        assert masked == {
            "password": "******", "x": {"token": "******"}, "pin": "******", "n": [1, "b"],
        }  # fmt: skip


@given(secret=st.text(min_size=4, max_size=40), size=st.integers(0, 60))
def test_a_cut_document_does_not_show_the_value_of_a_field(secret, size) -> None:
    text = json.dumps({"password": f"{secret}-{SECRET}", "a": 1})[: len(secret) + size]
    assert SECRET not in safe_text(text)


@pytest.mark.parametrize("value", ["v4lue/one+x", 'quo"te\\9', "ünïcode-1", "line\nbreak-1"])
def test_values_that_were_read_are_masked_in_every_form(value) -> None:
    secrets.remember(value)
    for form in (value, quote(value, safe=""), json.dumps(value), repr(value)):
        assert form not in safe_text(f"a {form} b")


def test_of_a_long_answer_the_beginning_is_recorded() -> None:
    text = recorded(answer(b"x" * (KEPT + 5)), NAMES)
    assert text == "x" * KEPT


@pytest.mark.parametrize("shift", range(0, 24, 3))
def test_no_part_of_a_secret_stands_at_the_end(shift) -> None:
    secrets.remember("p4rt-of-a-secret-value")
    body = b"x" * (KEPT - shift) + b"p4rt-of-a-secret-value and more"
    assert "p4" not in recorded(answer(body), NAMES)


def test_what_postgresql_refuses_is_replaced() -> None:
    text = recorded(answer(b"a\0b\xff\xed\xa0\x80c"), NAMES)
    assert "\0" not in text
    text.encode()
    assert text.startswith("a")
    assert text.endswith("c")


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text/html; charset=ISO-8859-1", b"\xfc", "ü"),
        ("text/html; charset='cp1252'", b"\x80", "€"),
        ("text/html; charset=utf-16", "ü".encode("utf-16"), "ü"), ("", "ü".encode(), "ü"),
        ("a/b; charset=none", "ü".encode(), "ü"), ("a/b; charset=", b"x", "x"),
        ("a/b; charset=base64", b"eA==", "eA=="), ("a/b; charset=rot13", b"uryyb", "uryyb"),
        ("a/b; charset=utf-8", b"\xff", "\ufffd"), ("", b"\xef\xbb\xbfx", "x"),
        ("a; charset=punycode", b"\xff-\xff", None), ("a; charset=idna", b"xn--\xff", None),
        ("a; charset=unicode_escape", b"\\", None), ("a; charset=utf-7", b"+\xff", None),
        ("a; charset=undefined", b"x", "x"), ("a; charset=zip", b"x", "x"),
    ],
)  # fmt: skip
def test_a_text_is_read_by_its_charset_or_else(kind, body, text) -> None:
    found = body_text(body, {"Content-Type": kind})
    assert text is None or found == text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a/b?c=d&e", "https://a/b?c=d&e"), ("https://u:p@a/b", "https://a/b"),
        ("https://a/?token=x&PIN=1&q=2", "https://a/?token=******&PIN=******&q=2"),
        ("https://a/?to%6ben=x&x=1", "https://a/?to%6ben=******&x=1"), ("https://a/#x", "https://a/"),
        ("http://[x", "(no URL)"), ("https://a:x/?pin=", "https://a:x/?pin=******"),
    ],
)  # fmt: skip
def test_a_url_is_shown_without_its_secrets(url, shown) -> None:
    assert public_url(url, NAMES) == shown


@pytest.mark.parametrize("name", ["X-Request-Id", "X-Trace-Id", "Traceparent", "CF-Ray"])
def test_the_servers_name_of_a_request_is_found(name) -> None:
    assert request_id(HTTPHeaderDict({name: " abc-1 "})) == "abc-1"
    assert request_id(HTTPHeaderDict({"Date": "x", "X-Request-Id": " "})) is None
    assert len(request_id(HTTPHeaderDict({name: "x" * 5000})) or "") == 256


@pytest.mark.parametrize(
    "piece", ['"', '"a":', "\\", '\\"', "a", "{", '{"token":', "=", "a=", "token=", "<a>", "<a ",
              " ", "eyJa", "eyJaaaaaaa.", "bearer ", '"token":"', "'", '"token":[', "a.",
              "\\\\\"x", "token=\\\"", "password: 'x"],
)  # fmt: skip
def test_no_text_takes_long_to_mask(piece) -> None:
    text = piece * (KEPT // len(piece))
    started = time.monotonic()
    safe_text(text, NAMES)
    assert time.monotonic() - started < 1.0


@given(text=st.text('"\\:{}[],=&<>abtoken ', max_size=60) | st.text(max_size=60))
def test_any_text_can_be_masked(text) -> None:
    safe_text(text, NAMES)


@pytest.mark.parametrize("name", ["password", "kennwort", "x-token"])
def test_a_secret_that_is_a_part_of_a_name_hides_nothing_of_what_the_name_tells(name) -> None:
    for each in ("word", "wort", "token", "password"):
        secrets.remember(each)
    for text in ('{{"{n}": "{s}"}}', "{n}={s}&b=2", "{n}: {s}", "<{n}>{s}</{n}>"):
        assert SECRET not in safe_text(text.format(n=name, s=SECRET), NAMES)


def test_a_secret_that_holds_the_name_of_a_field_is_masked_as_a_whole() -> None:
    secrets.remember("user=bob;password=hidden")
    assert safe_text("it said user=bob;password=hidden, then ended") == (
        "it said ******, then ended"
    )
