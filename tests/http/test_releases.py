"""Releases over HTTP: submitted, listed, read, waited for, commanded."""

import asyncio
import gzip
from collections.abc import Iterator, Sequence
from typing import Any

import aiohttp
import pytest

from config.errors import ConfigError
from config.settings import Http
from daemon.aio import stretches
from daemon.cli.releasefile import checked_release
from daemon.errors import Conflict, Elsewhere, Forbidden, Throttled, Unavailable, VerdictdError
from daemon.interventions import Command
from daemon.model import Outcome, Stage
from daemon.releaseview import ReleaseView
from tests.hand.api import RELEASE, Api, Engine, release, serving, view

_PATIENCE_SECONDS = 40.0
STRUCTURED = {"specversion": "1.0", "id": "e-1", "source": "/ci", "type": "io.verdictd.release.v1", "data": RELEASE}


async def test_a_release_is_submitted_and_can_be_read() -> None:
    async with serving() as api:
        async with api.client.post("/v1/releases", json=RELEASE) as response:
            assert response.status == 202
            created = await response.json()
            assert response.headers["Location"] == f"/v1/releases/{created['id']}"
        assert created["stage"] == "locating"
        assert created["release"]["canary"]["subset"] == "v2"
        assert await api.call("GET", f"/v1/releases/{created['id']}") == (200, created)


async def test_without_a_key_each_submission_is_its_own_release() -> None:
    async with serving() as api:
        for _ in range(2):
            await api.call("POST", "/v1/releases", json=RELEASE)
        assert len(api.engine.releases) == 2


async def test_the_same_key_and_body_is_the_same_release_and_another_body_is_not() -> None:
    key = {"Idempotency-Key": "run-17"}
    other = {**RELEASE, "canary": {"subset": "v3"}}
    async with serving() as api:
        for body in (RELEASE, RELEASE, other):
            await api.call("POST", "/v1/releases", json=body, headers=key)
        assert [one.canary.subset for _, one in api.engine.submitted] == ["v2", "v2", "v3"]
        assert len(api.engine.releases) == 2


async def test_a_key_that_is_sent_to_the_daemons_of_two_clusters_is_a_release_of_its_own_in_each() -> None:
    ids = set()
    for cluster in ("prod", "test", "prod"):
        async with serving(cluster=cluster) as api:
            _, created = await api.call("POST", "/v1/releases", json=RELEASE, headers={"Idempotency-Key": "run-17"})
            ids.add((cluster, created["id"]))
    assert len(ids) == len({release_id for _, release_id in ids}) == 2


async def test_a_cloudevent_is_one_release_in_either_mode() -> None:
    binary = {"ce-specversion": "1.0", "ce-id": "e-1", "ce-source": "/ci", "ce-type": "io.verdictd.release.v1"}
    structured = {"Content-Type": "application/cloudevents+json"}
    async with serving() as api:
        first = await api.call("POST", "/v1/releases", json=STRUCTURED, headers=structured)
        second = await api.call("POST", "/v1/releases", json=RELEASE, headers=binary)
        assert first == second
        assert first[0] == 202


@pytest.mark.parametrize(
    ("body", "path", "fix"),
    [
        ({**RELEASE, "sevice": "x"}, "$.sevice", "did you mean service?"),
        ({**RELEASE, "weight": "10%"}, "$.weight", "write percent as a plain number: 10"),
        ({**RELEASE, "service": 'a"} or vector(1)'}, "$.service", "use 1 to 63 letters"),
        ({**RELEASE, "namespace": "a.b>"}, "$.namespace", "use 1 to 63 letters"),
        ({**RELEASE, "route": "../../secrets"}, "$.route", "use 1 to 253 letters"),
        ({**RELEASE, "strategy": "blue-gren"}, "$.strategy", "write blue-green"),
        ({**RELEASE, "canary": RELEASE["baseline"]}, "$.canary", "give the canary its own"),
        ({**RELEASE, "canary": {"labels": {"a~1b/c/d": "x"}}}, "$.canary.labels", "use a Kubernetes label key"),
        ([], "$", "write keys and values"),
    ],
)
async def test_a_release_that_cannot_be_used_is_refused_with_path_and_fix(body: Any, path: str, fix: str) -> None:
    async with serving() as api:
        async with api.client.post("/v1/releases", json=body) as response:
            problem = await response.json(content_type="application/problem+json")
        assert (response.status, problem["status"], problem["title"]) == (400, 400, "Bad Request")
        assert problem["path"] == path
        assert fix in problem["fix"]
        assert api.engine.submitted == []


