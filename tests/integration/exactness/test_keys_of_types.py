"""Keys of every type that has an order: pages go by them, and each row is found again."""

import pytest
from exact_columns import TEXTS, Typed
from exact_world import COLUMNS, DIRECTIONS, MARIA, PG, World, differences

KEYS = {
    PG: (
        "smallint", "bigint", "oid", "numeric_10_2", "numeric_65_30", "money", "real", "double",
        "boolean", "text", "varchar_20", "char_8", "one_char", "name", "bytea", "bit_8", "bit_64",
        "varbit_9", "date", "time", "timetz", "timestamp", "timestamptz", "interval_0", "jsonb",
        "uuid", "inet", "cidr", "macaddr", "pg_lsn", "int_array", "text_array", "numrange",
        "daterange", "enum", "domain", "composite", "citext", "numeric",
    ),
    MARIA: (
        "tinyint", "bigint", "bigint_u", "int_z", "decimal_10_2", "decimal_65_30", "float",
        "double", "bit_8", "bit_64", "date", "time", "time_6", "datetime", "datetime_6",
        "timestamp", "year", "char_10", "char_latin1", "varchar_key", "varchar_latin1",
        "varchar_utf8mb3", "varchar_utf16", "varchar_gbk", "binary_4", "varbinary_9", "enum",
        "set", "uuid", "inet4", "inet6",
    ),
}  # fmt: skip
EQUAL = ("-0", "-0.0", "-0.000")
"""What equals another value, and so is no other key."""

NO_KEYS = {("jsonb", MARIA)}
"""Types of which there is no key there: the server says so."""
TEXT_KEY = Typed(
    "varchar_key", "varchar(50) collate utf8mb4_nopad_bin", (*TEXTS, "😀" * 50),
    "character varying(50)",
)  # fmt: skip


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_rows_are_told_apart_by_keys_of_each_type(servers: World, source: str, target: str) -> None:
    wrong = []
    for column in (*COLUMNS[source], *([TEXT_KEY] if source == MARIA else [])):
        if column.name in KEYS[source] and (column.name, target) not in NO_KEYS:
            values = (*column.values, *(column.odd if source == target else ()))
            rows = [{column.name: each} for each in dict.fromkeys(values) if each not in EQUAL]
            wrong += _copied(servers, source, target, column, rows)
    assert not wrong, "\n".join(wrong)


def _copied(
    servers: World, source: str, target: str, column: Typed, rows: list[dict[str, str]]
) -> list[str]:
    """Copy a table by its key, twice; return what is wrong."""
    table = servers.fill(source, [column], rows)
    ours = servers.relation(source, "source", table, key=(column.name,))
    theirs = servers.relation(target, "target", table)
    try:
        servers.copy(ours, theirs, page_rows=2)
        again = servers.copy(ours, theirs, page_rows=3)
    except Exception as error:
        return [f"{column.name}: {error}"]
    told = differences(servers.read(ours), servers.read(theirs))
    if again.copied.counts.unchanged != len(rows):
        told.append(f"again: {again.copied.counts}")
    return [f"{column.name}: {each}" for each in told]
