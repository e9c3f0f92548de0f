"""The hooks that the settings name: for each its sender, its secrets, and how many of its requests are read at a time."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from config.settings import Hook
from daemon.http.bounds import Bound
from daemon.http.callers import CALLING, Callers, with_secret_of
from daemon.http.guard import Bearer, Scheme
from daemon.http.hooks.senders import SENDERS, Now, Sender
from daemon.http.secrets import Secrets, numbered, read_all

log = logging.getLogger(__name__)

AT_A_TIME: Final = 32
"""Requests of one hook whose bodies are in memory; more of them wait. So a hook that is flooded holds up no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """A hook at work. ``secrets`` is null where the daemon's own token is asked for."""

    name: str
    sender: Sender
    secrets: Secrets | None
    bound: Bound = field(default_factory=lambda: Bound(AT_A_TIME, what="requests to this hook"))


def configured(hooks: Mapping[str, Hook], *, monotonic: Callable[[], float] = time.monotonic) -> dict[str, Configured]:
    """The hooks by name. Their secrets are read when they are asked for."""
    return {
        name: Configured(name=name, sender=SENDERS[hook.sender], secrets=_secrets(name, hook, monotonic))
        for name, hook in hooks.items()
    }


def read_secrets(hooks: Mapping[str, Hook]) -> None:
    """Whether all secrets are there, for the start. Raises ``ConfigError`` with every one that is not."""
    read_all(_secrets(name, hook, time.monotonic) for name, hook in hooks.items())


def _secrets(name: str, hook: Hook, monotonic: Callable[[], float]) -> Secrets | None:
    if not hook.secret_files:
        return None
    setting = f"hooks.{name}.secret_files"
    return Secrets(numbered(hook.secret_files, setting=setting), setting=setting, check=SENDERS[hook.sender].check, now=monotonic)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfItsSender:
    """A guard: whoever is a hook's sender may send to it; where the hook has no secrets, or is none, whoever has the token."""

    hooks: Mapping[str, Configured]
    now: Now

    @property
    def scheme(self) -> Scheme:
        """What senders show differs; OpenAPI is told one of them."""
        text = "What the hook's sender shows: a token, or the signature of GitHub, Standard Webhooks or Flux; see docs/hooks.md."
        document = {"type": "apiKey", "in": "header", "name": "Authorization", "description": text}
        return Scheme(name="hook", document=document, optional=True)

    async def refusal(self, request: web.Request, *, callers: Callers) -> web.Response | None:
        """401, and nothing is made of the body. Raises ``Unavailable`` while secrets cannot be read that might have been right."""
        hook = self.hooks.get(request.match_info["name"])
        if hook is None or hook.secrets is None:
            return await Bearer(scope="submit").refusal(request, callers=callers)
        known = await hook.secrets.now()
        refusal = await hook.sender.guard(request, known.values, self.now).refusal(request, callers=callers)
        if refusal is None:
            CALLING.set(with_secret_of(f"hook {hook.name}"))
            return None
        known.check_all_read()
        log.warning("a request to a hook was refused", extra={"hook": hook.name, "peer": request.remote})
        return refusal
