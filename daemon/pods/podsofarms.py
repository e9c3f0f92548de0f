"""The pods that are an arm's now, and how they are, as the API server has them.

Which pods an arm has, its router says (``daemon.armpods``), and by which labels they are chosen. Who carries these labels now is an
arm's pod already when the router has not looked yet. A pod that is gone, or is being deleted, is seen here at once.
EndpointSlices are read with the routes, every ten seconds, and not watched: of such arms they would say no pod sooner.
"""

from collections.abc import Callable, Mapping, Sequence

from daemon.armpods import ArmPods, PodsByArm
from daemon.errors import Unavailable, VerdictdError
from daemon.measurements import ArmState, PodsState, Watch
from daemon.model import Release
from daemon.pods.watchedpod import WatchedPod
from daemon.pods.watching import PodWatch

_TROUBLES_TOLD = 5


class PodsOfArms:
    """Looks for the pods of releases. ``watch_of``: the watch of the cluster in which a release is judged."""

    def __init__(self, watch_of: Callable[[Release], PodWatch]) -> None:
        self._watch_of = watch_of
        self._used: dict[int, PodWatch] = {}

    async def pods(self, release: Release, arms: PodsByArm) -> tuple[Sequence[WatchedPod], Sequence[WatchedPod]]:
        """Those of the baseline and those of the canary.

        Raises:
            VerdictdError: they are not known: says why.
        """
        watch = self._watch_of(release)
        self._used[id(watch)] = watch
        baseline, canary = [await _pods(watch, arm, release=release) for arm in (arms.baseline, arms.canary)]
        return baseline, canary

    async def states(self, watches: Sequence[Watch]) -> Mapping[str, PodsState]:
        """How the pods of each release are, by its id; those of which it is not known are left out."""
        found: dict[str, PodsState] = {}
        for watch in watches:
            if watch.pods is None:
                continue
            try:
                baseline, canary = await self.pods(watch.release, watch.pods)
            except VerdictdError:
                continue  # the watch of the pods has said so
            found[watch.release_id] = PodsState(baseline=arm_state(baseline), canary=arm_state(canary))
        await self.tidy()
        return found

    async def tidy(self) -> None:
        """End the watches that nobody has asked for in a while."""
        used, self._used = self._used, {}
        for watch in used.values():
            await watch.tidy()


async def _pods(watch: PodWatch, arm: ArmPods, *, release: Release) -> tuple[WatchedPod, ...]:
    """The pods that are the arm's now."""
    if arm.pods is None:
        raise Unavailable(f"which pods the arms have is not known: {arm.unknown}")
    found: dict[tuple[str, str], WatchedPod] = {}
    for namespace in sorted({pod.namespace for pod in arm.pods} or {release.namespace}):
        there = await watch.namespace(namespace)
        named = there.named(pod.name for pod in arm.pods if pod.namespace == namespace)
        chosen = there.chosen(arm.labels) if arm.labels else ()
        found |= {(pod.namespace, pod.name): pod for pod in (*named, *chosen) if not pod.ended}
    return tuple(pod for _, pod in sorted(found.items()))


def arm_state(pods: Sequence[WatchedPod]) -> ArmState:
    """How an arm's pods are; those that are being deleted are none of it."""
    staying = [pod for pod in pods if not pod.leaving]
    return ArmState(
        pods=len(staying),
        ready=sum(pod.ready for pod in staying),
        restarts=sum(pod.restarts for pod in staying),
        troubles=tuple(f"{pod.name}: {pod.trouble}" for pod in staying if pod.trouble)[:_TROUBLES_TOLD],
        ends=tuple(end for pod in staying for end in pod.ends),
    )
