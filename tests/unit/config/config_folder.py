"""A folder of configuration files and what loading it gives."""

import pytest

from syncd.config.load import load
from syncd.config.problems import ConfigInvalid

ACCOUNT = """
[accounts.a]
provider = "aliyun"
access_key_id = "id"
access_key_secret = { env = "SECRET" }
"""
JOB = """
[jobs.hosts]
kind = "cloud"
accounts = ["a"]
schedule = "*/30 * * * *"
"""


class Folder:
    """Files are written 0600; a name with a slash goes below conf.d."""

    def __init__(self, path):
        self.path, self.main = path, path / "syncd.toml"

    def write(self, text="", name="syncd.toml", mode=0o600):
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return path

    def load(self, environ=None, **options):
        return load(self.main, environ or {}, **options)

    def problems(self, environ=None, **options):
        with pytest.raises(ConfigInvalid) as caught:
            self.load(environ, **options)
        return list(caught.value.problems)

    def told(self, environ=None, **options):
        """Return the problems as lines, with file names without their folder."""
        problems = self.problems(environ, **options)
        return [str(problem).replace(f"{self.path}/", "") for problem in problems]
