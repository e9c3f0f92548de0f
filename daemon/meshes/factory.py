"""From the settings' meshes to routers: the one place that lists the meshes there are."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from config.settings import EnvoyMesh, Settings
from daemon.meshes.envoy import EnvoyRouter
from daemon.ports import TrafficRouter


@asynccontextmanager
async def open_routers(settings: Settings) -> AsyncIterator[dict[str, TrafficRouter]]:
    """A router for each configured mesh, by its name, with the connections they share; closed on leaving."""
    async with AsyncExitStack() as stack:
        routers: dict[str, TrafficRouter] = {}
        for name, mesh in settings.meshes.items():
            if isinstance(mesh, EnvoyMesh):
                router = EnvoyRouter(routes_file=mesh.routes_file, admin=mesh.admin)
                stack.push_async_callback(router.close)
                routers[name] = router
        yield routers
