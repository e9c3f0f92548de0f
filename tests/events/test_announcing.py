"""From messages to releases: four envelopes, one release; and every way to be refused."""

import asyncio
import base64
import json
from typing import Any

import pytest

from daemon.errors import InvalidEvent, NoRelease
from daemon.events.announced import Announced, origin
from daemon.events.announcing import read_release
from daemon.events.releaseform import RELEASE_TYPE
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
        {**cdevent(event_type="dev.cdevents.pipelinerun.finished.0.2.0", custom={"verdictd": RELEASE}), "subject": {"id": "run/7"}},
    ],
)
def test_every_envelope_gives_the_same_release_and_origin(document: dict[str, Any]) -> None:
    announced = read(document)
    assert (announced.release, announced.origin) == (EXPECTED, origin("/ci", "7"))


def test_a_binary_cloudevent_may_carry_a_release_or_a_cdevent() -> None:
    attributes = {"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/ci"}
    for document, event_type in ((RELEASE, RELEASE_TYPE), (cdevent(), DEPLOYED)):
        announced = read(document, {**attributes, "ce-type": event_type})
        assert (announced.release, announced.origin) == (EXPECTED, origin("/ci", "7"))


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (RELEASE, "$.cluster"),
        (cloudevent(RELEASE), "$.data.cluster"),
        (cdevent(), "$.subject.content.environment.id"),
        (cloudevent(cdevent(), event_type=DEPLOYED), "$.data.subject.content.environment.id"),
        (cdevent(custom={"verdictd": {**CUSTOM["verdictd"], "cluster": "lab"}}), "$.customData.verdictd.cluster"),
    ],
)
def test_where_the_cluster_is_said_is_told_with_the_release(document: dict[str, Any], path: str) -> None:
    assert read(document).cluster_path == path


def test_custom_data_goes_before_the_event_s_own_words() -> None:
    custom = {"verdictd": {**CUSTOM["verdictd"], "service": "api", "cluster": None, "artifact": "x"}}
    release = read(cdevent(custom=custom)).release
    assert (release.service, release.cluster, release.artifact) == ("api", None, "x")


def test_origins_of_different_events_differ() -> None:
    assert len({origin("/a", "b"), origin("/a\nb", ""), origin("/ab", ""), origin("/a", "b\n")}) == 4


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], r"\$: \[\] is not a mapping"),
        ({**RELEASE, "canary": {"subset": 5}}, r"\$\.canary\.subset: 5 is not text"),
        ({**RELEASE, "colour": "blue"}, r"\$\.colour: is not a known key"),
        ({**RELEASE, "canary": {"subset": "v1"}}, r"\$\.canary: baseline and canary are the same"),
        (cloudevent({**RELEASE, "strategy": "shadow"}), r"\$\.data\.strategy: \"shadow\" is not one of"),
        ({**RELEASE, "service": 'web"} or vector(1)'}, r"\$\.service: .* is not a usable name"),
        (cloudevent({**RELEASE, "weight": 101}), r"\$\.data\.weight: 101 is out of range"),
        (cloudevent({**RELEASE, "namespace": "a.b"}), r"\$\.data\.namespace: 'a\.b' is not a usable name"),
        (cloudevent("text"), r"\$\.data: \"text\" is not a mapping"),
        (cloudevent(None), r"\$\.data: not JSON"),
        (cloudevent({}, event_type="io.verdictd.release.v2"), r"\$\.type: 'io\.verdictd\.release\.v2' is not known here"),
        (cloudevent({}, event_type="io.verdictd.verdict.v1"), r"\$\.type: .*not known"),
        (cloudevent(cdevent(), event_type="dev.cdevents.service.removed.0.3.0"), r"\$\.type: .*not known"),
        (cloudevent(cdevent(), event_type=DEPLOYED, id="8"), r"\$\.data\.context\.id: '7' is not what the envelope says"),
        (cloudevent(cdevent(), event_type=DEPLOYED, source="/x"), r"\$\.data\.context\.source: "),
        (
            cloudevent(cdevent(), event_type="dev.cdevents.service.upgraded.0.3.0"),
            r"\$\.data\.context\.type: .* is not what the envelope says",
        ),
        (cloudevent([], event_type=DEPLOYED), r"\$\.data: \[\] is not a mapping"),
        (cloudevent(None, event_type=DEPLOYED), r"\$\.data: not JSON"),
        (cdevent(event_type="dev.cdevents.service.removed.0.3.0"), r"\$\.context\.type: .* announces no release"),
        (cdevent(event_type="dev.cdevents.service.deployed.1.0.0"), r"\$\.context\.type: .* announces no release"),
        ({**cdevent(), "subject": {**cdevent()["subject"], "id": 5}}, r"\$\.subject\.id: 5 is not text"),
        (cdevent(subject="a/b/web"), r"\$\.subject\.id: 'a/b' is not a usable name"),
        (cdevent(subject="shop/"), r"\$\.subject\.id: '' is not a usable name"),
        (cdevent(custom={"verdictd": {**CUSTOM["verdictd"], "namespace": "a/b"}}), r"\$\.customData\.verdictd\.namespace: 'a/b'"),
        (
            {**cdevent(), "subject": {"id": "web", "content": {"environment": {"id": ""}}}},
            r"\$\.subject\.content\.environment\.id: '' is not a usable name",
        ),
        (
            {**cdevent(), "subject": {"id": "web", "content": {"environment": {}}}},
            r"\$\.subject\.content\.environment\.id: is missing",
        ),
        ({**cdevent(), "subject": {"id": "web", "content": {}}}, r"\$\.subject\.content\.environment: is missing"),
        (cdevent(custom={}), r"\$\.customData\.verdictd: the event does not say which versions to compare; give an object"),
        (cdevent(custom=None), r"\$\.customData\.verdictd: the event does not say"),
        (cdevent(custom={"verdictd": 5}), r"\$\.customData\.verdictd: the event does not say"),
        (cdevent(custom="%%%"), r"\$\.customData: neither an object nor Base64"),
        (cdevent(custom=base64.b64encode(b"{").decode()), r"\$\.customData: neither an object nor Base64"),
        (
            cdevent(custom={"verdictd": {"baseline": {"subset": "v1"}}}),
            r"\$\.customData\.verdictd\.canary: is missing",
        ),
        ({**cdevent(), "subject": {"id": "web"}}, r"\$\.subject\.content: is missing"),
    ],
)
def test_what_cannot_be_understood_says_where_and_why(document: Any, message: str) -> None:
    with pytest.raises(InvalidEvent, match=message):
        read(document)


