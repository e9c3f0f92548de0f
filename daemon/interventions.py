"""What people and pipelines say of releases, what they are asked, and the account of what was said and done.

It may come over HTTP, the broker or a route's annotation: one struct each, so that all ways in mean the same.
"""

from typing import Literal

import msgspec

from daemon.model import Text
from daemon.placement import Undo


class Said(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who (a person or a pipeline) says something about a running release, and why."""

    by: Text = "unknown"
    reason: Text = ""


class Command(Said, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's (or pipeline's) word about a running release."""

    command: Literal["rollback", "promote", "cancel"]


class Freeze(msgspec.Struct, frozen=True, kw_only=True):
    """For a while nothing is taken back.

    Attributes:
        namespace: where; null: everywhere.
        by, reason: who has said so, and why.
        since: in seconds since 1970.
        until: likewise; null: until it is thawed.
    """

    namespace: str | None = None
    by: Text = "unknown"
    reason: Text = ""
    since: float
    until: float | None = None


AuditResult = Literal["accepted", "done", "failed", "blocked", "again", "ended"]


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that was said or done, for whoever has to account for it.

    Attributes:
        id: the same however often it is told.
        what: ``rollback``, ``promote``, ``cancel``, ``freeze`` and ``thaw`` are a person's words; ``revert`` is traffic that was to
            be taken back, ``guard`` the end of the time in which others undid that.
        result: of a word ``accepted``; of a revert ``done``, ``failed``, ``blocked``, or ``again``: somebody had undone it.
        by: the person's or caller's name, ``judge``, ``deadline``, or ``guard``.
        at: in seconds since 1970.
        reason: in a sentence; of what was done again, who had undone it, as far as that is known.
        namespace, service, release_id: empty where it is about all.
        owner: who writes the release's routes by itself; empty where nobody is known to.
        until: of a freeze, when it ends; null: when it is thawed.
        changes: of a revert each value as it was before the first and is since the last; of a failed one also what may be written.
    """

    id: str
    what: str
    result: AuditResult
    by: str
    at: float
    cluster: str
    reason: str = ""
    namespace: str = ""
    service: str = ""
    release_id: str = ""
    owner: str = ""
    until: float | None = None
    changes: tuple[Undo, ...] = ()
    format: Literal["verdictd.audit/1"] = "verdictd.audit/1"


class OpenQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody must say or mend before a release can be watched as it is meant.

    Attributes:
        id: the same for the same question, however often it is asked.
        about: of what it is asked, for people: ``VirtualService shop/web``, or who announced which service.
        namespace: where that is.
        question: what is asked.
        answer: how to answer it.
        annotations: of the object, any of which answers; none: no annotation does.
        fields: of an announcement of the release, which together answer; none: no announcement does.
        since: in seconds since 1970.
    """

    id: str
    about: str
    namespace: str
    question: str
    answer: str
    annotations: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    since: float
