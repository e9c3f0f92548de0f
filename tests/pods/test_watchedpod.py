"""What is kept of a pod: where its proxy is, since when it runs, and what is wrong with it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.measurements import ContainerEnd
from daemon.pods.watchedpod import WatchedPod, watched_pod
from tests.pods.objects import container, pod


def test_a_pod_that_serves_is_ready_and_as_old_as_its_oldest_container() -> None:
    item = pod("web-v2-0", labels={"app": "web"}, address="10.1.0.2")
    item["status"]["containerStatuses"] = [
        container(started="2026-01-01T00:00:10Z"),
        container(name="istio-proxy", started="2026-01-01T00:00:07Z", restarts=2),
    ]
    assert watched_pod(item) == WatchedPod(
        name="web-v2-0",
        namespace="shop",
        uid="uid-web-v2-0",
        labels={"app": "web"},
        address="10.1.0.2",
        ready=True,
        started_at=1767225607.0,
        restarts=2,
    )


def test_a_pod_that_is_being_deleted_is_leaving_and_one_that_has_ended_has() -> None:
    leaving = pod("a")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert (watched_pod(leaving).leaving, watched_pod(leaving).ended) == (True, False)
    assert [watched_pod(pod("a", phase=phase)).ended for phase in ("Failed", "Succeeded", "Running", "Pending")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("state", "trouble"),
    [
        ({"waiting": {"reason": "CrashLoopBackOff"}}, "CrashLoopBackOff"),
        ({"waiting": {"reason": "ImagePullBackOff"}}, "ImagePullBackOff"),
        ({"waiting": {"reason": "ContainerCreating"}}, ""),
        ({"waiting": {}}, ""),
        ({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}, "OOMKilled"),
        ({"terminated": {"exitCode": 1}}, "Error"),
        ({"terminated": {"exitCode": 0, "reason": "Completed"}}, ""),
        ({"running": {"startedAt": "2026-01-01T00:00:00Z"}}, ""),
        ({}, ""),
    ],
)
def test_what_keeps_a_container_from_running_is_said_in_kubernetes_own_word(state: dict[str, Any], trouble: str) -> None:
    item = pod("a")
    item["status"]["containerStatuses"] = [{"name": "web", "restartCount": 4, "state": state}]
    assert watched_pod(item).trouble == trouble


def _status(name: str, *, state: dict[str, Any], last: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"name": name, "restartCount": 1, "state": state, "lastState": {} if last is None else {"terminated": last}}


_RUNNING = {"running": {"startedAt": "2026-01-01T00:00:20Z"}}
_KILLED = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-01-01T00:00:10Z"}


def test_how_containers_ended_that_go_on_is_kept_and_of_those_that_have_done_their_work_it_is_not() -> None:
    item = pod("a")
    item["status"]["containerStatuses"] = [
        _status("web", state=_RUNNING, last=_KILLED),
        _status("agent", state={"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:00:30Z"}}, last=_KILLED),
        _status("calm", state=_RUNNING),
        _status("undated", state=_RUNNING, last={"exitCode": 1, "finishedAt": "lately"}),
    ]
    item["status"]["initContainerStatuses"] = [
        _status("istio-proxy", state=_RUNNING, last={"exitCode": 0, "reason": "Completed", "finishedAt": "2026-01-01T00:00:15Z"}),
        _status("migrate", state={"terminated": {"exitCode": 0, "finishedAt": "2026-01-01T00:00:09Z"}}, last=_KILLED),
    ]
    assert watched_pod(item).ends == (
        ContainerEnd(pod="a", container="web", reason="OOMKilled", at=1767225610.0),
        ContainerEnd(pod="a", container="agent", reason="Error", at=1767225630.0),
        ContainerEnd(pod="a", container="istio-proxy", reason="Completed", at=1767225615.0),
    )


def test_a_container_that_runs_before_the_others_may_be_what_keeps_the_pod_from_running() -> None:
    item = pod("a")
    item["status"]["initContainerStatuses"] = [_status("migrate", state={"waiting": {"reason": "CrashLoopBackOff"}})]
    assert watched_pod(item).trouble == "CrashLoopBackOff"


def test_a_pod_without_a_status_has_no_address_and_is_not_ready() -> None:
    found = watched_pod({"metadata": {"name": "a", "namespace": "shop"}})
    assert (found.address, found.ready, found.started_at, found.restarts, found.trouble) == ("", False, None, 0, "")


def test_a_time_that_is_none_is_not_known() -> None:
    item = pod("a")
    item["status"]["containerStatuses"] = [container(started="yesterday")]
    assert watched_pod(item).started_at is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["state", "running", "type", "lastState", "terminated", "finishedAt"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["containerStatuses", "initContainerStatuses", "conditions", "podIP", "phase"]), _JSON), _JSON
)
def test_whatever_a_status_holds_it_is_read(status: dict[str, Any], labels: Any) -> None:
    assert watched_pod({"metadata": {"name": "a", "labels": labels}, "status": status}).name == "a"
    assert watched_pod({"metadata": {"name": "a"}, "status": labels}).name == "a"
