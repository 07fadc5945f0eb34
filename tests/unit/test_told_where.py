"""The place before what the other side says."""

import pytest

from syncd.errors import BadData, Cancelled, Network, Throttled, told_where


def test_the_place_stands_before_what_is_said_once():
    with pytest.raises(BadData) as told, told_where("house"), told_where("house public.orders"):
        raise BadData("no such table")
    assert str(told.value) == "house public.orders: no such table"


def test_one_place_is_told_however_often_an_error_is_raised_again():
    with pytest.raises(BadData) as told, told_where("shop"), told_where("house"):
        raise BadData("no such table")
    assert str(told.value) == "house: no such table"


def test_what_else_an_error_says_stays():
    with pytest.raises(Throttled) as told, told_where("house"):
        raise Throttled("too many", 5.0)
    assert (str(told.value), told.value.retry_after) == ("house: too many", 5.0)


def test_without_a_place_nothing_is_put_before():
    with pytest.raises(Network, match=r"^gone$"), told_where(""):
        raise Network("gone")


def test_what_stops_the_work_is_of_no_place():
    stop = Cancelled("by me")
    with pytest.raises(Cancelled) as told, told_where("house"):
        raise stop
    assert str(told.value) == "by me"
