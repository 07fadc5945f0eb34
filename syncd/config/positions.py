"""Line numbers of keys in a TOML file, which the standard library's reader does not tell.

Best effort, for messages only: the text was read by tomllib before.
"""

from bisect import bisect_right

from syncd.config.toml_spans import starts_of


def lines_of(text: str) -> dict[tuple[str, ...], int]:
    """Return the line, from 1, on which each key path first stands.

    Tables count as keys, and items of arrays have their number in the path, from "0".
    """
    ends = [place for place, sign in enumerate(text) if sign == "\n"]
    return {path: bisect_right(ends, start) + 1 for path, start in starts_of(text).items()}
