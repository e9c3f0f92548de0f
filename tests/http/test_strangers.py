"""What strangers send to the port: a short answer that says where and how to mend it, and soon."""

import asyncio
import json
import logging
import time
from typing import Any

import pytest

from tests.events import mutating
from tests.hand.api import RELEASE, Api, Engine, serving, view

START = b'{"specversion":"1.0","id":"1","source":"/x","type":"io.verdictd.release.v1",'
CDEVENT = (
    b'{"context":{"specversion":"0.5.1","id":"1","source":"/c","type":"dev.cdevents.service.deployed.0.3.0"},'
    b'"subject":{"id":"shop/web","content":{"environment":{"id":"default"}}},'
)
BARE = json.dumps(RELEASE).encode()[:-1]

BODIES: list[tuple[bytes, str, str]] = [
    (START + b'"foo":"\xff","data":{}}', "$.foo", "use a string, an integer or a boolean"),
    (START + b'"foo":1e999,"data":{}}', "$.foo", "use a string, an integer or a boolean"),
    (START + b'"foo":' + b"9" * 5_000 + b',"data":{}}', "$.foo", "use a string, an integer or a boolean"),
    (START + '"data_base64":"é"}'.encode(), "$.data_base64", "encode the data as in RFC 4648"),
    (START + b'"data_base64":"\xff"}', "$.data_base64", "encode the data as in RFC 4648"),
    (CDEVENT + '"customData":"é"}'.encode(), "$.customData", "give an object"),
    (BARE + b',"deadline":' + b"9" * 400 + b"}", "$.deadline", "write a number greater than 0"),
    (BARE + b',"deadline":' + b"9" * 5_000 + b"}", "$.deadline", "send the release as one JSON object"),
    (BARE + b',"deadline":1e999}', "$.deadline", "send the release as one JSON object"),
    (BARE + b',"weight":' + b"[" * 900 + b"]" * 900 + b"}", "$.weight", "write a number"),
    (BARE + b',"artifact":"\xff"}', "$", "send the release as one JSON object"),
    (BARE + b',"artifact":' + b"[" * 100_000 + b"}", "$", "send the release as one JSON object"),
]


