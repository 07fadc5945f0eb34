"""Sizes as the configuration writes them: always with a unit, never a bare number."""

import re
from typing import Final

_UNITS: Final = {
    "B": 1,
    **{f"{prefix}B": 1000**power for power, prefix in enumerate("kMGT", start=1)},
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGT", start=1)},
}
_SHAPE: Final = re.compile(r"(\d{1,9}) ?([A-Za-z]+)", re.ASCII)


def parse_size(value: object) -> int:
    """Read `100MiB`, `1GB`, `0B` as bytes: units B, kB, MB, GB, TB of 1000, KiB ... TiB of 1024.

    Raises ValueError for anything else, a bare number included.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f'a bare number has no unit; write "{value}B"')  # noqa: TRY004
    match = _SHAPE.fullmatch(value) if isinstance(value, str) else None
    if not match or match[2] not in _UNITS:
        raise ValueError(
            f'must be a size such as "100MiB" or "1GB"; allowed units: {", ".join(_UNITS)}'
        )
    return int(match[1]) * int(_UNITS[match[2]])