@pytest.mark.parametrize(
    "document",
    [
        cloudevent({}, event_type="dev.tekton.event.pipelinerun.successful.v1"),
        cloudevent(cdevent(), event_type="dev.cdevents.service.removed.0.3.0"),
        cdevent(event_type="dev.cdevents.service.rolledback.0.3.0"),
        cdevent(event_type="dev.cdevents.service.deployed.1.0.0"),
        cdevent(event_type="dev.cdevents.taskrun.finished.0.2.0", custom=None),
        cdevent(custom=None),
        cdevent(custom={"theirs": 1}, subject="/namespace/shop/web"),
    ],
)
def test_an_event_that_is_right_and_announces_nothing_is_told_from_one_that_is_wrong(document: Any) -> None:
    with pytest.raises(NoRelease):
        read(document)


@pytest.mark.parametrize(
    "document",
    [
        cloudevent({}, event_type="dev.tekton.event.pipelinerun.successful.v1", id=""),
        cdevent(custom={"verdictd": 5}),
        cdevent(custom={"verdictd": {}}),
        {**cdevent(custom=None), "subject": {"id": "web"}},
        cdevent(event_type="dev.cdevents.pipelinerun.finished.0.2.0"),
        RELEASE | {"canary": 5},
    ],
)
def test_an_event_that_is_wrong_is_wrong_whatever_it_announces(document: Any) -> None:
    with pytest.raises(InvalidEvent) as caught:
        read(document)
    assert not isinstance(caught.value, NoRelease)


FAULTY = {**RELEASE, "service": "we b", "weight": "10%", "colour": "blue", "canary": {"subset": "v/2", "labels": {"a/b/c": "x"}}}


@pytest.mark.parametrize(
    ("document", "inside", "service"),
    [
        (FAULTY, "$", "$.service"),
        (cloudevent(FAULTY), "$.data", "$.data.service"),
        (cdevent(custom={"verdictd": FAULTY}), "$.customData.verdictd", "$.customData.verdictd.service"),
        (
            cdevent(subject="shop/we b", custom={"verdictd": {key: FAULTY[key] for key in FAULTY if key != "service"}}),
            "$.customData.verdictd",
            "$.subject.id",
        ),
    ],
)
def test_all_faults_of_a_release_are_told_at_once_in_every_envelope(document: dict[str, Any], inside: str, service: str) -> None:
    with pytest.raises(InvalidEvent) as caught:
        read(document)
    expected = {f"{inside}.{path}" for path in ("weight", "colour", "canary.subset", "canary.labels")} | {service}
    assert {fault.path for fault in caught.value.faults} == expected
    assert all(f"{path}: " in str(caught.value) for path in expected)


