# ruff: noqa: E501, PT012
"""Rows are written into MariaDB as they are, or refused; never changed without a word."""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mysql_tables import Shop, into

from syncd.engines.tables import Refused, Written
from syncd.errors import BadData, Conflict

CHANGED = [
    ("int", b"1.5"), ("int", b"1 "), ("int", b"0x10"), ("int", b"2147483648"), ("int", b""),
    ("int unsigned", b"-1"), ("decimal(5,2)", b"1.239"), ("decimal(5,2)", b"1000"),
    ("decimal(5,2)", b"NaN"), ("decimal(5,2)", b"1,5"), ("float", b"1e39"), ("double", b"Infinity"),
    ("double", b"NaN"), ("double", b"1x"), ("varchar(3)", b"abc "), ("varchar(3)", b"abcd"),
    ("char(3)", b"ab "), ("char(3)", b"abcd"), ("varchar(9) character set latin1", "😀".encode()),
    ("varchar(9) character set utf8mb3", "😀".encode()), ("text", b"\xff\xfe"),
    ("tinytext", b"x" * 256), ("binary(3)", b"ab"), ("binary(3)", b"abcd"), ("varbinary(2)", b"abc"),
    ("enum('a','b')", b"1"), ("enum('a','b')", b"A"), ("enum('a','b')", b""), ("enum('a','b')", b"c"),
    ("set('a','b')", b"b,a"), ("set('a','b')", b"1"), ("set('a','b')", b"a,c"), ("year", b"70"),
    ("year", b"1900"), ("year", b"2156"), ("bit(4)", b"10101"), ("bit(4)", b"2"),
    ("date", b"2024-02-32"), ("date", b"2024-01-01 10:00:00"), ("date", b"infinity"),
    ("date", b"0044-03-15 BC"), ("date", b"10000-01-01"), ("datetime", b"2024-01-01 00:00:00.5"),
    ("datetime(3)", b"2024-01-01 00:00:00.1239"), ("timestamp null", b"1969-12-31 23:59:59"),
    ("timestamp null", b"2106-02-07 06:28:16"), ("time", b"00:00:00.5"), ("time", b"839:00:00"),
    ("time", b"1"), ("time", b"1 day"), ("time", b"1 mon 2 days 03:04:05"), ("json", b"{"),
    ("uuid", b"x"), ("inet6", b"::x"), ("geometry", b"abc"),
]  # fmt: skip
KEPT = [
    ("int", b"-2147483648"), ("bigint unsigned", b"18446744073709551615"), ("float", b"16777216"),
    ("decimal(65,30)", b"-" + b"9" * 35 + b"." + b"9" * 30), ("double", b"1.7976931348623157e308"),
    ("double", b"0.1"), ("varchar(3)", b"ab "), ("varchar(3)", "😀é\\".encode()), ("text", b"a'b\\'c\"\0\n\r\x1a%s"),
    ("text", b""), ("binary(3)", b"a\0\0"), ("varbinary(9)", b"'\\\0\xff\xe2'"), ("longblob", bytes(range(256))),
    ("enum('a','it''s')", b"it's"), ("set('a','b')", b"a,b"), ("set('a','b')", b""), ("year", b"0"),
    ("year", b"2155"), ("bit(64)", b"1" * 64), ("bit(3)", b"001"), ("date", b"0000-00-00"),
    ("date", b"2024-02-00"), ("date", b"2024-02-31"), ("datetime(6)", b"9999-12-31 23:59:59.999999"),
    ("datetime", b"0000-00-00 00:00:00"), ("timestamp null", b"0000-00-00 00:00:00"),
    ("timestamp(3) null", b"2038-01-19 03:14:07.999"), ("time(6)", b"-838:59:59"), ("time(1)", b"24:00:00"),
    ("json", b'{"a": "\\u0000\'"}'), ("uuid", b"00000000-0000-0000-0000-0000000000ff"), ("inet6", b"::1"),
    ("point", bytes.fromhex("000000000101000000000000000000F03F0000000000000040")), ("int", None),
]  # fmt: skip


