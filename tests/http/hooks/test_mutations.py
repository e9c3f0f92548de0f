"""Whatever a sender sends is read or refused by its room: nothing else comes out, and our readers find in it what is kept."""

import json

import pytest

from config.hooksenders import HookSender
from daemon.errors import InvalidEvent
from daemon.events.announcing import read_release
from daemon.http.hooks.events import BATCH
from daemon.http.hooks.senders import SENDERS
from daemon.http.hooks.understanding import Received
from tests.events.mutating import EVENTS, mutated
from tests.http.hooks.test_senders import FILLED, GITHUB, GITHUB_STATUS, GITLAB, NAMED, OURS, STRAIGHT, applied, deployment, status

Message = tuple[dict[str, str], bytes]

COUNT = 1_000


def message(document: object, headers: dict[str, str] | None = None) -> Message:
    return headers or {}, json.dumps(document).encode()


MESSAGES: dict[str, tuple[Message, ...]] = {
    "cloudevents": (*EVENTS, message([json.loads(EVENTS[0][1])], {"content-type": BATCH})),
    "github": (message(deployment(), GITHUB), message(status("success", payload=json.dumps({"verdictd": OURS})), GITHUB_STATUS)),
    "gitlab": (message(FILLED, GITLAB), message({**FILLED, **NAMED, "verdictd": json.dumps(OURS)}, GITLAB)),
    "flux": (message(applied()), message(STRAIGHT)),
    "template": (message({"attempt": "a", "verdictd": OURS}), message({"attempt": "a", "verdictd": json.dumps(OURS)})),
}


@pytest.mark.parametrize("name", SENDERS)
def test_a_thousand_mutated_messages_of_each_sender_are_read_or_refused_with_our_own_errors(name: HookSender) -> None:
    read = refused = 0
    for number in range(COUNT):
        headers, body = mutated(number, MESSAGES[name])
        lowered = {key.lower(): value for key, value in headers.items()}
        try:
            for part in SENDERS[name].parts(Received(hook="ci", headers=lowered, body=body)):
                understood = SENDERS[name].read(part)
                kept = read_release(understood.headers, understood.body)
                assert (kept.release, kept.origin) == (understood.release, understood.origin)
                assert understood.incoming.key
                read += 1
        except InvalidEvent:
            refused += 1
    assert read > COUNT / 20
    assert refused > COUNT / 20


@pytest.mark.parametrize("name", SENDERS)
def test_what_another_sender_sends_is_read_as_a_release_or_refused_with_our_own_errors(name: HookSender) -> None:
    """Whoever names the wrong sender in the settings is told; a CloudEvent or a template that fits is one wherever it comes."""
    told = 0
    for other, messages in MESSAGES.items():
        for headers, body in () if other == name else messages:
            lowered = {key.lower(): value for key, value in headers.items()}
            try:
                for part in SENDERS[name].parts(Received(hook="ci", headers=lowered, body=body)):
                    understood = SENDERS[name].read(part)
                    assert read_release(understood.headers, understood.body).release == understood.release
            except InvalidEvent:
                told += 1
    assert told