async def test_all_faults_of_a_release_are_told_at_once() -> None:
    async with serving() as api:
        status, problem = await api.call("POST", "/v1/releases", json={"service": 1, "canary": {"subst": "v2"}})
        assert status == 400
        assert [error["path"] for error in problem["errors"]] == ["$.service", "$.canary.subst", "$.baseline"]


async def test_all_faults_are_told_whatever_the_envelope_and_are_those_that_a_file_has() -> None:
    wrong = {**RELEASE, "service": "a b", "weight": 101, "canary": {"subset": "v/2", "colour": "x"}}
    with pytest.raises(ConfigError) as caught:
        checked_release(wrong, source="release.yaml")
    paths = [fault.path for fault in caught.value.faults]
    assert paths == ["canary.colour", "weight", "service", "canary.subset"]
    async with serving() as api:
        _, bare = await api.call("POST", "/v1/releases", json=wrong)
        headers = {"Content-Type": "application/cloudevents+json"}
        _, event = await api.call("POST", "/v1/releases", json={**STRUCTURED, "data": wrong}, headers=headers)
    assert [error["path"] for error in bare["errors"]] == [f"$.{path}" for path in paths]
    assert [error["path"] for error in event["errors"]] == [f"$.data.{path}" for path in paths]
    assert [error["fix"] for error in bare["errors"]] == [fault.fix for fault in caught.value.faults]
    assert (bare["path"], bare["detail"], bare["fix"]) == tuple(bare["errors"][0][key] for key in ("path", "message", "fix"))


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000, b""])
async def test_what_is_no_json_is_refused(body: bytes) -> None:
    async with serving() as api:
        status, problem = await api.call("POST", "/v1/releases", data=body, headers={"Content-Type": "application/json"})
        assert status == 400
        assert "not JSON" in problem["detail"] or "not a JSON object" in problem["detail"]


async def test_an_event_that_cannot_be_used_is_refused_with_the_path_in_the_envelope() -> None:
    event = {**STRUCTURED, "data": {**RELEASE, "service": "a b"}}
    async with serving() as api:
        headers = {"Content-Type": "application/cloudevents+json"}
        status, problem = await api.call("POST", "/v1/releases", json=event, headers=headers)
        assert (status, problem["path"]) == (400, "$.data.service")


async def test_other_content_types_are_refused() -> None:
    async with serving() as api:
        status, problem = await api.call("POST", "/v1/releases", data=b"service: shop", headers={"Content-Type": "text/plain"})
        assert status == 415
        assert problem["detail"] == (
            "the content type 'text/plain' is not read here; send application/json or application/cloudevents+json"
        )


async def test_packed_bodies_are_refused_and_not_unpacked() -> None:
    packed = gzip.compress(b" " * 10_000_000)
    async with serving() as api:
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        for body in (packed, b"no gzip"):
            status, problem = await api.call("POST", "/v1/releases", data=body, headers=headers)
            assert status == 415
            assert problem["detail"] == "the content encoding 'gzip' is not read here; send the body as it is"


async def test_a_body_over_the_limit_is_refused() -> None:
    async with serving(http=Http(listen="127.0.0.1:0", max_body_bytes=1024)) as api:
        status, problem = await api.call("POST", "/v1/releases", json={**RELEASE, "artifact": "x" * 2000})
        assert (status, problem["fix"]) == (413, "send less, or raise http.max_body_bytes")


async def test_a_body_that_does_not_come_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.http.intake.BODY_SECONDS", 0.05)
    async with serving() as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.server.address.port)
        writer.write(
            b"POST /v1/releases HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 503")
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_that_cannot_be_used_is_refused(key: str) -> None:
    async with serving() as api:
        status, problem = await api.call("POST", "/v1/releases", json=RELEASE, headers={"Idempotency-Key": key})
        assert (status, problem["path"]) == (400, "Idempotency-Key")


