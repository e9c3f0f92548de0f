"""Routes and what stands behind them, as short as the rules read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from daemon.discovery.contests import Contest, contests
from daemon.discovery.images import image
from daemon.discovery.owned import Owned
from daemon.discovery.picture import Condition, Destination, Entry, Picture, Pin, Share
from daemon.discovery.surroundings import Surroundings, Workload
from daemon.placement import ObjectName

NAMESPACE = "shop"
COOKIE = Pin(by="cookie", name="cookie", value="tester")
HEADER = Pin(by="header", name="x-tester", value="yes")


def at(
    subset: str = "", *, service: str = "web", namespace: str = NAMESPACE, labels: Mapping[str, str] | None = None
) -> Destination:
    """A subset of a Service, which asks for a label ``version`` of its name unless told otherwise."""
    asked = labels if labels is not None else {"version": subset} if subset else {}
    return Destination(namespace=namespace, host=f"{service}.{namespace}.svc", service=service, subset=subset, labels=asked)


def path(value: str) -> Condition:
    return Condition(of="path", value=value)


def entry(
    *shares: tuple[Destination, float], pins: Iterable[Pin] = (), on: Iterable[Condition] = (), place: str = "http #0"
) -> Entry:
    """A way in, by what each destination gets in percent."""
    told = tuple(Share(to=to, percent=percent) for to, percent in shares)
    return Entry(place=place, conditions=frozenset(on), pins=frozenset(pins), shares=told)


def mirrored(to: Destination, *, copies: Destination, percent: float = 100.0) -> Entry:
    """All goes to one, and copies to another."""
    mirrors = (Share(to=copies, percent=percent),)
    return Entry(place="http #0", shares=(Share(to=to, percent=100.0),), mirrors=mirrors)


def route(*entries: Entry, name: str = "web", hosts: tuple[str, ...] = ("web",)) -> Picture:
    return Picture(route=ObjectName(kind="VirtualService", namespace=NAMESPACE, name=name), hosts=hosts, entries=entries)


def split(*shares: tuple[Destination, float]) -> Picture:
    """A route with one way in."""
    return route(entry(*shares))


def workload(
    name: str, *, runs: str = "", replicas: int = 1, created_at: str = "", more: Mapping[str, str] | None = None, **labels: str
) -> Workload:
    """One of the application ``web``, unless its labels say otherwise. ``more``: labels whose keys are no names."""
    told = {"app": "web", **labels, **(more or {})}
    return Workload(
        kind="Deployment",
        namespace=NAMESPACE,
        name=name,
        labels=told,
        images=(image(runs),) if runs else (),
        replicas=replicas,
        created_at=created_at,
    )


def around(*workloads: Workload, owned: Iterable[Owned] = (), **selectors: Mapping[str, str]) -> Surroundings:
    """The Service ``web`` selects the application ``web``; others as they are given, with ``_`` for ``-``."""
    services: dict[tuple[str, str], Mapping[str, str]] = {(NAMESPACE, "web"): {"app": "web"}}
    services |= {(NAMESPACE, name.replace("_", "-")): selector for name, selector in selectors.items()}
    return Surroundings(services=services, workloads=workloads, owned=tuple(owned))


def versions(*names: str, **runs: str) -> Surroundings:
    """A workload of each version, of an image of that tag."""
    return around(*(workload(f"web-{name}", runs=runs.get(name, f"reg/web:{name}"), version=name) for name in names))


def the_contest(picture: Picture, there: Surroundings | None = None) -> Contest:
    """The only one there is."""
    (found,) = contests(picture, around=there or around())
    return found
