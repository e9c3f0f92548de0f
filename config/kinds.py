"""The settings' model with the kinds of mesh that an installation has: what a person may write, to the last key.

Kinds are rows elsewhere, and this package knows none of them. The model that they make is walked, decoded, shown as a schema and
printed in the documents as any other; what comes out of it are the plain structs of ``config.settings``.
"""

import functools
import operator
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Meta, structs

from config.settings import ConnectorSettings, EnvoyTelemetry, Mesh, Name, PrometheusTelemetry, Settings, SidecarTelemetry

_ENTRIES: tuple[type[msgspec.Struct], ...] = (PrometheusTelemetry, EnvoyTelemetry, SidecarTelemetry)

_S = TypeVar("_S", bound=msgspec.Struct)


class NotInstalled(ConnectorSettings, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """Of a kind that an installed package brings (docs/connectors.md), with the keys that it has. None is built in."""

    kind: Annotated[str, Meta(description="The package's name for it.")]

    def __post_init__(self) -> None:
        """Refuse it, whatever it is."""
        raise ValueError(f"kind names {self.kind!r}, which no installed package brings; install one that does, or remove the entry")


def settings_model(
    *,
    meshes: Sequence[type[Mesh]],
    dialects: Sequence[str],
    sources: Sequence[type[ConnectorSettings]] = (),
    sinks: Sequence[type[ConnectorSettings]] = (),
) -> type[Settings]:
    """``Settings`` where an entry is one of these structs, and ``telemetry.NAME.dialect`` one of these words.

    Args:
        meshes: structs with tags of their own under ``kind``, for ``meshes.NAME``; at least one.
        dialects: at least one.
        sources, sinks: such structs for ``sources.NAME`` and ``sinks.NAME``.
    """
    spoken: Any = Literal.__getitem__(tuple(dialects))
    entries = _one_of([_narrowed(entry, dialect=spoken) for entry in _ENTRIES])
    return _narrowed(
        Settings,
        telemetry=_named(entries),
        meshes=_named(_one_of(meshes)),
        sources=_named(_one_of(sources or [NotInstalled])),
        sinks=_named(_one_of(sinks or [NotInstalled])),
    )


def plain(settings: Settings) -> Settings:
    """The same settings without the model that they were read by: equal to settings that are made by hand."""
    telemetry = {
        name: _widened(entry, next(model for model in _ENTRIES if isinstance(entry, model)))
        for name, entry in settings.telemetry.items()
    }
    return _widened(structs.replace(settings, telemetry=telemetry), Settings)


def _narrowed(model: type[_S], **types: Any) -> type[_S]:
    """The model with other types for some fields; their order, descriptions, defaults and checks stay."""
    fields = [_field(field, types.get(field.name)) for field in structs.fields(model)]
    made: Any = msgspec.defstruct(
        model.__name__, fields, bases=(model,), namespace={"__doc__": model.__doc__}, module=model.__module__, kw_only=True
    )
    narrowed: type[_S] = made
    return narrowed


def _one_of(models: Sequence[Any]) -> Any:
    return functools.reduce(operator.or_, models)


def _named(entry: Any) -> Any:
    return dict.__class_getitem__((Name, entry))


def _field(field: structs.FieldInfo, narrower: Any) -> tuple[str, Any] | tuple[str, Any, Any]:
    kind = field.type
    if narrower is not None:
        kind = Annotated[(narrower, *get_args(kind)[1:])] if get_origin(kind) is Annotated else narrower
    if field.default_factory is not NODEFAULT:
        return field.name, kind, msgspec.field(default_factory=field.default_factory)
    return (field.name, kind) if field.default is NODEFAULT else (field.name, kind, field.default)


def _widened(value: msgspec.Struct, model: type[_S]) -> _S:
    return model(**{name: getattr(value, name) for name in value.__struct_fields__})
