"""What a pipeline is told, so that it can put right what stands in Git: names and words that mean nothing to a shell.

These values become inputs of workflows and variables of jobs, where scripts paste them. So only what consists of harmless letters
is given, and no sentence: whoever wants the reason asks for it by the release's id.
"""

import re

from daemon.ports.notices import Notice
from daemon.sinks.wording import link

_HARMLESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+=%,-]{0,511}")


def harmless(text: str | None) -> str:
    """The text, where no shell, no expression and no variable reads anything else in it; else nothing."""
    return text if text is not None and _HARMLESS.fullmatch(text) is not None else ""


def told(notice: Notice, *, public_url: str) -> dict[str, str]:
    """Names and words of a verdict. One that is empty is not known, or is no harmless one."""
    release, verdict = notice.release, notice.verdict
    values = {
        "id": verdict.release_id,
        "outcome": verdict.outcome,
        "action": verdict.action,
        "meaning": verdict.meaning,
        "service": verdict.service,
        "namespace": verdict.namespace,
        "cluster": verdict.cluster,
        "artifact": release.artifact,
        "revision": release.revision,
        "link": link(verdict, public_url=public_url),
        **({} if verdict.after is None else {"after": verdict.after}),
    }
    return {name: harmless(value) for name, value in values.items()}
