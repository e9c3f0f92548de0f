"""Which arm runs what was announced: a service and one word for what is new tell the canary nearly always. Pure.

The words are tried from the surest on: a digest is one image, a commit may stand anywhere. A word that both arms fit is no key: the
same image may be deployed with another configuration.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from daemon.discovery.contests import Candidate, Contest
from daemon.discovery.images import Image, artifact
from daemon.discovery.naming import same_version, stem
from daemon.discovery.surroundings import VERSION_LABELS, Workload
from daemon.model import ArmSpec

_SHORTEST_COMMIT = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What was announced without arms. What was not said is empty.

    Attributes:
        service, namespace: what is released, and where.
        artifact: an image or a package URL.
        images: some of which the canary runs, and its baseline others.
        version: as a version label or a tag has it.
        commit: at least 7 characters of it.
        baseline, canary: the arm that was said; null: it was not.
        is_whatever: only the service was said, and whatever is new of it is meant.
    """

    service: str
    namespace: str
    artifact: str = ""
    images: tuple[str, ...] = ()
    version: str = ""
    commit: str = ""
    baseline: ArmSpec | None = None
    canary: ArmSpec | None = None
    is_whatever: bool = False

    @property
    def named(self) -> str:
        """What is new, for a sentence."""
        return self.artifact or self.version or " or ".join(self.images[:3]) or self.commit or "anything new"

    @property
    def is_commit_only(self) -> bool:
        """Whether it names what need not stand anywhere in a cluster: pods may not say of which commit they are."""
        return not (self.artifact or self.version or self.images)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """Who runs what was announced.

    Attributes:
        only: the one candidate that does, while no other is known to; null: there is none.
        both: those that do where several do.
        unknown: those of which it is not known what they run.
    """

    only: Candidate | None = None
    both: tuple[Candidate, ...] = ()
    unknown: tuple[Candidate, ...] = ()


def concerns(announcement: Notice, contest: Contest) -> bool:
    """Whether the announced service is what these candidates are versions of."""
    if any(one.destination.namespace != announcement.namespace for one in contest.candidates):
        return False
    names = {one.destination.service for one in contest.candidates}
    stems = {stem(name) for name in names}
    apps = {app for one in contest.candidates for app in one.behind.apps}
    owners = {owned.owner.name for owned in contest.owned}
    hosts = {host.partition(".")[0] for host in contest.hosts}
    # A repository's name may have capitals, which few names in a cluster can.
    return announcement.service.lower() in {name.lower() for name in names | stems | apps | owners | hosts}


def fitting(announcement: Notice, candidates: Sequence[Candidate]) -> Fitting:
    """Which of these runs what was announced, by the first word that tells them apart."""
    known = [one for one in candidates if one.behind.workloads]
    unknown = tuple(one for one in candidates if not one.behind.workloads)
    both: tuple[Candidate, ...] = ()
    for fits in _keys(announcement):
        found = tuple(one for one in known if any(fits(workload) for workload in one.behind.workloads or ()))
        if len(found) == 1:
            return Fitting(only=found[0], unknown=unknown)
        both = both or found
    if (of_images := _running_alone(announcement, known)) is not None:
        return replace(of_images, unknown=unknown)
    return Fitting(both=both, unknown=unknown)


def _running_alone(announcement: Notice, known: Sequence[Candidate]) -> Fitting | None:
    """By a list of images: who alone runs one of them. What several run is no key; null: nobody runs any."""
    runs = [
        [one for one in known if any(_is(image, workload) for workload in one.behind.workloads or ())]
        for image in map(artifact, announcement.images)
    ]
    alone = [one for one in known if [one] in runs]
    found = alone or [one for one in known if any(one in several for several in runs)]
    if not found:
        return None
    return Fitting(only=alone[0]) if len(alone) == 1 else Fitting(both=tuple(found))


def _is(wanted: Image, workload: Workload) -> bool:
    """Whether it runs this image, by its digest, else its name and tag."""
    return any(
        one.digest == wanted.digest
        if wanted.digest and one.digest
        else wanted.is_told_apart and (one.tail, one.tag) == (wanted.tail, wanted.tag)
        for one in workload.images
    )


def _keys(announcement: Notice) -> Iterator[Callable[[Workload], bool]]:
    """The tests of a workload, the surest first."""
    wanted = artifact(announcement.artifact) if announcement.artifact else Image()
    if wanted.digest:
        yield lambda workload: any(one.digest == wanted.digest for one in workload.images)
    if wanted.tag and wanted.is_told_apart:
        yield lambda workload: any((one.tail, one.tag) == (wanted.tail, wanted.tag) for one in workload.images)
    if announcement.version:
        yield lambda workload: _is_version(workload, announcement.version)
    if len(announcement.commit) >= _SHORTEST_COMMIT:
        yield lambda workload: any(_has_commit(text, announcement.commit.lower()) for text in _texts(workload))


def _is_version(workload: Workload, version: str) -> bool:
    labels = [workload.labels[key] for key in VERSION_LABELS if workload.labels.get(key)]
    return any(same_version(one, version) for one in (*labels, *(one.tag for one in workload.images if one.tag)))


def _texts(workload: Workload) -> Iterator[str]:
    yield from (one.tag for one in workload.images if one.tag)
    yield from workload.labels.values()
    yield from workload.annotations.values()


def _has_commit(text: str, commit: str) -> bool:
    """Whether a word of the text is the commit, either of them shortened."""
    pieces = "".join(letter if letter.isalnum() else " " for letter in text.lower()).split()
    return any(len(one) >= _SHORTEST_COMMIT and (one.startswith(commit) or commit.startswith(one)) for one in pieces)
