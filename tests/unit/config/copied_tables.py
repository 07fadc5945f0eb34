"""Servers and jobs that copy and compare their tables."""

SERVERS = """[servers.shop]
engine = "mysql"
host = "shop.example.com"
user = "syncd"
[servers.house]
engine = "postgresql"
host = "house.example.com"
user = "syncd"
database = "warehouse"
"""
CACHE = """[servers.cache]
engine = "redis"
host = "cache.example.com"
"""


def copy(*lines, source='server = "shop", database = "shop", tables = ["orders", "lines"]',
         target='server = "house", schema = "shop"'):  # fmt: skip
    """Return the servers and the job `c`, whose lines begin on line 14."""
    head = f'[jobs.c]\nkind = "table_copy"\nsource = {{ {source} }}\ntarget = {{ {target} }}\n'
    return SERVERS + head + "\n".join(lines) + "\n" + CACHE


def check(*lines, left='server = "shop", database = "shop", table = "orders"',
          right='server = "house", table = "orders"'):  # fmt: skip
    """Return the servers and the job `k`, whose lines begin on line 14."""
    head = f'[jobs.k]\nkind = "consistency_check"\nleft = {{ {left} }}\nright = {{ {right} }}\n'
    return SERVERS + head + "\n".join(lines) + "\n" + CACHE


def check_of(*lines, copied=()):
    """Return the job `c` with some lines, and the job `k` that checks it, whose lines are last."""
    head = '[jobs.k]\nkind = "consistency_check"\ncopy = "c"\n'
    return copy(*copied).removesuffix(CACHE) + head + "\n".join(lines) + "\n"
