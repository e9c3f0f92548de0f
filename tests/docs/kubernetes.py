"""kubectl and helm as the pages use them: their verbs, and the objects and files that they name."""

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

import yaml

from tests.docs.__main__ import ROOT

Inner = Callable[[str, Sequence[str]], Iterator[str]]

OURS: Final = "verdictd"
"""The namespace that verdictd is installed in, on every page."""
_KINDS: Final = {
    "deploy": "Deployment",
    "deployment": "Deployment",
    "job": "Job",
    "secret": "Secret",
    "persistentvolumeclaim": "PersistentVolumeClaim",
}
_VERBS: Final = frozenset({"apply", "describe", "exec", "get", "logs"})
_INSTALLED: Final = frozenset({"exec", "logs", "get", "delete", "scale"})
_RELEASED: Final = frozenset({"install", "upgrade", "test", "uninstall"})
_ROLES: Final = re.compile(r"--(?:clusterrole|serviceaccount)=(\S+)")
_READ_BY: Final = ("deploy", "daemon")


def kubectl_faults(words: Sequence[str], *, inner: Inner) -> Iterator[str]:
    """What is wrong with a call of kubectl. ``inner`` judges what is run in a pod."""
    namespace, rest = _namespaced([*words])
    match rest:
        case ["exec", *_] if "--" in rest:
            at = rest.index("--")
            yield from inner(rest[at + 1], rest[at + 2 :])
        case ["apply", *options]:
            yield from _files(options, after="-f")
        case ["patch", kind, name, *options]:
            yield from _files(options, after="--patch-file")
            yield from _patched(kind, name, options)
        case ["create", *made]:
            yield from _created(made)
        case ["label", "namespace", _, label]:
            if not _read(label.partition("=")[0]):
                yield f"no NetworkPolicy asks for the label {label}"
        case ["annotate", _, _, *given]:
            yield from (f"nothing reads the annotation {one}" for one in given if not _annotation(one.partition("=")[0]))
        case ["get" | "delete" | "logs" | "scale", *_] if namespace == OURS:
            pass
        case ["rollout", "undo", *_] | ["scale", _, "--replicas=0"] | ["argo", "rollouts", "undo"] | ["get", "events"]:
            pass
        case _:
            yield f"kubectl {' '.join(words)}: give it a row in tests/docs/kubernetes.py"


def verb_faults(word: str) -> Iterator[str]:
    """What is wrong with a command that is only named."""
    if word not in _VERBS:
        yield f"kubectl {word}: give it a row in tests/docs/kubernetes.py"


def helm_faults(words: Sequence[str]) -> Iterator[str]:
    """What is wrong with a call of helm; whether its values are right is for helm itself to say."""
    if words[0] not in _RELEASED:
        yield f"helm {words[0]} is nothing that has to be done"
    yield from (f"{word} is not there" for word in words if word.startswith("deploy/") and not (ROOT / word).is_dir())


def named(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Kind and name of each object that a call of kubectl expects in the namespace of verdictd."""
    namespace, rest = _namespaced([*words])
    if namespace == OURS and rest[0] in _INSTALLED:
        objects = [word for word in rest[1 : rest.index("--") if "--" in rest else None] if not word.startswith("-")]
        for word, following in zip(objects, [*objects[1:], ""], strict=True):
            kind, slash, name = word.partition("/")
            if kind in _KINDS and (slash or following):
                yield _KINDS[kind], name or following


def _namespaced(words: list[str]) -> tuple[str, list[str]]:
    return (words[1], words[2:]) if words[:1] == ["-n"] else ("", words)


def _created(words: list[str]) -> Iterator[str]:
    match words:
        case ["secret", "generic", name, literal]:
            key = literal.removeprefix("--from-literal=").partition("=")[0]
            if not _read(name) or not _read(key):
                yield f"nothing in {' or '.join(_READ_BY)} reads the key {key} of a Secret {name}"
        case ["rolebinding" | "clusterrolebinding", _, *options]:
            yield from (f"deploy/manifests has no {one}" for one in _ROLES.findall(" ".join(options)) if not _bindable(one))
        case ["namespace", name] if name == OURS:
            pass
        case _:
            yield f"kubectl create {' '.join(words)}: give it a row in tests/docs/kubernetes.py"


def _files(options: Sequence[str], *, after: str) -> Iterator[str]:
    for option, value in pairwise(options):
        if option == after and value != "-" and not (ROOT / value).exists():
            yield f"{value} is not there"


def _patched(kind: str, name: str, options: Sequence[str]) -> Iterator[str]:
    """A patch that is a whole object names the object that it is for."""
    document: dict[str, Any] = yaml.safe_load((ROOT / options[options.index("--patch-file") + 1]).read_text(encoding="utf-8"))
    if (document["kind"].lower(), document["metadata"]["name"]) != (kind, name):
        yield f"the patch is of another object than {kind} {name}"


def _bindable(name: str) -> bool:
    """A role of ours, or an account of ours as ``NAMESPACE:NAME``."""
    namespace, _, account = name.rpartition(":")
    kinds = {"ServiceAccount"} if namespace else {"ClusterRole"}
    return any(
        document["kind"] in kinds
        and document["metadata"]["name"] == account
        and document["metadata"].get("namespace", "") == namespace
        for path in (ROOT / "deploy" / "manifests").glob("*.yaml")
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    )


def _annotation(name: str) -> bool:
    """Ours are read by the daemon; what subscribes an Application is Argo CD's own, by the names of our trigger and service."""
    if name.startswith("notifications.argoproj.io/subscribe."):
        return all(_read(f"{kind}.{one}") for kind, one in zip(("trigger", "service.webhook"), name.split(".")[3:], strict=True))
    return _read(name)


def _read(word: str) -> bool:
    """Whether it stands in what is deployed, or in the daemon."""
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", _all()) is not None


@functools.cache
def _all() -> str:
    files = (path for folder in _READ_BY for path in sorted((ROOT / folder).rglob("*")))
    return "\n".join(path.read_text(encoding="utf-8") for path in files if path.suffix in {".yaml", ".py", ".tpl"})