def places(document: Any, headers: dict[str, str] | None = None) -> list[str]:
    """Where the faults are, in their order. Each says how to mend it."""
    with pytest.raises(InvalidEvent) as caught:
        read(document, headers)
    assert all(fault.message and fault.fix for fault in caught.value.faults)
    return [fault.path for fault in caught.value.faults]


def test_faults_of_an_envelope_and_of_the_release_in_it_are_told_in_one_answer() -> None:
    event = cloudevent(FAULTY, id="", time="yesterday", specversion="0.3", Colour="blue", traceparent=["x"])
    inside = ["weight", "colour", "service", "canary.subset", "canary.labels"]
    assert places(event) == [
        *("$.traceparent", "$.Colour", "$.id", "$.specversion", "$.time"),
        *(f"$.data.{place}" for place in inside),
    ]
    headers = {"ce-specversion": "0.3", "ce-source": "/%FF", "ce-type": RELEASE_TYPE, "ce-Time": "yesterday", "ce-a_b": "x"}
    assert places(FAULTY, headers) == [
        *("headers.ce-source", "headers.ce-a_b", "headers.ce-id", "headers.ce-specversion", "headers.ce-time"),
        *(f"$.data.{place}" for place in inside),
    ]


def test_faults_of_a_cdevent_and_of_the_release_in_it_are_told_in_one_answer() -> None:
    event = cdevent(event_type="dev.cdevents.service.removed.0.3.0", custom={"verdictd": {"canary": {"subset": "v/2"}}})
    event["context"]["id"] = 7
    event["subject"] = {"id": "sh op/we b", "content": {"environment": {}, "artifactId": 5}}
    inside = [
        *("context.id", "subject.content.environment.id", "subject.content.artifactId", "context.type"),
        *("customData.verdictd.baseline", "subject.id", "subject.id", "customData.verdictd.canary.subset"),
    ]
    assert places(event) == [f"$.{place}" for place in inside]
    wrapped = cloudevent(event, event_type=DEPLOYED, source="/other", id="")
    assert places(wrapped) == [
        *("$.id", "$.data.context.id", "$.data.subject.content.environment.id", "$.data.subject.content.artifactId"),
        *("$.data.context.source", "$.data.context.type", "$.data.context.type"),
        *(f"$.data.{place}" for place in inside[4:]),
    ]


def test_a_cdevent_without_custom_data_is_told_what_else_is_wrong_and_nothing_that_it_could_not_know() -> None:
    assert places(cdevent(custom={}, subject="sh op/web")) == ["$.customData.verdictd", "$.subject.id"]
    assert places({**cdevent(custom="%%%"), "subject": 5}) == ["$.subject", "$.customData"]
    assert places({**cdevent(), "context": 5, "subject": {"id": 5}}) == ["$.context", "$.subject.id", "$.subject.content"]


@pytest.mark.parametrize("event_type", ["", "io.verdictd.release.v2"])
def test_what_is_in_an_envelope_of_no_known_type_is_not_looked_at(event_type: str) -> None:
    assert places(cloudevent(FAULTY, event_type=event_type, time="x")) == (
        ["$.type", "$.time"] if event_type == "" else ["$.time", "$.type"]
    )
    headers = {"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/ci", "ce-type": "io.verdictd.release.v2"}
    assert places(FAULTY, headers) == ["headers.ce-type"]


def test_data_that_cannot_be_got_at_is_one_fault_and_no_release_is_missed_in_it() -> None:
    assert places({**cloudevent(RELEASE, id=""), "data_base64": "AA=="}) == ["$.data_base64", "$.id"]


@pytest.mark.parametrize(
    "document",
    [
        {**RELEASE, "service": "we b"},
        {**RELEASE, "strategy": "shadow"},
        {**RELEASE, "canary": {"subset": "v2", "labels": {"a/b/c": "x"}}},
        cloudevent(RELEASE, Colour="x"),
        cloudevent(RELEASE, event_type="io.verdictd.release.v2"),
        cloudevent(RELEASE, specversion="0.3"),
    ],
)
def test_a_name_or_word_that_cannot_be_used_is_said_once(document: dict[str, Any]) -> None:
    with pytest.raises(InvalidEvent) as caught:
        read(document)
    said = str(caught.value)
    assert max(said.count(word) for word in ("we b", "shadow", "a/b/c", "Colour", "release.v2", "0.3")) == 1, said


def test_arms_of_which_one_name_cannot_be_used_are_not_called_the_same_as_well() -> None:
    assert places({**RELEASE, "baseline": {"subset": "a b"}, "canary": {"subset": "a b"}}) == [
        "$.baseline.subset",
        "$.canary.subset",
    ]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"NaN", b'{"service":'])