async def test_a_full_daemon_asks_to_come_again() -> None:
    async with serving(Engine(full=True)) as api, api.client.post("/v1/releases", json=RELEASE) as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "1")


async def test_a_release_of_another_verdictd_is_told_as_such_whatever_is_asked_of_it() -> None:
    engine = Engine(broken=Elsewhere("release a: kept by a newer version of verdictd"))
    async with serving(engine) as api:
        async with api.client.post("/v1/releases", json=RELEASE) as response:
            assert (response.status, (await response.json())["detail"]) == (409, str(engine.broken))
        for path in ("/v1/releases/a", "/v1/releases/a/verdict", "/v1/releases/a/record"):
            assert (await api.call("GET", path))[0] == 409


async def test_releases_are_listed_newest_first_and_filtered() -> None:
    engine = Engine(
        releases={
            "a": view("a", submitted_at=1.0),
            "b": view("b", service="cart", stage=Stage.ENDED, submitted_at=3.0),
            "c": view("c", submitted_at=2.0),
        }
    )
    async with serving(engine) as api:

        async def ids(query: str) -> list[str]:
            _, body = await api.call("GET", f"/v1/releases{query}")
            return [one["id"] for one in body["releases"]]

        assert await ids("") == ["b", "c", "a"]
        assert await ids("?service=shop") == ["c", "a"]
        assert await ids("?stage=ended&namespace=web") == ["b"]
        assert await ids("?namespace=other") == []


@pytest.mark.parametrize(
    ("path", "where", "fix"),
    [
        ("/v1/releases?servce=x", "?servce", "did you mean service?"),
        ("/v1/releases?zzz=x", "?zzz", "use cursor, limit, namespace, service or stage"),
        ("/v1/releases?stage=done", "?stage", "use locating, watching"),
        ("/v1/releases?stage=ended&stage=watching", "?stage", "give it once"),
        ("/v1/releases/shop-1?x=1", "?x", "leave it out"),
        ("/v1/releases/shop-1/verdict?wait=soon", "?wait", "use seconds from 0 to 300"),
        ("/v1/releases/shop-1/verdict?wait=nan", "?wait", "use seconds from 0 to 300"),
        ("/v1/releases/shop-1/verdict?wait=301", "?wait", "use seconds from 0 to 300"),
        ("/v1/releases/Shop_1", "id", "use 1 to 96 lower-case letters"),
        ("/v1/releases/a%2F..%2Fb/verdict", "id", "use 1 to 96 lower-case letters"),
        ("/v1/releases/a.%3E/record", "id", "use 1 to 96 lower-case letters"),
    ],
)
async def test_what_would_be_ignored_or_misread_is_refused(path: str, where: str, fix: str) -> None:
    async with serving(Engine(releases={"shop-1": view("shop-1")})) as api:
        status, problem = await api.call("GET", path)
        assert (status, problem["path"]) == (400, where)
        assert fix in problem["fix"]


@pytest.mark.parametrize("rest", ["", "/verdict", "/record"])
async def test_a_release_that_is_not_there_is_not_found(rest: str) -> None:
    async with serving() as api:
        status, problem = await api.call("GET", f"/v1/releases/shop-9{rest}")
        assert (status, problem["detail"]) == (404, "no release 'shop-9'")


async def test_a_long_poll_answers_when_the_verdict_comes() -> None:
    async with serving(Engine(releases={"shop-1": view("shop-1")})) as api:
        async with asyncio.TaskGroup() as group:
            poll = group.create_task(api.call("GET", "/v1/releases/shop-1/verdict?wait=9"))
            await api.engine.waited_for.wait()
            api.engine.end("shop-1", Outcome.PROMOTE)
        status, body = poll.result()
        assert (status, body["outcome"], body["release_id"]) == (200, "promote", "shop-1")


async def test_a_long_poll_that_ends_without_a_verdict_shows_the_release() -> None:
    async with serving(Engine(releases={"shop-1": view("shop-1")})) as api:
        for query in ("", "?wait=0.02"):
            status, body = await api.call("GET", f"/v1/releases/shop-1/verdict{query}")
            assert (status, body["id"], body["ticks"]) == (202, "shop-1", 3)


