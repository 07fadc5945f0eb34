import base64
import json
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.telemetry.masking import MASK, SHORTEST, Masker

ODD = "p\"ä\\s +/%'\n密钥"


@pytest.mark.parametrize(
    "quoted",
    [
        ODD,
        json.dumps(ODD),
        json.dumps(ODD, ensure_ascii=False),
        json.dumps(json.dumps({"password": ODD})),
        repr(ODD),
        repr(KeyError(ODD)),
        json.dumps(repr(ODD)),
        quote(ODD),
        quote(ODD, safe=""),
        quote(ODD).lower(),
        quote_plus(ODD),
        urlencode({"Signature": ODD}),
        json.dumps(ODD.encode().decode("latin-1")),
    ],
)
def test_a_secret_is_masked_in_every_way_it_may_be_written(quoted):
    text = Masker(lambda: [ODD])(f"before {quoted} after")
    assert MASK in text
    assert "密钥" not in text
    assert "\\u5bc6" not in text
    assert "\\u00c3" not in text
    assert "%E5%AF%86" not in text.upper()
    assert text.startswith("before ")
    assert text.endswith(" after")


def test_a_secret_that_is_a_part_of_another_does_not_uncover_the_rest():
    assert Masker(lambda: ["hunter2", "hunter2-and-more"])("x hunter2-and-more") == f"x {MASK}"


def test_only_secrets_known_at_the_moment_count():
    known: set[str] = set()
    mask = Masker(lambda: known)
    assert mask("renewed-token") == "renewed-token"
    known.add("renewed-token")
    assert mask("renewed-token") == MASK


def test_a_value_too_short_to_be_a_secret_leaves_the_text_readable():
    assert Masker(lambda: ["", "a" * (SHORTEST - 1)])("a aaa banana") == "a aaa banana"


@given(st.text(min_size=SHORTEST), st.text(), st.text())
def test_no_secret_of_any_characters_survives_json(secret, before, after):
    text = Masker(lambda: [secret])(json.dumps(f"{before}|{secret}|{after}"))
    assert MASK in text


def test_text_without_secrets_is_left_alone():
    text = base64.b64encode(bytes(range(256))).decode()
    assert Masker(lambda: ["hunter2", ODD])(text) == text
