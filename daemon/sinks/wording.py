"""What a verdict is in a few sentences for people, in letters that are markup nowhere.

A reason may quote strangers: names, labels, what somebody gave as a reason for a command. Channels render what they get as HTML,
as Markdown, or as something of their own, and pass it on to others that do. So one rule serves all: what begins a tag, a mention,
a link or a format in any of them is replaced by a letter that looks like it.
"""

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, assert_never

import msgspec

from daemon.model import Action, Outcome, Release, Verdict
from daemon.ports.notices import News, PersonWanted, Sequel, SequelKind

_LOOKALIKES: Final = str.maketrans(
    {
        "<": "‹",
        ">": "›",
        "&": "＆",
        "@": "＠",
        "*": "∗",
        "_": "ˍ",
        "~": "∼",
        "`": "ˋ",
        "[": "⟦",
        "]": "⟧",
        "|": "¦",
        "#": "＃",
        "\\": "＼",
        "$": "＄",
        "{": "❴",
        "}": "❵",
        "!": "ǃ",
    }
)
_ADDRESS = re.compile(r"(?i)(?<=[a-z0-9])(:)(?=//)|(?<=\bwww)(\.)|(?<=\bmailto)(:)")
_CUT = "..."
LONGEST: Final = 2_000
"""Characters of a sentence: more than any reason that was meant to be read has."""
_LONGEST_NAME: Final = 200


class Wording(msgspec.Struct, frozen=True, kw_only=True):
    """A sentence each; ``origin``, ``link`` and ``command`` are empty where there is none."""

    title: str
    reason: str
    traffic: str
    origin: str
    link: str
    command: str

    @property
    def text(self) -> str:
        """All of it, a line each."""
        lines = (self.reason, self.traffic, self.origin, self.link, f"Run: {self.command}")
        return "\n".join(line for line in lines if line)


def neutral(text: str, *, longest: int = LONGEST) -> str:
    """One line of at most so many characters that is markup nowhere, hides nothing and links nowhere."""
    shown = "".join(" " if unicodedata.category(one)[0] in "CZ" else one for one in text[: 4 * longest])
    shown = _ADDRESS.sub(" ", " ".join(shown.split())).translate(_LOOKALIKES)
    shown = " ".join(shown.split())
    return shown if len(shown) <= longest else shown[: longest - len(_CUT)] + _CUT


def worded(notice: News, *, public_url: str) -> Wording:
    """The verdict for people, that one of them is waited for, or what came after it."""
    if isinstance(notice, PersonWanted):
        return _worded_waiting(notice, public_url=public_url)
    if isinstance(notice, Sequel):
        return _worded_sequel(notice, public_url=public_url)
    verdict = notice.verdict
    what = neutral(f"{verdict.service} in {verdict.namespace} ({verdict.cluster})", longest=200)
    return Wording(
        title=f"verdictd: {verdict.outcome}{' after its promotion' if verdict.after is not None else ''}: {what}",
        reason=neutral(verdict.reason),
        traffic=traffic(verdict),
        origin=origin(notice.release),
        link=link(verdict, public_url=public_url),
        command=command(verdict),
    )


def _worded_waiting(notice: PersonWanted, *, public_url: str) -> Wording:
    release = notice.release
    what = neutral(f"{release.service} in {release.namespace} ({notice.cluster})", longest=200)
    return Wording(
        title=f"verdictd: waits for a person: {what}",
        reason=neutral(wanted(notice)),
        traffic="The canary is watched on, and is taken back if it turns bad.",
        origin=origin(release),
        link=link_to(notice.release_id, public_url=public_url),
        command=f"verdictd promote {notice.release_id} --reason TEXT",
    )


def _worded_sequel(notice: Sequel, *, public_url: str) -> Wording:
    verdict = notice.of
    what = neutral(f"{verdict.service} in {verdict.namespace} ({verdict.cluster})", longest=200)
    title, state = _SEQUELS[notice.kind]
    gave_up = notice.kind == "revert_given_up"
    return Wording(
        title=f"verdictd: {title}: {what}",
        reason=neutral(sequel(notice)),
        traffic=state,
        origin=origin(notice.release),
        link=link(verdict, public_url=public_url),
        command=f"verdictd {'revert' if gave_up else 'explain'} {verdict.release_id}",
    )


_SEQUELS: Final[Mapping[SequelKind, tuple[str, str]]] = {
    "traffic_left": ("the traffic has left", "The canary gets no more requests."),
    "reverted_again": ("taken back again", "The canary's traffic was taken back to the baseline again."),
    "reverted_late": ("taken back at last", "The canary's traffic was taken back to the baseline."),
    "revert_given_up": ("not taken back, given up", "THE CANARY STILL GETS TRAFFIC: taking it back is not tried any more."),
}
"""A title, and where the traffic is."""


def sequel(notice: Sequel) -> str:
    """What came after the verdict, in a sentence."""
    match notice.kind:
        case "traffic_left":
            said = "the canary's traffic has left"
        case "reverted_again":
            often = "" if notice.times == 1 else f", {notice.times} times by now"
            said = f"somebody gave the canary traffic again, and it was taken back again{often}"
        case "reverted_late":
            said = "the traffic was taken back at last"
        case "revert_given_up":
            said = "the traffic could not be taken back, and it is not tried any more"
        case _:
            assert_never(notice.kind)
    return f"{said}: {notice.detail}" if notice.detail else said


def wanted(notice: PersonWanted) -> str:
    """That a person is waited for, until when, and what was found, in a sentence."""
    until = datetime.fromtimestamp(notice.until, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"waits for a person until {until}: {notice.reason}"


def traffic(verdict: Verdict) -> str:
    """Where the canary's traffic is, as far as the verdict says."""
    match verdict.action:
        case Action.REVERT:
            return "The canary's traffic was taken back to the baseline."
        case Action.ABORT:
            return "Who owns the routes was told to give the canary up."
        case Action.PROMOTE:
            return "The canary is promoted."
        case Action.BLOCKED | Action.FAILED:
            return (
                f"THE CANARY STILL GETS TRAFFIC: taking it back {'failed' if verdict.action is Action.FAILED else 'was blocked'}."
            )
        case Action.NONE:
            return "The traffic was left as it was."
        case _:
            assert_never(verdict.action)


def origin(release: Release) -> str:
    """Which revision was released, and who initiated that, as far as it is known; empty: it is not."""
    revision, who = (neutral(text or "", longest=_LONGEST_NAME) for text in (release.revision, release.initiated_by))
    if not revision:
        return f"Initiated by {who}." if who else ""
    return f"Revision {revision}, initiated by {who}." if who else f"Revision {revision}."


def says_something(verdict: Verdict) -> bool:
    """Whether a status that the promotion has is another one now: not by a watch after it that came to nothing."""
    return verdict.after is None or verdict.outcome is not Outcome.INCONCLUSIVE


def command(verdict: Verdict) -> str:
    """What to run next."""
    if verdict.outcome is Outcome.ROLLBACK and verdict.action in {Action.BLOCKED, Action.FAILED, Action.NONE}:
        return f"verdictd revert {verdict.release_id}"
    return f"verdictd explain {verdict.release_id}"


def link(verdict: Verdict, *, public_url: str) -> str:
    """Where the release of a verdict is to be read; empty where nobody has said how this daemon is reached."""
    return link_to(verdict.release_id, public_url=public_url)


def link_to(release_id: str, *, public_url: str) -> str:
    """Where a release is to be read, likewise."""
    return f"{public_url.rstrip('/')}/v1/releases/{release_id}" if public_url else ""
