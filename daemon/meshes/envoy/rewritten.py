"""The route configurations of a document that a revert rewrites, and what puts each back as it was. Pure."""

from dataclasses import dataclass

from daemon.errors import Refused, VerdictdError
from daemon.meshes.envoy import routes
from daemon.meshes.references import Json
from daemon.meshes.undoing import applied, differences, put_back, undo_operations
from daemon.placement import ObjectName, PlannedObject, RouteChange, Undo


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """A route configuration of a document, and what puts it back as it was; without operations it cannot be, or is so already."""

    config: Json
    operations: tuple[Json, ...]
    planned: PlannedObject

    def put_back(self) -> None:
        """Do so, in the document itself."""
        after = applied(self.config, self.operations)
        self.config.clear()
        self.config.update(after)


def undone(document: Json, undo: Undo) -> Undone:
    """What it takes to put one back; nothing is changed."""
    config = next((one for one in routes.configurations(document) if one.get("name") == undo.object.name), None)
    try:
        if config is None:
            raise Refused(f"{undo.object} is not in the file any more")
        operations = undo_operations(config, undo)
        values, failure = differences(config, applied(config, operations)), None
        changes: tuple[RouteChange, ...] = (put_back(operations),)
    except VerdictdError as error:
        operations, values, failure, changes = (), (), error, ()
    planned = PlannedObject(object=undo.object, changes=changes, values=values, failure=failure, cluster=undo.cluster)
    return Undone(config=config or {}, operations=operations, planned=planned)


def changed(document: Json, rewrite: routes.Rewrite) -> list[tuple[str, Json, Json]]:
    """The route configurations that are rewritten: their name, and how they are before and after."""
    before, after = routes.configurations(document), routes.configurations(rewrite.document)
    named = [(str(one.get("name", "?")), one, other) for one, other in zip(before, after, strict=True)]
    return [(name, one, other) for name, one, other in named if name in rewrite.changes]


def named(name: str) -> ObjectName:
    """A route configuration by its name."""
    return ObjectName(kind="RouteConfiguration", name=name)
