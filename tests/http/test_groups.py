"""A group of endpoints is one module and one row: here is a made-up one, with a guard, a list and a stream of its own."""

import asyncio
import hmac
from collections.abc import Sequence
from http import HTTPStatus

import msgspec
from aiohttp import web

from daemon.aio.stretches import in_stretches
from daemon.http import intake, paging
from daemon.http.api import GROUPS
from daemon.http.endpoint import JSON, TEXT, ApiPorts, Endpoint, Group, Parameter, reply
from daemon.http.guard import Hmac, Open
from daemon.model import Stage
from daemon.ports.events import DeadLetter
from daemon.ports.service import ReleaseChange
from tests.hand.api import Engine, serving, view

SECRET = b"an old secret of the sender"
NEW_SECRET = b"the new secret of the sender"
COLOUR = Parameter(name="colour", where="path", description="Of the flag.", schema={"type": "string"})


class Flag(msgspec.Struct, frozen=True, kw_only=True):
    """A flag somebody shows."""

    colour: str


class Flags(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Flags, the last one first."""

    flags: tuple[Flag, ...]
    next: str | None = None


def endpoints(ports: ApiPorts) -> Sequence[Endpoint]:
    shown: list[Flag] = [Flag(colour=f"c{number}") for number in range(5)]
    guard = Hmac(sender="navy", header="X-Navy-Signature", secrets=(SECRET, NEW_SECRET), prefix="sha256=")

    async def show(request: web.Request) -> web.StreamResponse:
        body = await intake.raw_body(request)
        try:
            flag = msgspec.json.decode(body, type=Flag)
        except msgspec.MsgspecError as error:
            letter = DeadLetter(body=body, headers={}, reason=str(error), key="navy-1", sent_to=request.path)
            await ports.dead_letters.keep(letter)
            return reply({"kept": True}, status=HTTPStatus.ACCEPTED)
        shown.append(flag)
        return reply(flag)

    async def listing(request: web.Request) -> web.StreamResponse:
        limit, after = paging.limit(request), paging.after(request)
        page: list[tuple[paging.Place, Flag]] = []
        async for number, flag in in_stretches(reversed(list(enumerate(shown)))):
            place = float(number), flag.colour
            if after is None or place < after:
                page.append((place, flag))
        flags = tuple(flag for _, flag in page[:limit])
        return reply(Flags(flags=flags, next=paging.cursor(page[limit - 1][0]) if len(page) > limit else None))

    async def follow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        async with ports.waiting.open():
            with ports.feed.subscribe(limit=10) as changes:
                for one in ports.releases.views():
                    await response.write(f"data: {one.id}\n\n".encode())
                async for change in changes:
                    await response.write(f"data: {change.release.id} {change.release.stage}\n\n".encode())
        await response.write(b"event: bye\n\n")
        return response

    return [
        Endpoint(
            name="showFlag",
            method="POST",
            path="/hooks/flags/{colour}",
            handler=show,
            guard=guard,
            summary="Show a flag.",
            parameters=(COLOUR,),
            body=Flag(colour="red"),
            answers={200: Flag(colour="red"), 202: JSON, 413: None},
        ),
        Endpoint(
            name="listFlags",
            method="GET",
            path="/hooks/flags",
            handler=listing,
            guard=Open(),
            summary="The flags.",
            parameters=paging.PARAMETERS,
            answers={200: Flags(flags=(Flag(colour="red"),))},
        ),
        Endpoint(
            name="followFlags",
            method="GET",
            path="/hooks/flags/stream",
            handler=follow,
            guard=Open(),
            summary="What comes.",
            answers={200: TEXT},
        ),
    ]


MADE_UP = (*GROUPS, Group(name="flags", about="Made up.", endpoints=endpoints))


async def test_its_endpoints_are_served_guarded_and_described() -> None:
    async with serving(groups=MADE_UP) as api:
        body = b'{"colour":"red"}'
        signature = {"X-Navy-Signature": f"sha256={hmac.digest(NEW_SECRET, body, 'sha256').hex()}"}
        assert (await api.call("POST", "/hooks/flags/red", data=body))[0] == 401
        assert await api.call("POST", "/hooks/flags/red", data=body, headers=signature) == (200, {"colour": "red"})
        assert (await api.call("POST", "/hooks/flags/red?x=1", data=body, headers=signature))[1]["path"] == "?x"
        _, document = await api.call("GET", "/openapi.json")
    operation = document["paths"]["/hooks/flags/{colour}"]["post"]
    assert (operation["operationId"], operation["tags"], operation["security"]) == ("showFlag", ["flags"], [{"navySignature": []}])
    assert document["components"]["securitySchemes"].keys() == {"token", "hook", "gate", "navySignature"}
    assert document["components"]["securitySchemes"]["navySignature"]["name"] == "X-Navy-Signature"
    assert {"name": "flags", "description": "Made up."} in document["tags"]
    assert document["paths"].keys() >= {"/v1/releases", "/hooks/flags"}


async def test_what_it_has_taken_and_cannot_use_is_kept_with_the_reason() -> None:
    async with serving(groups=MADE_UP) as api:
        body = b'{"colour":7}'
        signature = {"X-Navy-Signature": f"sha256={hmac.digest(SECRET, body, 'sha256').hex()}"}
        assert (await api.call("POST", "/hooks/flags/red", data=body, headers=signature))[0] == 202
        [letter] = api.engine.letters
    assert (letter.body, letter.sent_to) == (body, "/hooks/flags/red")
    assert "$.colour" in letter.reason


async def test_its_list_has_pages_as_every_list() -> None:
    async with serving(groups=MADE_UP) as api:
        seen: list[str] = []
        cursor = ""
        while True:
            _, page = await api.call("GET", f"/hooks/flags?limit=2{cursor}")
            seen += [flag["colour"] for flag in page["flags"]]
            if "next" not in page:
                break
            cursor = f"&cursor={page['next']}"
        assert seen == ["c4", "c3", "c2", "c1", "c0"]
        assert (await api.call("GET", "/hooks/flags?limit=0"))[1]["path"] == "?limit"


async def test_its_stream_follows_the_feed_and_is_let_go_when_the_daemon_stops() -> None:
    async with asyncio.timeout(40), asyncio.TaskGroup() as group:
        async with serving(Engine(releases={"shop-1": view("shop-1")}), groups=MADE_UP) as api:
            reader, writer = await asyncio.open_connection("127.0.0.1", api.server.address.port)
            writer.write(b"GET /hooks/flags/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            await reader.readuntil(b"data: shop-1\n\n")
            api.engine.coming.put_nowait(ReleaseChange(number=1, release=view("shop-1", stage=Stage.GUARDING)))
            await reader.readuntil(b"data: shop-1 guarding\n\n")
            rest = group.create_task(reader.read())
        assert b"event: bye" in await rest
        writer.close()
        await writer.wait_closed()
