"""The settings as this installation knows them: ``config``'s, with the kinds of mesh, source and sink that are here.

Here is everything that can be known of settings before anything is opened: ``verdictd check`` and ``verdictd run`` both ask here,
so that neither takes what the other refuses.
"""

import functools
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from config import kinds, load, schema
from config.errors import ConfigError, Fault
from config.settings import ConnectorSettings, PrometheusTelemetry, Settings
from daemon import connectors
from daemon.bus.address import credentials_problem
from daemon.delivery import owners
from daemon.meshes import registry
from daemon.meshes.kind import MeshKind
from daemon.telemetry.spoken import faults


@functools.cache
def model() -> type[Settings]:
    """What a person may write here. Raises ``ConfigError`` with every row of an installed package that cannot be used.

    Also those that no setting names: they are told with the settings, not at the first revert.
    """
    wrong: list[Fault] = []
    tables: tuple[Callable[[], object], ...] = (registry.kinds, owners.kinds, connectors.sources, connectors.sinks)
    for rows in tables:
        try:
            rows()
        except ConfigError as error:
            wrong += error.faults
    if wrong:
        raise ConfigError(wrong, source="installed packages")
    return model_of(
        registry.kinds().values(),
        sources=[row.settings for row in connectors.sources().values() if row.settings is not None],
        sinks=[row.settings for row in connectors.sinks().values() if row.settings is not None],
    )


def model_of(
    meshes: Collection[MeshKind],
    *,
    sources: Collection[type[ConnectorSettings]] = (),
    sinks: Collection[type[ConnectorSettings]] = (),
) -> type[Settings]:
    """What a person may write where there are these kinds of mesh, source and sink."""
    dialects = tuple(dict.fromkeys(mesh.telemetry.name for mesh in meshes))
    return kinds.settings_model(
        meshes=[mesh.settings for mesh in meshes], dialects=dialects, sources=tuple(sources), sinks=tuple(sinks)
    )


def load_settings(path: Path | str | None, *, environ: Mapping[str, str] | None = None) -> Settings:
    """See ``config.load.load_settings``."""
    return _checked(load.load_settings(path, model=model(), environ=environ), source="environment" if path is None else str(path))


def settings_of(document: object, *, source: str, environ: Mapping[str, str] | None = None) -> Settings:
    """See ``config.load.settings_of``."""
    return _checked(load.settings_of(document, source=source, model=model(), environ=environ), source=source)


def settings_schema() -> dict[str, Any]:
    """See ``config.schema.settings_schema``."""
    return schema.settings_schema(model())


def _checked(settings: Settings, *, source: str) -> Settings:
    """The settings, if this installation can do what they ask for. Raises ``ConfigError``."""
    schemas = registry.schemas()
    found = [*connectors.problems(settings), *filter(None, [credentials_problem(settings.nats)])]
    for name, entry in settings.telemetry.items():
        if isinstance(entry, PrometheusTelemetry):
            found += faults(schemas[entry.dialect], entry, path=f"telemetry.{name}")
    if found:
        raise ConfigError(found, source=source)
    return settings
