"""Questions over HTTP."""

from daemon.errors import Unavailable
from daemon.interventions import OpenQuestion
from daemon.model import Outline
from daemon.questions import Questions
from daemon.watcher.awaited import AwaitedCanaries
from tests.hand.api import Engine, serving
from tests.hand.clock import HandClock
from tests.hand.ports import MemoryStore


def question(name: str, *, namespace: str = "shop", since: float = 1.0) -> OpenQuestion:
    return OpenQuestion(
        id=name,
        about=f"VirtualService {namespace}/{name}",
        namespace=namespace,
        question="which of blue and green is the new one?",
        answer="annotate the route",
        annotations=("verdictd.io/canary",),
        fields=("canary",),
        since=since,
    )


async def test_open_questions_are_listed_the_oldest_first_and_of_one_namespace_where_that_is_wanted() -> None:
    engine = Engine()
    for one in (question("web", since=2.0), question("cart", namespace="till")):
        await engine.questions.ask(one)
    async with serving(engine) as api:
        status, body = await api.call("GET", "/v1/questions")
        assert (status, [one["id"] for one in body["questions"]]) == (200, ["cart", "web"])
        assert body["questions"][1] == {
            "id": "web",
            "about": "VirtualService shop/web",
            "namespace": "shop",
            "question": "which of blue and green is the new one?",
            "answer": "annotate the route",
            "annotations": ["verdictd.io/canary"],
            "fields": ["canary"],
            "since": 2.0,
        }
        assert [one["id"] for one in (await api.call("GET", "/v1/questions?namespace=shop"))[1]["questions"]] == ["web"]
        await engine.questions.close(["web", "never-asked"])
        assert [one["id"] for one in (await api.call("GET", "/v1/questions"))[1]["questions"]] == ["cart"]


async def waiting() -> AwaitedCanaries:
    """Two that wait, of which a route says something of the one."""
    awaiting = AwaitedCanaries(MemoryStore(), lapsed=MemoryStore(), clock=HandClock(), wait_seconds=60.0)
    new = Outline(service="web", namespace="shop", artifact="reg/web:2")
    await awaiting.keep(new, release_id="web-1", sender="event /ci", since=5.0)
    await awaiting.keep(Outline(service="cart", namespace="till"), release_id="cart-1", sender="gate http", since=4.0)
    awaiting.says("web-1", route="VirtualService shop/web", why="\x1b[1mv2 gets nothing yet", missing=("canary",))
    return awaiting


async def test_what_waits_for_its_canary_is_listed_the_oldest_first_with_what_the_routes_say() -> None:
    async with serving(Engine(awaiting=await waiting())) as api:
        status, body = await api.call("GET", "/v1/waiting")
        assert (status, [one["id"] for one in body["waiting"]]) == (200, ["cart-1", "web-1"])
        [one] = (await api.call("GET", "/v1/waiting?namespace=shop"))[1]["waiting"]
        assert one.pop("until") > one["since"]
        assert one == {
            "id": "web-1",
            "service": "web",
            "namespace": "shop",
            "waits_for": "canary of web that is reg/web:2",
            "sender": "event /ci",
            "since": 5.0,
            "routes": [{"route": "VirtualService shop/web", "why": "\x1b[1mv2 gets nothing yet", "missing": ["canary"]}],
        }
    async with serving() as api:
        assert await api.call("GET", "/v1/waiting") == (200, {"waiting": []})


async def test_where_questions_cannot_be_read_now_that_is_said_and_not_that_there_are_none() -> None:
    store = MemoryStore()
    store.failing = Unavailable("the broker is away")
    async with serving(Engine(questions=Questions(store))) as api:
        status, problem = await api.call("GET", "/v1/questions")
        assert (status, problem["detail"]) == (503, "the broker is away")
