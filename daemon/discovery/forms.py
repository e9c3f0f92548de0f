"""An object of the API server in the form that is read of it, or why it is not of that form. Pure."""

from typing import TypeVar

import msgspec

from daemon.errors import Refused
from daemon.kube.resources import Json

T = TypeVar("T")


class _PodMetadata(msgspec.Struct, frozen=True):
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _Container(msgspec.Struct, frozen=True):
    image: str = ""


class _PodSpec(msgspec.Struct, frozen=True):
    containers: list[_Container] = []


class PodTemplate(msgspec.Struct, frozen=True):
    """What a workload makes its pods of."""

    metadata: _PodMetadata = _PodMetadata()
    spec: _PodSpec = _PodSpec()


def read(item: Json, *, form: type[T], kind: str) -> T:
    """What of an object is of interest. Raises ``Refused`` with the path to what is wrong; ``kind`` is what people call it."""
    try:
        return msgspec.convert(item, form)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Refused(f"the {kind} cannot be read: {error}") from error
