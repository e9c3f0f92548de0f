"""The sidecars of the arms' pods, as the API server has them now: whom to scrape, and how the arms' pods are.

Which pods an arm has, its router says (``daemon.armpods``), and by which labels they are chosen. Who carries these labels now is an
arm's pod already when the router has not looked yet. A pod that is gone, or is being deleted, is seen here at once.
"""

from collections.abc import Callable, Mapping, Sequence

from yarl import URL

from daemon.armpods import ArmPods
from daemon.errors import Unavailable, VerdictdError
from daemon.model import ArmState, PodsState, Release, Watch
from daemon.pods.watchedpod import WatchedPod
from daemon.pods.watching import PodWatch
from daemon.ports.telemetry import FoundTargets, Target

_TROUBLES_TOLD = 5


class PodTargets:
    """``Targets`` of arms that are pods.

    Args:
        watch_of: the watch of the cluster in which a release is judged.
        port: at which each pod's sidecar shows its counters.
        most: pods in all; of a release with pods beyond that they are not told.
    """

    def __init__(self, watch_of: Callable[[Release], PodWatch], *, port: int, most: int) -> None:
        self._watch_of = watch_of
        self._port = port
        self._most = most
        self._states: dict[str, PodsState] = {}

    async def find(self, watches: Sequence[Watch]) -> Mapping[str, FoundTargets]:
        """See ``Targets``. Raises nothing: what is not known of a release is said of it."""
        found: dict[str, FoundTargets] = {}
        states: dict[str, PodsState] = {}
        used: dict[int, PodWatch] = {}
        all_of_them: set[str] = set()
        for watch in watches:
            if watch.pods is None:
                found[watch.release_id] = FoundTargets(unknown="which pods the arms have is being looked for", pending=True)
                continue
            pods = self._watch_of(watch.release)
            used[id(pods)] = pods
            try:
                baseline, canary = [await self._pods(pods, watch, arm) for arm in (watch.pods.baseline, watch.pods.canary)]
            except VerdictdError as error:
                found[watch.release_id] = FoundTargets(unknown=str(error))
                continue
            states[watch.release_id] = PodsState(baseline=_state(baseline), canary=_state(canary))
            targets = FoundTargets(baseline=self._targets(baseline), canary=self._targets(canary))
            more = {target.name for target in (*targets.baseline, *targets.canary)} - all_of_them
            if len(all_of_them) + len(more) > self._most:
                found[watch.release_id] = FoundTargets(unknown=f"more than {self._most} pods would have to be read; raise max_pods")
                continue
            all_of_them |= more
            found[watch.release_id] = targets
        for pods in used.values():
            await pods.tidy()
        self._states = states
        return found

    def state(self, release_id: str) -> PodsState | None:
        """How the pods of a release's arms were when its targets were last found; null where that was not known."""
        return self._states.get(release_id)

    async def _pods(self, watch: PodWatch, wanted: Watch, arm: ArmPods) -> tuple[WatchedPod, ...]:
        """The pods that are the arm's now."""
        if arm.pods is None:
            raise Unavailable(f"which pods the arms have is not known: {arm.unknown}")
        found: dict[tuple[str, str], WatchedPod] = {}
        for namespace in sorted({pod.namespace for pod in arm.pods} or {wanted.release.namespace}):
            there = await watch.namespace(namespace)
            named = there.named(pod.name for pod in arm.pods if pod.namespace == namespace)
            chosen = there.chosen(arm.labels) if arm.labels else ()
            found |= {(pod.namespace, pod.name): pod for pod in (*named, *chosen) if not pod.ended}
        return tuple(pod for _, pod in sorted(found.items()))

    def _targets(self, pods: Sequence[WatchedPod]) -> tuple[Target, ...]:
        return tuple(
            Target(
                name=f"{pod.namespace}/{pod.name}",
                url=str(URL.build(scheme="http", host=pod.address, port=self._port)),
                pod=pod.name,
                started_at=pod.started_at,
                leaving=pod.leaving,
            )
            for pod in pods
            if pod.address
        )


def _state(pods: Sequence[WatchedPod]) -> ArmState:
    """How an arm's pods are; those that are being deleted are none of it."""
    staying = [pod for pod in pods if not pod.leaving]
    return ArmState(
        pods=len(staying),
        ready=sum(pod.ready for pod in staying),
        restarts=sum(pod.restarts for pod in staying),
        troubles=tuple(f"{pod.name}: {pod.trouble}" for pod in staying if pod.trouble)[:_TROUBLES_TOLD],
    )
