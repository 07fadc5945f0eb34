"""What the tests of logging share."""

import logging
import sys
import threading
from collections.abc import Iterator

import pytest
import structlog

from syncd.telemetry import logging as syncd_logging


@pytest.fixture
def own_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put everything that `configure` sets back after the test."""
    root, own = logging.getLogger(), logging.getLogger("syncd")
    before = root.handlers[:], root.level, own.level
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(syncd_logging, "_of_process", {})
    yield
    root.handlers[:], root.level, own.level = before
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
