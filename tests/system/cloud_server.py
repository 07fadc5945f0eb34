"""Serves both emulated clouds behind TLS: `python cloud_server.py CERTIFICATE HOSTS`.

It prints the port, then answers each line of its input, a JSON object of a fault or `null` (lift
all faults), with a line; it ends with its input. It runs alone, without the tests' other modules.
"""

import json
import ssl
import sys

from syncd.demo.emulator import Emulator, Fault, World

REGIONS = 3


def serve(certificate: str, hosts: int) -> None:
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
    serve(sys.argv[1], int(sys.argv[2]))
