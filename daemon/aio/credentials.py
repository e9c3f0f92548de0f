"""Who we are to a server, and whom we take it for: tokens, passwords and certificates in files, which are renewed while we run.

A mounted token lives for an hour, a certificate for a day, and nobody tells us of a new one. So the files are looked at for each
request: what is short is read anew, and certificates are loaded anew where their files have changed.
"""

import base64
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from config import files
from config.errors import Fault
from config.secretnames import SECRET_NAME
from daemon.aio.certificates import Stamp, no_passphrase, reason, stamp
from daemon.aio.threads import OwnThread
from daemon.errors import InvalidInput, Refused, Unavailable, VerdictdError

_SECRET_BYTES = 64 * 1024
_CA_BYTES = 4 * 1024 * 1024


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """Files, and a name. Each may be missing; a token and a name are not given together.

    Attributes:
        token_file: holds a token.
        token_header: the header that a token stands in as it is; null: it is a bearer token.
        username: for basic authentication, with ``password_file``.
        ca_file: PEM bundle to trust in place of the system's.
        client_certificate_file: PEM, what we show; its key stands in ``client_key_file``, or in it too.
        setting: where all of them stand in the settings, for refusals: ``telemetry.prometheus``.
    """

    token_file: str | None = None
    token_header: str | None = None
    username: str | None = None
    password_file: str | None = None
    ca_file: str | None = None
    client_certificate_file: str | None = None
    client_key_file: str | None = None
    setting: str = ""

    @property
    def in_words(self) -> str:
        """What a request is authorised by, or how to have it authorised."""
        if self.token_file is not None:
            return f"it was shown the token in {self.token_file}"
        if self.username is not None:
            return f"it was shown the name {self.username} and the password in {self.password_file}"
        if self.client_certificate_file is not None:
            return f"it was shown the certificate in {self.client_certificate_file}, and no token"
        return f"it was shown none: {self.setting}.token_file, or username and password_file, name some" if self.setting else ""


class Shown(NamedTuple):
    """What one request shows, in which header, and what of it must never be told."""

    authorization: str | None
    tls: ssl.SSLContext | bool
    secrets: tuple[str, ...]
    header: str = "Authorization"

    def named(self, username: str, password: str) -> "Shown":
        """The same with basic authentication, as RFC 7617 has it."""
        packed = base64.b64encode(f"{username}:{password}".encode()).decode()
        return Shown(f"Basic {packed}", self.tls, (*self.secrets, packed, password))


