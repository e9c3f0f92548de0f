"""Whether the control planes of meshes work, asked of the store that has their series, all in one question.

What is not known is not taken for good or bad, and is said where it was known before.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from analyzers.counts import Effect, Signal
from daemon.measurements import Reading, Watch
from daemon.telemetry.prometheus.query import quoted
from daemon.telemetry.prometheus.slowly import Question, raw
from daemon.telemetry.signs import KIND, ControlPlane, Sign, asked

_ALIVE = "alive"


def question(planes: Mapping[str, ControlPlane], matchers: Mapping[str, str]) -> str:
    """The one question for all of them, by names of their own. ``matchers``: labels that all series have."""
    these = ",".join(f"{label}={quoted(value)}" for label, value in matchers.items())
    return raw(
        [
            asked(expression, kind=f"{name}/{kind}", these=these)
            for name, plane in planes.items()
            for kind, expression in ((_ALIVE, plane.alive), *((sign.kind, sign.expression) for sign in plane.signs))
        ]
    )


class ControlPlanes:
    """``SignalSource`` of the meshes whose releases are counted by a source.

    Args:
        planes: by the names of their kinds.
        kind_of: the kind of the mesh that a release is of, by the mesh's name.
        heeded: what a sign that excuses does here: it excuses, or is only said.
    """

    def __init__(
        self,
        asking: Question,
        *,
        planes: Mapping[str, ControlPlane],
        kind_of: Mapping[str, str],
        matchers: Mapping[str, str],
        heeded: Literal["excuses", "says"],
    ) -> None:
        self._asking = asking
        self._planes = planes
        self._kind_of = kind_of
        self._question = question(planes, matchers)
        self._heeded = heeded
        self._known: set[str] = set()

    async def look(self, watches: Sequence[Watch]) -> None:
        """See ``SignalSource``."""
        if watches and self._asking.due:
            self._asking.ask(self._question)

    def into(self, watch: Watch, reading: Reading) -> Reading:
        """See ``SignalSource``: with what is known of the control plane of its mesh."""
        kind = self._kind_of.get(str(watch.release.mesh), "")
        plane = self._planes.get(kind)
        if plane is None:
            return reading
        return msgspec.structs.replace(reading, signals=(*reading.signals, *self._signals(kind, plane)))

    def _signals(self, kind: str, plane: ControlPlane) -> tuple[Signal, ...]:
        values = {labels.get(KIND, ""): value for labels, value in self._asking.rows} if self._asking.fresh else {}
        if f"{kind}/{_ALIVE}" not in values:
            if kind not in self._known:
                return ()
            words = f"whether {plane.name} works is not known any more: {self._asking.problem or 'its series are not there'}"
            return (Signal(kind="control_plane_unseen", about="mesh", effect="says", words=words),)
        self._known.add(kind)
        stand = ((sign, values.get(f"{kind}/{sign.kind}")) for sign in plane.signs)
        return tuple(sign.signal(value, effect=self._effect(sign)) for sign, value in stand if value is not None)

    def _effect(self, sign: Sign) -> Effect:
        return sign.effect if self._heeded == "excuses" else "says"
