"""What each watch of the watcher stands on, as one value: that of routes, of rolling updates, of second Deployments."""

from collections.abc import Callable
from dataclasses import dataclass

from daemon.aio.clock import Clock
from daemon.ports.events import Announcement, DeadLetters
from daemon.questions import Questions
from daemon.watcher.awaited import AwaitedCanaries


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchPorts:
    """It lives as long as the watches that are begun with it.

    Attributes:
        awaited, questions: announcements that wait for their canaries, and where people look for what is asked.
        letters: where those go that are refused.
        random: gives numbers in [0, 1).
        tell: hears of what begins and what is over.
    """

    awaited: AwaitedCanaries
    questions: Questions
    letters: DeadLetters
    clock: Clock
    random: Callable[[], float]
    tell: Callable[[Announcement], None]
