"""What stands between the arms and those who ask them, asked of a store for all releases in one question.

Retries that hide failures, endpoints that are ejected, circuit breakers that are open, sidecars that are short of CPU or memory.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from daemon.armpods import ArmPods
from daemon.measurements import Reading, Watch
from daemon.model import ArmSpec
from daemon.telemetry.prometheus.query import quoted
from daemon.telemetry.prometheus.slowly import Question, Row, raw
from daemon.telemetry.signs import KIND, ArmSign, ArmSigns, asked
from daemon.telemetry.wire import literal

_ARMS: Sequence[Literal["canary", "baseline"]] = ("canary", "baseline")


class ArmQuestions:
    """``SignalSource`` of the releases of some meshes.

    Args:
        signs: by the names of the meshes.
        matchers: labels that all series have.
    """

    def __init__(self, asking: Question, *, signs: Mapping[str, ArmSigns], matchers: Mapping[str, str]) -> None:
        self._asking = asking
        self._signs = signs
        self._these = [f"{label}={quoted(value)}" for label, value in matchers.items()]

    async def look(self, watches: Sequence[Watch]) -> None:
        """See ``SignalSource``."""
        if self._asking.due and (parts := list(self._parts(watches))):
            self._asking.ask(raw(parts))

    def into(self, watch: Watch, reading: Reading) -> Reading:
        """See ``SignalSource``."""
        of_mesh = self._signs.get(str(watch.release.mesh))
        if of_mesh is None or not self._asking.fresh:
            return reading
        stand = {about: dict(_stands(of_mesh, watch, about, self._asking.rows)) for about in _ARMS}
        signals = [
            sign.signal(values, about=about, baseline=stand["baseline"].get(sign, [0.0])[0])
            for about, found in stand.items()
            for sign, values in found.items()
        ]
        return msgspec.structs.replace(reading, signals=(*reading.signals, *signals))

    def _parts(self, watches: Sequence[Watch]) -> Iterator[str]:
        """Of each mesh, what is asked of its releases' pods and clusters."""
        for name, of_mesh in self._signs.items():
            mine = [watch for watch in watches if str(watch.release.mesh) == name]
            for by, matchers, labels in (
                ("pod", _pods(mine), "namespace,pod"),
                ("cluster", _clusters(mine, of_mesh), of_mesh.cluster_label),
            ):
                those = ",".join((*self._these, *matchers))
                if not matchers or len(those) > self._asking.longest_bytes:
                    continue
                for sign in of_mesh.signs:
                    for at, expression in enumerate(sign.expressions if sign.by == by else ()):
                        yield asked(expression, kind=f"{name}/{sign.kind}/{at}", those=those, by=labels)


def _pods(watches: Iterable[Watch]) -> list[str]:
    pods = {pod for watch in watches if watch.pods is not None for about in _ARMS for pod in _arm(watch, about)[1].pods or ()}
    if not pods:
        return []
    spaces, names = sorted({pod.namespace for pod in pods}), sorted({pod.name for pod in pods})
    return [f"{label}=~{quoted('|'.join(map(literal, some)))}" for label, some in (("namespace", spaces), ("pod", names))]


def _clusters(watches: Iterable[Watch], of_mesh: ArmSigns) -> list[str]:
    patterns = {of_mesh.clusters(watch.release, _arm(watch, about)[0]) for watch in watches for about in _ARMS} - {None}
    return [f"{of_mesh.cluster_label}=~{quoted('|'.join(sorted(filter(None, patterns))))}"] if patterns else []


def _arm(watch: Watch, about: Literal["canary", "baseline"]) -> tuple[ArmSpec, ArmPods]:
    pods = ArmPods(unknown="not looked for") if watch.pods is None else getattr(watch.pods, about)
    return getattr(watch.release, about), pods


def _stands(
    of_mesh: ArmSigns, watch: Watch, about: Literal["canary", "baseline"], rows: Iterable[Row]
) -> Iterator[tuple[ArmSign, list[float]]]:
    """The signs that stand for an arm, with their values."""
    spec, pods = _arm(watch, about)
    names = {(pod.namespace, pod.name) for pod in pods.pods or ()}
    pattern = of_mesh.clusters(watch.release, spec)
    mine: dict[str, list[float]] = {}
    for labels, value in rows:
        its_pod = (labels.get("namespace"), labels.get("pod")) in names
        cluster = labels.get(of_mesh.cluster_label)
        if its_pod or (cluster and pattern and re.fullmatch(pattern, cluster)):
            mine.setdefault(labels.get(KIND, ""), []).append(value)
    for sign in of_mesh.signs:
        found = [mine.get(f"{watch.release.mesh}/{sign.kind}/{at}", []) for at in range(len(sign.expressions))]
        if found[0]:
            together = sum if sign.several == "sum" else max
            yield sign, [float(together(some)) if some else 0.0 for some in found]
