"""How many random cases the slow tests try: few by default, more when somebody asks for it."""

import os


def times(few: int) -> int:
    """Return so many, or as many times more as SYNCD_TEST_THOROUGH says."""
    return few * int(os.environ.get("SYNCD_TEST_THOROUGH", "1"))