async def test_open_long_polls_do_not_hold_up_the_end() -> None:
    engine = Engine(releases={"shop-1": view("shop-1")})
    async with asyncio.timeout(_PATIENCE_SECONDS), asyncio.TaskGroup() as group, serving(engine) as api:
        session = aiohttp.ClientSession(f"http://127.0.0.1:{api.server.address.port}")

        async def poll() -> int:
            async with session, session.get("/v1/releases/shop-1/verdict?wait=300") as response:
                return response.status

        waiting = group.create_task(poll())
        await engine.waited_for.wait()
    assert waiting.result() == 202


async def test_the_record_is_there_once_there_is_a_verdict() -> None:
    async with serving(Engine(releases={"shop-1": view("shop-1")})) as api:
        status, problem = await api.call("GET", "/v1/releases/shop-1/record")
        assert (status, problem["detail"]) == (404, "release shop-1 has no record yet: it has no verdict")
        api.engine.end("shop-1")
        status, record = await api.call("GET", "/v1/releases/shop-1/record")
        assert (status, record["format"], record["verdict"]["outcome"]) == (200, "verdictd.record/1", "rollback")


@pytest.mark.parametrize("word", ["rollback", "promote", "cancel"])
async def test_a_persons_word_is_passed_on(word: Any) -> None:
    async with serving(Engine(releases={"shop-1": view("shop-1")})) as api:
        said = {"by": "ann", "reason": "looks bad"}
        assert (await api.call("POST", f"/v1/releases/shop-1/{word}", json=said))[0] == 202
        assert (await api.call("POST", f"/v1/releases/shop-1/{word}"))[0] == 202
        assert api.engine.commands == [
            ("shop-1", Command(command=word, by="ann", reason="looks bad")),
            ("shop-1", Command(command=word)),
        ]


@pytest.mark.parametrize(
    ("body", "path"),
    [(b"{", "$"), (b"[1]", "$"), (b'{"by": 1}', "$.by"), (b'{"who": "x"}', "$.who"), (b'{"command": "promote"}', "$.command")],
)
async def test_a_word_that_cannot_be_understood_is_refused(body: bytes, path: str) -> None:
    async with serving(Engine(releases={"shop-1": view("shop-1")})) as api:
        headers = {"Content-Type": "application/json"}
        status, problem = await api.call("POST", "/v1/releases/shop-1/rollback", data=body, headers=headers)
        assert (status, problem["path"]) == (400, path)
        assert api.engine.commands == []


async def test_a_word_after_the_verdict_is_refused() -> None:
    async with serving(Engine(releases={"shop-1": view("shop-1")})) as api:
        api.engine.end("shop-1")
        status, problem = await api.call("POST", "/v1/releases/shop-1/promote")
        assert (status, problem["detail"]) == (409, "the release has its verdict already: rollback")


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (Unavailable("the broker is away"), 503, "1"),
        (Throttled("slow down", retry_after_seconds=7.2), 429, "7"),
        (Conflict("changed"), 409, "1"),
        (Forbidden("no"), 403, None),
        (VerdictdError("?"), 500, None),
        (RuntimeError("password=1234"), 500, None),
    ],
)
async def test_errors_of_the_engine_become_problems(error: Exception, status: int, retry_after: str | None) -> None:
    """What nobody expected is not shown to the client."""
    async with serving(Engine(broken=error)) as api, api.client.get("/v1/releases/shop-1") as response:
        problem = await response.json(content_type="application/problem+json")
        assert (response.status, response.headers.get("Retry-After")) == (status, retry_after)
        assert "1234" not in problem["detail"]


async def test_unknown_addresses_and_methods_are_problems_too() -> None:
    async with serving() as api:
        assert (await api.call("GET", "/v2/releases"))[1]["fix"] == "see /openapi.json for what there is"
        async with api.client.delete("/v1/releases") as response:
            assert (response.status, response.headers["Allow"]) == (405, "GET,HEAD,POST")


async def test_a_submission_survives_as_the_model() -> None:
    async with serving() as api:
        await api.call("POST", "/v1/releases", json={key: RELEASE[key] for key in RELEASE if key != "weight"})
        assert api.engine.submitted[0][1] == release()


async def pages(api: Api, query: str = "limit=7") -> list[list[str]]:
    """The ids on all pages."""
    found: list[list[str]] = []
    cursor = ""
    while True:
        status, page = await api.call("GET", f"/v1/releases?{query}{cursor}")
        assert status == 200, page
        found.append([one["id"] for one in page["releases"]])
        if "next" not in page:
            return found
        cursor = f"&cursor={page['next']}"


