"""The sidecars of the arms' pods, as the API server has them now: whom to scrape, and how the arms' pods are."""

from collections.abc import Callable, Mapping, Sequence

from yarl import URL

from daemon.errors import VerdictdError
from daemon.measurements import PodsState, Watch
from daemon.model import Release
from daemon.pods.podsofarms import PodsOfArms, arm_state
from daemon.pods.watchedpod import WatchedPod
from daemon.pods.watching import PodWatch
from daemon.ports.telemetry import FoundTargets, Target


class PodTargets:
    """``Targets`` of arms that are pods.

    Args:
        watch_of: the watch of the cluster in which a release is judged.
        port: at which each pod's sidecar shows its counters.
        most: pods in all; of a release with pods beyond that they are not told.
    """

    def __init__(self, watch_of: Callable[[Release], PodWatch], *, port: int, most: int) -> None:
        self._arms = PodsOfArms(watch_of)
        self._port = port
        self._most = most
        self._states: dict[str, PodsState] = {}

    async def find(self, watches: Sequence[Watch]) -> Mapping[str, FoundTargets]:
        """See ``Targets``. Raises nothing: what is not known of a release is said of it."""
        found: dict[str, FoundTargets] = {}
        states: dict[str, PodsState] = {}
        all_of_them: set[str] = set()
        for watch in watches:
            if watch.pods is None:
                found[watch.release_id] = FoundTargets(unknown="which pods the arms have is being looked for", pending=True)
                continue
            try:
                baseline, canary = await self._arms.pods(watch.release, watch.pods)
            except VerdictdError as error:
                found[watch.release_id] = FoundTargets(unknown=str(error))
                continue
            states[watch.release_id] = PodsState(baseline=arm_state(baseline), canary=arm_state(canary))
            targets = FoundTargets(baseline=self._targets(baseline), canary=self._targets(canary))
            more = {target.name for target in (*targets.baseline, *targets.canary)} - all_of_them
            if len(all_of_them) + len(more) > self._most:
                found[watch.release_id] = FoundTargets(unknown=f"more than {self._most} pods would have to be read; raise max_pods")
                continue
            all_of_them |= more
            found[watch.release_id] = targets
        await self._arms.tidy()
        self._states = states
        return found

    async def look(self, watches: Sequence[Watch]) -> None:
        """Nothing more to do: whoever scrapes the targets has them found."""

    def state(self, release_id: str) -> PodsState | None:
        """How the pods of a release's arms were when its targets were last found; null where that was not known."""
        return self._states.get(release_id)

    def _targets(self, pods: Sequence[WatchedPod]) -> tuple[Target, ...]:
        return tuple(
            Target(
                name=f"{pod.namespace}/{pod.name}",
                url=str(URL.build(scheme="http", host=pod.address, port=self._port)),
                pod=pod.name,
                namespace=pod.namespace,
                started_at=pod.started_at,
                leaving=pod.leaving,
            )
            for pod in pods
            if pod.address
        )
