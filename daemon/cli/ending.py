"""How a wait for a verdict ended, as reports to a pipeline's tool have it. What came from outside is one printable line each."""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.cli import rendering
from daemon.cli.exits import Exit
from daemon.model import Verdict
from daemon.releaseview import ReleaseView


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What a report is made from.

    Attributes:
        code: what the command exits with; null while it goes on.
        outcome: the verdict's; ``none`` where there is no verdict.
        meaning: and ``action``, likewise.
        service: ``NAMESPACE/SERVICE``; the release's id as long as that is not known.
        reason: the verdict with its sentence, or why there is none.
        findings: a line for each, and what nobody may overlook.
        seconds: how long it was watched.
        url: where the release can be read.
    """

    code: Exit | None
    release_id: str
    service: str
    outcome: str
    meaning: str
    action: str
    reason: str
    findings: Sequence[str]
    seconds: float
    url: str

    @property
    def said_code(self) -> str:
        """The code as text."""
        return "none" if self.code is None else str(int(self.code))

    @property
    def title(self) -> str:
        """In a few words."""
        return f"{'no verdict' if self.outcome == 'none' else self.outcome}: {self.service}"


def of_verdict(verdict: Verdict, view: ReleaseView | None, *, code: Exit, url: str, notices: Sequence[str]) -> Ending:
    """There is one."""
    reason, *findings = rendering.verdict_lines(verdict)
    return Ending(
        code=code,
        release_id=verdict.release_id,
        service=rendering.clean(f"{verdict.namespace}/{verdict.service}"),
        outcome=verdict.outcome,
        meaning=verdict.meaning,
        action=verdict.action,
        reason=reason,
        findings=[*(finding.strip() for finding in findings), *notices],
        seconds=0.0 if view is None else view.seconds,
        url=url,
    )


def without_verdict(release_id: str, view: ReleaseView | None, *, code: Exit | None, reason: str, url: str) -> Ending:
    """There is none in time, or none yet."""
    named = release_id if view is None else rendering.clean(f"{view.release.namespace}/{view.release.service}")
    return Ending(
        code=code,
        release_id=release_id,
        service=named,
        outcome="none",
        meaning="none",
        action="none",
        reason=rendering.clean(reason),
        findings=(),
        seconds=0.0 if view is None else view.seconds,
        url=url,
    )
