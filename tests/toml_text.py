"""Configurations as text, from the tables that a test thinks in."""

import json
from collections.abc import Mapping
from typing import Any


def toml(tables: Mapping[str, Any], prefix: str = "") -> str:
    """Return tables, and tables in tables, as TOML."""
    lines = [f"{k} = {_value(v)}" for k, v in tables.items() if not isinstance(v, dict)]
    for name, table in tables.items():
        if isinstance(table, dict):
            lines += ["", f"[{prefix}{name}]", toml(table, f"{prefix}{name}.")]
    return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    return json.dumps(value)
