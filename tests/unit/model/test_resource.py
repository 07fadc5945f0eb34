"""A normalised resource, and the row that is made of it."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from syncd.errors import BadData
from syncd.model.resource import COLUMNS, COMPARED, Resource

SEAL = b"12345678"
WHOLE: dict[str, Any] = {
    "resource_id": "i-1",
    "name": "web",
    "status": "Running",
    "state": "running",
    "instance_type": "t",
    "cpu": 2,
    "memory_mib": 4096,
    "zone": "z",
    "vpc_id": "v",
    "image_id": "m",
    "public_ips": (),
    "private_ips": ("10.0.0.1",),
    "security_groups": ("sg-1",),
    "data_disks": ({"id": "d-1", "size_gib": 20},),
    "tags": {"a": "1", "b": "2"},
    "charge_type": None,
    "created_at": datetime(2024, 1, 2, tzinfo=UTC),
    "expires_at": None,
    "attributes": b'{"Raw": true}',
}


def row(**changed):
    return Resource(**WHOLE | changed).to_row(SEAL)


def test_a_row_has_every_column_and_its_key():
    made = row()
    assert made.key == "i-1"
    assert set(made.values) == set(COLUMNS)
    assert made.digest.seal == SEAL


def test_data_disks_are_a_document_an_empty_one_too():
    assert msgspec.json.decode(row().values["data_disks"]) == [{"id": "d-1", "size_gib": 20}]
    assert row(data_disks=()).values["data_disks"] == b"[]"
    assert row(data_disks=None).values["data_disks"] is None


@pytest.mark.parametrize("column", COMPARED)
def test_each_compared_column_counts(column):
    other: Any = {
        "cpu": 4, "memory_mib": 1, "tags": {"a": "2"}, "state": "stopped",
        "public_ips": ("1.1.1.1",), "private_ips": (), "security_groups": (),
        "created_at": None, "expires_at": datetime(2030, 1, 1, tzinfo=UTC),
    }.get(column, "another")  # fmt: skip
    changed = row(**{column: other}).digest
    assert changed.compared != row().digest.compared
    assert changed.carried == row().digest.carried


def test_the_order_of_tags_does_not_count():
    assert row(tags={"b": "2", "a": "1"}).digest == row().digest


def test_data_disks_and_attributes_have_parts_of_their_own():
    before = row().digest
    disks, raw = row(data_disks=()).digest, row(attributes=b"{}").digest
    assert (disks.compared, disks.carried) == (before.compared, before.carried)
    assert disks.optional != before.optional
    assert (raw.compared, raw.optional) == (before.compared, before.optional)
    assert raw.carried != before.carried
    assert row(data_disks=None).digest.optional is None


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "a\0b"},
        {"tags": {"note": "a\0b"}},
        {"tags": {"a\0b": "note"}},
        {"attributes": b'{"Note": "a\\u0000b"}'},
        {"name": "lone \ud800"},
        {"resource_id": "i" * 513},
        {"cpu": -1},
        {"cpu": 2**31},
        {"memory_mib": 2**31},
    ],
)
def test_what_no_table_can_hold_is_bad_data(bad):
    with pytest.raises(BadData):
        row(**bad)


def test_a_backslash_before_u0000_is_no_nul():
    assert row(name="\\u0000", attributes=rb'{"Note": "\\u0000"}').values["name"] == "\\u0000"
