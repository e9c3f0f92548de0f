"""What an announcement means to the daemon that hears it: its own words, and beside them the mapping of the settings. Pure.

A sender knows a service and an environment by his names. A row of the mapping says what they are called here; without one an
environment is the name of a cluster, as CDEvents have it. Both arms said make a release, and fewer an outline, whose arms are
looked for in the cluster. Where nobody looks, an outline is refused.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from msgspec.structs import replace

from config.documents import join
from config.errors import Fault
from config.settings import MappingRow
from daemon.errors import InvalidInput
from daemon.model import Outline, Release
from daemon.releasecheck import decode_outline, decode_release

SWITCH_ON: Final = "name baseline and canary, or have arms found: add a source of kind kubernetes to the settings (sources)"
_ARMS: Final = ("baseline", "canary")
_NEW: Final = frozenset({"version", "images"})
"""Of an outline only."""
_ABSENT_WHERE_EMPTY: Final = frozenset({"revision", "initiated_by"})
"""A template writes an empty text where it knows none."""
_LONGEST: Final = 1_024


def _unheard(_step: str) -> None:
    """Nobody follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """What the daemon knows beside what was sent.

    Attributes:
        cluster: its own.
        mapping: the rows, in their order.
        finds_arms: whether it looks for arms that were not said.
        says_what: whether an outline must say what is new.
        tell: hears each step of the reading, a sentence each.
    """

    cluster: str = "default"
    mapping: tuple[MappingRow, ...] = ()
    finds_arms: bool = False
    says_what: bool = True
    tell: Callable[[str], None] = _unheard

    def announced(
        self, document: object, *, path: str = "$", is_loose: bool = False
    ) -> tuple[Release | Outline, dict[str, object]]:
        """What a document announces, and the same document in the words of this daemon, which mean the same to all others.

        Args:
            document: as decoded.
            path: where it is in what was sent.
            is_loose: whether an environment that no row knows says nothing where both arms are named.

        Raises:
            InvalidInput: with every fault.
        """
        if not isinstance(document, Mapping):
            return decode_release(document, path=path), {}
        said, by_environment = self._mapped(document, path=path, is_loose=is_loose)
        try:
            found = self._decoded(said, path=path)
        except InvalidInput as error:
            cluster, environment = join(path, "cluster"), join(path, "environment")
            raise InvalidInput.of(
                [replace(one, path=environment) if by_environment and one.path == cluster else one for one in error.faults]
            ) from error
        return found, said

    def of_mapped(self) -> "Hearing":
        """What is known beside words that are this daemon's already: no row is about them a second time."""
        self.tell("its words were mapped before")
        return dataclasses.replace(self, mapping=())

    def of_questions(self) -> "Hearing":
        """What is known beside a question at a gate: whoever asks knows the names of the cluster, and a service is enough."""
        return dataclasses.replace(self, mapping=(), says_what=False)

    def is_elsewhere(self, cluster: str | None) -> bool:
        """Whether it is another daemon's."""
        return cluster not in {None, self.cluster}

    def _decoded(self, said: dict[str, Any], *, path: str) -> Release | Outline:
        if _has_arms(said):
            new = [value for name in ("version", "revision") if isinstance(value := said.get(name), str)]
            said = {name: value for name, value in said.items() if name not in _NEW}
            if said.get("artifact") is None and new:
                said["artifact"] = new[0]
            return decode_release(said, path=path)
        if self.finds_arms:
            return decode_outline(said, path=path, says_what=self.says_what)
        missing = {join(path, arm) for arm in _ARMS}
        try:
            return decode_release({name: value for name, value in said.items() if name not in _NEW}, path=path)
        except InvalidInput as error:
            raise InvalidInput.of(
                [replace(one, fix=SWITCH_ON) if one.path in missing and "missing" in one.message else one for one in error.faults]
            ) from error

    def _mapped(self, document: Mapping[str, Any], *, path: str, is_loose: bool) -> tuple[dict[str, Any], bool]:
        """The document without its environment, and whether that is its cluster's name."""
        said = {name: value for name, value in document.items() if value != "" or name not in _ABSENT_WHERE_EMPTY}
        environment = said.pop("environment", None)
        if environment is not None and not (isinstance(environment, str) and len(environment) <= _LONGEST):
            fix = "write the environment's name, or leave it out"
            raise InvalidInput.of([Fault(path=join(path, "environment"), message="is no name", fix=fix)])
        row = self._row(said.get("service"), environment)
        if row is not None:
            words = {"namespace": row.namespace, "cluster": row.cluster, "policy": row.policy}
            if row.environment is not None and row.cluster is None:
                words["cluster"] = self.cluster
            for name, value in words.items():
                if value is not None and name not in said:
                    said[name] = value
            if row.name is not None:
                said["service"] = row.name
        is_cluster = environment is not None and "cluster" not in said and not (is_loose and _has_arms(said))
        if is_cluster:
            said["cluster"] = environment
        return said, is_cluster

    def _row(self, service: object, environment: str | None) -> MappingRow | None:
        for index, row in enumerate(self.mapping):
            if (row.service is None or row.service == service) and row.environment in {None, environment}:
                self.tell(f"mapping[{index}] is taken: {_shown(row)}")
                return row
        if self.mapping:
            self.tell("no row of mapping is about it")
        return None


NOTHING_BESIDE: Final = Hearing()
"""Where nothing is known but what was sent."""


def _has_arms(said: Mapping[str, Any]) -> bool:
    return all(said.get(arm) is not None for arm in _ARMS)


def _shown(row: MappingRow) -> str:
    """What a row says, for a sentence."""
    said = {name: getattr(row, name) for name in row.__struct_fields__}
    return ", ".join(f"{name} {value}" for name, value in said.items() if value is not None) or "it says nothing"
