"""When a request is signed: as of the try that sends it."""

from datetime import timedelta

from exchange_helpers import NOW, composed

from syncd.calls.signing import signed_at

LATER = NOW + timedelta(minutes=3)


def test_a_later_try_is_signed_as_of_then() -> None:
    made = composed(url="https://api.example/a", hmac={"secret": "shared-key"})
    later = signed_at(made, LATER)
    assert later.headers["X-Timestamp"] == str(int(LATER.timestamp()))
    assert later.headers["X-Signature"] != made.headers["X-Signature"]
    assert signed_at(later, NOW) == made


def test_what_is_not_signed_stays_as_it_is() -> None:
    made = composed(url="https://api.example/a")
    assert signed_at(made, LATER) is made


def test_the_key_is_shown_nowhere() -> None:
    assert "shared-key" not in repr(composed(url="https://a/", hmac={"secret": "shared-key"}))
