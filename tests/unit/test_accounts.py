"""The providers of accounts, as runs that begin at once open them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from syncd import assembly
from syncd.config.schema import Account
from syncd.providers import registry
from syncd.store.database import Store

SECONDS = 10.0


def account(key_id: str = "id") -> Account:
    return Account(
        provider="aliyun",
        access_key_id=key_id,  # type: ignore[arg-type]  # read by the validator
        access_key_secret="secret",  # type: ignore[arg-type]
    )


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Give the list of the providers that were made, the first so slowly that others overtake."""
    made: list[object] = []
    another = threading.Event()

    def build(*_: object, **__: object) -> object:
        made.append(provider := object())
        if len(made) > 1:
            another.set()
        another.wait(0.2)
        return provider

    monkeypatch.setattr(registry, "build", build)
    return made


def test_runs_that_begin_at_once_share_a_provider(built: list[object]) -> None:
    accounts = assembly.Accounts(cast(Store, None), lambda *_: None, b"key")
    start = threading.Barrier(4)

    def open_it(_: int) -> Any:
        start.wait(SECONDS)
        return accounts.open("a", account(), 30.0).provider

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(open_it, range(4))) == set(built)
    assert len(built) == 1


def test_another_key_makes_another_provider(built: list[object]) -> None:
    accounts = assembly.Accounts(cast(Store, None), lambda *_: None, b"key")
    for key_id in ("id", "id", "other"):
        accounts.open("a", account(key_id), 30.0)
    assert len(built) == 2
