"""Config entries that a revert has written, for putting them back: the write is a check-and-set by the index that was read."""

from collections.abc import Sequence
from typing import get_args

from daemon.errors import NotFound, Refused
from daemon.meshes.consul.api import ConsulApi, modify_index
from daemon.meshes.consul.entries import EntryKind, of_api
from daemon.meshes.references import Json
from daemon.meshes.undoing import applied
from daemon.placement import Undo

_KINDS: dict[str, EntryKind] = {kind: kind for kind in get_args(EntryKind)}


class ConsulDocuments:
    """The entries of one Consul. Implements ``Documents``."""

    def __init__(self, api: ConsulApi) -> None:
        self._api = api

    async def read(self, undo: Undo) -> Json:
        """See ``Documents.read``."""
        if undo.resource or undo.object.kind not in _KINDS:
            raise Refused(f"{undo.object} is a {undo.object.kind}, which is no config entry that routes")
        try:
            return (await self._api.entry(_KINDS[undo.object.kind], undo.object.name)).raw
        except NotFound as error:
            raise Refused(f"{undo.object} is not there any more") from error

    async def write(self, undo: Undo, document: Json, *, operations: Sequence[Json]) -> None:
        """See ``Documents.write``."""
        await self._api.write(applied(document, operations), index=modify_index(of_api(document)))
