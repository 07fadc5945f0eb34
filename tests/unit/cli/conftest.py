"""The command line against a daemon in memory, over a real socket."""

import pytest
from fake_daemon import serving


@pytest.fixture
def served(tmp_path):
    with serving() as (daemon, _):
        file = tmp_path / "syncd.toml"
        file.write_text(f'timezone = "Asia/Shanghai"\n[listen]\ncontrol = "{daemon.path}"\n')
        file.chmod(0o600)
        daemon.file = file
        yield daemon
