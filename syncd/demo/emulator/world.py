"""The emulated accounts: what exists, apart from how it is shown.

All of it comes from a seed, so that a failing test can be repeated.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal, Self

from syncd.demo.emulator.hosts_aliyun import ALIYUN
from syncd.demo.emulator.hosts_tencent import TENCENT
from syncd.demo.emulator.made import Maker, Raw
from syncd.demo.emulator.region import Region

Provider = Literal["aliyun", "tencent"]

MAKERS: Final[dict[Provider, Maker]] = {"aliyun": ALIYUN, "tencent": TENCENT}
REGIONS: Final[dict[Provider, tuple[str, ...]]] = {
    "aliyun": (
        "cn-hangzhou", "cn-shanghai", "cn-beijing", "cn-shenzhen", "cn-hongkong", "ap-southeast-1",
        "eu-central-1", "us-west-1", "ap-northeast-1", "us-east-1", "cn-chengdu", "ap-southeast-5",
    ),
    "tencent": (
        "ap-guangzhou", "ap-shanghai", "ap-beijing", "ap-chengdu", "ap-hongkong", "ap-singapore",
        "eu-frankfurt", "na-siliconvalley", "ap-tokyo", "na-ashburn", "ap-nanjing", "ap-jakarta",
    ),
}  # fmt: skip
KEYS: Final[dict[Provider, tuple[str, str, str]]] = {
    "aliyun": ("LTAI5tEmulatedKeyAliyun1", "emulated-secret-aliyun", "1234567890123456"),
    "tencent": ("AKIDEmulatedKeyTencent1", "emulated-secret-tencent", "100001234567"),
}
"""Key id, secret and owner id of the ready-made worlds; they are good for nothing else."""


@dataclass(slots=True)
class Account:
    """An account of one cloud, its access key and its regions.

    `token` makes the key a temporary one (STS), which must be sent with it. A region among
    `unopened` is listed by the cloud, but refuses every call. `owner_id` may be changed any time.
    """

    name: str
    provider: Provider
    key_id: str
    secret: str
    owner_id: str
    token: str = ""
    unopened: tuple[str, ...] = ()
    regions: dict[str, Region] = field(default_factory=dict)

    def open(self, region: str, seed: int | str = 0) -> Region:
        """Add an empty region."""
        rng = Random(f"{seed}/{self.name}/{region}")  # noqa: S311 - not for secrets
        self.regions[region] = Region(region, MAKERS[self.provider], rng)
        return self.regions[region]


class World:
    """All emulated accounts by name."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self.accounts = {account.name: account for account in accounts}

    @classmethod
    def demo(cls, seed: int = 1, hosts_per_region: int = 40) -> Self:
        """Make `aliyun-demo` and `tencent-demo` with 3 regions each and one that is not opened."""
        world = cls.sized(hosts_per_region, 3, seed)
        for account in world.accounts.values():
            account.unopened = REGIONS[account.provider][-1:]
        return world

    @classmethod
    def sized(
        cls,
        hosts_per_region: int,
        regions: int,
        seed: int = 1,
        providers: Sequence[Provider] = ("aliyun", "tencent"),
    ) -> Self:
        """Make one account a provider, named `PROVIDER-demo`, with that many regions (at most 12).

        A host takes about 3.5 KB of memory with its disks.
        """
        accounts = [_ready_made(provider) for provider in providers]
        for account in accounts:
            for name in REGIONS[account.provider][:regions]:
                account.open(name, seed).add(hosts_per_region)
        return cls(accounts)

    def region(self, account: str, region: str) -> Region:
        """Return a region; KeyError if there is none."""
        return self.accounts[account].regions[region]

    def truth(self, account: str, region: str) -> list[Raw]:
        """Return all hosts of a region as raw objects."""
        return self.region(account, region).truth()

    def disks(self, account: str, region: str) -> list[Raw]:
        """Return all data disks of a region as raw objects (Alibaba only)."""
        return self.region(account, region).disk_truth()

    def by_key(self, provider: Provider, key_id: str) -> Account | None:
        """Return the account that an access key belongs to."""
        for account in self.accounts.values():
            if (account.provider, account.key_id) == (provider, key_id):
                return account
        return None


def _ready_made(provider: Provider) -> Account:
    key_id, secret, owner_id = KEYS[provider]
    return Account(f"{provider}-demo", provider, key_id, secret, owner_id)