@pytest.mark.parametrize(("native", "value"), CHANGED)
def test_what_a_column_would_change_is_refused(shop: Shop, native: str, value: bytes) -> None:
    shop.execute(f"create table t (id int primary key, x {native})")
    with shop.target("t") as target:
        for fresh in (True, False):
            with target.page(into("id", "x", fresh=fresh)) as page:
                page.put([(b"0", None)])
                with pytest.raises(Refused):
                    page.put([(b"1", value), (b"2", None)])
                page.put([(b"3", None)])
    assert [row[0] for row in shop.execute("select id from t order by id")] == [0, 3]


@pytest.mark.parametrize(("native", "value"), KEPT)
def test_what_has_a_place_stays_as_it_is(shop: Shop, native: str, value: bytes | None) -> None:
    shop.execute(f"create table t (id int primary key, x {native})")
    with shop.target("t") as target:
        with target.page(into("id", "x", fresh=True)) as page:
            assert page.put([(b"0", value)]).added == 1
        with target.page(into("id", "x")) as page:
            assert page.put([(b"0", value), (b"1", value)]) == Written(1, 0, 1, ((b"1",),))
        shop.execute("update t set x = null")
        with target.page(into("id", "x")) as page:
            written = page.put([(b"0", value), (b"1", value)])
            assert written.updated == (0 if value is None else 2)
    assert shop.read("t") == [(b"0", value), (b"1", value)]


@pytest.mark.parametrize(
    ("native", "before", "after"),
    [
        ("varchar(9)", b"abc", b"ABC"), ("varchar(9)", b"abc", b"abc "), ("text", b"e", "é".encode()),
        ("json", b'{"a":1}', b'{"a": 1}'), ("varbinary(9)", b"a", b"a\0"), ("int", b"0", None),
        ("char(5)", b"a", b"A"), ("datetime(3)", b"2024-01-01 00:00:00", b"2024-01-01 00:00:00.001"),
        ("point", bytes.fromhex("000000000101000000000000000000F03F0000000000000040"),
         bytes.fromhex("000000000101000000000000000000F03F0000000000000041")),
    ],
)  # fmt: skip
def test_values_that_are_alike_to_the_server_are_told_apart(
    shop: Shop, native: str, before: bytes, after: bytes | None
) -> None:
    shop.execute(f"create table t (id int primary key, x {native})")
    shop.put("t", into("id", "x"), [(b"1", before)])
    assert shop.put("t", into("id", "x"), [(b"1", after)]).updated == 1
    assert shop.read("t") == [(b"1", after)]


def test_rows_of_text_are_never_statements(shop: Shop) -> None:
    shop.execute("create table t (id int primary key, x longtext, y longblob)")
    row = (b"1", b"'),(2,'a','b'); drop table t; -- \\", b"\\'),(3,'','')#")
    shop.put("t", into("id", "x", "y"), [row])
    assert shop.read("t") == [row]


values = st.one_of(
    st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=9).map(str.encode)
)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(values, st.one_of(st.none(), st.binary(max_size=9))), max_size=9))
def test_any_text_and_any_bytes_arrive(
    shop: Shop, pairs: Sequence[tuple[bytes | None, bytes | None]]
) -> None:
    shop.execute(
        "create table if not exists t (id int primary key, x longtext, y longblob)", "delete from t"
    )
    rows = [(b"%d" % at, *pair) for at, pair in enumerate(pairs)]
    assert shop.put("t", into("id", "x", "y"), rows).added == len(rows)
    assert shop.read("t") == rows


def test_the_last_of_a_key_counts_and_the_table_is_asked_once(shop: Shop) -> None:
    shop.execute("create table t (id int primary key, x int)")
    written = shop.put("t", into("id", "x"), [(b"1", b"1"), (b"2", b"2"), (b"1", b"3")])
    assert (written.added, written.duplicates) == (2, 1)
    assert shop.read("t") == [(b"1", b"3"), (b"2", b"2")]


def test_two_keys_that_are_one_in_the_target_are_refused_by_name(shop: Shop) -> None:
    shop.execute("create table t (k varchar(9) primary key, x int)")
    where = into("k", "x", key=("k",))
    for fresh in (False, True):
        with (
            shop.target("t") as target,
            target.page(into("k", "x", key=("k",), fresh=fresh)) as page,
        ):
            with pytest.raises(Refused, match="'Abc' and 'abc ' are one"):
                page.put([(b"Abc", b"1"), (b"b", b"2"), (b"abc ", b"3")])
            assert page.put([(b"Abc", b"1")]).unchanged == fresh
            with pytest.raises(Refused, match="'ABC' and 'Abc', which the table has, are one"):
                page.put([(b"ABC", b"1")])
    assert shop.put("t", where, [(b"Abc", b"5")]).updated == 1
    assert shop.read("t", order=("k",)) == [(b"Abc", b"5")]


