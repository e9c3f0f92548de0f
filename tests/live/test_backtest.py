"""``verdictd backtest`` on a real Prometheus with a past: what it reads, what it says, and how it asks."""

import json
from pathlib import Path

import pytest

from daemon import recordings
from tests.cli.binary import Done, verdictd
from tests.live.pastworld import Version, past, scrapes, write_past
from tests.servers.prometheus import Prometheus

pytestmark = [pytest.mark.live, pytest.mark.timeout(180), pytest.mark.xdist_group("backtest")]

START = 1_790_000_000.0
OLD = Version(workload="checkout-v1", begin=0, end=4200, pods=2, load=30)
BAD = Version(workload="checkout-v2", version="v2", begin=900, end=1500, failing=0.10, failing_from=120)
GOOD = Version(workload="checkout-v3", version="v3", begin=2400, end=5400)
WORLD = (OLD, BAD, GOOD)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a Prometheus that has a past."""
    folder = tmp_path_factory.mktemp("past")
    write_past(folder, WORLD, start=START)
    return folder


async def backtest(server: Prometheus, folder: Path, *argv: str) -> Done:
    where = ["--prometheus", server.url, "--pause", "0", "--recordings", str(folder)]
    return await verdictd("backtest", "--service", "checkout", "--namespace", "shop", *where, *argv)


def found(*, at: float = 0.0) -> tuple[str, ...]:
    return ("--from", str(START + at), "--to", str(START + 5400))


def named(canary: Version) -> tuple[str, ...]:
    return ("--baseline", "workload=checkout-v1", "--canary", f"workload={canary.workload}", "--from", str(START + canary.begin))


def counted(file: Path) -> tuple[int, int]:
    """Requests and errors of the canary in a recording."""
    arms = [sample.canary for sample in recordings.read(file)[1] if sample.canary is not None]
    return sum(arm.requests for arm in arms), sum(arm.errors for arm in arms)


def served(version: Version, *, until: float) -> tuple[int, int]:
    """What its pods had served at their last scrape, without what they had at their first: there counting starts."""
    requests = errors = 0
    for pod in range(version.pods):
        shown = [(one.ok + one.failed, one.failed) for at, one in scrapes(version, pod) if at <= until]
        requests += shown[-1][0] - shown[0][0]
        errors += shown[-1][1] - shown[0][1]
    return requests, errors


async def test_releases_are_found_in_the_past_and_the_bad_one_would_have_been_taken_back(world: Path, tmp_path: Path) -> None:
    async with past(world) as server:
        page = tmp_path / "page.html"
        done = await backtest(server, tmp_path / "kept", *found(), "--presume", "--html", str(page))
        assert done.code == 0, done.err
        bad, good = (next(line for line in done.out.splitlines() if f"-> {one.workload}" in line) for one in (BAD, GOOD))
        assert "bad (it went after" in bad
        assert "rollback at" in bad
        assert "good (it outlived the old one after 3" in good
        assert "promote at" in good
        assert "default: catches 1 of the 1 bad (half of them within " in done.out.splitlines()[-1]
        assert done.out.endswith("disturbs 0 of the 1 good\n")
        assert page.read_text(encoding="utf-8").count('<section class="watch">') == 2
        explained = await verdictd("explain", *map(str, sorted((tmp_path / "kept").glob("*.jsonl"))[:1]))
        assert explained.out.startswith("ROLLBACK  shop/checkout  canary v2 against baseline v1")


async def test_what_is_counted_is_what_the_pods_served_and_is_asked_for_once(world: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    async with past(world) as server:
        first = await backtest(server, kept, *named(GOOD), "--label", "healthy", "--json")
    assert first.code == 0, first.err
    (file,) = kept.glob("*.jsonl")
    assert counted(file) == served(GOOD, until=GOOD.begin + 900.0)
    again = await backtest(server, kept, *named(GOOD), "--label", "healthy", "--json")
    assert again.out == first.out, "the server is gone, and nobody asked for it"


async def test_policies_that_call_other_requests_failed_are_each_judged_by_their_own_word(world: Path, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("usual.yaml", "blind.yaml")]
    for file, text in zip(files, ("{}", "failures: {status: [404]}"), strict=True):
        file.write_text(text, encoding="utf-8")
    kept = tmp_path / "kept"
    async with past(world) as server:
        done = await backtest(server, kept, *named(BAD), "--label", "bad", "--json", "--policy", *map(str, files))
    assert done.code == 0, done.err
    [row] = json.loads(done.out)["rows"]
    usual, blind = row["verdicts"]
    assert (usual["verdict"], blind["verdict"]) == ("rollback", "promote")
    requests, errors = served(BAD, until=BAD.end)
    assert counted(Path(usual["recording"])) == (requests, errors)
    assert counted(Path(blind["recording"])) == (requests, 0)


async def test_however_far_back_is_looked_the_server_is_asked_where_its_data_begin(world: Path, tmp_path: Path) -> None:
    async with past(world) as server:
        done = await backtest(server, tmp_path / "kept", "--from", "0", "--to", str(START + 5400), "--presume")
    assert done.code == 0, done.err
    assert "nothing is there before 2026-09-" in done.err
    assert done.out.endswith("disturbs 0 of the 1 good\n")


async def test_a_server_that_gives_little_at_once_is_asked_for_less_and_counts_stay_the_same(world: Path, tmp_path: Path) -> None:
    async with past(world, flags=["--query.max-samples=800"]) as server:
        done = await backtest(server, tmp_path / "kept", *named(GOOD), "--label", "healthy", "--json")
        assert done.code == 0, done.err
        (row,) = json.loads(done.out)["rows"]
        assert row["verdicts"][0]["verdict"] == "promote"
        assert counted(Path(row["recording"])) == served(GOOD, until=GOOD.begin + 900.0)


async def test_a_time_of_which_nothing_is_kept_is_said_to_be_so(world: Path, tmp_path: Path) -> None:
    async with past(world) as server:
        early = ("--baseline", "workload=checkout-v1", "--canary", "workload=checkout-v2", "--from", str(START - 86_400.0))
        done = await backtest(server, tmp_path / "kept", *early)
        assert done.code == 65
        said = " ".join(done.out.split())
        assert "nothing of it can be counted in that time: baseline: no series yet; is it older than what is kept" in said
