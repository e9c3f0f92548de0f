"""Who holds something leaves off before anybody else may begin."""

from hypothesis import given
from hypothesis import strategies as st

from daemon.replicas.lease import Heard, Lease

SECONDS = st.floats(min_value=0.0, max_value=1e4)


@given(written_after=SECONDS, seen_after=SECONDS, looked_after=SECONDS, drift=st.floats(min_value=0.91, max_value=1.0))
def test_when_a_holder_is_taken_for_dead_it_is_not_sure_any_more(
    written_after: float, seen_after: float, looked_after: float, drift: float
) -> None:
    lease = Lease(sent_at=7.0, seconds=3.0)
    seen_at = 7.0 + written_after + seen_after
    now = seen_at + looked_after
    if Heard(revision=5, at=seen_at).is_silent(now, lease_seconds=3.0):
        assert not lease.is_sure(7.0 + (now - 7.0) * drift), "its own clock may be slower by as much"


def test_a_lease_is_sure_from_before_its_renewal_was_sent_and_for_less_than_all_of_its_time() -> None:
    lease = Lease(sent_at=100.0, seconds=3.0)
    assert lease.is_sure(100.0)
    assert lease.is_sure(102.6)
    assert not lease.is_sure(102.75)
    assert not lease.is_sure(1e9)


def test_a_sign_of_life_counts_from_when_it_was_seen_first() -> None:
    first = Heard(revision=4, at=10.0)
    assert first.again(4, now=12.0) == first
    assert first.is_silent(13.0, lease_seconds=3.0)
    assert not first.again(5, now=12.0).is_silent(13.0, lease_seconds=3.0)
