"""A plan is shown, and a revert undone, in every cluster of a mesh; what is not known of one is said and keeps no other back."""

import pytest

from daemon.engine import editing, fanout
from daemon.engine.takenback import UndoLog
from daemon.errors import Forbidden, NotFound, Refused, VerdictdError
from daemon.placement import Undo
from tests.engine.test_fanout import clusters, fan_out
from tests.hand.clock import HandClock
from tests.hand.editing import EditingRouter, undo
from tests.hand.ports import HandRouter
from tests.hand.samples import RELEASE


async def test_what_would_be_written_is_told_with_its_cluster_where_there_are_several() -> None:
    alone = await editing.plan(clusters(only=EditingRouter()), RELEASE, located="")
    assert [str(one) for one in alone.objects] == ["Route route"]
    both = await editing.plan(clusters(east=EditingRouter(), west=EditingRouter()), RELEASE, located="")
    assert ([str(one) for one in both.objects], both.unknown) == (["east: Route route", "west: Route route"], ())


@pytest.mark.parametrize(
    ("failing", "unknown"), [(Forbidden("not yours"), ("west: not yours",)), (NotFound("no route names the canary"), ())]
)
async def test_a_further_cluster_that_cannot_be_looked_at_is_told_and_one_without_the_release_is_not(
    failing: VerdictdError, unknown: tuple[str, ...]
) -> None:
    there = clusters(east=EditingRouter(), west=EditingRouter(failing=failing))
    found = await editing.plan(there, RELEASE, located="")
    assert ([one.cluster for one in found.objects], found.unknown) == (["east"], unknown)


async def test_a_mesh_that_does_not_show_what_it_writes_says_so() -> None:
    said = "this mesh does not show what it writes, and cannot put it back"
    assert (await editing.plan(clusters(only=HandRouter()), RELEASE, located="")).unknown == (said,)
    [one] = await editing.plan_restore(clusters(only=HandRouter()), [undo()])
    assert str(one.failure) == said
    [other] = await editing.restore(clusters(only=HandRouter()), [undo()])
    assert str(other.failure) == said


async def test_what_was_taken_back_in_each_cluster_is_put_back_there(clock: HandClock) -> None:
    east, west = EditingRouter(), EditingRouter()
    west.canary_percent = 30.0
    there = clusters(east=east, west=west)
    noted: list[Undo] = []
    placement = await fanout.locate(there, RELEASE)
    await fan_out(clock).run(there, RELEASE, located=placement.located, undo_log=UndoLog(changed=noted.extend))
    assert sorted((one.cluster, one.values[0].before) for one in noted) == [("east", "10"), ("west", "30")]
    assert [one.failure for one in await editing.plan_restore(there, noted)] == [None, None]
    assert [one.failure for one in await editing.restore(there, noted)] == [None, None]
    assert (east.canary_percent, west.canary_percent) == (10.0, 30.0)


async def test_what_was_changed_since_in_one_cluster_is_that_clusters_failure() -> None:
    east, west = EditingRouter(), EditingRouter()
    east.canary_percent, west.canary_percent = 0.0, 25.0
    there = clusters(east=east, west=west)
    undos = [undo(cluster="east"), undo(cluster="west"), undo(cluster="north")]
    found = {one.cluster: one.failure for one in await editing.plan_restore(there, undos)}
    assert found["east"] is None
    assert isinstance(found["west"], Refused)
    assert str(found["north"]) == "the mesh has no cluster north; it has east, west"


async def test_an_undo_of_before_there_were_several_clusters_is_the_first_ones() -> None:
    east, west = EditingRouter(), EditingRouter()
    east.canary_percent = 0.0
    await editing.restore(clusters(east=east, west=west), [undo()])
    assert (east.canary_percent, west.canary_percent) == (10.0, 10.0)
