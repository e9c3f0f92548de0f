"""A daemon that kills itself, as kill -9 does, at a named point: ``python -m tests.live.crashing SETTINGS POINT``.

With a third word, ``stops``, it stops itself there once, as SIGSTOP does, until somebody has it go on.

The product has no such hooks: the adapters are wrapped here, from outside, before the composition root builds them.
"""

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final

from daemon import app
from daemon.bus.publisher import CDEvents, Publisher
from daemon.bus.store import KvStore
from daemon.meshes.envoy.router import EnvoyRouter
from daemon.settings import load_settings

# Each point: whose method, whether to die before or after it, and at which call that matters.
POINTS: Final[dict[str, tuple[type, str, str, Callable[..., bool]]]] = {
    "before it is kept": (KvStore, "put", "before", lambda self, key, value, over=None: b'"locating"' in value),
    "when submitted": (KvStore, "put", "after", lambda self, key, value, over=None: b'"locating"' in value),
    "while watching": (
        KvStore,
        "put",
        "after",
        lambda self, key, value, over=None: b'"watching"' in value and b'"ticks":0,' not in value,
    ),
    "in a tick": (
        KvStore,
        "put",
        "before",
        lambda self, key, value, over=None: b'"watching"' in value and b'"ticks":0,' not in value,
    ),
    "before the patch": (EnvoyRouter, "revert", "before", lambda self, release, located="": True),
    "after the patch": (EnvoyRouter, "revert", "after", lambda self, release, located="": True),
    "before publishing": (Publisher, "publish", "before", lambda self, verdict: True),
    "after publishing": (Publisher, "publish", "after", lambda self, verdict: True),
    "before telling a sink": (CDEvents, "publish", "before", lambda self, release, verdict: True),
    "after telling a sink": (CDEvents, "publish", "after", lambda self, release, verdict: True),
    "while guarding": (KvStore, "put", "after", lambda self, key, value, over=None: b'"guarding"' in value),
    "before the record": (KvStore, "put", "before", lambda self, key, value, over=None: b"verdictd.record/1" in value),
    "after the record": (KvStore, "put", "after", lambda self, key, value, over=None: b"verdictd.record/1" in value),
}


def arm(point: str, ends: Callable[[], None]) -> None:
    """Wrap the method of this point, which ends the process, or has it stop."""
    owner, name, moment, matters = POINTS[point]
    method: Callable[..., Awaitable[Any]] = getattr(owner, name)

    @wraps(method)
    async def dying(*args: Any, **kwargs: Any) -> Any:
        now = matters(*args, **kwargs)
        if now and moment == "before":
            ends()
        result = await method(*args, **kwargs)
        if now and moment == "after":
            ends()
        return result

    setattr(owner, name, dying)


def die() -> None:
    """No word to anybody."""
    os.kill(os.getpid(), signal.SIGKILL)


def stop_once() -> Callable[[], None]:
    """Stop where it is called first."""
    stopped: list[bool] = []

    def stop() -> None:
        if not stopped:
            stopped.append(True)
            os.kill(os.getpid(), signal.SIGSTOP)

    return stop


if __name__ == "__main__":
    if len(sys.argv) > 2:
        arm(sys.argv[2], stop_once() if sys.argv[3:] == ["stops"] else die)
    sys.exit(app.run(load_settings(Path(sys.argv[1]))))
