"""``verdictd wait``: one verdict, whatever happens to the daemon meanwhile.

The daemon keeps its releases over a restart, so a connection that is refused, and a release that is not known for a moment
(it is being read back), are waited through for ``--patience`` seconds. The verdict is asked for by long polls.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from daemon.cli import rendering
from daemon.cli.client import Client, client
from daemon.cli.exits import Exit, of_outcome
from daemon.cli.rendering import ProgressLine
from daemon.errors import InvalidInput, NotFound, TransientError
from daemon.model import ReleaseView, Verdict

_POLL_SECONDS = 25.0
_LIVE_POLL_SECONDS = 1.0
_UNSEEN_SECONDS = 5.0
_PAUSE_FIRST_SECONDS = 0.2
_PAUSE_CAP_SECONDS = 5.0


def run(options: argparse.Namespace) -> Exit:
    """The command."""
    api = client(options.server, token_file=options.token_file)
    return wait(api, options.id, timeout=options.timeout, patience=options.patience, json=options.json)


def wait(api: Client, release_id: str, *, timeout: float, patience: float, json: bool) -> Exit:
    """Wait, show, and say the outcome as an exit code. Raises what ``Wait.run`` raises."""
    line = ProgressLine()
    try:
        verdict = Wait(api, release_id, timeout=timeout, patience=patience, line=line).run()
    finally:
        line.end()
    if verdict is None:
        print(f"verdictd: no verdict on {release_id} within {timeout:g} s", file=sys.stderr)
        return Exit.TIMEOUT
    print(rendering.as_json(verdict) if json else "\n".join(rendering.verdict_lines(verdict)))
    return of_outcome(verdict.outcome)


@dataclass(kw_only=True)
class _Contact:
    """When the daemon was heard last, and whether it ever knew the release."""

    heard_at: float
    seen: bool = False
    pause: float = _PAUSE_FIRST_SECONDS


class Wait:
    """One waiting, with a clock that a test can own."""

    def __init__(
        self,
        api: Client,
        release_id: str,
        *,
        timeout: float,
        patience: float,
        line: ProgressLine,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._api = api
        self._release_id = release_id
        self._patience = patience
        self._line = line
        self._monotonic = monotonic
        self._sleep = sleep
        self._end = monotonic() + timeout
        self._poll_seconds = _LIVE_POLL_SECONDS if line.live else _POLL_SECONDS
        self._contact = _Contact(heard_at=monotonic())

    def run(self) -> Verdict | None:
        """The verdict; null when the time is over.

        Raises:
            NotFound: the daemon does not know the release.
            TransientError: the daemon did not answer for too long.
        """
        while True:
            answer = self._ask(max(0.0, self._end - self._monotonic()))
            if isinstance(answer, Verdict):
                return answer
            if isinstance(answer, ReleaseView):
                self._line.show(rendering.progress(answer), stage=answer.stage)
            if self._monotonic() >= self._end:
                return None

    def _ask(self, left: float) -> Verdict | ReleaseView | None:
        try:
            answer = self._api.verdict(self._release_id, wait_seconds=min(left, self._poll_seconds))
        except InvalidInput as error:
            # The daemon's longest poll may be shorter than ours.
            if error.path != "?wait" or self._poll_seconds < _LIVE_POLL_SECONDS:
                raise
            self._poll_seconds /= 2
            return None
        except (TransientError, NotFound) as error:
            self._endure(error, left)
            return None
        self._contact = _Contact(heard_at=self._monotonic(), seen=True)
        return answer

    def _endure(self, error: TransientError | NotFound, left: float) -> None:
        """Pause and go on, or raise the error when it has lasted too long."""
        unseen = isinstance(error, NotFound) and not self._contact.seen
        patience = min(self._patience, _UNSEEN_SECONDS) if unseen else self._patience
        if self._monotonic() - self._contact.heard_at >= patience or (left <= 0.0 and not self._contact.seen):
            raise error
        self._line.show(rendering.clean(f"{self._release_id}  {error}; trying again"), stage="away")
        self._sleep(min(left, self._contact.pause * (0.5 + random.random())))  # noqa: S311 - jitter, not a secret
        self._contact.pause = min(_PAUSE_CAP_SECONDS, self._contact.pause * 2)