def many(number: int) -> dict[str, ReleaseView]:
    """Three at the same moment each: ids decide then."""
    ids = [(f"shop-{n:05}", float(n // 3)) for n in range(number)]
    return {release_id: view(release_id, submitted_at=at + 0.1) for release_id, at in ids}


async def test_the_list_comes_in_pages_that_skip_and_repeat_nothing() -> None:
    releases = many(25)
    async with serving(Engine(releases=releases)) as api:
        found = await pages(api)
    assert [len(page) for page in found] == [7, 7, 7, 4]
    assert [one for page in found for one in page] == sorted(releases, reverse=True)


async def test_without_a_limit_a_page_has_a_hundred_and_a_client_that_knows_no_pages_reads_the_newest() -> None:
    async with serving(Engine(releases=many(250))) as api:
        assert [len(page) for page in await pages(api, "")] == [100, 100, 50]
        _, page = await api.call("GET", "/v1/releases")
        assert page["releases"][0]["id"] == "shop-00249"


async def test_a_page_that_is_just_full_is_the_last() -> None:
    async with serving(Engine(releases=many(7))) as api:
        assert [len(page) for page in await pages(api)] == [7]


async def test_releases_that_come_and_go_between_two_pages_move_nothing() -> None:
    async with serving(Engine(releases=many(9))) as api:
        _, page = await api.call("GET", "/v1/releases?limit=3")
        api.engine.releases["new"] = view("new", submitted_at=99.0)
        del api.engine.releases[page["releases"][-1]["id"]]
        _, second = await api.call("GET", f"/v1/releases?limit=3&cursor={page['next']}")
        assert [one["id"] for one in second["releases"]] == ["shop-00005", "shop-00004", "shop-00003"]


async def test_filters_hold_on_every_page() -> None:
    releases = {name: one for n, (name, one) in enumerate(many(40).items()) if n % 2}
    others = {f"other-{n}": view(f"other-{n}", service="cart", submitted_at=float(n)) for n in range(40)}
    async with serving(Engine(releases={**releases, **others})) as api:
        found = await pages(api, "service=shop&limit=7")
    assert [one for page in found for one in page] == sorted(releases, reverse=True)


@pytest.mark.parametrize(
    ("query", "path"),
    [
        *((f"limit={text}", "?limit") for text in ("0", "1001", "-1", "ten", "1.5", "9" * 5000, "%C2%B2", "")),
        *((f"cursor={text}", "?cursor") for text in ("", "x", "1.0", "1.0,", "one,shop-1", "nan,shop-1", "1.0,../x", "9" * 5000)),
    ],
)
async def test_a_page_that_cannot_be_is_refused(query: str, path: str) -> None:
    async with serving() as api:
        status, problem = await api.call("GET", f"/v1/releases?{query}")
        assert (status, problem["path"]) == (400, path)
        assert problem["fix"]


async def test_others_have_their_turns_while_a_long_list_is_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """11 000 releases, of which the last is wanted: between any two turns of the event loop only a few are looked at."""
    monkeypatch.setattr(stretches, "STRETCH_SECONDS", 0.0)  # a stretch is over after each
    looked, most, before = 0, 0, 0

    class Counting(Engine):
        def views(self) -> Sequence[ReleaseView]:
            return Views(super().views())

    class Views(list[ReleaseView]):
        def __iter__(self) -> Iterator[ReleaseView]:
            nonlocal looked
            for one in super().__iter__():
                looked += 1
                yield one

    async def watching() -> None:
        nonlocal most, before
        while True:
            most, before = max(most, looked - before), looked
            await asyncio.sleep(0)

    engine = Counting(releases={**many(11_000), "last": view("last", service="cart", submitted_at=-1.0)})
    async with serving(engine) as api:
        for path in ("/v1/releases?service=cart", "/metrics"):
            heart = asyncio.ensure_future(watching())
            status, page = await api.call("GET", path)
            heart.cancel()
            assert status == 200
            assert looked % 11_001 == 0
            assert most <= 20, path
            assert "shop" not in str(page) or path == "/metrics"
