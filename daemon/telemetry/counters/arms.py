"""Whose series are, by the labels that tell arms apart: every label set that was met, each with its arms, whoever comes and goes.

A release that begins or ends changes the label sets that are its own, and no others are looked at: there may be 10 000 of them, and
the event loop waits.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from daemon.telemetry.outcomes import Outcomes
from daemon.telemetry.schema import Selector, View


@dataclass(slots=True, eq=False)
class ArmKey:
    """One arm of one watched release.

    Attributes:
        specific: by how many labels it is known.
        view: in which it is counted.
        outcomes: how its requests ended, by the policy of its release.
    """

    release_id: str
    arm: int
    specific: int
    view: View
    outcomes: Outcomes


class LabelSet(msgspec.Struct, eq=False, gc=False):
    """The labels that series have in common, and so whose they are; shared by all of them.

    Attributes:
        views: those that the series may belong to.
        labels: those that arms are known by.
        arms: the arms, of the releases that are watched now.
    """

    views: tuple[View, ...]
    labels: Mapping[str, str]
    arms: tuple[ArmKey, ...] = ()


@dataclass(frozen=True, slots=True)
class _Shape:
    """Arms of one view that are known by the same names of labels, and the label sets of that view, by their values of these."""

    view: View
    names: tuple[str, ...]
    arms: dict[tuple[str, ...], list[ArmKey]] = field(default_factory=dict)
    label_sets: dict[tuple[str, ...], list[LabelSet]] = field(default_factory=dict)

    def values(self, label_set: LabelSet) -> tuple[str, ...]:
        return tuple([label_set.labels.get(name, "") for name in self.names])

    def meet(self, label_set: LabelSet) -> None:
        if self.view in label_set.views:
            self.label_sets.setdefault(self.values(label_set), []).append(label_set)


class Arms:
    """Arms by the labels they are known by, and all label sets that have been met, each with the arms that it is of."""

    def __init__(self) -> None:
        self._shapes: dict[tuple[View, tuple[str, ...]], _Shape] = {}
        self._label_sets: dict[tuple[tuple[View, ...], tuple[tuple[str, str], ...]], LabelSet] = {}

    def add(self, labels: Selector, arm: ArmKey) -> None:
        """An arm is known by these from now on."""
        shape, values = self._shape(labels, arm)
        shape.arms.setdefault(values, []).append(arm)
        self._changed(shape, values)

    def remove(self, labels: Selector, arm: ArmKey) -> None:
        """It has ended."""
        shape, values = self._shape(labels, arm)
        shape.arms[values].remove(arm)
        if not shape.arms[values]:
            del shape.arms[values]
        self._changed(shape, values)
        if not shape.arms:
            del self._shapes[shape.view, shape.names]

    def met(self, views: tuple[View, ...], labels: tuple[tuple[str, str], ...]) -> LabelSet:
        """The label set of these, one for all series that have them."""
        found = self._label_sets.get((views, labels))
        if found is None:
            found = self._label_sets[views, labels] = LabelSet(views, dict(labels))
            for shape in self._shapes.values():
                shape.meet(found)
            found.arms = self._find(found)
        return found

    def forget(self) -> None:
        """Forget all label sets: no series has them any longer."""
        self._label_sets.clear()
        for shape in self._shapes.values():
            shape.label_sets.clear()

    def _shape(self, labels: Selector, arm: ArmKey) -> tuple[_Shape, tuple[str, ...]]:
        names = tuple(name for name, _ in labels)
        shape = self._shapes.get((arm.view, names))
        if shape is None:
            shape = self._shapes[arm.view, names] = _Shape(arm.view, names)
            for label_set in self._label_sets.values():
                shape.meet(label_set)
        return shape, tuple(value for _, value in labels)

    def _changed(self, shape: _Shape, values: tuple[str, ...]) -> None:
        for label_set in shape.label_sets.get(values, ()):
            label_set.arms = self._find(label_set)

    def _find(self, label_set: LabelSet) -> tuple[ArmKey, ...]:
        """The arms of these labels. Where both of a release fit, that which is known more exactly has it, or the baseline."""
        found: dict[str, ArmKey] = {}
        for shape in self._shapes.values():
            if shape.view not in label_set.views:
                continue
            for arm in shape.arms.get(shape.values(label_set), ()):
                other = found.get(arm.release_id)
                if other is None or (arm.specific, -arm.arm) > (other.specific, -other.arm):
                    found[arm.release_id] = arm
        return tuple(found.values())
