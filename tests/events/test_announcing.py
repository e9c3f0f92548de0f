"""From messages to releases: four envelopes, one release; and every way to be refused."""

import base64
import json
from typing import Any

import pytest

from daemon.errors import InvalidEvent
from daemon.events.announcing import RELEASE_TYPE, Announced, origin, read_release
from daemon.model import ArmSpec, Release

RELEASE: dict[str, Any] = {
    "service": "web",
    "namespace": "shop",
    "cluster": "prod-eu",
    "baseline": {"subset": "v1"},
    "canary": {"subset": "v2"},
    "weight": 10.0,
    "artifact": "pkg:oci/web@sha256%3A0b31",
}
EXPECTED = Release(
    service="web",
    namespace="shop",
    cluster="prod-eu",
    baseline=ArmSpec(subset="v1"),
    canary=ArmSpec(subset="v2"),
    weight=10.0,
    artifact="pkg:oci/web@sha256%3A0b31",
)
DEPLOYED = "dev.cdevents.service.deployed.0.3.0"
CUSTOM = {"verdictd": {"baseline": {"subset": "v1"}, "canary": {"subset": "v2"}, "weight": 10.0}}


def cdevent(*, event_type: str = DEPLOYED, subject: str = "shop/web", custom: Any = CUSTOM, **changes: Any) -> dict[str, Any]:
    return {
        "context": {
            "specversion": "0.5.1",
            "id": "7",
            "source": "/ci",
            "type": event_type,
            "timestamp": "2026-08-22T14:27:05.315Z",
            "chainId": "4c8cb7dd",
        },
        "subject": {
            "id": subject,
            "source": "/clusters/prod-eu",
            "content": {"environment": {"id": "prod-eu"}, "artifactId": "pkg:oci/web@sha256%3A0b31"},
        },
        "customData": custom,
        "customDataContentType": "application/json",
        **changes,
    }


def cloudevent(data: Any, *, event_type: str = RELEASE_TYPE, **changes: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "7", "source": "/ci", "type": event_type, "data": data, **changes}


def read(document: Any, headers: dict[str, str] | None = None) -> Announced:
    return read_release(headers or {}, json.dumps(document).encode())


def test_a_bare_release_is_a_release_whose_origin_only_the_transport_knows() -> None:
    assert read(RELEASE) == Announced(release=EXPECTED, origin=None)


@pytest.mark.parametrize(
    "document",
    [
        cloudevent(RELEASE),
        cloudevent(cdevent(), event_type=DEPLOYED),
        cdevent(),
        cdevent(event_type="dev.cdevents.service.upgraded.0.2.0"),
        cdevent(event_type="dev.cdevents.service.deployed.0.4.0-draft"),
        cdevent(custom=base64.b64encode(json.dumps(CUSTOM).encode()).decode()),
        cdevent(subject="web", custom={"verdictd": {**CUSTOM["verdictd"], "namespace": "shop"}}),
    ],
)
def test_every_envelope_gives_the_same_release_and_origin(document: dict[str, Any]) -> None:
    assert read(document) == Announced(release=EXPECTED, origin=origin("/ci", "7"))


def test_a_binary_cloudevent_may_carry_a_release_or_a_cdevent() -> None:
    attributes = {"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/ci"}
    expected = Announced(release=EXPECTED, origin=origin("/ci", "7"))
    assert read(RELEASE, {**attributes, "ce-type": RELEASE_TYPE}) == expected
    assert read(cdevent(), {**attributes, "ce-type": DEPLOYED}) == expected


def test_custom_data_goes_before_the_event_s_own_words() -> None:
    custom = {"verdictd": {**CUSTOM["verdictd"], "service": "api", "cluster": None, "artifact": "x"}}
    release = read(cdevent(custom=custom)).release
    assert (release.service, release.cluster, release.artifact) == ("api", None, "x")


