"""What is counted: where the engine gets the requests of both arms from, and which proxies can be asked for them.

One question brings all releases of a source together, once a tick. A source that fails is no error but a reading without
information, which says why: nothing missing is taken for good news.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from config.policy import Failures
from daemon.measurements import Reading, Watch
from daemon.model import Release


class Telemetry(Protocol):
    """Where counters come from."""

    @property
    def tick_seconds(self) -> float:
        """The sampling interval."""
        ...

    @property
    def wait_seconds(self) -> float | None:
        """How long from now on there can be nothing new; null: it is read at every interval."""
        ...

    @property
    def split(self) -> bool:
        """Whether the latency histograms hold successes only."""
        ...

    def cannot_tell(self, failures: Failures) -> Sequence[str]:
        """What a policy counts as failed and this telemetry never tells: a sentence each, and after "; " what to do."""
        ...

    @property
    def failure(self) -> str | None:
        """Why the last reading brought nothing at all, for any release; null when the source has answered."""
        ...

    def cannot_count(self, release: Release) -> str | None:
        """Why nothing of this release can ever be counted, whatever is there of it; null where it can."""
        ...

    def timed(self, release: Release) -> bool:
        """Whether it ever tells latencies of this release; without any, its errors alone are what promotes it."""
        ...

    async def read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
        """Counts since the last call, by release id, all releases together.

        The first reading of a release is a gap (there is nothing to subtract from). Never raises for a source that fails:
        every reading is then a gap that says why.
        """
        ...

    def forget(self, release_id: str) -> None:
        """The release has ended: drop what is kept for it."""
        ...


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A proxy that can be asked for its counters itself.

    Attributes:
        name: tells it from all others.
        url: its address, without a path.
        pod: the pod beside which it stands, where that is known; else its own name stands for one. namespace: that pod's.
        started_at: when that pod's containers were started, in seconds since 1970, where known.
        leaving: it need not answer any more.
    """

    name: str
    url: str
    pod: str = ""
    namespace: str = ""
    started_at: float | None = None
    leaving: bool = False


class FoundTargets(msgspec.Struct, frozen=True, kw_only=True):
    """The proxies that see one release's requests, by arm; one that sees both arms' is of both.

    ``unknown``: why they are not known; empty where they are. ``pending``: somebody is still looking for them.
    """

    baseline: tuple[Target, ...] = ()
    canary: tuple[Target, ...] = ()
    unknown: str = ""
    pending: bool = False


class Targets(Protocol):
    """Which proxies see the requests of which releases."""

    async def find(self, watches: Sequence[Watch]) -> Mapping[str, FoundTargets]:
        """The targets of each release as of now, by release id; several releases may have the same ones.

        Raises:
            VerdictdError: they cannot be told now. The tick is then null for all, with that reason.
        """
        ...
