"""The form of an object: the types of what is read of it, as its kind's definition gives them. Pure.

An API server sees to the form of what it keeps, as far as the definition goes that is installed now: what was written under an
older one, or a loosened one, stays. An object of another form may mean anything, or raise where it is read; so it is told from the
others by its form before anybody reads it, and named.

Kinds that are built in (pods, Services, ReplicaSets, EndpointSlices) have no form of their own: an API server decodes them into its
own types before it keeps them, and encodes what it gives from these, so that none of another form comes from one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from daemon.errors import Refused
from daemon.kube.resources import Json, Resource, metadata_of

LONGEST_NAME = 300
"""What is no name may be a book."""


class Owner(msgspec.Struct, frozen=True):
    """Of an entry of ``ownerReferences``."""

    controller: bool | None = None


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """Which object it is, and what may be read of any."""

    name: str
    namespace: str | None = None
    resource_version: str | None = None
    creation_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[Owner] | None = None
    managed_fields: list[dict[str, Any]] | None = None


class Form(msgspec.Struct, frozen=True):
    """Of an object whose kind says no more; each kind's own is a form with its ``spec``."""

    metadata: Metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Misread:
    """An object that is not of its kind's form: which, and where it is not."""

    resource: Resource
    namespace: str
    name: str
    why: str

    def __str__(self) -> str:
        """``VirtualService shop/web, which is not of its kind's form: Expected `array`, got `int` - at `$.spec.http```."""
        return misread(self.resource.kind, f"{self.namespace}/{self.name}", why=self.why)


def misread(kind: str, name: str, *, why: str) -> str:
    """What is said of an object of this kind and name that is not of its kind's form."""
    return f"{kind} {name}, which is not of its kind's form: {why}"


def fault(item: Json, *, form: type[msgspec.Struct]) -> str:
    """Where the object is not of this form; empty where it is."""
    try:
        msgspec.convert(item, form)
    except (msgspec.ValidationError, RecursionError) as error:
        return str(error)
    return ""


def require_all(resource: Resource, items: Iterable[Json]) -> list[Json]:
    """These objects, where nothing may be left out. Raises ``Refused`` where one cannot be read."""
    good, bad = well_formed(resource, items)
    if bad:
        raise Refused(str(bad[0]))
    return good


def well_formed(resource: Resource, items: Iterable[Json]) -> tuple[list[Json], list[Misread]]:
    """Those of these objects that can be read, and those that cannot."""
    form, good, bad = resource.form or Form, list[Json](), list[Misread]()
    for item in items:
        if why := fault(item, form=form):
            metadata = metadata_of(item)
            namespace, name = (str(metadata.get(key, ""))[:LONGEST_NAME] for key in ("namespace", "name"))
            bad.append(Misread(resource=resource, namespace=namespace, name=name, why=why))
        else:
            good.append(item)
    return good, bad
