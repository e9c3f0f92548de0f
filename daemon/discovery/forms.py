"""An object of the API server in the form that is read of it, or why it is not of that form. Pure."""

from typing import TypeVar

import msgspec

from daemon.errors import Refused
from daemon.kube.resources import Json

T = TypeVar("T")


def read(item: Json, *, form: type[T], kind: str) -> T:
    """What of an object is of interest. Raises ``Refused`` with the path to what is wrong; ``kind`` is what people call it."""
    try:
        return msgspec.convert(item, form)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Refused(f"the {kind} cannot be read: {error}") from error
