"""The daemon: signals become events; it starts, reloads, drains. It knows no job kind."""

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import Any, Final, Literal
from uuid import UUID

from syncd import __version__
from syncd.config.configuration import Config
from syncd.config.problems import ConfigInvalid
from syncd.config.reload_diff import difference
from syncd.context import BoundLogger, Clock
from syncd.control.commands import Json
from syncd.dispatch.service import Dispatch
from syncd.dispatch.spec import JobSpec
from syncd.errors import ConfigurationError, Fenced, StoreError, describe
from syncd.model.run import Selection
from syncd.store import resources, views
from syncd.store.database import Store
from syncd.store.embedded import EmbeddedPostgres
from syncd.store.migrate import migrate
from syncd.store.resources import Managed
from syncd.systemd import Notifier
from syncd.telemetry.health import Signal
from syncd.telemetry.job_series import MeasuredJob
from syncd.telemetry.metrics import Metrics

Event = Literal["stop", "reload", "lost"]

_START_LIMIT: Final = 60.0  # seconds that the embedded server may take
_TURN: Final = 1.0
