"""The recording of a release over the API: as it lies there, and nothing else of the disk."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from config.settings import Http
from daemon.http.api import recordings
from daemon.model import Stage
from tests.hand.api import serving, view
from tests.hand.waiting import until
from tests.http.pages import engine_of

LINES = b'{"format":"verdictd.recording/1"}\n{"t":1.0}\n'


async def test_a_recording_is_given_as_it_lies_there(tmp_path: Path) -> None:
    (tmp_path / "shop-1.jsonl").write_bytes(LINES)
    async with serving(engine_of(view("shop-1", stage=Stage.ENDED)), recordings=tmp_path) as api:
        async with api.client.get("/v1/releases/shop-1/recording") as answer:
            assert (answer.status, await answer.read()) == (200, LINES)
            assert answer.content_type == "application/x-ndjson"
            assert answer.headers["Content-Disposition"] == 'attachment; filename="shop-1.jsonl"'
        async with api.client.head("/v1/releases/shop-1/recording") as answer:
            assert (answer.status, answer.content_length) == (200, len(LINES))


async def test_what_is_not_there_says_why(tmp_path: Path) -> None:
    (tmp_path / "shop-2.jsonl").mkdir()
    async with serving(engine_of(view("shop-1"), view("shop-2")), recordings=tmp_path) as api:
        for release_id, said in (
            ("shop-1", "has no recording here"),
            ("shop-2", "has no recording here"),
            ("shop-3", "no release"),
        ):
            status, problem = await api.call("GET", f"/v1/releases/{release_id}/recording")
            assert (status, said in problem["detail"]) == (404, True)
    async with serving(engine_of(view("shop-1"))) as api:
        status, problem = await api.call("GET", "/v1/releases/shop-1/recording")
        assert (status, "recordings.directory" in problem["detail"]) == (404, True)


async def test_no_other_file_can_be_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    (tmp_path / "secret.jsonl").write_bytes(b"secret")
    async with serving(engine_of(view("shop-1")), recordings=folder) as api:
        for asked in ("..%2Fsecret", "../secret", "%2e%2e%2fsecret", "shop-1%00", "SHOP-1"):
            status, _ = await api.call("GET", f"/v1/releases/{asked}/recording")
            assert status in {400, 404}


async def test_whoever_takes_nothing_is_cut_off_and_breaks_no_other_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings, "SLOWEST_SECONDS", 0.1)
    (tmp_path / "shop-1.jsonl").write_bytes(LINES * 400_000)
    async with serving(engine_of(view("shop-1")), recordings=tmp_path) as api:
        port = api.server.address.port
        slow = [await asyncio.open_connection("127.0.0.1", port, limit=1024) for _ in range(8)]
        for _, writer in slow:
            writer.write(b"GET /v1/releases/shop-1/recording HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await until(lambda: len(api.server.connections) == 8)
        await until(lambda: len(api.server.connections) == 0)
        for _, writer in slow:
            writer.close()
        for _ in range(12):  # whose sockets have the numbers of those that were cut off
            async with aiohttp.ClientSession() as another, another.get(f"http://127.0.0.1:{port}/healthz") as answer:
                assert answer.status == 200


async def test_whoever_takes_it_steadily_has_it_whole_however_long_that_takes(tmp_path: Path) -> None:
    (tmp_path / "shop-1.jsonl").write_bytes(LINES * 200_000)
    http = Http(listen="127.0.0.1:0", idle_seconds=0.3)
    async with serving(engine_of(view("shop-1")), http, recordings=tmp_path) as api:
        async with api.client.get("/v1/releases/shop-1/recording") as answer:
            taken = 0
            while piece := await answer.content.read(512 * 1024):
                taken += len(piece)
                await asyncio.sleep(0.05)  # somebody reads it slowly
        assert taken == len(LINES) * 200_000


async def test_a_recording_that_is_removed_meanwhile_ends_with_its_connection(tmp_path: Path) -> None:
    file = tmp_path / "shop-1.jsonl"
    file.write_bytes(LINES * 400_000)
    async with (
        serving(engine_of(view("shop-1")), recordings=tmp_path) as api,
        api.client.get("/v1/releases/shop-1/recording") as answer,
    ):
        file.unlink()
        with pytest.raises(aiohttp.ClientError):
            await answer.read()
