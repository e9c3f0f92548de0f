"""A mesh with one weight that shows what it would write, and puts it back: played by hand."""

from collections.abc import Sequence

import msgspec

from daemon.errors import Refused, VerdictdError
from daemon.model import Release
from daemon.placement import ObjectName, PatchedObject, PatchReceipt, PlannedObject, RouteChange, Undo, ValueChange
from tests.hand.ports import HandRouter

ROUTE = ObjectName(kind="Route", name="route")


class EditingRouter(HandRouter):
    """Implements ``RouteEditor`` as well."""

    def __init__(self, *, failing: VerdictdError | None = None) -> None:
        super().__init__()
        self.failing = failing

    async def revert(self, release: Release, *, located: str = "") -> PatchReceipt:
        before = self.canary_percent
        receipt = await super().revert(release, located=located)
        parts = tuple(msgspec.structs.replace(part, undo=undo(before=before)) for part in receipt.parts)
        return msgspec.structs.replace(receipt, parts=parts)

    async def plan(self, release: Release, *, located: str = "") -> tuple[PlannedObject, ...]:
        self.told.add(located)
        if self.failing is not None:
            raise self.failing
        return (PlannedObject(object=ROUTE, values=undo(before=self.canary_percent).values),) if self.canary_percent else ()

    async def plan_restore(self, undos: Sequence[Undo]) -> tuple[PlannedObject, ...]:
        if self.failing is not None:
            raise self.failing
        return tuple(self._planned(one) for one in undos)

    def _planned(self, one: Undo) -> PlannedObject:
        """Put back already, in force, or changed by somebody."""
        if f"{self.canary_percent:g}" == one.values[0].before:
            return PlannedObject(object=one.object, cluster=one.cluster)
        return PlannedObject(object=one.object, cluster=one.cluster, values=one.values, failure=self._changed())

    async def restore(self, undos: Sequence[Undo]) -> tuple[PatchedObject, ...]:
        [one] = undos
        failure = self._changed()
        if failure is None:
            self.canary_percent = float(one.values[0].before or 0)
        changes = (RouteChange(detail="as it was"),)
        return (PatchedObject(object=one.object, sent_at=1.0, acknowledged_at=2.0, changes=changes, failure=failure),)

    def _changed(self) -> Refused | None:
        return Refused("it was changed by somebody since") if self.canary_percent else None


def undo(*, before: float = 10.0, after: float = 0.0, path: str = "/weight", cluster: str = "") -> Undo:
    values = (ValueChange(path=path, before=f"{before:g}", after=f"{after:g}", around="entry"),)
    return Undo(object=ROUTE, values=values, cluster=cluster)