def test_what_is_no_json_is_refused_as_such(body: bytes) -> None:
    with pytest.raises(InvalidEvent, match=r"\$: not JSON.*; send the release as one JSON object"):
        read_release({}, body)
    headers = {"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/ci", "ce-type": RELEASE_TYPE}
    with pytest.raises(InvalidEvent, match=r"\$\.data: not JSON"):
        read_release(headers, body)


EVENT_START = b'{"specversion":"1.0","id":"1","source":"/x","type":"io.verdictd.release.v1",'
CDEVENT_START = (
    b'{"context":{"specversion":"0.5.1","id":"1","source":"/c","type":"dev.cdevents.service.deployed.0.3.0"},'
    b'"subject":{"id":"shop/web","content":{"environment":{"id":"lab"}}},'
)
BARE_START = b'{"service":"web","baseline":{"service":"v1"},"canary":{"service":"v2"},'


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (EVENT_START + b'"foo":"\xff","data":{}}', r"\$\.foo: not JSON: not UTF-8 \(the byte ff\); use a string"),
        (EVENT_START + b'"foo":1e999,"data":{}}', r"\$\.foo: Number out of range; use a string"),
        (EVENT_START + b'"foo":' + b"9" * 5_000 + b',"data":{}}', r"\$\.foo: Integer value out of range; use a string"),
        (EVENT_START + b'"foo":' + b"[" * 900 + b"]" * 900 + b"}", r"\$\.foo: the attribute is a list"),
        (EVENT_START + b'"foo":"\\ud800"}', r"\$: not JSON: "),
        (EVENT_START + b'"data_base64":"\xff"}', r"\$\.data_base64: not Base64: not UTF-8 \(the byte ff\)"),
        (EVENT_START + '"data_base64":"é"}'.encode(), r"\$\.data_base64: not Base64: string argument should contain only ASCII"),
        (EVENT_START + b'"data_base64":1}', r"\$\.data_base64: not Base64: Expected `str`, got `int`"),
        (EVENT_START + b'"data":{"service":"\xff"}}', r"\$\.data: not JSON: not UTF-8"),
        (CDEVENT_START + '"customData":"é"}'.encode(), r"\$\.customData: neither an object nor Base64 of one: not Base64"),
        (CDEVENT_START + b'"customData":"\xff"}', r"\$: not JSON: not UTF-8"),
        (CDEVENT_START + b'"customData":"' + base64.b64encode(b'"\xff"') + b'"}', r"\$\.customData: neither .* not UTF-8"),
        (CDEVENT_START + b'"customData":{"verdictd":{"deadline":1e999}}}', r"\$: Number out of range"),
        (BARE_START + b'"deadline":' + b"9" * 400 + b"}", r"\$\.deadline: .* is out of range"),
        (BARE_START + b'"deadline":' + b"9" * 5_000 + b"}", r"\$\.deadline: Number out of range"),
        (BARE_START + b'"deadline":1e999}', r"\$\.deadline: Number out of range"),
        (EVENT_START + b'"data":' + BARE_START + b'"deadline":1e999}}', r"\$\.data\.deadline: Number out of range"),
        (BARE_START + b'"weight":' + b"[" * 900 + b"]" * 900 + b"}", r"\$\.weight: .* is not a number"),
    ],
)
def test_what_once_ended_the_daemon_is_refused_at_its_place(body: bytes, message: str) -> None:
    with pytest.raises(InvalidEvent, match=message) as caught:
        read_release({}, body)
    assert "defect" not in str(caught.value)


@pytest.mark.parametrize("value", ["%FF", "a%c3", "\ufffd", "a\udcff", '"%FE"'])
def test_a_header_that_is_no_utf8_is_refused_since_two_events_would_become_one(value: str) -> None:
    headers = {"ce-specversion": "1.0", "ce-id": value, "ce-source": "/ci", "ce-type": RELEASE_TYPE}
    with pytest.raises(InvalidEvent, match=r"headers\.ce-id: holds bytes that are not UTF-8"):
        read_release(headers, json.dumps(RELEASE).encode())


def test_a_refusal_of_a_huge_name_is_short() -> None:
    with pytest.raises(InvalidEvent) as caught:
        read({**RELEASE, "x" * 500_000: 1})
    assert len(str(caught.value)) < 2_000


def test_a_defect_of_ours_refuses_one_event_and_is_logged_as_such(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("daemon.events.announcing.cloudevents.opened", broken)
    with pytest.raises(InvalidEvent, match=r"could not be read, through a defect of verdictd \(ZeroDivisionError\)"):
        read(RELEASE)
    assert "an event could not be read, through a defect of verdictd" in caplog.text
    assert "Traceback" in caplog.text


def test_a_cancellation_is_no_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    def cancelled(*_args: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr("daemon.events.announcing.cloudevents.opened", cancelled)
    with pytest.raises(asyncio.CancelledError):
        read(RELEASE)
