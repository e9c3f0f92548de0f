"""The client against an API server that answers what a real one will not on demand: every fault becomes an error of ours."""

import asyncio
import contextlib
import json
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from config.settings import Kubernetes
from daemon.delivery.argorollouts import ROLLOUTS_STATUS
from daemon.errors import Conflict, Forbidden, NotFound, Refused, Throttled, TimedOut, Unavailable
from daemon.kube.answers import Expired
from daemon.kube.client import KubeClient
from daemon.kube.resources import PODS, Resource, selector_of_either
from daemon.kube.transport import Transport, connect
from daemon.meshes.istio import mesh as istio
from tests.hand.clock import LoopTime
from tests.hand.servers import Answer, lines, says, silence
from tests.kube.stub import kube_stub, status, write_kubeconfig

VIRTUAL_SERVICES = replace(istio.VIRTUAL_SERVICES, earlier=())
"""In one version, which need not be asked for."""
SCHEMA_FAULT = status(422, "invalid", causes=[{"field": "spec.http"}])


async def test_an_object_is_read_from_its_path_with_the_token(tmp_path: Path) -> None:
    async with kube_stub(tmp_path, says({"kind": "VirtualService"})) as server:
        client = server.client()
        assert await client.get(VIRTUAL_SERVICES, name="web", namespace="shop") == {"kind": "VirtualService"}
        await client.close()
    path = "/apis/networking.istio.io/v1/namespaces/shop/virtualservices/web"
    assert server.requests == [("GET", path, None)]
    assert server.tokens == ["Bearer one"]


LIMIT_SECONDS, LONGER_SECONDS = 20.0, 25.0
"""Of a call, and what is longer, but not too long for credentials."""


