"""The regressions that a plan is about: a few sizes beyond what the policy tolerates, or those that somebody asks for."""

from typing import Literal, get_args

import msgspec

from analyzers import words
from config.policy import Policy
from daemon.errors import InvalidInput
from daemon.offline.plan.service import Service
from daemon.offline.simulation.world import Change

Kind = Literal["errors", "latency", "p99", "denied"]

_ERRORS = (0.005, 0.01, 0.02, 0.05, 0.2, 0.5, 1.0)
_FACTORS = (1.05, 1.1, 1.2, 1.5, 2.0, 3.0, 5.0, 10.0, 100.0)
_MARGIN = 1.05
"""A regression nearer to its tolerance is hardly one, and no service should count on its being found."""
_SIZES: dict[Kind, int] = {"errors": 4, "latency": 3, "p99": 2, "denied": 1}


class Regression(msgspec.Struct, frozen=True, kw_only=True):
    """One way in which a canary can be worse: the failed or denied share it has, or the factor on its latency."""

    kind: Kind
    size: float

    @property
    def change(self) -> Change:
        """The same for the simulator."""
        match self.kind:
            case "errors":
                return Change(errors=self.size)
            case "denied":
                return Change(denied=self.size)
            case "latency":
                return Change(factor=self.size)
            case "p99":
                return Change(tail=self.size)

    def label(self, service: Service) -> str:
        """In words, against what is normal."""
        match self.kind:
            case "errors":
                return f"errors {words.percent(service.errors)} -> {words.percent(self.size)}"
            case "denied":
                return f"denied {words.percent(service.denied)} -> {words.percent(self.size)}"
            case "latency":
                return f"all latency x{self.size:g}"
            case "p99":
                return f"slow end, p99 x{self.size:g}"


def usual(service: Service, policy: Policy) -> list[Regression]:
    """A few regressions of each kind, from a little beyond the policy's tolerances upwards."""
    allowed = policy.tolerances
    errors = max(allowed.errors.max_rate, service.errors + allowed.errors.above_baseline)
    limits: dict[Kind, float] = {"errors": errors, "latency": allowed.latency.typical, "p99": allowed.latency.slow_end}
    if service.denied > 0.0:
        limits["denied"] = service.denied + allowed.denied.above_baseline
    found = []
    for kind, limit in limits.items():
        sizes = [size for size in (_FACTORS if kind in {"latency", "p99"} else _ERRORS) if size >= _MARGIN * limit]
        if kind == "p99":
            sizes = [size for size in sizes if size >= 1.5]
        found += [Regression(kind=kind, size=size) for size in sizes[: _SIZES[kind]]]
    return found


def parsed(text: str) -> Regression:
    """A regression as written on the command line: ``errors=2%``, ``latency=1.3``, ``p99=2``, ``denied=0.01``.

    Raises:
        InvalidInput: it is none.
    """
    kind, _, size = text.partition("=")
    fix = "write errors=2%, denied=1%, latency=1.3 or p99=2"
    if kind not in get_args(Kind):
        raise InvalidInput(f"{text!r} names no kind of regression", path="--regression", fix=fix)
    try:
        number = fraction(size) if kind in {"errors", "denied"} else float(size)
    except ValueError as error:
        raise InvalidInput(f"{text!r} has no size", path="--regression", fix=fix) from error
    fine = 0.0 < number <= 1.0 if kind in {"errors", "denied"} else 1.0 < number <= 1000.0
    if not fine:
        raise InvalidInput(f"{size} is no size of a regression of {kind}", path="--regression", fix=fix)
    return msgspec.convert({"kind": kind, "size": number}, Regression)


def fraction(text: str) -> float:
    """A share written as a fraction or in percent. Raises ``ValueError``."""
    number = float(text.removesuffix("%"))
    return number / 100.0 if text.endswith("%") else number
