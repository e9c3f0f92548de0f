"""In which version an API server serves a kind of objects, where several would do: it is asked, and asked again when that changes.

A cluster that is older than ours serves a kind in an earlier version, in the same words. Objects of a kind that can be read in
none of them are not there; that is asked for again after a minute, since a definition may be installed at any time.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from daemon.errors import Forbidden, NotFound
from daemon.kube.resources import Json, Resource

Document = Callable[[str], Awaitable[Json]]
"""Gives what stands at a path, as ``KubeClient.document``."""

_ABSENT_SECONDS = 60.0


@dataclass(slots=True)
class ServedVersions:
    """What one API server serves.

    Attributes:
        document: asks it.
        monotonic: seconds, of any beginning.
    """

    document: Document
    monotonic: Callable[[], float] = time.monotonic
    _served: dict[Resource, Resource] = field(default_factory=dict)
    _absent_since: dict[Resource, float] = field(default_factory=dict)

    async def of(self, resource: Resource) -> Resource:
        """The kind in the first of its versions that is served; as it is where none is, or where we may not ask.

        Raises:
            VerdictdError: it could not be asked.
        """
        if not resource.earlier:
            return resource
        if (known := self._served.get(resource)) is not None:
            return known
        if self.monotonic() - self._absent_since.get(resource, float("-inf")) < _ABSENT_SECONDS:
            return resource
        try:
            version = await served_version(self.document, resource)
        except Forbidden:
            return resource
        if version is None:
            self._absent_since[resource] = self.monotonic()
            return resource
        self._served[resource] = replace(resource, version=version)
        return self._served[resource]

    def forget(self, resource: Resource) -> bool:
        """There is nothing where the kind was said to be; whether anything was said."""
        return self._served.pop(resource, None) is not None


async def served_version(document: Document, resource: Resource) -> str | None:
    """The first of the kind's versions in which the API server knows it; null: it knows it in none.

    Raises:
        VerdictdError: it does not say.
    """
    for version in (resource.version, *resource.earlier):
        path = f"/apis/{resource.group}/{version}" if resource.group else f"/api/{version}"
        try:
            listed = (await document(path)).get("resources") or ()
        except NotFound:
            continue
        if any(isinstance(one, dict) and one.get("name") == resource.plural for one in listed):
            return version
    return None
