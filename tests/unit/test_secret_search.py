"""The search for secrets finds them."""

import base64
import json
from urllib.parse import urlencode

import pytest
from secret_search import Search

SECRET = 'p+a/s="ü&w'


@pytest.mark.parametrize(
    "text",
    [
        f"x{SECRET}x",
        json.dumps({"a": SECRET}),
        json.dumps({"a": SECRET}, ensure_ascii=False),
        urlencode({"a": SECRET}),
        repr({"a": SECRET}),
        *(base64.b64encode(b"u" * n + b":" + SECRET.encode() + b"!" * m).decode()
          for n in range(4) for m in range(3)),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        SECRET.encode().hex(),
        json.dumps({"a": SECRET.encode().decode("latin-1")}),
    ],
)  # fmt: skip
def test_a_secret_is_found_however_it_is_written(text: str) -> None:
    search = Search({"password": SECRET})
    assert search.found(iter([("there", text)]))
    assert search.found(iter([("there", "nothing")])) == []
