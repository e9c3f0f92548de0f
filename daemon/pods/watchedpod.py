"""What is kept of a pod that is watched: where its proxy is asked, since when it runs, and what is wrong with it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from daemon.kube.resources import Json
from daemon.measurements import ContainerEnd

_CRASHES = frozenset({"CrashLoopBackOff", "Error", "OOMKilled", "ContainerCannotRun", "StartError", "RunContainerError"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedPod:
    """One pod.

    Attributes:
        name, namespace: its own.
        uid: tells it from another one of the same name.
        labels: its own.
        address: its IP address; empty while it has none.
        ready: whether it is sent requests.
        leaving: it is being deleted: it need not answer any more.
        ended: its containers have ended for good, as those of a pod that was evicted: nobody answers.
        started_at: when its first container was started, in seconds since 1970; null while none runs.
        restarts: how often its containers were started anew.
        trouble: what is wrong with a container, in Kubernetes' word (``CrashLoopBackOff``); empty where nothing is.
        ends: how its containers have ended that were to go on, the last time.
    """

    name: str
    namespace: str
    uid: str
    labels: Mapping[str, str]
    address: str = ""
    ready: bool = False
    leaving: bool = False
    ended: bool = False
    started_at: float | None = None
    restarts: int = 0
    trouble: str = ""
    ends: tuple[ContainerEnd, ...] = ()

    def carries(self, labels: Mapping[str, str]) -> bool:
        """Whether it has all of these labels."""
        return all(self.labels.get(key) == value for key, value in labels.items())


def watched_pod(pod: Json) -> WatchedPod:
    """What is kept of this pod. Whatever is not as the API says it is, is taken for absent."""
    metadata, status = _object(pod.get("metadata")), _object(pod.get("status"))
    containers = _objects(status.get("containerStatuses"))
    # Sidecars may stand among those that run before the others; those that have done their work are past.
    all_of_them = [*containers, *(one for one in _objects(status.get("initContainerStatuses")) if not _done(one))]
    name = str(metadata.get("name", ""))
    return WatchedPod(
        name=name,
        namespace=str(metadata.get("namespace", "")),
        uid=str(metadata.get("uid", "")),
        labels={str(key): str(value) for key, value in _object(metadata.get("labels")).items()},
        address=str(status.get("podIP") or ""),
        ready=any(one.get("type") == "Ready" and one.get("status") == "True" for one in _objects(status.get("conditions"))),
        leaving="deletionTimestamp" in metadata,
        ended=status.get("phase") in ("Succeeded", "Failed"),
        started_at=_started_at(containers),
        restarts=sum(count for one in containers if isinstance(count := one.get("restartCount"), int)),
        trouble=next((said for one in all_of_them if (said := _trouble(one))), ""),
        ends=tuple(end for one in all_of_them if (end := _end(one, pod=name)) is not None),
    )


def _started_at(containers: Iterable[Json]) -> float | None:
    """When the oldest container that runs was started: one that was restarted is young again."""
    running = [_object(_object(one.get("state")).get("running")) for one in containers]
    began = [str(one["startedAt"]) for one in running if one.get("startedAt")]
    times = [_time(one) for one in began]
    return None if None in times else min((one for one in times if one is not None), default=None)


def _time(text: str) -> float | None:
    """Seconds since 1970; null where it is no time."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _done(container: Json) -> bool:
    ended = _object(_object(container.get("state")).get("terminated"))
    return bool(ended) and ended.get("exitCode") == 0


def _end(container: Json, *, pod: str) -> ContainerEnd | None:
    """How it ended the last time; null where it never did, or where it is not said when."""
    ended = _object(_object(container.get("state")).get("terminated"))
    ended = ended or _object(_object(container.get("lastState")).get("terminated"))
    at = _time(str(ended.get("finishedAt") or ""))
    if at is None:
        return None
    name, reason = str(container.get("name") or ""), str(ended.get("reason") or "Error")
    return ContainerEnd(pod=pod, container=name, reason=reason, at=at)


def _trouble(container: Json) -> str:
    """What keeps a container from running, or has just ended it by itself."""
    state = _object(container.get("state"))
    if reason := str(_object(state.get("waiting")).get("reason") or ""):
        return reason if reason in _CRASHES or reason.endswith("BackOff") else ""
    ended = _object(state.get("terminated"))
    return str(ended.get("reason") or "Error") if ended and ended.get("exitCode") != 0 else ""


def _objects(value: object) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}
