"""What the engine depends on, as one frozen value of ports: what the composition root hands over."""

from collections.abc import Mapping
from dataclasses import dataclass

from config.policy import Policy
from config.settings import Limits
from daemon.ports import Clock, CommandSource, EventSource, Meter, SessionStore, Store, Telemetry, TrafficRouter, VerdictSink
from daemon.recorder import Recorder


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """What the engine needs of one configured mesh: how to change its traffic, and which telemetry source counts it."""

    router: TrafficRouter
    telemetry: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports, and what the settings say of this daemon."""

    cluster: str
    meshes: Mapping[str, Mesh]
    telemetry: Mapping[str, Telemetry]
    policies: Mapping[str, Policy]
    events: Mapping[str, EventSource]
    commands: CommandSource
    sink: VerdictSink
    sessions: SessionStore
    records: Store
    clock: Clock
    meter: Meter
    limits: Limits
    recorder: Recorder | None = None
