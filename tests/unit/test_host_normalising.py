"""Whatever a cloud sends as a host, normalising it gives a row or BadData, nothing else."""

import functools
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.demo.emulator.world import REGIONS, World
from syncd.errors import BadData
from syncd.model.diff import Row
from syncd.providers.aliyun.disks import unpack
from syncd.providers.aliyun.host import normalise as aliyun
from syncd.providers.entries import RawEntry
from syncd.providers.tencent.host import normalise as tencent

Normalise = Callable[[bytes, bytes | None], Any]
CLOUDS: dict[str, Normalise] = {"aliyun": aliyun, "tencent": tencent}
TEXTS = st.text(st.characters(exclude_categories=()), max_size=20)
NUMBERS = st.integers() | st.floats()
JSON = st.recursive(
    st.none()
    | st.booleans()
    | NUMBERS
    | TEXTS
    | st.sampled_from(["", "2099-01-01T00:00Z", "9999"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@functools.cache
def hosts(name: Any) -> list[dict[str, Any]]:
    return World.sized(30, 1, providers=[name]).truth(f"{name}-demo", REGIONS[name][0])


def row(name: str, raw: bytes, disks: bytes | None = b"") -> Row:
    return RawEntry("i-1", bytes(8), raw, disks, CLOUDS[name]).row()


def changed(name: str, **fields: Any) -> bytes:
    return msgspec.json.encode(hosts(name)[0] | fields)


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to all parts of a JSON value."""
    inner = (
        value.items() if isinstance(value, dict)
        else enumerate(value) if isinstance(value, list)
        else ()
    )  # fmt: skip
    return [at] * bool(at) + [path for key, part in inner for path in paths(part, (*at, key))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@pytest.mark.parametrize("name", CLOUDS)
@given(data=st.data())
def test_any_value_in_any_place_gives_a_row_or_bad_data(name: str, data: st.DataObject) -> None:
    host = data.draw(st.sampled_from(hosts(name)))
    path = data.draw(st.sampled_from(paths(host)))
    try:
        raw = msgspec.json.encode(replaced(host, path, data.draw(JSON)))
    except (UnicodeEncodeError, OverflowError):
        return  # no JSON at all
    with suppress(BadData):
        assert row(name, raw).key


@pytest.mark.parametrize("name", CLOUDS)
def test_an_empty_id_is_bad_data(name: str) -> None:
    with pytest.raises(BadData, match="InstanceId"):
        row(name, msgspec.json.encode(replaced(hosts(name)[0], ("InstanceId",), "")))


@pytest.mark.parametrize("name", CLOUDS)
@given(raw=st.binary(max_size=60), at=st.integers(0, 2500))
def test_any_damage_gives_a_row_or_bad_data(name: str, raw: bytes, at: int) -> None:
    whole = msgspec.json.encode(hosts(name)[0])
    with suppress(BadData):
        row(name, whole[:at] + raw + whole[at + len(raw) :])


@pytest.mark.parametrize("name", CLOUDS)
@pytest.mark.parametrize("empty", [None, "absent"])
def test_everything_but_the_id_may_be_missing(name: str, empty: str | None) -> None:
    fields = dict.fromkeys(hosts(name)[0])
    raw = {"InstanceId": "i-1"} | ({} if empty else fields | {"InstanceId": "i-1"})
    found = row(name, msgspec.json.encode(raw))
    assert found.key == "i-1"
    assert (found.values["name"], found.values["state"]) == ("", "unknown")
    assert (found.values["cpu"], found.values["created_at"]) == (None, None)
    assert (found.values["public_ips"], found.values["tags"]) == ((), {})


@pytest.mark.parametrize(
    ("name", "field", "value", "told"),
    [
        ("aliyun", "Cpu", "two", r"\$\.Cpu"),
        ("aliyun", "Memory", 2**31, r"\$\.Memory"),
        ("aliyun", "Tags", {"Tag": [{"TagValue": "x"}]}, r"`TagKey` - at `\$\.Tags\.Tag\[0\]"),
        ("aliyun", "ExpiredTime", "tomorrow", "ExpiredTime: 'tomorrow' is not a time"),
        ("aliyun", "CreationTime", "2024-04-14T22:32", "CreationTime: .* has no time zone"),
        ("aliyun", "InstanceName", "a\0b", "NUL"),
        ("tencent", "Memory", -1, r"\$\.Memory"),
        ("tencent", "Memory", 1e300, r"\$\.Memory"),
        ("tencent", "PublicIpAddresses", "1.2.3.4", r"\$\.PublicIpAddresses"),
        ("tencent", "DataDisks", [{"DiskId": "d"}], r"`DiskSize` - at `\$\.DataDisks\[0\]"),
        ("tencent", "CreatedTime", "9999-12-31T23:59:59-14:00x", "CreatedTime"),
    ],
)
def test_bad_data_names_the_field(name: str, field: str, value: object, told: str) -> None:
    with pytest.raises(BadData, match=told):
        row(name, changed(name, **{field: value}))


def test_bytes_that_are_no_text_are_bad_data_even_in_fields_that_nobody_reads() -> None:
    raw = changed("aliyun", Description="MARK").replace(b"MARK", b"\xff")
    with pytest.raises(BadData, match="utf-8"):
        row("aliyun", raw)


@pytest.mark.parametrize("text", ["2099-12-31T15:59Z", "2999-09-08T16:00Z", "", None])
def test_never_is_no_time(text: str | None) -> None:
    assert row("aliyun", changed("aliyun", ExpiredTime=text)).values["expires_at"] is None


@pytest.mark.parametrize("text", ["2028-01-11T16:00:00Z", "2028-01-12T00:00:00+08:00"])
def test_times_are_compared_as_instants(text: str) -> None:
    one = row("tencent", changed("tencent", ExpiredTime="2028-01-11T16:00:00+00:00"))
    other = row("tencent", changed("tencent", ExpiredTime=text))
    assert one.digest.compared == other.digest.compared


@pytest.mark.parametrize(
    ("state", "restriction", "expected"),
    [
        ("RUNNING", "NORMAL", "running"),
        ("RUNNING", "EXPIRED", "isolated"),
        ("STOPPED", "PROTECTIVELY_ISOLATED", "isolated"),
        ("SHUTDOWN", None, "isolated"),
        ("REBOOTING", "NORMAL", "transient"),
        ("TERMINATING", "NORMAL", "transient"),
        ("LAUNCH_FAILED", "NORMAL", "failed"),
        ("DREAMING", "NORMAL", "unknown"),
    ],
)
def test_states_of_tencent(state: str, restriction: str | None, expected: str) -> None:
    raw = changed("tencent", InstanceState=state, RestrictState=restriction)
    assert row("tencent", raw).values["state"] == expected


def test_the_order_of_sets_and_tags_does_not_matter() -> None:
    groups = ["sg-1", "sg-2", "sg-1"]
    tags = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    one = row("tencent", changed("tencent", SecurityGroupIds=groups, Tags=tags))
    other = row("tencent", changed("tencent", SecurityGroupIds=groups[:2][::-1], Tags=tags[::-1]))
    assert one.digest.compared == other.digest.compared


def test_disks_are_unpacked_in_the_order_of_their_ids() -> None:
    packed = b'[["d-2",20,"cloud_essd","PL1"],["d-1",40,null,null]]'
    assert unpack(packed) == (
        {"id": "d-1", "size_gib": 40},
        {"id": "d-2", "size_gib": 20, "category": "cloud_essd", "performance_level": "PL1"},
    )