def test_another_unique_key_never_overwrites_a_row(shop: Shop) -> None:
    shop.execute(
        "create table t (id int primary key, u int unique, x int)",
        "insert into t values (2, 20, 2)",
    )
    for fresh in (False, True):
        with shop.target("t") as target, target.page(into("id", "u", "x", fresh=fresh)) as page:
            with pytest.raises(Refused, match="Duplicate entry '20'"):
                page.put([(b"3", b"20", b"3")])
            with pytest.raises(Refused, match="Duplicate entry"):
                page.put([(b"4", b"40", b"4"), (b"5", b"40", b"5")])
    assert shop.read("t") == [(b"2", b"20", b"2")]


def test_constraints_and_triggers_refuse_single_rows(shop: Shop) -> None:
    shop.execute(
        "create table p (id int primary key)",
        "create table t (id int primary key, p int references p (id), c int check (c > 0), n int not null)",
        "create trigger tr before insert on t for each row if new.c = 7 then"
        " signal sqlstate '45000' set message_text = 'no seven'; end if",
    )
    rows = [
        (b"1", b"9", b"1", b"1"),
        (b"2", None, b"-1", b"1"),
        (b"3", None, b"7", b"1"),
        (b"4", None, b"1", None),
    ]
    with shop.target("t") as target, target.page(into("id", "p", "c", "n")) as page:
        for row in rows:
            with pytest.raises(Refused):
                page.put([row])
        assert page.put([(b"5", None, b"1", b"1")]).added == 1
    shop.execute("create table u (id int primary key, ts timestamp not null default now())")
    with (
        shop.target("u") as target,
        target.page(into("id", "ts")) as page,
        pytest.raises(Refused, match="NULL"),
    ):
        page.put([(b"1", None)])


def test_a_number_of_zero_and_those_the_server_gives(shop: Shop) -> None:
    shop.execute("create table t (id int auto_increment primary key, x int)")
    shop.put("t", into("id", "x"), [(b"0", b"1"), (b"7", b"2")])
    shop.execute("insert into t (x) values (3)")
    assert shop.read("t", "id") == [(b"0",), (b"7",), (b"8",)]


def test_what_is_computed_and_what_is_left_out_stays(shop: Shop) -> None:
    shop.execute(
        "create table t (id int primary key, x int, own int default 5, g int as (x + 1) stored,"
        " changed timestamp null on update now())",
        "insert into t (id, x, own) values (1, 1, 9)",
    )
    shop.put("t", into("id", "x"), [(b"1", b"2"), (b"2", b"2")])
    assert shop.read("t", "id", "own", "g") == [(b"1", b"9", b"3"), (b"2", b"5", b"3")]


def test_conflicts(shop: Shop) -> None:
    shop.execute("create table t (id int primary key, x int, n datetime)")
    shop.execute("insert into t values (1, 1, '2024-01-02'), (2, 2, null), (3, 3, '2024-01-02')")
    columns = ("id", "x", "n")
    written = shop.put(
        "t", into(*columns, conflict="skip"), [(b"1", b"9", None), (b"4", b"4", None)]
    )
    assert (written.added, written.updated, written.unchanged) == (1, 0, 1)
    newer = into(*columns, conflict="newer", newer="n")
    written = shop.put("t", newer, [
        (b"1", b"9", b"2024-01-02 00:00:00"), (b"2", b"9", b"2024-01-01 00:00:00"),
        (b"3", b"9", b"2024-01-02 00:00:01"), (b"4", b"9", None),
    ])  # fmt: skip
    assert (written.updated, written.unchanged) == (2, 2)
    assert written.updated_keys == ((b"2",), (b"3",))
    assert shop.read("t", "x") == [(b"1",), (b"9",), (b"9",), (b"4",)]
    with shop.target("t") as target:
        with (
            pytest.raises(Conflict, match="another row '1'"),
            target.page(into(*columns, conflict="error")) as page,
        ):
            page.put([(b"5", b"5", None), (b"1", b"9", None)])
        with target.page(into(*columns, conflict="error")) as page:
            assert page.put([(b"1", b"1", b"2024-01-02 00:00:00")]).unchanged == 1
    assert len(shop.read("t")) == 4


