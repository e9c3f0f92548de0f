"""What a tool that applies what is in Git is to the rest of the house: one row, which the tool's own module gives."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daemon.kube.rights import Right
from daemon.placement import ObjectName
from daemon.ports.routing import GitSource

if TYPE_CHECKING:
    from daemon.kube.client import KubeClient

READ_GIT = "which revision in Git must change, so that traffic which was taken back stays so"
UNREAD_GIT = "the source and the revision that must change are not told, nor what Git's tool is told to leave alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class GitToolKind:
    """One tool.

    Attributes:
        name: as ``Applier.tool``.
        source: reads the object of its own by which it applies others. Raises a ``VerdictdError`` where that cannot be read.
        rights: on the API server, to read that.
    """

    name: str
    source: Callable[["KubeClient", ObjectName], Awaitable[GitSource]]
    rights: tuple[Right, ...]
