"""Whom a command talks to: the daemon behind the control socket, else the store or this process."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from syncd.cli.settings import Settings
from syncd.control.client import Client
from syncd.control.commands import Json
from syncd.control.peer import user_name
from syncd.control.reads import Reads, StoreReads
from syncd.errors import StoreError, Unreachable
from syncd.model.run import Selection