def test_rows_that_come_again_are_no_longer_deleted(shop: Shop) -> None:
    shop.execute(
        "create table t (id int primary key, x int, gone timestamp(3) null)",
        "insert into t (id) values (1), (2), (3)",
    )
    where = into("id", "x", revive="gone")
    with shop.target("t") as target:
        with target.page(where) as page:
            page.keep_keys([(b"1",)])
            assert page.missing(1) == (2, [(b"2",)])
            assert page.delete([(b"2",), (b"3",)], "gone") == 2
            assert page.delete([(b"2",), (b"3",)], "gone") == 0
            assert page.missing(1) == (0, [])
        assert shop.execute("select count(*) from t where gone > now() - interval 1 minute") == [
            (2,)
        ]
        with target.page(where) as page:
            written = page.put([(b"1", None), (b"2", None), (b"3", b"3")])
            assert (written.updated, written.unchanged) == (2, 1)
    assert shop.execute("select count(*) from t where gone is null") == [(3,)]


def test_what_is_missing_by_all_kinds_of_keys(shop: Shop) -> None:
    shop.execute(
        "create table t (a varchar(9) collate utf8mb4_nopad_bin, b bit(5), primary key (a, b))",
        "insert into t values ('x', 1), ('x ', 1), ('é', 2), ('', 0)",
    )
    with shop.target("t") as target, target.page(into("a", "b", key=("a", "b"))) as page:
        assert page.missing(9)[0] == 4
        page.keep_keys([(b"x", b"00001"), (b"x", b"00001")])
        page.keep_keys([(b"", b"0")])
        count, keys = page.missing(9)
        assert (count, keys) == (2, [(b"x ", b"00001"), ("é".encode(), b"00010")])
        assert page.delete(keys, "") == 2
        assert page.missing(9) == (0, [])


def test_a_rehearsal_changes_nothing(shop: Shop) -> None:
    shop.execute(
        "create table t (id int primary key, x int)", "insert into t values (1, 1), (2, 2)"
    )
    with shop.target("t") as target, target.page(into("id", "x"), rehearse=True) as page:
        written = page.put([(b"1", b"5"), (b"3", b"3")])
        assert (written.added, written.updated) == (1, 1)
        assert (written.added_keys, written.updated_keys) == (((b"3",),), ((b"1",),))
        page.keep_keys([(b"1",), (b"3",)])
        assert page.missing(9) == (1, [(b"2",)])
        assert page.delete([(b"2",)], "") == 1
    assert shop.read("t") == [(b"1", b"1"), (b"2", b"2")]


def test_a_block_that_raises_leaves_nothing(shop: Shop) -> None:
    shop.execute("create table t (id int primary key)")
    with shop.target("t") as target:
        with pytest.raises(ZeroDivisionError), target.page(into("id")) as page:
            page.put([(b"1",)])
            1 / 0  # noqa: B018
        assert target.is_empty()
        with target.page(into("id")) as page:
            assert page.put([]).added == 0
            page.put([(b"1",)])
        assert not target.is_empty()


def test_a_row_larger_than_a_packet_is_refused(shop: Shop) -> None:
    shop.execute("create table t (id int primary key, x longblob)")
    with shop.target("t") as target, target.page(into("id", "x")) as page:
        with pytest.raises(Refused, match="max_allowed_packet"):
            page.put([(b"1", b"'" * (9 * 2**20))])
        rows = [(b"%d" % at, b"x" * (3 * 2**20)) for at in range(9)]
        assert page.put(rows).added == 9


def test_a_target_that_changes_or_goes_is_no_fault_of_rows(shop: Shop) -> None:
    shop.execute("create table t (id int primary key, x int)")
    with shop.target("t") as target:
        with target.page(into("id", "x")) as page:
            page.put([(b"1", b"1")])
        shop.execute("alter table t drop column x")
        with pytest.raises(BadData) as caught, target.page(into("id", "x")) as page:
            page.put([(b"2", b"1")])
        assert not isinstance(caught.value, Refused)
        shop.execute("drop table t")
        with pytest.raises(BadData) as caught, target.page(into("id", "x")) as page:
            page.put([(b"2", b"1")])
        assert not isinstance(caught.value, Refused)
