"""What the controllers of a route say of it in its status: that it is not in force, or not as it is written now. Pure.

It is told wherever the route is, and changes nothing else: what is written is taken back all the same, since a controller that
refuses a route today may take it tomorrow. Nothing here can make an object unreadable: a status of another form says nothing, as
one that is not there.
"""

from collections.abc import Iterator

from daemon.kube.resources import Json, metadata_of

_REFUSED = {
    "Accepted": "has not accepted it",
    "ResolvedRefs": "cannot resolve what it names",
}
"""Types of conditions that must be true, and what is said where one is not."""


def hindrance(route: Json) -> str:
    """Why the proxies may not go by this route as it is, by the words of each controller; empty where none says so."""
    return "; ".join(dict.fromkeys(_said(route)))


def _said(route: Json) -> Iterator[str]:
    status = route.get("status")
    for parent in _dicts(status.get("parents") if isinstance(status, dict) else None):
        controller = str(parent.get("controllerName") or "a controller")
        conditions = _dicts(parent.get("conditions"))
        for one in conditions:
            what = _REFUSED.get(str(one.get("type")))
            if what is not None and one.get("status") == "False":
                yield f"{controller} {what}: {one.get('reason') or 'no reason is given'}"
        written, seen = metadata_of(route).get("generation"), [one.get("observedGeneration") for one in conditions]
        known = [one for one in seen if isinstance(one, int)]
        if isinstance(written, int) and known and max(known) < written:
            yield f"{controller} has not taken its generation {written} yet, it has {max(known)}"


def _dicts(value: object) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
