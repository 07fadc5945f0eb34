"""An emulator of both clouds on a loopback port, for the demonstration and the tests.

It speaks ECS's and CVM's protocols as the official SDKs do, verifies their signatures, and
misbehaves on request:

    with Emulator(World.demo(seed=1)) as emulator:
        emulator.faults.add(Fault(kind="throttled", region="cn-hangzhou", times=2))
"""

from syncd.demo.emulator.emulator import Emulator
from syncd.demo.emulator.faults import KINDS, Fault, Faults
from syncd.demo.emulator.world import KEYS, Account, World

__all__ = ["KEYS", "KINDS", "Account", "Emulator", "Fault", "Faults", "World"]
