"""Our certificate, as it is now: loaded anew when its files change, since nobody tells us when a certificate is renewed.

A connection keeps the certificate that it began with. Where new files cannot be used, the old certificate stays in use, and the log
says why: it may still hold for days, and without it nobody could ask anything.
"""

import asyncio
import logging
import ssl
from typing import Final

from config import files
from config.errors import ConfigError, Fault
from config.settings import Tls
from daemon.aio.certificates import Stamp, no_passphrase, reason, stamp
from daemon.aio.threads import OwnThread

log = logging.getLogger(__name__)

LOOKED_AT_SECONDS: Final = 5.0
"""Between two looks at the files."""

_Stamps = tuple[Stamp, ...]


class Certificate:
    """What the API shows; ``context`` is what a new connection is secured by.

    Raises:
        ConfigError: naming ``http.tls``, when the files cannot be used.
    """

    def __init__(self, tls: Tls) -> None:
        self._files = {"certificate_file": tls.certificate_file, "key_file": tls.key_file}
        self._reading = OwnThread("http.tls")
        self._tried: _Stamps = ()
        self._refused: Fault | None = None
        self.context = self._read()

    async def renewed(self) -> None:
        """Look at the files until cancelled."""
        while True:
            await asyncio.sleep(LOOKED_AT_SECONDS)
            await self.renew()

    async def renew(self) -> None:
        """Look at the files once."""
        refused_before = self._refused
        self._refused = await self._reading.run(self._read_anew)
        if self._refused is not None and self._refused != refused_before:
            log.error("the new certificate cannot be used, the old one stays", extra={"reason": str(self._refused)})

    def _read_anew(self) -> Fault | None:
        """Why what is there now cannot be used."""
        try:
            if self._stamps() != self._tried or self._refused is not None:
                self.context = self._read()
                log.info("the certificate was loaded anew", extra={"file": self._files["certificate_file"]})
        except ConfigError as error:
            [fault] = error.faults
            return fault
        return None

    def _read(self) -> ssl.SSLContext:
        self._tried = self._stamps()  # before they are read: a change meanwhile is seen next time
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        certificate, key = self._files["certificate_file"], self._files["key_file"]
        try:
            context.load_cert_chain(str(certificate), key, password=no_passphrase)
        except (OSError, ValueError) as error:  # a fault of TLS is an OSError
            raise _unusable("certificate_file", f"{certificate} cannot be used with its key: {reason(error)}") from error
        return context

    def _stamps(self) -> _Stamps:
        return tuple(_stamp(name, file) for name, file in self._files.items() if file is not None)


def _stamp(name: str, file: str) -> Stamp:
    try:
        return stamp(file)
    except (files.Unreadable, OSError) as error:
        raise _unusable(name, f"{file} {error.message if isinstance(error, files.Unreadable) else reason(error)}") from error


def _unusable(name: str, why: str) -> ConfigError:
    fix = "name a PEM certificate with its chain, and its unencrypted key, which may stand in the same file"
    return ConfigError((Fault(path=f"http.tls.{name}", message=why, fix=fix),), source="settings")
