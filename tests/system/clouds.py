"""Both emulated clouds behind TLS, in a machine's network, steered by lines on standard input.

As a program: `python clouds.py CERTIFICATE HOSTS` serves until its input ends. It prints the port,
then answers each line, a JSON object of a fault or `null` (lift all faults), with a line.
"""

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from syncd.demo.emulator import KEYS, Emulator, Fault, World

if TYPE_CHECKING:  # the program has no path to it
    from machine import Machine

REGIONS = 3
AUTHORITY = "/usr/local/share/ca-certificates/clouds.crt"


class Clouds:
    """The emulator as the tests see it."""

    def __init__(self, port: int, hosts: int, program: subprocess.Popen[str]) -> None:
        self.port, self._hosts, self._program = port, hosts, program

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
def clouds(machine: "Machine", folder: Path, hosts: int) -> Iterator[Clouds]:
    """Serve the clouds in a machine, which trusts their certificate."""
    certificate = _certificate(folder)
    machine.path(AUTHORITY).write_text(certificate.read_text().partition("-----BEGIN PRIV")[0])
    machine.run("update-ca-certificates")
    program = subprocess.Popen(
        machine.beside(sys.executable, __file__, str(certificate), str(hosts)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    talk_in, talk_out = _pipes(program)
    try:
        yield Clouds(int(talk_out.readline()), hosts, program)
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
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(file), "-out", str(folder / "clouds.crt")],
        check=True, capture_output=True,
    )  # fmt: skip
    file.write_text((folder / "clouds.crt").read_text() + file.read_text())
    return file


def _serve(certificate: str, hosts: int) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    emulator = Emulator(World.sized(hosts, REGIONS))
    # The handshake must be made by the connection's own thread, or a slow one stops all.
    server = emulator._server
    server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    with emulator:
        print(emulator.port, flush=True)
        for line in sys.stdin:
            fault = json.loads(line)
            if fault is None:
                emulator.faults.clear()
            else:
                emulator.faults.add(Fault(**fault))
            print("done", flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
