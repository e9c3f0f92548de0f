"""Files and the environment into settings and policies, or every reason why not. Nothing is clamped, nothing is guessed.

The order is: file, then environment (``config.environment``), then the models. A refusal carries all problems of the
document at once, each with its path, the value and the fix (``config.walking``).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from config import address, documents, environment, kinds, walking
from config.errors import ConfigError, Fault, shown
from config.policy import Policy
from config.settings import Http, Kubernetes, Name, Settings

_T = TypeVar("_T")
_SUFFIXES = (".yaml", ".yml", ".json")
# A thousand policies as people write them. Whoever names a folder of something else is told before it is read for minutes.
_MAX_FOLDER_BYTES = documents.MAX_BYTES


def load_settings(path: Path | str | None, *, model: type[Settings], environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings of a daemon.

    Args:
        path: a YAML or JSON file; None: the defaults.
        model: what may be written in them, as ``config.kinds.settings_model`` makes it.
        environ: variables to lay over it, usually ``os.environ``; None: none.

    Raises:
        ConfigError: with every problem found.
    """
    if path is None:
        return settings_of({}, source="environment", model=model, environ=environ)
    return settings_of(documents.read(Path(path)), source=str(path), model=model, environ=environ)


def settings_of(document: object, *, source: str, model: type[Settings], environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from a document that was read already; see ``load_settings``."""
    document, origins, misplaced = environment.override(_mapping(document, source=source), environ or {})
    document, mixed = _unmixed(document)
    document, given = _by_cluster(document)
    found = [*misplaced, *(_told(problem, origins) for problem in mixed)]
    found += [_told(_as_given(problem, given), origins) for problem in walking.faults(document, model)]
    if not found:
        settings = kinds.plain(msgspec.convert(document, model))
        found = [_told(problem, origins) for problem in http_problems(settings.http)]
        if not found:
            return settings
    raise ConfigError(tuple(found), source=source)


def _unmixed(document: dict[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """The document with ``kubernetes`` in one form: a single cluster's keys beside clusters by name are taken out, and told."""
    keys = document.get("kubernetes")
    if not isinstance(keys, dict) or not (named := [key for key, value in keys.items() if isinstance(value, dict)]):
        return document, []
    alone = [key for key, value in keys.items() if key in Kubernetes.__struct_fields__ and key not in named]
    mixed = [
        Fault(
            path=f"kubernetes.{key}",
            message=f"is a key of a single cluster, and beside it stands a cluster by name ({named[0]})",
            fix=f"write it below the name of its cluster, as kubernetes.{named[0]}.{key}",
        )
        for key in alone
    ]
    return {**document, "kubernetes": {key: value for key, value in keys.items() if key not in alone}}, mixed


def _by_cluster(document: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The document with ``kubernetes`` by the cluster's name, and the path that this has put into those of its only cluster's keys.

    Whoever has one cluster writes how it is reached without a name; then it is the daemon's own.
    """
    keys = document.get("kubernetes")
    if not isinstance(keys, dict) or any(isinstance(value, dict) for value in keys.values()):
        return document, ""
    if all(value is None and key not in Kubernetes.__struct_fields__ for key, value in keys.items()):
        return document, ""
    name = document.get("cluster", Settings().cluster)
    if not isinstance(name, str) or walking.faults(name, Name):
        name = Settings().cluster
    return {**document, "kubernetes": {name: keys}}, f"kubernetes.{name}"


def _as_given(problem: Fault, given: str) -> Fault:
    inside = bool(given) and (problem.path == given or problem.path.startswith(f"{given}."))
    return replace(problem, path="kubernetes" + problem.path[len(given) :]) if inside else problem


def load_policy(path: Path | str) -> Policy:
    """Read one policy from a YAML or JSON file. Raises ``ConfigError`` with every problem found."""
    return policy_of(documents.read(Path(path)), source=str(path))


def policy_of(document: object, *, source: str) -> Policy:
    """A policy from a document that was read already. Raises ``ConfigError`` with every problem found."""
    return checked(_mapping(document, source=source), Policy, source=source)


def load_policies(folder: Path | str) -> dict[str, Policy]:
    """Read every policy of a folder; a file's name without its suffix is the policy's name.

    Raises:
        ConfigError: with every problem of every file, the path beginning with the policy's name.
    """
    policies: dict[str, Policy] = {}
    found: list[Fault] = []
    for path in _policy_files(Path(folder)):
        if path.stem in policies:
            found.append(Fault(path=path.stem, message="is given by two files", fix=f"remove {path.name} or the other one"))
        try:
            policies[path.stem] = load_policy(path)
        except ConfigError as error:
            found += [replace(item, path=f"{path.stem}.{item.path}".removesuffix(".$")) for item in error.faults]
    if found:
        raise ConfigError(tuple(found), source=str(folder))
    return policies


def _policy_files(folder: Path) -> list[Path]:
    try:
        files = sorted(item for item in folder.iterdir() if item.suffix in _SUFFIXES)
        size = sum(item.stat().st_size for item in files if item.is_file())
    except OSError as error:
        problem = Fault(path="$", message=f"cannot be read: {error.strerror}", fix="name a folder of policy files")
        raise ConfigError((problem,), source=str(folder)) from error
    if size > _MAX_FOLDER_BYTES:
        message = f"its {len(files)} YAML and JSON files are larger than 1 MiB together"
        raise ConfigError((Fault(path="$", message=message, fix="name a folder with policies only"),), source=str(folder))
    return files


def checked(document: object, model: type[_T], *, source: str, path: str = "") -> _T:
    """A plain document as an instance of ``model``. Raises ``ConfigError`` with every problem found."""
    found = walking.faults(document, model, path=path)
    if found:
        raise ConfigError(found, source=source)
    return msgspec.convert(document, model)


def http_problems(http: Http) -> tuple[Fault, ...]:
    """What is wrong with where the API listens: also asked again by the server, after command-line options."""
    try:
        where = address.parse(http.listen)
    except ValueError as error:
        fix = "write host:port, for example 127.0.0.1:8484 or [::1]:8484"
        return (Fault(path="http.listen", message=f"{shown(http.listen)} {error}", fix=fix),)
    tokens = http.token_file is not None or bool(http.callers) or bool(http.issuers)
    if http.read == "token" and not tokens:
        fix = "name a file that holds a token as http.token_file or under http.callers, or an issuer, or leave http.read out"
        return (Fault(path="http.read", message="asks for a token, and none is set", fix=fix),)
    if where.loopback or tokens:
        return ()
    return (
        Fault(
            path="http.token_file",
            message=f"is not set, and http.listen ({http.listen}) can be reached from other machines, "
            "where whatever changes traffic needs a bearer token",
            fix="name a file that holds the token, or listen on 127.0.0.1",
        ),
    )


def _mapping(document: object, *, source: str) -> dict[str, Any]:
    if not isinstance(document, dict):
        problem = Fault(path="$", message=f"{shown(document)} is not a mapping", fix="write keys and values")
        raise ConfigError((problem,), source=source)
    return document


def _told(problem: Fault, origins: Mapping[str, str]) -> Fault:
    """The problem, naming the environment variable that the value came from."""
    for path, name in origins.items():
        inside = problem.path == path or problem.path.startswith((f"{path}.", f"{path}["))
        if inside or path.startswith(f"{problem.path}."):
            return replace(problem, message=f"{problem.message} (from {name})")
    return problem
