"""The library's NATS client, made to survive what strangers write around a message.

NATS takes any bytes for a subject and for the headers, the library reads them strictly, and where that fails its reading task
ends: the connection looks alive and nobody is heard any more. The broker would send the same message again after every reconnect.

And it knows the broker's own words ("no messages", "the consumer is gone") by a header that any sender can write. Taken for them,
a message ends the fetch that brought it and all that came with it, and is never seen by whoever counts how often it came. So
what is in a stream, which is known by the address to answer it at, never has that header under that name.

And a right that its user lacks is told beside the request that needs it, which the library then lets wait for an answer in vain.
Here the request fails at once, and says which right.

And what is to be shown or trusted is read from files at each connect, since it may be renewed. A file that cannot be read is an
error that the library knows, so that it goes on trying: by any other its attempts would end without a word.

And a question that meets a stream between two leaders is answered by nobody, though a moment later there is one. What only reads is
asked again while it waits, at the same address: the first answer counts, and one that is slow is not given up for that.
"""

import asyncio
import contextlib
import re
import ssl
import time
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import nats.aio.client
import nats.errors
from nats.js.api import Header
from nats.protocol.parser import ERR_RE

from daemon.errors import VerdictdError

T = TypeVar("T")

# No sender can write it: the library leaves out names with a space.
UNREADABLE = "headers that cannot be read"
_STORED = b"$JS.ACK."
_OWN_WORDS = (Header.STATUS.value, Header.DESCRIPTION.value)
_SHOWN_BYTES = 100
_DENIAL = re.compile(r"permissions violation for (publish|subscription) to \"(.*?)\"", re.IGNORECASE)
# What is denied is tried again sooner than this, by whoever needs it.
DENIED_SECONDS = 15.0
_DENIALS_REMEMBERED = 100


_ONLY_READS = re.compile(r"\$JS\.API\.(STREAM\.(INFO|MSG\.GET)|CONSUMER\.(INFO|LIST)|DIRECT\.GET)\.")
ASK_AGAIN_SECONDS = 0.75


class Denied(nats.errors.Error):
    """NATS lets us in, and does not let us do this.

    Args:
        right: as ``publish to SUBJECT``.
    """

    def __init__(self, right: str) -> None:
        super().__init__(f"NATS does not permit our user to {right}; give it this right")
        self.right = right


def foreseen(read: Callable[[], T]) -> Callable[[], T]:
    """The same, for the library to call: it raises the library's own error."""

    def call() -> T:
        try:
            return read()
        except VerdictdError as error:
            raise nats.errors.Error(str(error)) from error

    return call


class NatsClient(nats.aio.client.Client):
    """A client that reads every message.

    Bytes of a subject that are not UTF-8 are written as ``\\xff``. Headers that cannot be read become one, ``UNREADABLE``, with
    their beginning. ``Status`` and ``Description`` of a message that is in a stream are in lower case.

    ``tls``: by what the next connection is secured, where it is; null: by the system's authorities.
    """

    def __init__(self, *, tls: Callable[[], ssl.SSLContext] | None = None) -> None:
        super().__init__()
        self._tls = tls
        self._asked: weakref.WeakKeyDictionary[asyncio.Future[Any], str] = weakref.WeakKeyDictionary()
        self._denials: dict[str, float] = {}
        self._asking_again: set[asyncio.Task[None]] = set()

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """What the library secures a connection by; it asks for this at each."""
        return super().ssl_context if self._tls is None else foreseen(self._tls)()

    @property
    def denied(self) -> list[str]:
        """The rights that our user has missed in the last seconds, the newest last."""
        since = time.monotonic() - DENIED_SECONDS
        return [right for right, at in self._denials.items() if at >= since]

    async def publish(self, subject: str, payload: bytes = b"", reply: str = "", headers: dict[str, Any] | None = None) -> None:
        """Publish; of a request it is noted what it asks, and what only reads is asked until there is an answer."""
        answer = self._resp_map.get(reply.rpartition(".")[2])
        if answer is not None:
            self._asked[answer] = subject
            if _ONLY_READS.match(subject):
                self._ask_again(answer, lambda: super(NatsClient, self).publish(subject, payload, reply, headers))
        await super().publish(subject, payload, reply, headers)

    def _ask_again(self, answer: asyncio.Future[Any], ask: Callable[[], Awaitable[None]]) -> None:
        """Now and then, until the answer is there, or nobody waits for it any more: the library cancels it then."""

        async def asks() -> None:
            while self.is_connected:
                with contextlib.suppress(nats.errors.Error, OSError):
                    await ask()
                await asyncio.sleep(ASK_AGAIN_SECONDS)

        def begin() -> None:
            task = asyncio.create_task(asks(), name="ask again")
            self._asking_again.add(task)
            task.add_done_callback(self._asking_again.discard)
            answer.add_done_callback(lambda _: task.cancel())

        timer = asyncio.get_running_loop().call_later(ASK_AGAIN_SECONDS, begin)
        answer.add_done_callback(lambda _: timer.cancel())

    async def _process_err(self, err_msg: str) -> None:
        # The library hands it over in lower case; what it was read from is still there.
        line = ERR_RE.match(self._ps.buf)
        denial = _DENIAL.search(err_msg if line is None else line[1].decode("utf-8", "backslashreplace"))
        if denial is not None:
            self._deny(kind=denial[1].lower(), subject=denial[2])
        await super()._process_err(err_msg)

    def _deny(self, *, kind: str, subject: str) -> None:
        error = Denied(f"publish to {subject}" if kind == "publish" else f"subscribe to {subject}")
        self._denials.pop(error.right, None)
        self._denials[error.right] = time.monotonic()
        if len(self._denials) > _DENIALS_REMEMBERED:
            del self._denials[next(iter(self._denials))]
        if kind == "subscription":
            self._resp_sub_prefix = None  # where answers come: asked for anew with the next request
        for answer, asked in list(self._asked.items()):
            if not answer.done() and (asked == subject or kind == "subscription"):
                answer.set_exception(error)

    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        try:
            return await super()._process_headers(headers)
        except (IndexError, ValueError):  # a first line that is none, or not UTF-8
            return {UNREADABLE: (headers or b"")[:_SHOWN_BYTES].decode("ascii", "backslashreplace")}

    def _build_message(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None) -> Any:
        if headers and reply.startswith(_STORED):
            headers = {name.lower() if name in _OWN_WORDS else name: value for name, value in headers.items()}
        return super()._build_message(sid, _readable(subject), _readable(reply), data, headers)


def _readable(name: bytes) -> bytes:
    return bytes(name).decode("utf-8", "backslashreplace").encode()
