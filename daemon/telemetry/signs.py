"""What a store can be asked of a mesh beside its counters, as data: a question for each sign that something is wrong, in PromQL.

A mesh's own knowledge, which its folder has. The one decision: an expression answers only while something is wrong, so that all of
them are one question with a short answer; and a series that is not there is no answer, neither good nor bad.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import Template
from typing import Final, Literal

from analyzers.counts import About, Effect, Signal
from analyzers.words import percent
from daemon.model import ArmSpec, Release

WITHIN_SECONDS: Final = 120
"""What has grown within so long is wrong now."""
KIND: Final = "verdictd_sign"
"""The label by which answers are told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """One sign that a part of the mesh is broken.

    Attributes:
        kind: what it is called; one of few names.
        effect: what it does while it stands.
        expression: PromQL that has a sample only while it stands, one without labels. ``$these`` stands for the matchers of the
            settings, and comes last in each selector; ``$within`` and ``$seconds`` for the time that counts.
        words: for a person; ``{value}`` is the sample's, rounded up, and ``{percent}`` the same of a part of one.
    """

    kind: str
    effect: Effect
    expression: str
    words: str

    def signal(self, value: float, *, effect: Effect | None = None) -> Signal:
        """It stands, with this value; ``effect``: if another one is wanted of it."""
        words = self.words.format(value=f"{math.ceil(value)}", percent=f"{100.0 * value:.0f} %")
        return Signal(kind=self.kind, about="mesh", effect=effect or self.effect, words=words)


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """By what a mesh's control plane is known to work, or not.

    Attributes:
        name: as people call it.
        alive: PromQL that has a sample where its series are there at all.
        signs: that it does not work.
        install: how to have its series in the store.
    """

    name: str
    alive: str
    signs: tuple[Sign, ...]
    install: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSign:
    """One sign that something stands between an arm and those who ask it.

    Attributes:
        kind: what it is called; one of few names.
        effect: what it does while it stands for the canary; of a baseline it is only said.
        by: whether its samples are of pods or of clusters as Envoy calls them.
        expressions: PromQL; the first has samples only while it stands, and ``words`` may use the values of all. ``$those`` stands
            for the matchers of the arms, and comes last in each selector; ``$by`` for the labels that tell them apart.
        series: without which nothing is known of it.
        several: what an arm's samples come to together.
        against_baseline: where the first value of the baseline is half of the canary's or more, it is only said of the canary too.
        words: for a person; ``{whose}`` is the arm, ``{v0}`` the first value, rounded up, and ``{p0}`` the same of a part of one.
    """

    kind: str
    effect: Effect
    by: Literal["pod", "cluster"]
    expressions: tuple[str, ...]
    series: str
    several: Literal["sum", "max"]
    words: str
    against_baseline: bool = False

    def signal(self, values: Sequence[float], *, about: About, baseline: float = 0.0) -> Signal:
        """It stands, with these values. ``baseline``: the first one of the baseline; 0 where it does not stand there."""
        told = {f"v{at}": f"{math.ceil(value)}" for at, value in enumerate(values)}
        told |= {f"p{at}": percent(value) for at, value in enumerate(values)}
        alike = self.against_baseline and 2.0 * baseline >= values[0]
        effect: Effect = self.effect if about == "canary" and not alike else "says"
        return Signal(kind=self.kind, about=about, effect=effect, words=self.words.format(whose=f"the {about}", **told))


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSigns:
    """The signs of arms in a mesh, and how its arms are known there.

    Attributes:
        signs: all of them.
        cluster_label: of Envoy's name of a cluster.
        clusters: the pattern of the names of an arm's clusters, for Python and RE2; null where the arm has none of its own.
        install: how to have their series in the store, for those of pods and of clusters.
    """

    signs: tuple[ArmSign, ...]
    cluster_label: str = "envoy_cluster_name"
    clusters: Callable[[Release, ArmSpec], str | None] = lambda _release, _arm: None
    install: Mapping[Literal["pod", "cluster"], str]


def asked(expression: str, *, kind: str, these: str = "", those: str = "", by: str = "") -> str:
    """One part of a question: an expression that is filled in, and whose answer is known by its kind."""
    filled = Template(expression).substitute(these=these, those=those, by=by, within=f"{WITHIN_SECONDS}s", seconds=WITHIN_SECONDS)
    return f'label_replace({filled},"{KIND}","{kind}","","")'


def grown(series: str, *, uptime: str) -> str:
    """PromQL: by how much counters have grown within the time that counts, where they have.

    A counter may not be there before it has something to count. It has grown from nothing if whoever shows it was there already,
    or has begun since.

    Args:
        series: a selector that ends with ``$these``.
        uptime: another one, of what is always shown: the seconds since whoever shows it began.
    """
    before = f"(sum({series} offset $within) or 0 * sum({uptime} offset $within))"
    begun = f"sum({series} and on (instance, pod) ({uptime} < $seconds))"
    return f"(sum(increase({series}[$within])) > 0 or sum({series}) - {before} > 0 or {begun} > 0)"
