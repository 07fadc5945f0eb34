"""Reconciling hosts with the store, against the limit: a bare binary COPY of the same rows.

A scope of hosts (raw objects of 2.5 KB) stands in the store; then a listing passes in which 1% are
changed, 0.5% new and 0.5% gone. The limit copies all rows of that listing, raw objects included,
into an empty table of the same columns and primary key. Both run in turn on the embedded server;
normalising, comparing, staging, applying and the commit count, the network does not.

    python -m tests.benchmarks.reconcile [--hosts 100000] [--rounds 3]
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Sequence

import orjson

from syncd.demo.emulator.world import REGIONS, World
from syncd.model.diff import Entry, short_hash
from syncd.providers.aliyun.host import normalise
from syncd.providers.entries import RawEntry
from syncd.store.database import Store
from syncd.store.reconcile import Reconcile, Write
from syncd.store.resources import RESOURCES
from tests.benchmarks._store import store
from tests.benchmarks.listing import context

GOAL = 0.6
PAGE = 100
SCOPE = {"account": "bench", "region": REGIONS["aliyun"][0], "type": "host"}
CONSTANTS = {"provider": "aliyun", "group_name": None}


def entries(world: World) -> list[Entry]:
    """Return the listing of the world's only region, as a provider yields it."""
    region = world.region("aliyun-demo", REGIONS["aliyun"][0])
    raws = ((host_id, orjson.dumps(region.host(host_id))) for host_id in region.ids())
    return [RawEntry(key, short_hash(raw), raw, b"", normalise) for key, raw in raws]


def reconcile(store: Store, listing: Sequence[Entry]) -> tuple[float, str]:
    """Pass a listing by the store and apply it; return the seconds and what was written."""
    began = time.perf_counter()
    ctx, reconcile = context(), Reconcile(store, RESOURCES, SCOPE)
    standing = reconcile.begin(ctx)
    for start in range(0, len(listing), PAGE):
        differences = standing.comparison.offer(listing[start : start + PAGE])
        assert not reconcile.stage(ctx, list(differences))
    with store.transaction() as tx:
        gone = standing.comparison.unseen()
        written = reconcile.apply(tx, Write(ctx.run_id, CONSTANTS, delete=gone))
    return time.perf_counter() - began, str(written)


def copy(store: Store, blocks: Sequence[bytes]) -> float:
    """COPY the blocks into an empty table like the real one; return the seconds to the commit."""
    with store.transaction() as tx:
        tx.execute("create table bench_copy (like syncd.resource including compression)")
        tx.execute("alter table bench_copy add primary key (account, region, type, resource_id)")
    began = time.perf_counter()
    with store.transaction() as tx, tx.cursor().copy("copy bench_copy from stdin binary") as into:
        for block in blocks:
            into.write(block)
    seconds = time.perf_counter() - began
    with store.transaction() as tx:
        tx.execute("drop table bench_copy")
    return seconds


def all_rows(store: Store) -> list[bytes]:
    """Return all that stands in the real table, as binary COPY gives it."""
    with store.transaction() as tx, tx.cursor().copy("copy syncd.resource to stdout binary") as out:
        return [bytes(block) for block in out]


def main() -> int:
    """Run the rounds and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    world, hosts = World.sized(options.hosts, 1, providers=("aliyun",)), options.hosts
    region, rng = world.region("aliyun-demo", REGIONS["aliyun"][0]), random.Random(1)
    ratios, unchanged = [], []
    with store() as opened:
        seconds, written = reconcile(opened, entries(world))
        print(f"{hosts} new hosts: {seconds:.2f} s ({written})")
        for _ in range(options.rounds):
            region.churn(rng, adds=hosts // 200, changes=hosts // 100, releases=hosts // 200)
            listing = entries(world)
            took, written = reconcile(opened, listing)
            again, nothing = reconcile(opened, listing)
            limit = copy(opened, all_rows(opened))
            ratios.append(took / limit)
            unchanged.append(again / limit)
            print(f"  reconcile {took:.2f} s ({written}), COPY {limit:.2f} s, again: {nothing}")
    ratio = statistics.median(ratios)
    verdict = "reached" if ratio <= GOAL else "MISSED"
    print(f"1% changed, of a plain binary COPY: {ratio:.2f}  goal {GOAL}: {verdict}")
    print(f"nothing changed, of a plain binary COPY: {statistics.median(unchanged):.2f}")
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