def troubles(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the daemon complains of; that there was a request it may tell."""
    return [one.message for one in caplog.records if one.name.startswith("daemon") and one.levelno >= logging.WARNING]


async def refused(api: Api, path: str, body: bytes, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """The problem document of a request that is answered with 400."""
    sent = {"Content-Type": "application/json", **(headers or {})}
    async with api.client.post(path, data=body, headers=sent) as response:
        answer = await response.read()
        assert response.status == 400
        assert len(answer) < 40_000
        assert api.engine.submitted == []
        problem: dict[str, Any] = json.loads(answer)
        return problem


@pytest.mark.parametrize(("body", "path", "fix"), BODIES)
async def test_a_body_that_once_failed_the_daemon_is_refused_with_path_and_fix(body: bytes, path: str, fix: str) -> None:
    async with serving() as api:
        problem = await refused(api, "/v1/releases", body)
        assert problem["path"] == path
        assert fix in problem["fix"]


@pytest.mark.parametrize("body", [b'{"by":"\xff"}', b'{"by":' + b"9" * 5_000 + b"}", b'{"by":1e999}', b'{"by":' + b"[" * 50_000])
async def test_a_word_that_once_failed_the_daemon_is_refused(body: bytes) -> None:
    async with serving(Engine(releases={"shop-1": view("shop-1")})) as api:
        assert (await refused(api, "/v1/releases/shop-1/rollback", body))["path"].startswith("$")


@pytest.mark.parametrize("path", ["/v1/releases", "/v1/releases/shop-1/rollback"])
async def test_seventy_thousand_unknown_keys_are_counted_and_not_told_one_by_one(path: str) -> None:
    body = json.dumps({f"k{number:06}": 1 for number in range(70_000)}).encode()
    async with serving(Engine(releases={"shop-1": view("shop-1")})) as api:
        began = time.process_time()
        problem = await refused(api, path, body)
        # CPU seconds of both ends, many times what it takes, and a small part of what one guess for each key took.
        assert time.process_time() - began < 2.0
    assert len(problem["errors"]) == 31
    last = problem["errors"][-1]["message"]
    assert last.startswith("and ")
    assert int(last.split()[1]) >= 69_970


async def test_names_of_any_length_get_a_short_answer() -> None:
    async with serving() as api:
        for body in ({**RELEASE, "k" * 900_000: 1}, {**RELEASE, "strategy": "x" * 900_000}, {**RELEASE, "mesh": "x" * 900_000}):
            await refused(api, "/v1/releases", json.dumps(body).encode())


@pytest.mark.parametrize(
    "lines",
    [
        b"POST /v1/releases HTTP/1.1\r\nHost: 127.0.0.1\r\nce-id: \xff\r\nce-specversion: 1.0\r\nce-source: /x\r\nce-type: x\r\n",
        b"POST /v1/releases HTTP/1.1\r\nHost: 127.0.0.1\r\nce-foo\xff: 1\r\n",
        b"POST /v1/releases HTTP/1.1\r\nHost: 127.0.0.1\r\nIdempotency-Key: \xff\r\n",
        b"POST /v1/releases?\xff=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        b"POST /v1/releases?%ff=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        b"GET /v1/releases?stage=%ff HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        b"GET /v1/releases?stage=\xff HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        b"GET /v1/releases/%ff HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        b"GET /v1/releases/\xff HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        b"GET /v1/releases/shop-1/verdict?wait=%ff HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        b"GET /v1/releases/shop-1/verdict?wait=" + b"9" * 5_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n",
    ],
)
async def test_bytes_that_are_no_text_are_refused_wherever_they_stand(lines: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Engine(releases={"shop-1": view("shop-1")})) as api:
        status = await raw_status(api, lines + b"Content-Type: application/json\r\n", json.dumps(RELEASE).encode())
        assert status == 400
        assert api.engine.submitted == []
    assert troubles(caplog) == []


@pytest.mark.parametrize("header", [b"Content-Type: \xff/\xff", b"Content-Type: application/json\r\nContent-Encoding: \xff"])
async def test_a_type_or_encoding_that_is_no_text_is_not_read(header: bytes) -> None:
    async with serving() as api:
        lines = b"POST /v1/releases HTTP/1.1\r\nHost: 127.0.0.1\r\n" + header + b"\r\n"
        assert await raw_status(api, lines, b"{}") in {400, 415}


async def test_a_host_that_is_no_text_is_answered_in_text() -> None:
    async with serving() as api:
        assert await raw_status(api, b"GET /v1/releases HTTP/1.1\r\nHost: \xff\r\n", b"") in {400, 421}


@pytest.mark.parametrize(("wanted", "status"), [(b"\xff", 417), (b"200-ok", 417), (b"100-Continue", 100)])
async def test_what_is_expected_that_cannot_be_is_said_in_text(
    wanted: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as api:
        lines = b"POST /v1/releases HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nExpect: " + wanted + b"\r\n"
        assert await raw_status(api, lines, b"{}") == status
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_mutated_bodies_and_headers_never_fail_the_daemon(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger="daemon")
    async with serving() as api:
        for number in range(200):
            headers, body = mutating.mutated(number, mutating.EVENTS)
            sent = {"Content-Type": "application/json", **headers}
            if not all(value.isprintable() and value.isascii() and key.isascii() for key, value in sent.items()):
                continue
            async with api.client.post("/v1/releases", data=body, headers=sent) as response:
                assert response.status in {202, 400, 415}, number
                assert len(await response.read()) < 40_000
    assert caplog.records == []


async def test_a_defect_in_reading_refuses_one_request_and_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_args: object) -> None:
        raise ZeroDivisionError

    async with serving() as api:
        with monkeypatch.context() as patch:
            patch.setattr("daemon.events.announcing.cloudevents.opened", broken)
            problem = await refused(api, "/v1/releases", json.dumps(RELEASE).encode())
        assert "through a defect of verdictd (ZeroDivisionError)" in problem["detail"]
        assert (await api.call("POST", "/v1/releases", json=RELEASE))[0] == 202
    assert "an event could not be read, through a defect of verdictd" in caplog.text


async def raw_status(api: Api, lines: bytes, body: bytes) -> int:
    """The status of a request that is sent as it is."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.server.address.port)
    writer.write(lines + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return int(answer.split(b" ", 2)[1])
