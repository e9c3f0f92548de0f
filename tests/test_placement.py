"""What is said of where a canary gets traffic from, where that ends, and what became of taking it back."""

import pytest

from daemon.errors import Forbidden, Unavailable, VerdictdError
from daemon.placement import ObjectName, PatchedObject, PatchReceipt, Placement, RouteChange

WEB = ObjectName(kind="VirtualService", name="web", namespace="shop")


def test_where_all_was_read_and_nothing_is_left_no_remark_is_made() -> None:
    assert Placement(routes=(), canary_percent=0.0).remarks == ()


def test_of_many_places_the_first_are_told_and_how_many_more_there_are() -> None:
    placement = Placement(routes=(), canary_percent=0.0, elsewhere=tuple(f"shop/{number}" for number in range(12)))
    [remark] = placement.remarks
    assert remark.startswith("may still reach the canary, and is not touched: shop/0; shop/1; ")
    assert remark.endswith("; shop/9; and 2 more")


def part(*, at: float, failure: VerdictdError | None = None) -> PatchedObject:
    changes = () if failure is not None else (RouteChange(detail="weight 10 of v2 -> v1"),)
    return PatchedObject(object=WEB, sent_at=at, acknowledged_at=at + 1.0, changes=changes, failure=failure)


def test_a_receipt_is_dated_by_what_was_written_and_keeps_what_was_not() -> None:
    receipt = PatchReceipt.of(
        [part(at=9.0, failure=Forbidden("no")), part(at=3.0), part(at=2.0)], nothing="nothing", now=7.0, unread=("some",)
    )
    assert (receipt.sent_at, receipt.acknowledged_at, receipt.nothing, receipt.unread) == (2.0, 4.0, "", ("some",))
    assert isinstance(receipt.failure, Forbidden)


def test_a_receipt_of_nothing_says_so_and_one_of_failures_alone_is_the_failure_that_is_worth_another_try() -> None:
    empty = PatchReceipt.of([], nothing="nothing", now=7.0)
    assert (str(empty), empty.sent_at, empty.acknowledged_at, empty.failure) == ("nothing", 7.0, 7.0, None)
    failures = [part(at=1.0, failure=Forbidden("no")), part(at=1.0, failure=Unavailable("away"))]
    with pytest.raises(Unavailable, match="away"):
        PatchReceipt.of(failures, nothing="nothing", now=7.0)
