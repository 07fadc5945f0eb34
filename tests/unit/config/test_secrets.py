"""Secrets: read at use, never shown, remembered for masking."""

import pytest

from syncd.config.configuration import digest
from syncd.config.schema import Account
from syncd.config.secrets import LARGEST, dsn_passwords, known, parse_secret, resolve
from syncd.errors import ConfigurationError


def value_of(reference, environ):
    return resolve(parse_secret(reference), environ).get_secret_value()


def test_a_credential_comes_from_the_directory_of_systemd(tmp_path):
    (tmp_path / "aliyun-secret").write_text("from-systemd\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert value_of({"credential": "aliyun-secret"}, environ) == "from-systemd"


def test_one_newline_at_the_end_is_dropped_and_a_changed_file_is_seen(tmp_path):
    path = tmp_path / "secret"
    path.write_text("first\n\n")
    assert value_of({"file": str(path)}, {}) == "first\n"
    path.write_text("second")
    assert value_of({"file": str(path)}, {}) == "second"


def test_what_was_read_is_known_to_the_masker_with_the_password_of_a_dsn():
    value_of("postgresql://syncd:p%40ss-word@db/x", {})
    assert value_of({"env": "TOKEN"}, {"TOKEN": "of-the-environment"}) == "of-the-environment"
    assert {"p%40ss-word", "p@ss-word", "of-the-environment"} <= known()


@pytest.mark.parametrize(
    ("dsn", "passwords"),
    [
        ("postgresql://u:secret@h/d", {"secret"}),
        ("postgresql://u@h/d?password=in%20query", {"in%20query", "in query"}),
        ("host=h password=plain user=u", {"plain"}),
        ("host=h password = 'with space' user=u", {"with space"}),
        ("postgresql://u@h/d", set()),
        ("embedded", set()),
        ("postgresql://[broken", set()),
    ],
)
def test_passwords_are_found_in_connection_strings(dsn, passwords):
    assert dsn_passwords(dsn) == passwords


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ({"env": "MISSING"}, "environment variable MISSING is not set"),
        ({"env": "EMPTY"}, "env EMPTY is empty"),
        ({"credential": "nothing"}, "CREDENTIALS_DIRECTORY is not set"),
        ({"file": "/nonexistent/secret"}, "file /nonexistent/secret can't be read"),
        ({"file": "/dev/zero"}, "not a file"),
    ],
)
def test_a_reference_that_gives_nothing_is_named(reference, message):
    with pytest.raises(ConfigurationError, match=message):
        resolve(parse_secret(reference), {"EMPTY": ""})


@pytest.mark.parametrize("content", [b"\xff\xfebinary", b"x" * (LARGEST + 1)])
def test_a_file_that_can_be_no_secret_is_refused_without_its_content(tmp_path, content):
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        resolve(parse_secret({"file": str(path)}), {})
    assert "xxx" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "value",
    ["", "a\0b", 5, None, [], {}, {"env": "A", "file": "/b"}, {"env": 5}, {"env": "A B"},
     {"file": "relative"}, {"credential": "../escape"}, {"credential": ""}, {"vault": "x"}],
)  # fmt: skip
def test_what_is_no_secret_is_refused(value):
    with pytest.raises(ValueError, match=r"must|unknown"):
        parse_secret(value)


def test_a_value_is_in_no_text_of_the_configuration():
    account = Account(
        provider="aliyun", access_key_id=parse_secret("the-id"), access_key_secret="the-secret"
    )
    shown = f"{account!r} {account} {account.model_dump()}"
    assert "the-secret" not in shown
    assert "the-id" not in shown


def test_a_changed_inline_secret_changes_the_digest():
    first, second = (
        Account(provider="aliyun", access_key_id="id", access_key_secret=secret)
        for secret in ("one", "two")
    )
    assert digest(first) != digest(second)
