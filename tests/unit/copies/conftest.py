"""What tests of copies in memory share."""

import pytest


@pytest.fixture(params=[True, False], ids=["undecoded", "by rows"])
def undecoded(request: pytest.FixtureRequest) -> bool:
    """Tell whether blocks pass undecoded, where nothing wants a look at the rows."""
    return bool(request.param)
