"""What is left to do of a deployment, and who stands behind its arms: over all states that there are."""

from collections.abc import Sequence
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import Refused
from daemon.meshes.nomad.api import Allocation, AllocationDeployment, Deployment, Group, JobVersion, Status
from daemon.meshes.nomad.deployments import Located, Standing, harm, is_under_way, next_step, standings, version_before

ARMS = Located(job="web", deployment="d", version=3, groups=("web",))

groups = st.builds(
    Group,
    desired_canaries=st.integers(0, 2),
    promoted=st.booleans(),
    auto_revert=st.booleans(),
    placed_canaries=st.none() | st.lists(st.just("a")),
)
deployments = st.builds(
    Deployment,
    id=st.just("d"),
    job_id=st.just("web"),
    job_version=st.just(3),
    status=st.sampled_from(get_args(Status)),
    status_description=st.just(""),
    task_groups=st.none() | st.dictionaries(st.sampled_from(["web", "worker"]), groups),
)
jobs = st.builds(JobVersion, version=st.integers(2, 5), stable=st.booleans(), stop=st.booleans())
allocations = st.lists(
    st.builds(
        Allocation,
        id=st.just("a"),
        task_group=st.sampled_from(["web", "worker"]),
        job_version=st.integers(1, 5),
        client_status=st.sampled_from(["pending", "running", "complete", "failed", "lost", "unknown"]),
        desired_status=st.sampled_from(["run", "stop", "evict"]),
        deployment_status=st.none() | st.builds(AllocationDeployment, canary=st.booleans(), healthy=st.none() | st.booleans()),
    ),
    max_size=8,
)


@given(deployments, jobs)
def test_only_the_jobs_newest_version_is_touched_and_never_one_that_was_promoted(deployment: Deployment, job: JobVersion) -> None:
    try:
        step = next_step(deployment, job)
    except Refused:
        assert job.version == 3
        assert deployment.status == "successful" or any(one.promoted for one in (deployment.task_groups or {}).values())
        return
    if step is None:
        assert job.version != 3 or job.stop or deployment.status == "cancelled"
    else:
        assert job.version == 3
        assert not job.stop
        assert not any(one.promoted for one in (deployment.task_groups or {}).values())
        assert is_under_way(deployment) == (step == "fail")


@given(allocations)
def test_a_share_is_one_of_the_allocations_that_serve_and_nothing_that_has_ended_counts(found: list[Allocation]) -> None:
    (one,) = standings(found, arms=ARMS)
    there = [it for it in found if it.task_group == "web" and it.client_status in {"pending", "running", "unknown"}]
    assert one.canary == sum(it.job_version == 3 for it in there)
    assert one.canary + one.baseline <= len(there)
    assert one.canary_ready <= one.canary
    assert one.baseline_ready <= one.baseline
    assert 0.0 <= one.percent <= 100.0
    assert (one.percent > 0) == (one.canary_ready > 0)


@given(allocations)
def test_nobody_is_sure_only_where_no_client_is_silent(found: list[Allocation]) -> None:
    (one,) = standings(found, arms=ARMS)
    if (harm([one]) is not None) == (one.baseline_ready > 0):
        assert not one.is_sure
    assert one.is_sure or harm([one]) is None


def test_one_group_without_anybody_is_enough_to_stop_it() -> None:
    some = Standing(group="web", canary=1, canary_ready=1, baseline=2, baseline_ready=2, is_sure=True)
    none = Standing(group="api", canary=1, canary_ready=1, baseline=0, baseline_ready=0, is_sure=True)
    assert harm([some]) is None
    assert "group api (it has none)" in str(harm([some, none]))


@given(st.lists(st.builds(JobVersion, version=st.integers(0, 5), stable=st.booleans(), stop=st.just(False))), allocations)
def test_the_job_goes_back_to_the_last_stable_version_before_the_canary(
    versions: Sequence[JobVersion], found: list[Allocation]
) -> None:
    stable = {one.version for one in versions if one.stable and one.version < 3}
    serving = {
        one.job_version for one in found if one.job_version < 3 and (one.client_status, one.desired_status) == ("running", "run")
    }
    if not stable | serving:
        with pytest.raises(Refused, match="no earlier version is stable or runs"):
            version_before(versions, found, arms=ARMS)
    else:
        assert version_before(versions, found, arms=ARMS) == max(stable or serving)
