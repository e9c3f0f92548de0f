"""The settings as this installation knows them: ``config``'s, with the kinds of mesh that are here."""

import functools
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from config import kinds, load, schema
from config.settings import Settings
from daemon.delivery import owners
from daemon.meshes import registry
from daemon.meshes.kind import MeshKind


@functools.cache
def model() -> type[Settings]:
    """What a person may write here. Raises ``ConfigError`` when a package that is installed gives no usable mesh or owner."""
    owners.kinds()  # no setting names one; a broken one is told with the settings all the same, not at the first revert
    return model_of(registry.kinds().values())


def model_of(meshes: Collection[MeshKind]) -> type[Settings]:
    """What a person may write where there are these kinds of mesh."""
    dialects = tuple(dict.fromkeys(mesh.telemetry.name for mesh in meshes))
    return kinds.settings_model(meshes=[mesh.settings for mesh in meshes], dialects=dialects)


def load_settings(path: Path | str | None, *, environ: Mapping[str, str] | None = None) -> Settings:
    """See ``config.load.load_settings``."""
    return load.load_settings(path, model=model(), environ=environ)


def settings_of(document: object, *, source: str, environ: Mapping[str, str] | None = None) -> Settings:
    """See ``config.load.settings_of``."""
    return load.settings_of(document, source=source, model=model(), environ=environ)


def settings_schema() -> dict[str, Any]:
    """See ``config.schema.settings_schema``."""
    return schema.settings_schema(model())
