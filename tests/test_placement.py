"""What is said of where a canary gets traffic from: where that ends, too."""

from daemon.placement import Placement


def test_where_all_was_read_and_nothing_is_left_no_remark_is_made() -> None:
    assert Placement(routes=(), canary_percent=0.0).remarks == ()


def test_of_many_places_the_first_are_told_and_how_many_more_there_are() -> None:
    placement = Placement(routes=(), canary_percent=0.0, elsewhere=tuple(f"shop/{number}" for number in range(12)))
    [remark] = placement.remarks
    assert remark.startswith("may still reach the canary, and is not touched: shop/0; shop/1; ")
    assert remark.endswith("; shop/9; and 2 more")
