"""Webhooks: the verdict's CloudEvent by POST, to an address of the settings (``webhook``) or of the release (``callback``).

What is sent is signed as https://www.standardwebhooks.com has it, or carries an ``Authorization`` header; its ``webhook-id`` is the
same in every attempt. A callback's address is a stranger's: only hosts that the settings allow are told anything.
"""

from typing import Annotated, Final

from msgspec import Meta

from config import urls
from daemon.errors import InvalidInput
from daemon.events.cloudevents import CloudEvent, to_structured
from daemon.events.verdicts import sequel_event, verdict_event
from daemon.model import Release
from daemon.ports.notices import Notice, Sequel
from daemon.sinks.channel import ChannelKind, HttpChannelSettings, Message, Sequels, Telling
from daemon.standardwebhooks import ID, SCHEME, SIGNATURE, TIMESTAMP, is_signing_secret, signature, signing_key


class WebhookSettings(HttpChannelSettings, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="webhook", tag_field="kind"):
    """A CloudEvent by POST. The secret, where it begins with `whsec_`, signs it; else it is the header `Authorization`."""

    url: Annotated[str, Meta(description="Where to, e.g. http://host/path.", extra={"check": urls.callback_url})]
    sequels: Sequels = True

    def wants_sequel(self, _sequel: Sequel) -> bool:
        """See ``ChannelSettings.wants_sequel``."""
        return self.sequels


Host = Annotated[
    str,
    Meta(
        pattern=r"^(\*\.)?[A-Za-z0-9_-]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$|^\[?[0-9a-fA-F:]+\]?$",
        max_length=255,
        extra={"fix": "write a name, *.example.com for all below it, or an address"},
    ),
]


class CallbackSettings(
    HttpChannelSettings, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="callback", tag_field="kind"
):
    """The same to the release's own `callback`, at hosts that are allowed; to each goes the same secret."""

    hosts: Annotated[
        list[Host], Meta(min_length=1, description="Which hosts may be told: a name, *.example.com for all below it, an address.")
    ]
    sequels: Sequels = False

    def wants_sequel(self, _sequel: Sequel) -> bool:
        """See ``ChannelSettings.wants_sequel``. Most callbacks are of pipelines that wait for one message, and take no other."""
        return self.sequels


def webhook(notice: Notice, telling: Telling) -> Message:
    """To the address of the settings."""
    settings: WebhookSettings = telling.settings
    return _message(verdict_event(notice.verdict), telling, url=settings.url)


def webhook_sequel(notice: Sequel, telling: Telling) -> Message:
    """The same of what came after."""
    settings: WebhookSettings = telling.settings
    return _message(sequel_event(notice), telling, url=settings.url)


def callback(notice: Notice, telling: Telling) -> Message:
    """To the address of the release. Raises ``InvalidInput`` where it cannot be used, or its host is not allowed."""
    return _message(verdict_event(notice.verdict), telling, url=_called_back(notice.release, telling))


def callback_sequel(notice: Sequel, telling: Telling) -> Message:
    """The same of what came after."""
    return _message(sequel_event(notice), telling, url=_called_back(notice.release, telling))


def _called_back(release: Release, telling: Telling) -> str:
    settings: CallbackSettings = telling.settings
    try:
        url = urls.callback_url(release.callback or "")
    except urls.Unusable as error:
        raise InvalidInput(error.message, path="release.callback", fix=error.fix) from error
    host = _plain(url.host or "")
    if not any(_allows(_plain(one), host) for one in settings.hosts):
        raise InvalidInput(f"the host {host[:200]} is not allowed", path="release.callback", fix="name it in the sink's hosts")
    return str(url)


def _allows(allowed: str, host: str) -> bool:
    return host.endswith(allowed[1:]) and host != allowed[2:] if allowed.startswith("*.") else host == allowed


def _plain(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()


def _message(event: CloudEvent, telling: Telling, *, url: str) -> Message:
    headers, body = to_structured(event)
    headers[ID] = event.id
    if is_signing_secret(telling.secret.encode()):
        headers |= _signed(event.id, body, secret=telling.secret, now=telling.now)
    elif telling.secret:
        headers["Authorization"] = telling.secret
    return Message(url=url, body=body, headers=headers)


def _signed(message_id: str, body: bytes, *, secret: str, now: float) -> dict[str, str]:
    """Time and signature, https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md."""
    try:
        key = signing_key(secret.encode())
    except ValueError as error:
        fix = "write whsec_ and the Base64 of 24 to 64 bytes"
        raise InvalidInput(f"is no signing secret: {error}", path="secret_file", fix=fix) from error
    timestamp = str(int(now))
    signed = signature(key, message_id=message_id, timestamp=timestamp, body=body)
    return {TIMESTAMP: timestamp, SIGNATURE: f"{SCHEME}{signed.decode()}"}


def _has_callback(_settings: CallbackSettings, notice: Notice) -> bool:
    return notice.release.callback is not None


def _hosts(settings: CallbackSettings) -> tuple[str, ...]:
    return tuple(_plain(one) for one in settings.hosts)


WEBHOOK: Final = ChannelKind(name="webhook", settings=WebhookSettings, message=webhook, follows=webhook_sequel)
CALLBACK: Final = ChannelKind(
    name="callback",
    settings=CallbackSettings,
    message=callback,
    concerns=_has_callback,
    hosts=_hosts,
    follows=callback_sequel,
)
