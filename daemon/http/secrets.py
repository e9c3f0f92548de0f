"""What those who may ask share with us, in files of a Secret: read anew while we run, so that one can be changed at any time.

Every file's secret is right, which makes a change without a gap possible: add the new one, tell the other side, remove the old one.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config import files
from config.errors import ConfigError, Fault
from daemon.aio.threads import OwnThread
from daemon.errors import Unavailable

log = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 5.0
MIN_SECRET_CHARACTERS: Final = 16
_MAX_BYTES = 64 * 1024
_COPY: Final = "copy it from the other side's settings"

Check = Callable[[bytes], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The secrets that could be read, by where their files are named; ``unread`` says why others could not."""

    named: Mapping[str, bytes]
    unread: tuple[Fault, ...] = ()

    @property
    def values(self) -> tuple[bytes, ...]:
        """All of them."""
        return tuple(self.named.values())

    def check_all_read(self) -> None:
        """For what was shown and is none of them. Raises ``Unavailable`` where it may be one that could not be read."""
        if self.unread:
            raise Unavailable("what was shown is none of the secrets that can be read now; the log says which cannot")


class Secrets:
    """The secrets of one hook or gate, or the tokens of all callers.

    Args:
        paths: the files, by where each is named in the settings.
        setting: where they all are.
        check: what is wrong with a secret by its sender's rules; null when nothing is.
        fix: how what is wrong by these is mended.
        now: seconds, on a clock that is never set.
    """

    def __init__(
        self,
        paths: Mapping[str, str],
        *,
        setting: str,
        check: Check = lambda _: None,
        fix: str = _COPY,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._paths = paths
        self._setting = setting
        self._check = check
        self._fix = fix
        self._now = now
        self._reading = OwnThread("secrets")
        self._known: Known | None = None
        self._read_at = 0.0

    def read(self) -> Known:
        """All of them, as they are now. For the start: waits for the files. Raises ``ConfigError`` for what cannot be used."""
        known = self._read()
        if known.unread:
            raise ConfigError(known.unread, source="settings")
        return known

    async def now(self) -> Known:
        """What was read within the last ``REFRESH_SECONDS``. Raises ``Unavailable`` when there is no secret any more."""
        if self._known is None or self._now() - self._read_at >= REFRESH_SECONDS:
            asked_at = self._now()
            known = await self._reading.run(self._read)
            if known.unread and (self._known is None or known.unread != self._known.unread):
                log.error("secrets cannot be used", extra={"setting": self._setting, "reason": " | ".join(map(str, known.unread))})
            self._known, self._read_at = known, asked_at
        if not self._known.values:
            raise Unavailable(f"no secret of {self._setting} can be read now; the log has the reason")
        return self._known

    def _read(self) -> Known:
        named: dict[str, bytes] = {}
        unread = []
        for setting, path in self._paths.items():
            found = _secret(path, check=self._check, fix=self._fix, setting=setting)
            if isinstance(found, Fault):
                unread.append(found)
            else:
                named[setting] = found
        return Known(named=named, unread=tuple(unread))


def numbered(paths: Sequence[str], *, setting: str) -> dict[str, str]:
    """The files of a list, by where each is named."""
    return {f"{setting}[{index}]": path for index, path in enumerate(paths)}


def read_all(every: Iterable[Secrets | None]) -> None:
    """Whether all of these are there, for the start; null for whoever has none. Raises ``ConfigError`` with each that is not."""
    faults: list[Fault] = []
    for one in every:
        try:
            if one is not None:
                one.read()
        except ConfigError as error:
            faults += error.faults
    if faults:
        raise ConfigError(faults, source="settings")


def _secret(path: str, *, check: Check, fix: str, setting: str) -> bytes | Fault:
    try:
        secret = files.read_bytes(Path(path), limit_bytes=_MAX_BYTES).strip()
    except files.Unreadable as error:
        return Fault(path=setting, message=f"{path} {error.message}", fix=error.fix)
    if len(secret) < MIN_SECRET_CHARACTERS:
        longer = f"write at least {MIN_SECRET_CHARACTERS} characters into it, for example of openssl rand -hex 32"
        return Fault(path=setting, message=f"{path} holds no usable secret: it is missing or too short", fix=longer)
    if (wrong := check(secret)) is not None:
        return Fault(path=setting, message=f"{path} holds no usable secret: {wrong}", fix=fix)
    return secret
