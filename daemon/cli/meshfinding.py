"""Which mesh's routes send to a canary, where a command is told neither settings nor a mesh: every kind that needs none is asked.

One mesh's are taken, where it has all of them. Of two that have others, some would be left as they are and the last word would be
false: a person says which.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Mapping

from config.errors import ConfigError, Fault
from daemon.cli import rendering
from daemon.engine import fanout
from daemon.engine.fanout import Clusters
from daemon.errors import InvalidInput, NotFound, TimedOut, TransientError, VerdictdError
from daemon.model import Release
from daemon.placement import Placement


async def locate(meshes: Mapping[str, Clusters], release: Release, *, seconds: float) -> tuple[Clusters, Placement]:
    """The clusters of the mesh whose routes name the canary, and where they do.

    Raises:
        ConfigError: routes of several meshes do.
        VerdictdError: none does; as the only mesh says it, or each.
    """
    looked = await asyncio.gather(*(_located(one, release, seconds=seconds) for one in meshes.values()))
    results = dict(zip(meshes, looked, strict=True))
    found = {name: one for name, one in results.items() if isinstance(one, Placement)}
    errors = {name: one for name, one in results.items() if isinstance(one, VerdictdError)}
    if len(found) > 1 and (covering := _covering(found)) is not None:
        found = {covering: found[covering]}
    if len(found) > 1:
        problem = Fault(
            path="--mesh",
            message=f"routes of {' and '.join(found)} name the canary",
            fix=f"name one of them, and then the other: {', '.join(found)}",
        )
        raise ConfigError((problem,), source="verdictd revert")
    if not found:
        raise _together(errors)
    [(name, placement)] = found.items()
    for other, error in errors.items():
        if not isinstance(error, NotFound | InvalidInput):
            print(rendering.clean(f"verdictd: not looked at: routes of {other}: {error}"), file=sys.stderr)
    return meshes[name], placement


def _covering(found: Mapping[str, Placement]) -> str | None:
    """The first mesh that takes back every object which any of them would: meshes share kinds of routes."""
    objects = {name: Counter((one.cluster, one.object) for one in placement.routes) for name, placement in found.items()}
    return next((name for name, own in objects.items() if all(other <= own for other in objects.values())), None)


async def _located(clusters: Clusters, release: Release, *, seconds: float) -> Placement | VerdictdError:
    try:
        async with asyncio.timeout(seconds):
            return await fanout.locate(clusters, release)
    except TimeoutError:
        return TimedOut(f"the routes could not be read within {seconds:g} s")
    except VerdictdError as error:
        return error


def _together(errors: Mapping[str, VerdictdError]) -> VerdictdError:
    """Why no mesh's routes could be found; what can be tried again comes before what cannot."""
    if len(errors) == 1:
        return next(iter(errors.values()))
    if transient := [one for one in errors.values() if isinstance(one, TransientError)]:
        return transient[0]
    return NotFound("; ".join(f"{name}: {error}" for name, error in errors.items()))
