"""A case for the checks, of which the store and the clouds are left out."""

from datetime import UTC, datetime
from pathlib import Path

from syncd.config.configuration import Config, Tables
from syncd.doctor.case import Case
from syncd.doctor.files import User

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)
US = User("syncd", 990, frozenset({990}))
CONFIG = Config.of(Tables())


def case(**told: object) -> Case:
    scheduler = {"leader": True, "running": [],
                 "workers": {"size": 3, "busy": 1, "idle": 2, "stuck": 0}}  # fmt: skip
    status = {"pid": 7, "started_at": MOMENT, "checks": [], "outbox_records": 0}
    said = {"status": status, "scheduler": scheduler, "ailment": None, "reload_error": "",
            "managed": False, "watchdog_interval": None, "command": "",
            "environ": {}} | told  # fmt: skip
    environ = said.pop("environ")
    return Case(CONFIG, Path("x"), environ, US, (), said, None, None, None, {}, {}, {},
                offline=False)  # fmt: skip
