"""What a channel is: a name, its settings, and a pure function that makes a request of a verdict.

Whoever is told of verdicts over HTTP is a row of ``daemon/sinks/channels.py`` and a module of such functions. How a request goes
out, and how often, is the same for all (``daemon/sinks/courier.py``).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from config.errors import Fault
from config.settings import BaseUrl, ConnectorSettings, FileName, Positive
from daemon.model import Action, Outcome, Outline, Release, Verdict
from daemon.ports.notices import Notice, PersonWanted, Sequel
from daemon.sinks.authority import Authority, Means, SecretFile

Sequels = Annotated[
    bool, Meta(description="Whether what comes after the verdict is told too: traffic that has left, a revert done again or late.")
]


class ChannelSettings(ConnectorSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every channel is told: which verdicts are for it, and for how long each is tried."""

    namespaces: Annotated[
        list[Annotated[str, Meta(min_length=1)]],
        Meta(description="Of which namespaces verdicts are told; * stands for any letters. None: of all."),
    ] = msgspec.field(default_factory=list)
    outcomes: Annotated[
        list[Literal["promote", "rollback", "inconclusive"]], Meta(description="Which verdicts are told. None: all.")
    ] = msgspec.field(default_factory=list)
    actions: Annotated[
        list[Literal["none", "revert", "abort", "promote", "blocked", "failed"]],
        Meta(description="Verdicts with which action are told. None: with any."),
    ] = msgspec.field(default_factory=list)
    give_up_seconds: Annotated[
        Positive, Meta(description="How long each verdict is tried; then it is a dead letter, with the reason.")
    ] = 21_600.0

    def wants(self, release: Release, verdict: Verdict) -> bool:
        """Whether the filters let this verdict through."""
        return (
            self._has(release)
            and (not self.outcomes or verdict.outcome in {Outcome(one) for one in self.outcomes})
            and (not self.actions or verdict.action in {Action(one) for one in self.actions})
        )

    def wants_person(self, release: Release) -> bool:
        """Whether they let through that a person is waited for: as a promotion about which nothing is done."""
        return self._has(release) and "promote" in (self.outcomes or ["promote"]) and "none" in (self.actions or ["none"])

    def wants_sequel(self, _sequel: Sequel) -> bool:
        """Whether a channel that has been told the verdict is told this too."""
        return True

    def _has(self, release: Release) -> bool:
        return not self.namespaces or any(fnmatchcase(release.namespace, one) for one in self.namespaces)


class HttpChannelSettings(ChannelSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every channel over HTTP is told."""

    secret_file: Annotated[
        FileName | None, Meta(description="A file holding what authorises us there, read anew for each request.")
    ] = None
    ca_file: Annotated[FileName | None, Meta(description="PEM bundle to trust in place of the system's.")] = None
    timeout_seconds: Annotated[float, Meta(gt=0.0, le=60.0, description="Longest wait for an answer; later it is tried again.")] = (
        10.0
    )


class UrlChannelSettings(HttpChannelSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same, of one whose address the settings name."""

    url: Annotated[BaseUrl, Meta(description="Where to, e.g. http://host:port/path.")]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A request that tells a verdict."""

    url: str
    body: bytes
    headers: Mapping[str, str] = {}
    method: str = "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What is known beside the verdict when it is told.

    Attributes:
        settings: the channel's.
        secret: what its secret file holds; empty where it has none.
        public_url: where people find this daemon; empty where nobody has said.
        now: seconds since 1970.
    """

    settings: Any
    secret: str = field(default="", repr=False)
    public_url: str = ""
    now: float = 0.0


def anything(_settings: Any, _notice: Notice) -> bool:
    """Of a channel that can tell every verdict."""
    return True


def no_faults(_settings: Any) -> Iterable[Fault]:
    """Of a channel whose settings are right where their form is."""
    return ()


def in_a_file(settings: HttpChannelSettings, means: Means) -> Authority:
    """Of a channel that is authorised by what its secret file holds."""
    return SecretFile(settings.secret_file, setting=means.setting)


def refuses_nothing(_message: str) -> bool:
    """Of a channel whose refusals are refusals."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How a channel tells that a person is waited for, in a way that the verdict takes the place of later.

    Attributes:
        message: the request; pure. Raises ``InvalidInput`` where it cannot be told there, for good.
        place: whether a release has a place there at all.
    """

    message: Callable[[PersonWanted, Telling], Message]
    place: Callable[[Release], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelKind:
    """A row.

    Attributes:
        name: the settings' tag under ``kind``.
        settings: what a person writes of one.
        message: the request that tells a verdict; pure. Raises ``InvalidInput`` where it cannot be told there, for good.
        concerns: whether it is about something that the channel can tell at all; asked before ``message``.
        told_before: whether a refusal means that it was told before.
        hosts: those that a stranger's address may name; null where the settings name the address.
        asks: how it tells that a person is waited for; null where it cannot, or where a second message would be taken for another.
        follows: the request that tells what came after the verdict, as ``message`` does; null where it cannot be told.
        answers: whether somebody of an announcement waits there for the verdict; null where nobody ever does.
        authority: what has what authorises us there.
        faults: what is wrong with such settings beside their form, with paths below their own.
    """

    name: str
    settings: type[HttpChannelSettings]
    message: Callable[[Notice, Telling], Message]
    concerns: Callable[[Any, Notice], bool] = anything
    told_before: Callable[[str], bool] = refuses_nothing
    hosts: Callable[[Any], tuple[str, ...]] | None = None
    asks: Asking | None = None
    follows: Callable[[Sequel, Telling], Message] | None = None
    answers: Callable[[Release | Outline], bool] | None = None
    authority: Callable[[Any, Means], Authority] = in_a_file
    faults: Callable[[Any], Iterable[Fault]] = no_faults
