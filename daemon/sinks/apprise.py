"""Apprise: the verdict as a short text to any of its services (chat, mail, paging), where the extra ``notify`` is installed.

The library is imported when a channel is opened, and waits in a thread of its own. Its addresses hold secrets: they are read from a
file, and none of what it says of them is told. It has no id by which a second message could be known: told twice is seen twice.
"""

import importlib.util
import logging
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Final, Self

from msgspec import Meta

from config import files
from config.settings import FileName
from daemon.aio.threads import OwnThread
from daemon.errors import InvalidInput, Unavailable
from daemon.model import Action, Outcome
from daemon.ports.notices import News, PersonWanted, Sequel
from daemon.sinks.channel import ChannelSettings, Sequels
from daemon.sinks.wording import worded

if TYPE_CHECKING:
    from apprise import Apprise, NotifyType

ATTEMPT_SECONDS: Final = 60.0
_FILE_BYTES = 64 * 1024
_MOST_ADDRESSES = 32
_LIMITS = "cto=5&rto=10"
"""What it waits for a connection and for an answer, in seconds, as parameters of its addresses."""


class AppriseSettings(ChannelSettings, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="apprise", tag_field="kind"):
    """A short text to what Apprise knows: Slack, Teams, PagerDuty, mail and more. Needs `pip install verdictd[notify]`."""

    urls_file: Annotated[FileName, Meta(description="A file with Apprise's addresses, one a line; they hold secrets.")]
    sequels: Sequels = True

    def wants_sequel(self, sequel: Sequel) -> bool:
        """See ``ChannelSettings.wants_sequel``. Each is one more message: only what changes what people should think, and once."""
        return self.sequels and sequel.kind != "traffic_left" and sequel.times == 1


class AppriseTeller(AbstractAsyncContextManager["AppriseTeller"]):
    """Implements ``Teller``.

    Raises:
        InvalidInput: Apprise is not installed.
    """

    def __init__(self, *, name: str, settings: AppriseSettings, public_url: str) -> None:
        if importlib.util.find_spec("apprise") is None:
            raise InvalidInput("is of a kind that needs Apprise", path=f"sinks.{name}", fix="pip install verdictd[notify]")
        # It logs addresses with what was answered; what fails is told here, without either.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        self._settings = settings
        self._public_url = public_url
        self._thread = OwnThread(f"apprise of the sink {name}")

    async def __aenter__(self) -> Self:
        """Nothing is to be done."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing is to be done: what has begun goes on in its thread, and nobody waits for it."""

    @property
    def attempt_seconds(self) -> float:
        """See ``Teller.attempt_seconds``."""
        return ATTEMPT_SECONDS

    async def tell(self, notice: News) -> None:
        """See ``Teller.tell``. Told is what every address has taken."""
        await self._thread.run(self._tell, notice)

    def _tell(self, notice: News) -> None:
        from apprise import NotifyFormat

        words = worded(notice, public_url=self._public_url)
        told = self._addressed().notify(
            title=words.title, body=words.text, notify_type=_kind(notice), body_format=NotifyFormat.TEXT
        )
        if not told:
            raise Unavailable(f"Apprise did not reach all that {self._settings.urls_file} names")

    def _addressed(self) -> "Apprise":
        """Who is told, as the file says now. Raises ``Unavailable``: whoever writes it may be about to mend it."""
        from apprise import Apprise

        file = self._settings.urls_file
        try:
            text = files.read_text(Path(file), limit_bytes=_FILE_BYTES)
        except files.Unreadable as error:
            raise Unavailable(f"{file} {error.message}") from error
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        if not 1 <= len(lines) <= _MOST_ADDRESSES:
            raise Unavailable(f"{file} names {len(lines)} addresses; name 1 to {_MOST_ADDRESSES}")
        found = Apprise()
        for number, line in enumerate(lines, start=1):
            if not found.add(f"{line}{'&' if '?' in line else '?'}{_LIMITS}"):
                raise Unavailable(f"address {number} in {file} is none that Apprise knows")
        return found


def _kind(notice: News) -> "NotifyType":
    from apprise import NotifyType

    if isinstance(notice, PersonWanted):
        return NotifyType.INFO
    if isinstance(notice, Sequel):
        return NotifyType.FAILURE if notice.kind == "revert_given_up" else NotifyType.WARNING
    verdict = notice.verdict
    if verdict.action in {Action.BLOCKED, Action.FAILED}:
        return NotifyType.FAILURE
    return NotifyType.SUCCESS if verdict.outcome is Outcome.PROMOTE else NotifyType.WARNING
