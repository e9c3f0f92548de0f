"""The meshes that the demo can be played in, by the word of ``verdictd demo --mesh``."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from daemon.demo import consulmesh, edge, istiomesh
from daemon.demo.backends import Backend
from daemon.demo.demomesh import DemoMesh


class Runs(Protocol):
    """Runs a mesh for the length of a ``with`` block; all traffic goes to the version ``first``."""

    def __call__(self, *, folder: Path, backends: Mapping[str, Backend], first: str) -> AbstractAsyncContextManager[DemoMesh]:
        """``folder`` takes its files and logs."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSort:
    """One of them.

    Attributes:
        made_of: a few words for the reader.
        starts_in: how long that takes, in words, where a reader would wonder.
        require_programs: raises ``DemoError`` with what is missing on this machine, and how to get it.
        run: runs it.
    """

    made_of: str
    starts_in: str = ""
    require_programs: Callable[[], None]
    run: Runs


SORTS: Mapping[str, MeshSort] = {
    "envoy": MeshSort(made_of="a real Envoy", require_programs=edge.require_programs, run=edge.edge_mesh),
    "istio": MeshSort(
        made_of="a real API server, a real istiod, a real Envoy",
        starts_in="ten to twenty seconds",
        require_programs=istiomesh.require_programs,
        run=istiomesh.istio_mesh,
    ),
    "consul": MeshSort(
        made_of="a real Consul, five real Envoys",
        starts_in="some seconds",
        require_programs=consulmesh.require_programs,
        run=consulmesh.consul_mesh,
    ),
}