async def test_the_time_of_a_call_begins_when_it_is_connected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first connection imports a large library, and may run a plug-in: the API server is not to blame for that."""
    time = LoopTime(monkeypatch)

    async def slow(settings: Kubernetes) -> Transport:
        time.passes(LONGER_SECONDS)
        for _ in range(10):
            await asyncio.sleep(0)
        return await connect(settings)

    async with kube_stub(tmp_path, says({"kind": "VirtualService"})) as server:
        for ask in ("get", "watch"):
            settings = Kubernetes(auth="kubeconfig", kubeconfig=str(server.kubeconfig), request_timeout_seconds=LIMIT_SECONDS)
            client = KubeClient(settings, connector=slow)
            if ask == "get":
                assert await client.get(VIRTUAL_SERVICES, name="web", namespace="shop")
            else:
                async with client.watch(PODS, resource_version="1", timeout_seconds=5, idle_seconds=5.0) as line:
                    assert await line()
            await client.close()


async def test_credentials_that_never_come_are_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_settings: Kubernetes) -> Transport:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("daemon.kube.credentials._CONNECT_SECONDS", 0.05)
    client = KubeClient(Kubernetes(), connector=never)
    with pytest.raises(TimedOut, match=r"no credentials for Kubernetes after 0\.05 s"):
        await client.get(VIRTUAL_SERVICES, name="web", namespace="shop")


async def test_a_patch_is_a_json_patch_with_strict_validation(tmp_path: Path) -> None:
    operations = [{"op": "add", "path": "/spec/x", "value": 1}]
    async with kube_stub(tmp_path, says({"kind": "VirtualService"})) as server:
        client = server.client()
        await client.patch(VIRTUAL_SERVICES, name="web", namespace="shop", operations=operations)
        await client.close()
    [(method, path, body)] = server.requests
    assert (method, body) == ("PATCH", operations)
    assert path.endswith("?fieldValidation=Strict&fieldManager=verdictd")


async def test_a_redirect_is_refused_and_nothing_reaches_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    async with kube_stub(tmp_path / "there", says({"kind": "VirtualService"})) as victim:

        async def moved(_request: web.Request) -> web.StreamResponse:
            return web.Response(status=307, headers={"Location": f"{victim.url}/x"})

        async with kube_stub(tmp_path, moved, moved) as server:
            client = server.client()
            with pytest.raises(Refused, match="redirects are not followed"):
                await client.get(VIRTUAL_SERVICES, name="web", namespace="shop")
            with pytest.raises(Refused, match="answered 307"):
                await client.patch(VIRTUAL_SERVICES, name="web", namespace="shop", operations=[])
            await client.close()
        assert victim.requests == []


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (status(400, "strict decoding error"), Refused, "strict decoding"),
        (status(403, "may not patch"), Forbidden, "may not patch"),
        (status(404, "not found"), NotFound, "not found"),
        (says("404 page not found", status=404), NotFound, "page not found"),
        (status(409, "modified"), Conflict, "modified"),
        (status(410, "too old"), Expired, "too old"),
        (status(422, "the server rejected our request"), Conflict, "rejected"),
        (SCHEMA_FAULT, Refused, "invalid"),
        (status(500, "etcd"), Unavailable, "etcd"),
        (status(504, "late"), TimedOut, "late"),
        (says("<html>bad\n gateway</html>", status=502), Unavailable, "<html>bad gateway</html>"),
        (says("<html>welcome</html>"), Unavailable, "no JSON object"),
        (says(["a", "list"]), Unavailable, "no JSON object"),
        (says("[" * 100_000), Unavailable, "no JSON object"),
        (says("[" * 100_000, status=503), Unavailable, "503"),
    ],
)
async def test_every_answer_has_its_meaning(tmp_path: Path, answer: Answer, error: type[Exception], said: str) -> None:
    async with kube_stub(tmp_path, answer) as server:
        client = server.client()
        with pytest.raises(error, match=said):
            await client.patch(VIRTUAL_SERVICES, name="web", namespace="shop", operations=[{"op": "x"}])
        await client.close()
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ('cannot patch resource "rollouts/status" in API group "argoproj.io"', "rollouts/status"),
        ('cannot patch resource "rollouts" in API group "argoproj.io"', None),
        ('admission webhook "quota" denied the request', None),
    ],
)
async def test_the_rule_that_is_missing_names_the_part_that_is_written(tmp_path: Path, said: str, rule: str | None) -> None:
    async with kube_stub(tmp_path, status(403, said)) as server:
        client = server.client()
        with pytest.raises(Forbidden, match=said) as caught:
            await client.patch(ROLLOUTS_STATUS, name="web", namespace="shop", operations=[])
        await client.close()
    wanted = f'- {{apiGroups: ["argoproj.io"], resources: [{rule}], verbs: [patch]}}'
    assert str(caught.value).endswith(wanted) is (rule is not None)


async def test_an_error_that_quotes_a_large_object_is_read_whole_and_told_short(tmp_path: Path) -> None:
    """It comes in several chunks; the causes, which decide what it means, are in the last."""
    async with kube_stub(tmp_path, status(422, f"invalid: {'x' * 600_000}: unknown field", causes=[{"field": "spec"}])) as server:
        client = server.client()
        with pytest.raises(Refused, match=r"unknown field$") as caught:
            await client.patch(VIRTUAL_SERVICES, name="web", namespace="shop", operations=[{"op": "x"}])
        await client.close()
    assert len(str(caught.value)) < 600


async def test_an_answer_without_end_is_given_up_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.kube.client._ANSWER_BYTES", 1 << 20)

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Encoding": "gzip"})
        await response.prepare(request)
        packer = zlib.compressobj(wbits=31)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(packer.compress(b" " * (1 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH))
                await asyncio.sleep(0)
        return response

    async with kube_stub(tmp_path, endless) as server:
        client = server.client()
        with pytest.raises(Unavailable, match="longer than 1 MiB"):
            await client.list(PODS)
        await client.close()


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (says({}, status=429, Retry_After="7"), 7.0),
        (status(429, "slow", retryAfterSeconds=3), 3.0),
        (says({}, status=429, Retry_After="Wed, 21 Oct 2026 07:28:00 GMT", Date="Wed, 21 Oct 2026 07:27:30 GMT"), 30.0),
        (says({}, status=429, Retry_After="tomorrow"), 1.0),
        (says("slow down", status=429), 1.0),
    ],
)
async def test_throttling_says_for_how_long(tmp_path: Path, answer: Answer, seconds: float) -> None:
    async with kube_stub(tmp_path, answer) as server:
        client = server.client()
        with pytest.raises(Throttled) as caught:
            await client.get(PODS, name="a", namespace="b")
        await client.close()
    assert caught.value.retry_after_seconds == seconds


def silent_for(time: LoopTime, seconds: float) -> Answer:
    """A half-open connection after so long."""

    async def answer(request: web.Request) -> web.StreamResponse:
        time.passes(seconds)
        return await silence()(request)

    return answer


async def test_a_half_open_connection_is_given_up_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with kube_stub(tmp_path, silent_for(LoopTime(monkeypatch), LONGER_SECONDS)) as server:
        client = server.client(timeout_seconds=LIMIT_SECONDS)
        with pytest.raises(TimedOut):
            await client.get(PODS, name="a", namespace="b")
        await client.close()


async def test_an_answer_that_breaks_off_is_unavailable(tmp_path: Path) -> None:
    async with kube_stub(tmp_path, lines("{", then="break")) as server:
        client = server.client()
        with pytest.raises(Unavailable):
            await client.get(PODS, name="a", namespace="b")
        await client.close()


async def test_nobody_listening_is_unavailable(tmp_path: Path) -> None:
    async with kube_stub(tmp_path, silence()) as server:
        client = server.client()
    with pytest.raises(Unavailable):
        await client.get(PODS, name="a", namespace="b")
    await client.close()


async def test_a_list_is_read_page_by_page(tmp_path: Path) -> None:
    first = says({"metadata": {"continue": "next&page", "resourceVersion": "7"}, "items": [{"n": 1}, "rubbish"]})
    second = says({"metadata": {"resourceVersion": "8"}, "items": [{"n": 2}]})
    async with kube_stub(tmp_path, first, second) as server:
        client = server.client()
        listing = await client.list(PODS, namespace="shop", labels=selector_of_either([{"b": "2", "a": "1"}]))
        await client.close()
    assert (listing.items, listing.resource_version) == (({"n": 1}, {"n": 2}), "8")
    assert server.requests[0][1] == "/api/v1/namespaces/shop/pods?limit=500&labelSelector=a%3D1,b%3D2"
    assert server.requests[1][1].endswith("&continue=next%26page")


@pytest.mark.parametrize(
    ("pages", "said"),
    [(["a", "b", "a", "c"], "the same page comes again"), (["a", "b", "c", "d"], "there are more than 3 pages of 500")],
)
async def test_pages_without_end_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pages: list[str], said: str) -> None:
    monkeypatch.setattr("daemon.kube.client._MOST_PAGES", 3)
    async with kube_stub(tmp_path, *(says({"metadata": {"continue": more}, "items": []}) for more in pages)) as server:
        client = server.client()
        with pytest.raises(Unavailable, match=said):
            await client.list(PODS)
        await client.close()
    assert len(server.requests) == 3


async def test_credentials_that_ran_out_are_read_anew_once(tmp_path: Path) -> None:
    async with kube_stub(tmp_path, status(401), says({"n": 1})) as server:
        client = server.client()
        config = json.loads(server.kubeconfig.read_text())
        await client.connect()
        write_kubeconfig(server.kubeconfig, port=int(config["clusters"][0]["cluster"]["server"].rpartition(":")[2]), user="two")
        assert await client.get(PODS, name="a", namespace="b") == {"n": 1}
        await client.close()
    assert server.tokens == ["Bearer one", "Bearer two"]


async def test_credentials_that_are_refused_are_not_tried_without_end(tmp_path: Path) -> None:
    async with kube_stub(tmp_path, status(401, "who are you")) as server:
        client = server.client()
        for _ in range(3):
            with pytest.raises(Forbidden, match="who are you"):
                await client.get(PODS, name="a", namespace="b")
        await client.close()
    assert len(server.requests) == 4


class Refusing:
    """A connection that answers 401, and notes what became of the answers."""

    def __init__(self) -> None:
        self.status = 401
        self.closed = 0

    async def send(self, *_given: object, **_named: object) -> "Refusing":
        return self

    def close(self) -> None:
        self.closed += 1


async def test_credentials_that_take_longer_than_a_call_may_are_there_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time, given_up = LoopTime(monkeypatch), asyncio.Event()
    made = []

    async def slow_plugin(settings: Kubernetes) -> Transport:
        made.append(settings)
        if len(made) > 1:
            port = int(json.loads(server.kubeconfig.read_text())["clusters"][0]["cluster"]["server"].rpartition(":")[2])
            write_kubeconfig(server.kubeconfig, port=port, user="two")
            time.passes(LONGER_SECONDS)
            await given_up.wait()
        return await connect(settings)

    async with kube_stub(tmp_path, status(401), says({"n": 1})) as server:
        settings = Kubernetes(auth="kubeconfig", kubeconfig=str(server.kubeconfig), request_timeout_seconds=LIMIT_SECONDS)
        client = KubeClient(settings, connector=slow_plugin)
        with pytest.raises(TimedOut):
            await client.get(PODS, name="a", namespace="b")
        given_up.set()
        assert await client.get(PODS, name="a", namespace="b") == {"n": 1}
        await client.close()
    assert server.tokens == ["Bearer one", "Bearer two"]


async def test_the_answer_to_a_watch_that_is_refused_without_end_is_closed() -> None:
    class Endless(Refusing):
        def __init__(self) -> None:
            super().__init__()
            self.status, self.content = 403, self  # its body is itself

        async def readany(self) -> bytes:
            await asyncio.Event().wait()
            raise AssertionError

    answer = Endless()

    async def connector(_settings: Kubernetes) -> Transport:
        return answer  # type: ignore[return-value]  # what is called of it is there

    client = KubeClient(Kubernetes(request_timeout_seconds=0.05), connector=connector)
    with pytest.raises(TimedOut):
        async with client.watch(PODS, resource_version="1", timeout_seconds=5, idle_seconds=5.0):
            pass
    assert answer.closed == 1


@pytest.mark.parametrize("failure", [Refused("no such user"), asyncio.CancelledError()])
async def test_an_answer_is_closed_when_credentials_cannot_be_read_anew(failure: BaseException) -> None:
    answer, made = Refusing(), []

    async def connector(_settings: Kubernetes) -> Transport:
        made.append(answer)
        if len(made) > 1:
            raise failure
        return answer  # type: ignore[return-value]  # what is called of it is there

    client = KubeClient(Kubernetes(), connector=connector)
    with pytest.raises(type(failure)):
        await client.get(PODS, name="a", namespace="b")
    assert answer.closed == 1


async def test_many_calls_share_one_renewal(tmp_path: Path) -> None:
    made = []

    async def connector(settings: Kubernetes):  # type: ignore[no-untyped-def]  # counts, and returns what connect does
        made.append(settings)
        return await connect(settings)

    async with kube_stub(tmp_path, *[status(401)] * 3, says({})) as server:
        client = KubeClient(Kubernetes(auth="kubeconfig", kubeconfig=str(server.kubeconfig)), connector=connector)
        await asyncio.gather(*(client.get(PODS, name="a", namespace="b") for _ in range(3)))
        await client.close()
    assert len(made) == 2


async def test_a_watch_gives_lines_and_ends_empty(tmp_path: Path) -> None:
    async with kube_stub(tmp_path, lines({"n": 1}, {"n": 2})) as server:
        client = server.client()
        async with client.watch(PODS, resource_version="7", timeout_seconds=240, idle_seconds=5.0, labels="a=b") as line:
            assert [await line(), await line(), await line()] == [b'{"n": 1}\n', b'{"n": 2}\n', b""]
        await client.close()
    query = "watch=true&allowWatchBookmarks=true&resourceVersion=7&timeoutSeconds=240&labelSelector=a%3Db"
    assert server.requests == [("GET", f"/api/v1/pods?{query}", None)]


@pytest.mark.parametrize(("answer", "error"), [(status(410), Expired), (says("bad gateway", status=502), Unavailable)])
async def test_a_watch_that_is_refused_raises(tmp_path: Path, answer: Answer, error: type[Exception]) -> None:
    async with kube_stub(tmp_path, answer) as server:
        client = server.client()
        with pytest.raises(error):
            async with client.watch(PODS, resource_version="7", timeout_seconds=240, idle_seconds=5.0):
                pass
        await client.close()


async def test_a_watch_that_never_begins_and_one_that_goes_silent_time_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    time = LoopTime(monkeypatch)
    async with kube_stub(tmp_path, silent_for(time, LONGER_SECONDS), lines({"n": 1}, then="silence")) as server:
        client = server.client(timeout_seconds=LIMIT_SECONDS)
        with pytest.raises(TimedOut):
            async with client.watch(PODS, resource_version="7", timeout_seconds=240, idle_seconds=100.0):
                pass
        async with client.watch(PODS, resource_version="7", timeout_seconds=240, idle_seconds=LIMIT_SECONDS) as line:
            assert await line() == b'{"n": 1}\n'
            asyncio.get_running_loop().call_soon(time.passes, LONGER_SECONDS)
            with pytest.raises(TimedOut):
                await line()
        await client.close()


async def test_a_watch_that_breaks_and_one_with_an_endless_line_are_unavailable(tmp_path: Path) -> None:
    async with kube_stub(tmp_path, lines({"n": 1}, then="break"), lines("x" * 5_000_000)) as server:
        client = server.client()
        async with client.watch(PODS, resource_version="7", timeout_seconds=240, idle_seconds=5.0) as line:
            with pytest.raises(Unavailable):
                await rest(line)
        async with client.watch(PODS, resource_version="7", timeout_seconds=240, idle_seconds=5.0) as line:
            with pytest.raises(Unavailable):
                await line()
        await client.close()


async def rest(line: Callable[[], Awaitable[bytes]]) -> None:
    while await line():
        pass


@pytest.mark.parametrize("name", ["..", ".", "../secrets", "a/b", "a?b", "a#b", "ä"])
def test_a_name_cannot_leave_its_place_in_the_path(name: str) -> None:
    path = Resource(group="g", version="v1", plural="things", kind="Thing").path(namespace=name, name="x")
    head, quoted, tail = path.split("/namespaces/")[0], path.split("/")[5], path.rpartition("/")[2]
    assert (head, tail) == ("/apis/g/v1", "x")
    assert quoted not in {"..", "."}
    assert not set(quoted) & set("/?#")
    assert str(PODS) == "pods"
    assert str(VIRTUAL_SERVICES) == "virtualservices.networking.istio.io"
