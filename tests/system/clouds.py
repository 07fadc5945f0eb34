"""Both emulated clouds behind TLS, in a machine's network; cloud_server.py serves them there."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import cloud_server
from cloud_server import REGIONS
from machine import Machine

from syncd.demo.emulator import KEYS

AUTHORITY = "/usr/local/share/ca-certificates/clouds.crt"


class Clouds:
    """The emulator as the tests see it."""

    def __init__(
        self, port: int, hosts: int, program: subprocess.Popen[str], certificate: Path
    ) -> None:
        self.port, self._hosts, self._program = port, hosts, program
        self.certificate = certificate
        """Of the loopback address, with its key; the machine trusts it."""

    @property
    def hosts(self) -> int:
        """How many hosts each cloud has."""
        return self._hosts * REGIONS

    def fault(self, kind: str, **filters: object) -> None:
        """Set a fault."""
        self._ask(json.dumps({"kind": kind, **filters}))

    def clear(self) -> None:
        """Lift all faults."""
        self._ask("null")

    def accounts(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the accounts as the configuration has them, their secrets as credentials."""
        return {
            f"{provider}-demo": {
                "provider": provider,
                "access_key_id": key_id,
                "access_key_secret": {"credential": f"{provider}-secret"},
                "endpoint": f"https://127.0.0.1:{self.port}",
                "requests_per_second": 10_000.0,
            }
            for provider, (key_id, _, _) in KEYS.items()
        }

    def _ask(self, line: str) -> None:
        talk_in, talk_out = _pipes(self._program)
        talk_in.write(f"{line}\n")
        talk_in.flush()
        assert talk_out.readline() == "done\n"


@contextmanager
def clouds(machine: Machine, folder: Path, hosts: int) -> Iterator[Clouds]:
    """Serve the clouds in a machine, which trusts their certificate."""
    certificate = _certificate(folder)
    machine.path(AUTHORITY).write_text(certificate.read_text().partition("-----BEGIN PRIV")[0])
    machine.run("update-ca-certificates")
    program = subprocess.Popen(
        machine.beside(sys.executable, cloud_server.__file__, str(certificate), str(hosts)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    talk_in, talk_out = _pipes(program)
    try:
        yield Clouds(int(talk_out.readline()), hosts, program, certificate)
    finally:
        talk_in.close()
        program.wait(30)
        talk_out.close()


def _pipes(program: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert program.stdin is not None
    assert program.stdout is not None
    return program.stdin, program.stdout


def _certificate(folder: Path) -> Path:
    """Make a certificate of the loopback address, signed by itself; return it with its key."""
    file = folder / "clouds.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
         "-keyout", str(file), "-out", str(folder / "clouds.crt")],
        check=True, capture_output=True,
    )  # fmt: skip
    file.write_text((folder / "clouds.crt").read_text() + file.read_text())
    return file
