"""Weights as Kubernetes writes quantities (``500m``, ``1``, ``1e3``) or numbers, exactly: in billionths. Pure.

Billionths are all that Kubernetes keeps of a quantity; what is finer it rounds up. Source: ``resource.Quantity``,
k8s.io/apimachinery/pkg/api/resource. Nothing is a float on the way, so that what is taken from one weight and added to another
leaves their sum as it was.
"""

import math
import re
from fractions import Fraction

BILLION = 10**9
MOST = 2**63 - 1
"""The largest quantity, in whole ones."""

_LONGEST = 40
_WRITTEN = re.compile(
    r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))(?:(?P<suffix>[KMGTPE]i|[numkMGTPE]|)|[eE](?P<power>[+-]?\d{1,2}))", re.ASCII
)
_SUFFIXES = {
    **{suffix: Fraction(1000) ** power for power, suffix in enumerate(("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), start=-3)},
    **{f"{letter}i": Fraction(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
}


def billionths(weight: object) -> int | None:
    """A weight as it stands in an object; null where it is no quantity, is negative, or larger than any."""
    exact = _exact(weight)
    if exact is None or not 0 <= exact <= MOST:
        return None
    return math.ceil(exact * BILLION)


def quantity(weight: int) -> str:
    """Billionths, in the coarsest of the units that tells them exactly: ``1``, ``1100m``, ``1u``."""
    for suffix, unit in (("", BILLION), ("m", 10**6), ("u", 10**3)):
        if weight % unit == 0:
            return f"{weight // unit}{suffix}"
    return f"{weight}n"


def _exact(weight: object) -> Fraction | None:
    if isinstance(weight, bool):
        return None
    if isinstance(weight, int):
        return Fraction(weight)
    if isinstance(weight, float):
        return Fraction(str(weight)) if math.isfinite(weight) else None
    # An exponent of many digits is a number that nobody could hold.
    written = _WRITTEN.fullmatch(weight) if isinstance(weight, str) and len(weight) <= _LONGEST else None
    if written is None:
        return None
    power = written["power"]
    return Fraction(written["number"]) * (_SUFFIXES[written["suffix"]] if power is None else Fraction(10) ** int(power))
