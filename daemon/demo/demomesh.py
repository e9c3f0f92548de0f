"""A mesh as the demo's acts, its pipeline and its users know it, whatever steers it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from daemon.demo.children import Child
from daemon.model import ArmSpec

Shares = Mapping[str, int]
"""Of the traffic, in percent by version; together 100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoMesh:
    """A running one.

    Attributes:
        name: what releases and verdictd's settings call it.
        url: where the users send their requests.
        host: what they call the service in them; empty: as the URL has it.
        introduced: what it is made of and where, for the account: who, and a sentence.
        children: its processes, all of which must live.
        telemetry: what verdictd is told of who counts its requests: keys below ``telemetry.NAME``.
        steering: and of who steers it: keys below ``meshes.NAME``.
        kubernetes: and of the API server that it is steered through: keys below ``kubernetes``; empty without one.
        settle_seconds: how long its proxies may take to follow what was acknowledged; a busy machine needs longer.
        arm: how a release names a version.
        share: shares the traffic out, as a pipeline does it.
    """

    name: str
    url: str
    host: str = ""
    introduced: tuple[tuple[str, str], ...]
    children: tuple[Child, ...]
    telemetry: Mapping[str, Any]
    steering: Mapping[str, Any]
    kubernetes: Mapping[str, Any] = field(default_factory=dict)
    settle_seconds: float
    arm: Callable[[str], ArmSpec]
    share: Callable[[Shares], Awaitable[None]]
