"""Privileges as people read them."""

import pytest

from syncd.model.privilege import Privilege, describe, describe_change


@pytest.mark.parametrize(
    ("privilege", "text"),
    [
        (Privilege("server", (), "SELECT"), "SELECT on the server"),
        (Privilege("database", (r"shop\_%",), "ALL", True), r"ALL on database shop\_%, grantable"),
        (
            Privilege("column", ("shop", "public", "orders", "price"), "SELECT"),
            "SELECT on column shop.public.orders.price",
        ),
        (Privilege("table", ("a.b", 'say "hi"'), "X"), 'X on table "a.b"."say ""hi"""'),
        (Privilege("database", ("",), "X"), 'X on database ""'),
        (
            Privilege("all_tables", ("shop", "public"), "SELECT"),
            "SELECT on all tables of shop.public",
        ),
        (
            Privilege("foreign_data_wrapper", ("shop", "fdw"), "USAGE"),
            "USAGE on foreign data wrapper shop.fdw",
        ),
        (
            Privilege("default_tables", ("shop", "app", "public"), "SELECT"),
            "SELECT on tables that app makes in shop.public",
        ),
        (
            Privilege("default_large_objects", ("shop", "app", ""), "SELECT"),
            "SELECT on large objects that app makes in shop",
        ),
        (
            Privilege("default_functions", ("shop", "app", ""), "EXECUTE", restricts=True),
            "without EXECUTE on functions that app makes in shop",
        ),
    ],
)
def test_a_privilege_in_words(privilege, text):
    assert describe(privilege) == text
    assert describe(privilege.document()) == text


def test_a_partial_revoke_says_among_changes_what_was_lost():
    lost = Privilege("default_functions", ("shop", "app", ""), "EXECUTE", restricts=True)
    assert describe_change(lost) == "EXECUTE on functions that app makes in shop"
    assert describe_change(lost.document()) == describe_change(lost)
