"""The outgoing client against servers that mean it no good: everything ends in an error of ours, in time, and in little memory."""

import asyncio
import base64
import gzip
import itertools
import os
import threading
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import files
from daemon.aio.credentials import Credentials, Identity
from daemon.aio.httpclient import HttpClient, base_url
from daemon.aio.parsing import PIECE_BYTES, ParserPool
from daemon.errors import Forbidden, InvalidInput, NotFound, Refused, Throttled, TimedOut, Unavailable, VerdictdError
from tests.hand.sockets import MIB, Server, bomb, endless_gzip, head, says, server

CEILING = 8 * MIB
PATIENCE_SECONDS = 30.0
"""What nothing here takes, on any machine: these tests are about bytes, not about time."""


class Noting:
    """A reader that notes what it is given, and in which thread."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.body = b""
        self.threads: set[int] = set()
        self.closed = False

    def feed(self, piece: bytes) -> None:
        self.sizes.append(len(piece))
        self.body += piece if sum(self.sizes) < MIB else b""
        self.threads.add(threading.get_ident())

    def close(self) -> None:
        self.closed = True


@asynccontextmanager
async def client(**options: Any) -> AsyncIterator[HttpClient]:
    """A client as the telemetry has one."""
    async with ParserPool(unparsed_bytes=options.pop("unparsed_bytes", 64 * MIB)) as pool:
        defaults = {
            "ceiling_setting": "telemetry.prom.max_answer_bytes",
            "setting": "telemetry.prom.url",
            "connections": 64,
            "timeout_seconds": PATIENCE_SECONDS,
            "max_answer_bytes": CEILING,
            "identity": Identity(Credentials(token_file=options.pop("token_file", None))),
        }
        async with HttpClient(pool=pool, **{**defaults, **options}) as made:
            yield made


@pytest.mark.parametrize("password", ["tell-nobody", "tell nobody: пароль/@"])
async def test_a_password_in_the_address_goes_out_as_one_from_a_file_and_is_told_as_little(password: str) -> None:
    async def answer(made: Server, writer: asyncio.StreamWriter) -> None:
        said = made.asked[0].partition("Authorization: ")[2].partition("\r\n")[0]
        await made.send(writer, head("500 Oops") + f"you are {said}, {password}".encode())

    async with server(answer) as hostile, client() as http:
        with pytest.raises(Unavailable, match="you are Basic \\[redacted\\]") as caught:
            await http.whole(hostile.url.with_user("me").with_password(password))
    packed = base64.b64encode(f"me:{password}".encode()).decode()
    assert f"Authorization: Basic {packed}\r\n" in hostile.asked[0]
    assert packed not in str(caught.value)
    assert password not in str(caught.value)


@pytest.mark.parametrize("line", ["HTTP/1.1 200 OK\r\nX-Said: %s\0\r\n\r\n", "%s 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n%s \r\n\r\n"])
async def test_what_is_no_http_may_say_the_token_again_and_it_is_not_told(tmp_path: Path, line: str) -> None:
    token = tmp_path / "token"
    token.write_text("tell-nobody")

    async def answer(made: Server, writer: asyncio.StreamWriter) -> None:
        await made.send(writer, (line % "tell-nobody").encode())

    async with server(answer) as hostile, client(token_file=str(token)) as http:
        with pytest.raises(Unavailable) as caught:
            await http.whole(hostile.url)
    assert "Bearer tell-nobody" in hostile.asked[0]
    assert "tell-nobody" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bombs", [1, 8])
async def test_a_gzip_bomb_is_unpacked_in_pieces_beside_the_loop_and_cut_at_the_ceiling(bombs: int) -> None:
    packed = bomb(64 * MIB)
    assert len(packed) < MIB // 10
    async with server(says(packed, Content_Encoding="gzip")) as hostile, client() as http:
        readers: list[Noting] = []

        def reader() -> Noting:
            readers.append(Noting())
            return readers[-1]

        results = await asyncio.gather(*(http.read(hostile.url, reader) for _ in range(bombs)), return_exceptions=True)
    for result in results:
        assert isinstance(result, Refused)
        assert str(result).endswith(f"answered with more than {CEILING} bytes; raise telemetry.prom.max_answer_bytes")
    assert len(readers) == bombs
    for one in readers:
        assert max(one.sizes) <= PIECE_BYTES
        assert CEILING - PIECE_BYTES < sum(one.sizes) <= CEILING
        assert not one.closed
    assert threading.get_ident() not in set().union(*(one.threads for one in readers))
    assert len(set().union(*(one.threads for one in readers))) == 1, "all of them share one thread"


async def test_the_loop_turns_between_any_two_pieces_of_a_bomb() -> None:
    """By design and not by the clock: the next piece is not begun before the loop has taken the one before."""
    turns, at_piece = 0, list[int]()

    class Turning(Noting):
        def feed(self, piece: bytes) -> None:
            super().feed(piece)
            at_piece.append(turns)

    async def turning() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with server(says(bomb(16 * MIB), Content_Encoding="gzip")) as hostile, client() as http:
        heart = asyncio.ensure_future(turning())
        with pytest.raises(Refused):
            await http.read(hostile.url, Turning)
        heart.cancel()
    assert len(at_piece) == CEILING // PIECE_BYTES
    assert all(later > earlier for earlier, later in itertools.pairwise(at_piece))


async def test_an_endless_answer_is_cut_at_the_ceiling_and_not_taken_off_the_wire() -> None:
    async def endless(made: Server, writer: asyncio.StreamWriter) -> None:
        await made.send(writer, head())
        while True:
            await made.send(writer, b"\n" * 65536)

    async with server(endless) as hostile, client() as http:
        with pytest.raises(Refused, match=r"raise telemetry\.prom\.max_answer_bytes"):
            await http.read(hostile.url, Noting)
        with pytest.raises(Refused, match=r"raise telemetry\.prom\.max_answer_bytes"):
            await http.whole(hostile.url)
        assert hostile.sent_bytes < 4 * CEILING, "two answers, and what lies in the buffers of both sides"


async def test_an_endless_gzip_is_cut_although_its_bytes_are_few() -> None:
    async def endless(made: Server, writer: asyncio.StreamWriter) -> None:
        await made.send(writer, head(Content_Encoding="gzip"))
        for part in endless_gzip():
            await made.send(writer, part)

    async with server(endless) as hostile, client() as http:
        with pytest.raises(Refused, match="more than"):
            await http.read(hostile.url, Noting)


async def test_bytes_that_unpack_to_nothing_are_cut_at_the_ceiling_too() -> None:
    packing = zlib.compressobj(9, wbits=31)
    nothing = packing.compress(b"") + packing.flush(zlib.Z_FULL_FLUSH)
    again = b"\0\0\0\xff\xff" * 16384  # blocks of no bytes

    async def endless(made: Server, writer: asyncio.StreamWriter) -> None:
        await made.send(writer, head(Content_Encoding="gzip") + nothing)
        while True:
            await made.send(writer, again)

    async with server(endless) as hostile, client(max_answer_bytes=MIB) as http:
        with pytest.raises(Refused, match="more than"):
            await http.read(hostile.url, Noting)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"])
@pytest.mark.parametrize("form", [None, {"query": "secret"}])
async def test_a_redirect_is_refused_and_nothing_reaches_where_it_leads(status: str, form: dict[str, str] | None) -> None:
    async with server(says(b"{}")) as victim, client(headers={"X-Scope-OrgID": "shop"}) as http:
        there = f"http://me:secret@127.0.0.1:{victim.url.port}/x?token=secret#secret"
        async with server(says(status=status, Location=there)) as hostile:
            with pytest.raises(Refused) as caught:
                await http.read(hostile.url, Noting, form=form)
            assert f"'http://127.0.0.1:{victim.url.port}/x'" in str(caught.value)
            assert "put the final address into telemetry.prom.url" in str(caught.value)
            assert "secret" not in str(caught.value)
            with pytest.raises(Refused, match="redirects are not followed"):
                await http.whole(hostile.url)
        assert victim.asked == []


@pytest.mark.parametrize("location", ["", "http://[::1", "/elsewhere", "file:///etc/passwd"])
async def test_a_redirect_to_nowhere_is_one_all_the_same(location: str) -> None:
    async with server(says(status="302 Found", Location=location)) as hostile, client() as http:
        with pytest.raises(Refused, match="redirects are not followed"):
            await http.read(hostile.url, Noting)


@pytest.mark.parametrize("kind", ["pipe", "device", "missing"])
async def test_a_token_file_that_is_no_file_is_told_and_holds_no_thread(tmp_path: Path, kind: str) -> None:
    """A pipe that nobody writes to would keep a thread at every request, until there is none left for anything else."""
    path = tmp_path / "token"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    async with server(says(b"{}")) as honest, client(token_file=str(path)) as http:
        with pytest.raises(Unavailable, match=r"token (is no regular file|cannot be read)"):
            await http.whole(honest.url)
        assert honest.asked == []


async def test_what_is_put_goes_out_as_json_with_the_token_and_its_answer_comes_with_its_headers(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("tell-nobody")
    async with server(says(b"true", X_Index="7")) as honest, client(token_file=str(tmp_path / "token")) as http:
        answer = await http.exchange(honest.url, put=b"{}")
    assert (answer.body, answer.headers["x-index"]) == (b"true", "7")
    [asked] = honest.asked
    assert asked.startswith("PUT ")
    assert "Content-Type: application/json" in asked
    assert "Authorization: Bearer tell-nobody" in asked


async def test_cookies_are_not_kept() -> None:
    async with server(says(b"{}", Set_Cookie="id=1; Path=/")) as hostile, client() as http:
        for _ in range(2):
            await http.read(hostile.url, Noting)
        assert len(hostile.asked) == 2
        assert not any("cookie" in asked.lower() for asked in hostile.asked)


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with server(says(b"{}")) as honest, client() as http:
        assert (await http.read(honest.url, Noting)).body == b"{}"


async def test_drops_do_not_buy_time() -> None:
    async def drip(made: Server, writer: asyncio.StreamWriter) -> None:
        await made.send(writer, head())
        while True:
            await made.send(writer, b"\n")
            await asyncio.sleep(0.01)

    async with server(drip) as hostile, client(timeout_seconds=0.2) as http:
        with pytest.raises(TimedOut, match=r"did not answer within 0\.2 s"):
            await http.read(hostile.url, Noting)
        with pytest.raises(TimedOut, match=r"did not answer within 0\.2 s"):
            await http.whole(hostile.url)


# --- the budget of all answers together ------------------------------------------------------------------------------------


async def test_no_more_answers_are_read_at_once_than_there_is_room_for_and_the_others_wait() -> None:
    begun, most, at_once, go_on = 0, 0, 0, asyncio.Event()

    class Counting(Noting):
        def __init__(self) -> None:
            nonlocal begun, most, at_once
            super().__init__()
            begun, at_once = begun + 1, at_once + 1
            most = max(most, at_once)

        def close(self) -> None:
            nonlocal at_once
            super().close()
            at_once -= 1

    async def half(made: Server, writer: asyncio.StreamWriter) -> None:
        await made.send(writer, head() + b"x" * 200_000)
        await go_on.wait()
        await made.send(writer, b"x" * 200_000)

    async with server(half) as proxies, client(unparsed_bytes=4 * MIB) as http:
        reading = [asyncio.ensure_future(http.read(proxies.url, Counting)) for _ in range(12)]
        while len(proxies.asked) < 12 or begun < 2:
            await asyncio.sleep(0.01)
        assert begun == 2, "4 MiB hold two answers; the others have been asked for and wait"
        go_on.set()
        read = await asyncio.gather(*reading)
    assert (begun, most) == (12, 2)
    assert all(sum(one.sizes) == 400_000 and one.closed for one in read)


async def test_an_answer_that_finds_no_room_in_its_time_says_which_key_makes_some() -> None:
    async def half(made: Server, writer: asyncio.StreamWriter) -> None:
        await made.send(writer, head() + b"x")
        await asyncio.sleep(PATIENCE_SECONDS)

    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(ParserPool(unparsed_bytes=2 * MIB))
        options: dict[str, Any] = {"setting": "telemetry.prom.url", "connections": 4, "max_answer_bytes": CEILING, "pool": pool}
        slow = await stack.enter_async_context(HttpClient(timeout_seconds=PATIENCE_SECONDS, **options))
        quick = await stack.enter_async_context(HttpClient(timeout_seconds=1.0, **options))
        hostile = await stack.enter_async_context(server(half))
        honest = await stack.enter_async_context(server(says(b"{}")))
        taken = asyncio.Event()

        def reader() -> Noting:
            taken.set()
            return Noting()

        holding = asyncio.ensure_future(slow.read(hostile.url, reader))
        await taken.wait()
        with pytest.raises(TimedOut, match=r"no room to read .* within 1 s; raise limits\.unparsed_bytes"):
            await quick.read(honest.url, Noting)
        holding.cancel()
        await asyncio.wait([holding])
        assert (await slow.read(honest.url, Noting)).closed, "the room of one that was given up is free again"


async def test_a_reading_that_is_cancelled_ends_after_the_piece_that_is_being_read() -> None:
    """What a piece is read into is looked at by others as soon as the reading is over."""
    reading, go_on, done = threading.Event(), threading.Event(), threading.Event()

    class Slow(Noting):
        def feed(self, piece: bytes) -> None:
            reading.set()
            go_on.wait(PATIENCE_SECONDS)
            done.set()

    async with server(says(gzip.compress(b"x"), Content_Encoding="gzip")) as honest, client() as http:
        task = asyncio.ensure_future(http.read(honest.url, Slow))
        await asyncio.to_thread(reading.wait, PATIENCE_SECONDS)
        task.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
        assert not task.done()
        waiting = asyncio.ensure_future(http.read(honest.url, Noting))
        while len(honest.asked) < 2:
            await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.wait([waiting])  # one that has not been begun is not waited for
        go_on.set()
        await asyncio.wait([task])
        assert task.cancelled()
        assert done.is_set()


# --- what comes is what is read --------------------------------------------------------------------------------------------


@given(parts=st.lists(st.binary(max_size=2000), min_size=1, max_size=4), packed=st.booleans(), size=st.integers(1, 3000))
async def test_the_reader_gets_what_was_sent(parts: list[bytes], packed: bool, size: int) -> None:
    body = b"".join(parts)
    wire = gzip.compress(body) if packed else body

    async def chunks(made: Server, writer: asyncio.StreamWriter) -> None:
        await made.send(writer, head(**({"Content_Encoding": "gzip"} if packed else {})))
        for start in range(0, len(wire), size):
            await made.send(writer, wire[start : start + size])

    async with server(chunks) as honest, client() as http:
        read = await http.read(honest.url, Noting)
        assert (read.body, read.closed) == (body, True)
        if not packed:
            assert await http.whole(honest.url) == body


async def test_a_long_answer_comes_in_pieces() -> None:
    wire = bytes(range(256)) * 4096
    for body, headers in ((wire, {}), (gzip.compress(wire), {"Content_Encoding": "gzip"})):
        async with server(says(body, **headers)) as honest, client() as http:
            read = await http.read(honest.url, Noting)
            assert (sum(read.sizes), max(read.sizes) <= PIECE_BYTES, read.closed) == (len(wire), True, True)
            assert read.body == wire[: len(read.body)]


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (says(gzip.compress(b"x" * 5000)[:-9], Content_Encoding="gzip"), Unavailable, "ends before its end"),
        (says(b"no gzip", Content_Encoding="gzip"), Unavailable, "cannot be unpacked"),
        (says(gzip.compress(b"x") + b"rest", Content_Encoding="gzip"), Unavailable, "goes on after its end"),
        (says(gzip.compress(b"") * 10_000, Content_Encoding="gzip"), Unavailable, "goes on after its end"),
        (says(b"x", Content_Encoding="br"), Refused, "encoding 'br', which was not asked for"),
        (says(b"cut", Content_Length="100"), Unavailable, "127.0.0.1"),
        (says(b"zz\r\n", Transfer_Encoding="chunked"), Unavailable, "127.0.0.1"),
        (says(b"", "99999 What"), Unavailable, "127.0.0.1"),
        (says(b"", X="y" * 100_000), Unavailable, "127.0.0.1"),
        (says(b"no", "401 Unauthorized"), Forbidden, "answered 401: no"),
        (says(b"no", "404 Not Found"), NotFound, "answered 404: no"),
        (says(b"", "429 Slow", Retry_After="7"), Throttled, "answered 429"),
        (says(gzip.compress(b"down " * 1000), "500 Oops", Content_Encoding="gzip"), Unavailable, "answered 500: down down"),
        (says(b"no gzip", "500 Oops", Content_Encoding="gzip"), Unavailable, "answered 500"),
        (says(b"\x1b[31m\n\xff", "400 Bad"), Refused, "answered 400: "),
    ],
)
async def test_whatever_is_wrong_is_an_error_of_ours(answer: Any, error: type[VerdictdError], words: str) -> None:
    async with server(answer) as hostile, client() as http:
        with pytest.raises(error) as caught:
            await http.read(hostile.url, Noting)
        assert words in str(caught.value)
        assert len(str(caught.value)) < 600


async def test_a_whole_answer_in_an_encoding_that_was_not_asked_for_is_refused() -> None:
    async with server(says(bomb(MIB), Content_Encoding="gzip")) as hostile, client() as http:
        with pytest.raises(Refused, match="which was not asked for"):
            await http.whole(hostile.url)


async def test_an_error_of_the_reader_comes_as_it_is() -> None:
    class Refusing(Noting):
        def feed(self, piece: bytes) -> None:
            raise InvalidInput("no statistics", path="line 7")

    async with server(says(b"x")) as honest, client() as http:
        with pytest.raises(InvalidInput, match="line 7: no statistics"):
            await http.read(honest.url, Refusing)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"two\nlines", "gr\u00fc\u00dfe".encode(), b"a\0b"])
async def test_a_token_file_that_holds_no_token_is_refused_and_its_content_not_told(tmp_path: Path, content: bytes) -> None:
    token = tmp_path / "token"
    token.write_bytes(content)
    async with server(says(b"{}")) as honest, client(token_file=str(token)) as http:
        with pytest.raises(Refused, match="holds no") as caught:
            await http.read(honest.url, Noting)
        assert "two" not in str(caught.value)
        assert honest.asked == []


async def test_a_token_file_that_hangs_is_named_and_takes_no_thread_of_anybody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount that does not answer, for which a reading that waits stands here."""
    answers = threading.Event()

    def hanging(*_: object, **__: object) -> bytes:
        answers.wait()
        return b"t"

    monkeypatch.setattr(files, "read_bytes", hanging)
    async with server(says(b"{}")) as honest, client(token_file="/mount/token", timeout_seconds=0.02) as http:
        for _ in range(40):
            with pytest.raises(TimedOut, match=r"files with the credentials for 127\.0\.0\.1:\d+ could not be read within"):
                await http.read(honest.url, Noting)
        assert [thread.name for thread in threading.enumerate()].count("credentials") == 1
        async with asyncio.timeout(40.0):
            await asyncio.to_thread(int)
        answers.set()
    assert honest.asked == []


def test_base_urls_are_refused_with_their_place() -> None:
    assert str(base_url("http://10.0.0.7:15090", path="url")) == "http://10.0.0.7:15090"
    with pytest.raises(InvalidInput, match=r"endpoints\[0\]"):
        base_url("ftp://x", path="endpoints[0]")
    with pytest.raises(InvalidInput, match="a colon in it") as caught:
        base_url("http://my%3Aname:tell-nobody@10.0.0.7:15090", path="url")
    assert "tell-nobody" not in str(caught.value)


async def test_work_in_the_pool_raises_what_it_raises() -> None:
    async with ParserPool(unparsed_bytes=1) as pool:
        assert await pool.run(partial(max, 1, 2)) == 2
        with pytest.raises(ZeroDivisionError):
            await pool.run(lambda: 1 // 0)