class Identity:
    """Credentials as they are now.

    Raises:
        InvalidInput: certificates cannot be used. Later on, that is ``Unavailable``.
    """

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self._reading = OwnThread("credentials")
        self._stamps: tuple[Stamp, ...] = ()
        self._tls: ssl.SSLContext | bool = True
        if self._certificates:
            self._load()

    @property
    def kept_in_files(self) -> bool:
        """Whether anything is to be read."""
        return any(self._files)

    async def now(self) -> Shown:
        """What the next request shows.

        Raises:
            Unavailable: a file cannot be read, or a certificate not be used.
            Refused: a file holds something else.
        """
        return await self._reading.run(self._read) if self.kept_in_files else Shown(None, self._tls, ())

    def _read(self) -> Shown:
        if self._certificates:
            try:
                self._load()
            except InvalidInput as error:
                raise Unavailable(str(error)) from error
        one = self.credentials
        if one.token_file is not None:
            token = _secret(one.token_file, "token")
            if one.token_header is not None:
                return Shown(token, self._tls, (token,), one.token_header)
            return Shown(f"Bearer {token}", self._tls, (token,))
        if one.username is not None and one.password_file is not None:
            password = _secret(one.password_file, "password")
            return Shown(None, self._tls, ()).named(one.username, password)
        return Shown(None, self._tls, ())

    @property
    def _certificates(self) -> list[tuple[str, str]]:
        one = self.credentials
        named = {name: getattr(one, name) for name in ("ca_file", "client_certificate_file", "client_key_file")}
        return [(name, file) for name, file in named.items() if file is not None]

    @property
    def _files(self) -> Iterator[str | None]:
        yield from (self.credentials.token_file, self.credentials.password_file)
        yield from (file for _, file in self._certificates)

    def _load(self) -> None:
        """Load certificates where their files have changed. Stamped before they are read: a change meanwhile is seen next time."""
        stamps = tuple(self._stamp(name, file) for name, file in self._certificates)
        if stamps != self._stamps:
            self._tls = self._loaded()
            self._stamps = stamps

    def _stamp(self, name: str, file: str) -> Stamp:
        try:
            return stamp(file)
        except (files.Unreadable, OSError) as error:
            raise self._unusable(name, file, error) from error

    def _loaded(self) -> ssl.SSLContext:
        one = self.credentials
        name, file = "ca_file", one.ca_file or ""
        try:
            context = ssl.create_default_context()
            if one.ca_file is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.load_verify_locations(cadata=files.read_text(Path(file), limit_bytes=_CA_BYTES))
            if one.client_certificate_file is not None:
                name, file = "client_certificate_file", one.client_certificate_file
                context.load_cert_chain(file, one.client_key_file, password=no_passphrase)
        except (files.Unreadable, OSError, ValueError) as error:  # a fault of TLS is an OSError
            raise self._unusable(name, file, error) from error
        return context

    def _unusable(self, name: str, file: str, error: Exception) -> InvalidInput:
        match error:
            case files.Unreadable():
                why, fix = f"{file} {error.message}", error.fix
            case ssl.SSLError() if name == "client_certificate_file":
                why, fix = (
                    f"{file} cannot be used with its key: {reason(error)}",
                    "name a PEM certificate, and its unencrypted key",
                )
            case ssl.SSLError():
                why, fix = f"{file} cannot be used: {reason(error)}", "name a readable PEM bundle"
            case _:
                why, fix = f"{file} cannot be used: {error}", "name a readable PEM file"
        return InvalidInput(why, path=f"{self.credentials.setting}.{name}".lstrip("."), fix=fix)


def concealed(text: str, secrets: tuple[str, ...]) -> str:
    """What others say, without what we have shown them: a server may send back what it was asked."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[redacted]")
    return text


def conceal(error: VerdictdError, secrets: tuple[str, ...]) -> None:
    """The same for what a reader of ours has quoted."""
    error.args = tuple(concealed(one, secrets) if isinstance(one, str) else one for one in error.args)
    if isinstance(error, InvalidInput):
        error.faults = tuple(_concealed_fault(fault, secrets) for fault in error.faults)


def _concealed_fault(fault: Fault, secrets: tuple[str, ...]) -> Fault:
    path, message, fix = (concealed(text, secrets) for text in (fault.path, fault.message, fault.fix))
    return msgspec.structs.replace(fault, path=path, message=message, fix=fix)


def secret_values(named: Mapping[str, str]) -> tuple[str, ...]:
    """Of headers or parameters: the values of those that authorise, by their names."""
    values = [value for name, value in named.items() if SECRET_NAME.search(name)]
    # The scheme before it is no secret: Bearer, Basic.
    return (*values, *(value.rpartition(" ")[2] for value in values))


def _secret(file: str, kind: str) -> str:
    try:
        text = files.read_bytes(Path(file), limit_bytes=_SECRET_BYTES).decode().strip()
    except files.Unreadable as error:
        raise Unavailable(f"{file} {error.message}") from error
    except UnicodeDecodeError as error:
        raise _no_secret(file, kind, "holds no text, where") from error
    if not text:
        raise _no_secret(file, kind, "is empty, where")
    if not text.isprintable() or (kind == "token" and not text.isascii()):
        raise Refused(f"{file} holds no {kind} of one line" + (" and ASCII letters" if kind == "token" else ""))
    return text


def _no_secret(file: str, kind: str, words: str) -> VerdictdError:
    return Refused(f"{file} {words} a {kind} should be")
