"""From arms that were found to the release that is announced, and the id under which it is, whoever finds it again. Pure."""

import hashlib
from dataclasses import dataclass

import msgspec

from daemon import names
from daemon.discovery.answers import FoundArm, FoundArms
from daemon.discovery.openings import OpenRelease
from daemon.discovery.picture import Picture
from daemon.discovery.surroundings import Surroundings
from daemon.errors import Refused
from daemon.events.announced import origin
from daemon.model import Release
from daemon.releasecheck import MOST_LABELS, decode_release
from daemon.watcher.kept import RouteKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Under which a release is watched: its mesh and policy by their names, and whether nothing may be taken back."""

    mesh: str
    policy: str
    observe: bool


def arms_of(found: FoundArms, *, attempt: str) -> OpenRelease:
    """The release as discovery knows it. Raises ``Refused``: no route tells its arms apart."""
    if found.baseline.destination is None or found.canary.destination is None:
        raise Refused("no route tells its arms apart")
    return OpenRelease(baseline=found.baseline.destination, canary=found.canary.destination, attempt=attempt)


def release_of(found: FoundArms, *, picture: Picture, around: Surroundings, terms: Terms) -> Release:
    """The release that was found.

    Raises:
        InvalidInput: a name in it cannot be used; says which.
        Refused: no route tells its arms apart.
    """
    arms = arms_of(found, attempt="")
    namespace = arms.canary.namespace
    service = _service(arms, picture=picture, around=around)
    said: dict[str, object] = {
        "service": service,
        "namespace": namespace,
        "mesh": terms.mesh,
        "baseline": _arm(found.baseline, service=service, namespace=namespace),
        "canary": _arm(found.canary, service=service, namespace=namespace),
        "strategy": found.strategy,
        "policy": terms.policy,
        "observe": terms.observe or not found.confidence.may_revert,
    }
    if artifact := _artifact(arms, found, around):
        said["artifact"] = artifact
    return decode_release(said)


def release_id(service: str, *, key: RouteKey, uid: str, since: str, arms: OpenRelease) -> str:
    """The same for the same attempt, however often it is found, by whichever daemon of a cluster.

    Args:
        service: the release's.
        key, uid: of the route.
        since: the version of the route as it was before, which stays until the attempt is kept safe; empty: not known.
        arms: of the release, with its owner's attempt.
    """
    told = [(one.namespace, one.host, one.subset) for one in (arms.baseline, arms.canary)]
    attempt = msgspec.json.encode((msgspec.to_builtins(key), uid, since, told, arms.attempt)).decode()
    return names.new_release_id(service, origin=origin("/watched", attempt))


def runs(found: FoundArms, around: Surroundings) -> str:
    """What tells the canary's content from another one's under the same name; empty: not known."""
    labels, canary = found.canary.labels, found.canary.destination
    if labels is None or canary is None:
        return ""
    there = around.carrying(labels, namespace=canary.namespace)
    content = [(one.kind, one.name, sorted(map(str, one.images)), sorted(one.labels.items())) for one in there]
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:16] if content else ""


def _service(arms: OpenRelease, *, picture: Picture, around: Surroundings) -> str:
    """What both are versions of: their Service, else the one that the route is for, else what their names have in common."""
    if arms.baseline.service == arms.canary.service:
        return arms.canary.service
    asked = [host.partition(".")[0] for host in picture.hosts]
    there = [name for name in asked if (arms.canary.namespace, name) in around.services]
    shared = _shared(arms.baseline.service, arms.canary.service)
    if not there and (arms.canary.namespace, shared) in around.services:
        there = [shared]
    return there[0] if there else shared or arms.baseline.service


def _shared(one: str, other: str) -> str:
    """The words with which both names begin: ``web`` of ``web-stable`` and ``web-canary``."""
    words = []
    for mine, others in zip(one.split("-"), other.split("-"), strict=False):
        if mine != others:
            break
        words.append(mine)
    return "-".join(words)


def _arm(found: FoundArm, *, service: str, namespace: str) -> dict[str, object]:
    """By where its requests go and by its pods' labels. Its workload is for the pods to say, which may be of another tomorrow."""
    there = found.destination
    assert there is not None  # ``arms_of`` has looked
    said: dict[str, object] = {}
    if there.subset:
        said["subset"] = there.subset
    if there.service != service or there.namespace != namespace or not there.subset:
        said["service"] = there.service if there.namespace == namespace else f"{there.service}.{there.namespace}.svc"
    if found.labels and len(found.labels) <= MOST_LABELS:
        said["labels"] = dict(found.labels)
    return said


def _artifact(arms: OpenRelease, found: FoundArms, around: Surroundings) -> str:
    """The one image that the canary runs and the baseline does not; empty: there is none, or several."""
    of = [
        {str(image) for one in around.carrying(labels, namespace=there.namespace) for image in one.images}
        for labels, there in ((found.canary.labels, arms.canary), (found.baseline.labels, arms.baseline))
        if labels is not None
    ]
    new = of[0] - of[1] if len(of) == 2 else set()
    return new.pop() if len(new) == 1 else ""
