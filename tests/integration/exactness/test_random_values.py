"""Values at random, of the types that hold many, copied in all directions."""

import json
from datetime import UTC

import pytest
from exact_columns import Typed
from exact_world import DIRECTIONS, MARIA, PG, World, differences
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from thorough import times

_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
_BYTES = st.binary(max_size=30).map(bytes.hex)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
).map(json.dumps)  # fmt: skip
_DECIMALS = st.decimals(-(10**20), 10**20, places=9).map(lambda each: f"{each:f}")
_DOUBLES = st.floats(allow_nan=False, allow_infinity=False).map(repr)
_REALS = st.floats(allow_nan=False, allow_infinity=False, width=32).map(repr)
_MOMENTS = st.datetimes().map(lambda each: each.isoformat(" "))
_INSTANTS = st.datetimes(timezones=st.just(UTC)).map(lambda each: each.isoformat(" "))
_CLOCK = st.times().map(str)
_SECONDS = st.integers(-3020399, 3020399).map(
    lambda n: f"{'-' if n < 0 else ''}{abs(n) // 3600}:{abs(n) // 60 % 60:02}:{abs(n) % 60:02}"
)
_BITS = st.integers(0, 2**40 - 1).map(lambda each: f"{each:040b}")


def _array(texts: list[str]) -> str:
    told = (each.replace("\\", "\\\\").replace('"', '\\"') for each in texts)
    return "{" + ",".join(f'"{each}"' for each in told) + "}"


_TYPES: dict[str, dict[str, st.SearchStrategy[str]]] = {
    PG: {
        "bigint": st.integers(-(2**63), 2**63 - 1).map(str), "numeric": _DECIMALS,
        "numeric(30,9)": _DECIMALS, "double precision": _DOUBLES, "real": _REALS, "text": _TEXTS,
        "varchar(30)": _TEXTS, "bytea": _BYTES.map(lambda each: rf"\x{each}"), "bit(40)": _BITS,
        "date": st.dates().map(str), "time": _CLOCK, "timestamp": _MOMENTS,
        "timestamptz": _INSTANTS, "json": _JSON, "jsonb": _JSON.filter(lambda t: "u0000" not in t),
        "uuid": st.uuids().map(str), "inet": st.ip_addresses().map(str),
        "interval": st.timedeltas().map(lambda each: f"{each.days} days {each.seconds} seconds"),
        "text[]": st.lists(_TEXTS, max_size=3).map(_array),
    },
    MARIA: {
        "bigint": st.integers(-(2**63), 2**63 - 1).map(str),
        "bigint unsigned": st.integers(0, 2**64 - 1).map(str), "decimal(30,9)": _DECIMALS,
        "double": _DOUBLES, "float": _REALS, "longtext": _TEXTS, "varchar(30)": _TEXTS,
        "varbinary(30)": _BYTES.map(lambda each: f"expr:x'{each}'"),
        "bit(40)": _BITS.map(lambda each: f"expr:b'{each}'"), "date": st.dates().map(str),
        "datetime(6)": _MOMENTS, "time": _SECONDS, "json": _JSON, "uuid": st.uuids().map(str),
        "inet6": st.ip_addresses(v=6).map(str),
        "timestamp(6)": st.integers(1, 2**31 - 1).map(lambda n: f"expr:from_unixtime({n})"),
    },
}  # fmt: skip


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
@given(st.data())
@settings(max_examples=times(2), deadline=None, suppress_health_check=list(HealthCheck))
def test_random_values_arrive(
    servers: World, source: str, target: str, data: st.DataObject
) -> None:
    types = _TYPES[source]
    columns = [Typed(native, native, (), "") for native in types]
    rows = data.draw(st.lists(st.fixed_dictionaries({}, optional=types), min_size=10, max_size=40))
    ours = servers.relation(source, "source", servers.fill(source, columns, rows))
    theirs = servers.relation(target, "target", ours.table)
    assert servers.copy(ours, theirs, page_rows=7).rejected == []
    assert not (wrong := differences(servers.read(ours), servers.read(theirs))), "\n".join(wrong)
