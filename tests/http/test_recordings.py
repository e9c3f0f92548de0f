"""The recording of a release over the API: as it lies there, in parts where that is asked for, and nothing else of the disk."""

from pathlib import Path

from daemon.model import Stage
from tests.hand.api import serving, view
from tests.http.pages import engine_of

LINES = b'{"format":"verdictd.recording/1"}\n{"t":1.0}\n'


async def test_a_recording_is_given_as_it_lies_there(tmp_path: Path) -> None:
    (tmp_path / "shop-1.jsonl").write_bytes(LINES)
    async with serving(engine_of(view("shop-1", stage=Stage.ENDED)), recordings=tmp_path) as api:
        async with api.client.get("/v1/releases/shop-1/recording") as answer:
            assert (answer.status, await answer.read()) == (200, LINES)
            assert answer.content_type == "application/x-ndjson"
            assert answer.headers["Content-Disposition"] == 'attachment; filename="shop-1.jsonl"'
        async with api.client.get("/v1/releases/shop-1/recording", headers={"Range": "bytes=2-7"}) as answer:
            assert (answer.status, await answer.read()) == (206, LINES[2:8])
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
