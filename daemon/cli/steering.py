"""The meshes of a command that changes traffic by itself: with the caller's own credentials, and without a daemon.

Without settings every kind of mesh that needs none is tried, through the kubeconfig.
"""

import argparse
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from config.errors import ConfigError, Fault
from config.settings import Mesh, Settings
from daemon import names
from daemon.cli.releasefile import refused
from daemon.cli.settingsfile import settings_file
from daemon.clusters import KubeClients
from daemon.engine import strategies
from daemon.engine.fanout import Clusters
from daemon.errors import InvalidInput
from daemon.meshes.registry import bare, why_observed_only
from daemon.model import Release
from daemon.placement import BY_HAND
from daemon.settings import load_settings


def settings_of(options: argparse.Namespace) -> Settings | None:
    """The settings that are named or found; null where none are. Raises ``ConfigError``."""
    config = settings_file(options.config, environ=os.environ)
    return None if config is None else load_settings(config, environ=os.environ)


def meshes_of(
    options: argparse.Namespace, settings: Settings | None, release: Release, *, source: str
) -> tuple[Settings, Mapping[str, Mesh]]:
    """The meshes that the release may be of, by name, in the clusters that the options name. Raises ``ConfigError``."""
    if reason := strategies.observed_only(release.strategy):
        raise ConfigError((Fault(path="$.strategy", message=reason, fix=BY_HAND),), source=source)
    if settings is None and release.mesh is None:
        meshes = dict(bare())
    else:
        meshes = {"NAME": _steered(bare() if settings is None else settings.meshes, release, source=source)}
    settings = settings or Settings()
    chosen = {name: value for name in ("kubeconfig", "context") if (value := getattr(options, name)) is not None}
    if chosen:
        for name, mesh in meshes.items():
            settings, meshes[name] = _of_one_cluster(settings, mesh, chosen)
    return settings, meshes


def mesh_of(meshes: Mapping[str, Mesh], release: Release, *, source: str) -> Mesh:
    """The release's mesh, or the only one there is. Raises ``ConfigError`` naming those there are."""
    try:
        return meshes[names.mesh(release.mesh, configured=meshes)]
    except InvalidInput as error:
        raise refused(error, source=source) from error


@asynccontextmanager
async def opened(settings: Settings, meshes: Mapping[str, Mesh]) -> AsyncIterator[Mapping[str, Clusters]]:
    """The clusters of each mesh, closed at the end."""
    async with AsyncExitStack() as stack:
        kubes = KubeClients(settings, stack)
        # Before any clock runs: its libraries take a second to import, and more on a busy machine.
        await kubes.connect(list(meshes.values()))
        yield {name: kubes.open_mesh(mesh, name=name) for name, mesh in meshes.items()}


def agreed(question: str, *, source: str) -> bool:
    """Whether a person says yes. Raises ``ConfigError`` where there is nobody to ask."""
    if not sys.stdin.isatty():
        problem = Fault(
            path="--yes", message="is not given, and there is nobody to ask", fix="add --yes, or --dry-run to look only"
        )
        raise ConfigError((problem,), source=source)
    # Standard output is for what a program reads.
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return input().strip().lower() in {"y", "yes"}


def _steered(meshes: Mapping[str, Mesh], release: Release, *, source: str) -> Mesh:
    """The release's mesh, which is one that is steered."""
    mesh = mesh_of(meshes, release, source=source)
    if reason := why_observed_only(mesh):
        problem = Fault(path="--mesh", message=reason, fix="take the traffic back by the mesh's own means")
        raise ConfigError((problem,), source=source)
    return mesh


def _of_one_cluster(settings: Settings, mesh: Mesh, chosen: Mapping[str, str]) -> tuple[Settings, Mesh]:
    """Whoever names a kubeconfig or a context means that cluster; the settings' further ones are left out, and that is said."""
    home, *further = settings.clusters_of(mesh)
    if further:
        print(f"verdictd: in the cluster that was named only, not in {', '.join(further)}", file=sys.stderr)
        mesh = msgspec.structs.replace(mesh, further_clusters=[])
    reached = msgspec.structs.replace(settings.clusters[home], **chosen)
    return msgspec.structs.replace(settings, kubernetes={**settings.clusters, home: reached}), mesh
