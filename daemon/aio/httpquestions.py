"""How a question goes out: by POST, which has room for any, or in the address of a GET, where a server takes nothing else.

Monitoring often lies behind somebody who lets only reading through and takes POST for writing: a proxy that asks Kubernetes for
rights, an API server's own proxy, a managed service. Which it is, is learnt from the answer and kept.
"""

import logging
from collections.abc import Mapping
from typing import Literal

from yarl import URL

from daemon.aio.credentials import secret_values
from daemon.errors import Refused

Method = Literal["auto", "post", "get"]
POST_BYTES = 256 * 1024
"""The longest question by POST that anybody should have to read."""
GET_BYTES = 2_400
"""By GET: percent-encoded and with all that stands beside it, it must not be longer than an address may be."""
_ADDRESS_BYTES = 8_000
_REFUSALS = frozenset({403, 405, 501})
_SURE = frozenset({405, 501})
log = logging.getLogger(__name__)


class Questions:
    """The way to ask one server.

    Args:
        method: what the settings say.
        parameters: sent in the address of each question.
        setting: where ``method`` stands in the settings.

    Attributes:
        secrets: what of the parameters must not be told.
    """

    def __init__(self, *, method: Method = "auto", parameters: Mapping[str, str] | None = None, setting: str = "") -> None:
        self._method = method
        self._parameters = dict(parameters or {})
        self._setting = setting
        self._by_get = method == "get"
        values = secret_values(self._parameters)
        # A server that says its address again says it as it was written there.
        self.secrets = (*values, *(URL.build(query={"": value}).raw_query_string[1:] for value in values))

    @property
    def by_get(self) -> bool:
        """Whether the next one is asked by GET."""
        return self._by_get

    @property
    def longest_bytes(self) -> int:
        """How long the next one may be, before it is encoded."""
        return GET_BYTES if self._by_get else POST_BYTES

    def address(self, url: URL, form: Mapping[str, str], *, by_get: bool) -> URL:
        """Where to ask. Raises ``Refused``: it is too long for that."""
        asked = url.update_query({**self._parameters, **form} if by_get else self._parameters)
        length = len(asked.raw_path_qs)
        if by_get and length > _ADDRESS_BYTES:
            fix = f"have POST allowed, and {self._setting} be post"
            raise Refused(f"{url.host}:{url.port} takes no POST, and a question of {length} bytes fits into no address; {fix}")
        return asked

    def may_be_get(self, status: int) -> bool:
        """A POST was answered with this: whether to ask the same by GET. Where it is sure, what follows is asked so too."""
        if self._method != "auto" or status not in _REFUSALS:
            return False
        if status in _SURE:
            self.takes_get(status)
        return True

    def takes_get(self, status: int) -> None:
        """It answers GET, and answered POST with this."""
        if not self._by_get:
            self._by_get = True
            log.info("asked by GET, since POST is refused", extra={"setting": self._setting, "status": status})

    def refuses_get(self) -> None:
        """It does not take GET either: another server may have come in its place, and POST is tried again."""
        self._by_get = self._method == "get"

    def fix(self, status: int, *, by_get: bool) -> str:
        """What to write into the settings, where the method is the reason."""
        if status not in _SURE or self._method == "auto" or not self._setting:
            return ""
        return f"; set {self._setting} to {'post' if by_get else 'get'}, or to auto"
