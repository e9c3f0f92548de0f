"""``verdictd wait``: one verdict, whatever happens to the daemon meanwhile.

The daemon keeps its releases over a restart, so a connection that is refused, and a release that is not known for a moment
(it is being read back), are waited through for ``--patience`` seconds. The verdict is asked for by long polls.
"""

import argparse
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from daemon.cli import ending, jobreports, rendering
from daemon.cli.apiclient import ApiClient
from daemon.cli.contact import client
from daemon.cli.exits import Exit, of_verdict
from daemon.cli.jobreports import JobReports
from daemon.cli.rendering import ProgressLine
from daemon.cli.stdio import words_only
from daemon.errors import InvalidInput, NotFound, TransientError
from daemon.model import Verdict
from daemon.releaseview import ReleaseView

# Where nobody looks at a terminal every second poll is a sign of life, and one that is not answered by then is within 30 s too.
_POLL_SECONDS = 8.0
_LIVE_POLL_SECONDS = 1.0
_UNSEEN_SECONDS = 5.0
_BRIEF_SECONDS = 1.0
"""Polls that the daemon allows no longer than so are none: it is asked now and then instead."""
_PAUSE_FIRST_SECONDS = 0.2
_PAUSE_CAP_SECONDS = 5.0


def run(options: argparse.Namespace) -> Exit:
    """The command."""
    reports = jobreports.chosen(options, environ=os.environ)
    return wait(client(options), options.id, options, known=False, reports=reports)


def wait(api: ApiClient, release_id: str, options: argparse.Namespace, *, known: bool, reports: JobReports) -> Exit:
    """Wait, show, and say the outcome as an exit code. Raises what ``Wait.run`` raises."""
    url = api.address(release_id)
    line = ProgressLine()
    waiting = Wait(api, release_id, timeout=options.timeout, patience=options.patience, line=line, known=known)
    try:
        verdict = waiting.run()
    finally:
        line.end()
    view = waiting.view
    if verdict is None:
        with words_only(debug=options.debug):
            why = rendering.no_verdict(release_id, view, seconds=options.timeout, away=waiting.away)
            print(why, file=sys.stderr)
            reports.tell(ending.without_verdict(release_id, view, code=Exit.TIMEOUT, reason=why, url=url))
        return Exit.TIMEOUT
    bare = options.exit == "outcome"
    code = of_verdict(verdict, bare=bare)
    with words_only(debug=options.debug):
        print(rendering.as_json(verdict) if options.json else "\n".join(rendering.verdict_lines(verdict)))
        notices = list(rendering.notices(verdict, bare=bare))
        for notice in notices:
            print(notice, file=sys.stderr)
        reports.tell(ending.of_verdict(verdict, view, code=code, url=url, notices=notices))
    return code


@dataclass(kw_only=True)
class _Contact:
    """When the daemon was heard last, whether it ever knew the release, and what went wrong since."""

    heard_at: float
    seen: bool
    trouble: TransientError | NotFound | None = None
    pause: float = _PAUSE_FIRST_SECONDS


class Wait:
    """One waiting, with a clock that a test can own. ``view`` is the release as it was seen last.

    ``known``: the daemon has just answered that it has the release.
    """

    def __init__(
        self,
        api: ApiClient,
        release_id: str,
        *,
        timeout: float,
        patience: float,
        line: ProgressLine,
        known: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.view: ReleaseView | None = None
        self._api = api
        self._release_id = release_id
        self._patience = patience
        self._line = line
        self._monotonic = monotonic
        self._sleep = sleep
        self._end = monotonic() + timeout
        self._poll_seconds = _LIVE_POLL_SECONDS if line.live else _POLL_SECONDS
        self._contact = _Contact(heard_at=monotonic(), seen=known)

    @property
    def away(self) -> TransientError | NotFound | None:
        """Why the daemon cannot be asked now; null when it answered last time."""
        return self._contact.trouble

    def run(self) -> Verdict | None:
        """The verdict; null when the time is over.

        Raises:
            NotFound: the daemon does not know the release.
            TransientError: the daemon did not answer for too long, or never.
        """
        while True:
            answer = self._ask(max(0.0, self._end - self._monotonic()))
            if isinstance(answer, Verdict):
                return answer
            if isinstance(answer, ReleaseView):
                self.view = answer
                stage = f"{answer.stage}{' person' * (answer.waits_until is not None)}"
                self._line.show(rendering.progress(answer, columns=self._line.columns), stage=stage)
            if self._monotonic() >= self._end:
                if self._contact.trouble is not None and not self._contact.seen:
                    raise self._contact.trouble
                return None

    def _ask(self, left: float) -> Verdict | ReleaseView | None:
        # The first question is answered at once: whoever waits sees that there is something to wait for.
        seconds = 0.0 if self.view is None else min(left, self._poll_seconds)
        if self.view is not None and not self._poll_seconds:
            self._sleep(min(left, _BRIEF_SECONDS * (0.5 + random.random())))  # noqa: S311 - jitter, not a secret
        try:
            answer = self._api.verdict(self._release_id, wait_seconds=seconds)
        except InvalidInput as error:
            # The daemon's longest poll may be shorter than ours.
            if error.path != "?wait" or not self._poll_seconds:
                raise
            shorter = self._poll_seconds / 2
            self._poll_seconds = shorter if shorter >= _BRIEF_SECONDS else 0.0
            return None
        except (TransientError, NotFound) as error:
            self._endure(error, left)
            return None
        self._contact = _Contact(heard_at=self._monotonic(), seen=True)
        return answer

    def _endure(self, error: TransientError | NotFound, left: float) -> None:
        """Pause and go on, or raise the error when it has lasted too long."""
        self._contact.trouble = error
        unseen = isinstance(error, NotFound) and not self._contact.seen
        patience = min(self._patience, _UNSEEN_SECONDS) if unseen else self._patience
        if self._monotonic() - self._contact.heard_at >= patience:
            raise error
        self._line.show(rendering.clean(f"{self._release_id}  {error}; trying again"), stage="away")
        self._sleep(min(left, self._contact.pause * (0.5 + random.random())))  # noqa: S311 - jitter, not a secret
        self._contact.pause = min(_PAUSE_CAP_SECONDS, self._contact.pause * 2)