def test_origins_of_different_events_differ() -> None:
    assert len({origin("/a", "b"), origin("/a\nb", ""), origin("/ab", ""), origin("/a", "b\n")}) == 4


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], r"\$: Expected `object`"),
        ({**RELEASE, "canary": {"subset": 5}}, r"\$\.canary\.subset: Expected `str"),
        ({**RELEASE, "colour": "blue"}, r"\$: Object contains unknown field `colour`"),
        ({**RELEASE, "canary": {"subset": "v1"}}, r"\$\.canary: baseline and canary are the same"),
        ({**RELEASE, "strategy": "mirror"}, r"\$\.strategy: strategy 'mirror' is not built yet"),
        (cloudevent({**RELEASE, "strategy": "header"}), r"\$\.data\.strategy: strategy 'header' is not built yet"),
        ({**RELEASE, "service": 'web"} or vector(1)'}, r"\$\.service: .* is not a usable name"),
        (cloudevent({**RELEASE, "weight": 101}), r"\$\.data\.weight: Expected"),
        (cloudevent({**RELEASE, "namespace": "a.b"}), r"\$\.data\.namespace: 'a\.b' is not a usable name"),
        (cloudevent("text"), r"\$\.data: Expected `object`"),
        (cloudevent(None), r"\$\.data: not JSON"),
        (cloudevent({}, event_type="io.verdictd.release.v2"), r"\$\.type: the type 'io\.verdictd\.release\.v2' is not known here"),
        (cloudevent({}, event_type="io.verdictd.verdict.v1"), r"\$\.type: .*not known"),
        (cloudevent(cdevent(), event_type="dev.cdevents.service.removed.0.3.0"), r"\$\.type: .*not known"),
        (cloudevent(cdevent(), event_type=DEPLOYED, id="8"), r"\$\.data\.context\.id: '7' is not what the envelope says"),
        (cloudevent(cdevent(), event_type=DEPLOYED, source="/x"), r"\$\.data\.context\.source: "),
        (
            cloudevent(cdevent(), event_type="dev.cdevents.service.upgraded.0.3.0"),
            r"\$\.data\.context\.type: .* is not what the envelope says",
        ),
        (cloudevent([], event_type=DEPLOYED), r"\$\.data: Expected `object`"),
        (cloudevent(None, event_type=DEPLOYED), r"\$\.data: not JSON"),
        (cdevent(event_type="dev.cdevents.service.removed.0.3.0"), r"\$\.context\.type: .* announces no release"),
        (cdevent(event_type="dev.cdevents.service.deployed.1.0.0"), r"\$\.context\.type: .* announces no release"),
        ({**cdevent(), "subject": {**cdevent()["subject"], "id": 5}}, r"\$\.subject\.id: Expected `str`"),
        (cdevent(subject="a/b/web"), r"\$\.customData\.verdictd\.namespace: 'a/b' is not a usable name"),
        (cdevent(custom={}), r"\$\.customData\.verdictd: the event does not say which versions to compare; give an object"),
        (cdevent(custom=None), r"\$\.customData\.verdictd: the event does not say"),
        (cdevent(custom={"verdictd": 5}), r"\$\.customData\.verdictd: the event does not say"),
        (cdevent(custom="%%%"), r"\$\.customData: neither an object nor Base64"),
        (cdevent(custom=base64.b64encode(b"{").decode()), r"\$\.customData: neither an object nor Base64"),
        (
            cdevent(custom={"verdictd": {"baseline": {"subset": "v1"}}}),
            r"\$\.customData\.verdictd: .*missing required field `canary`",
        ),
        ({**cdevent(), "subject": {"id": "web"}}, r"\$\.subject: .*missing required field `content`"),
    ],
)
def test_what_cannot_be_understood_says_where_and_why(document: Any, message: str) -> None:
    with pytest.raises(InvalidEvent, match=message):
        read(document)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"NaN", b'{"service":'])
def test_what_is_no_json_is_refused_as_such(body: bytes) -> None:
    with pytest.raises(InvalidEvent, match=r"\$: not JSON.*; send the release as one JSON object"):
        read_release({}, body)
    headers = {"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/ci", "ce-type": RELEASE_TYPE}
    with pytest.raises(InvalidEvent, match=r"\$\.data: not JSON"):
        read_release(headers, body)
