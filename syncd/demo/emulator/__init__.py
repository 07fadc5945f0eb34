"""An emulator of both clouds on a loopback port, for the demonstration and the tests.

It speaks ECS's and CVM's protocols as the official SDKs do, verifies their signatures, and
misbehaves on request.
"""
