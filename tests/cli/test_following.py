"""``status``: chosen by outcome and time, and looked at over and over."""

import asyncio
import io
import json
import sys
import time
from collections.abc import Sequence

import msgspec
import pytest

from daemon.cli import main
from daemon.cli.following import follow
from daemon.errors import Unavailable, VerdictdError
from daemon.model import Outcome, Stage
from daemon.releaseview import ReleaseView
from tests.hand.api import Engine, serving, verdict, view


def decided(release_id: str, outcome: Outcome, *, ago: float) -> ReleaseView:
    at = time.time() - ago
    said = msgspec.structs.replace(verdict(release_id, outcome), decided_at=at)
    return msgspec.structs.replace(view(release_id, stage=Stage.ENDED, submitted_at=at - 60.0), verdict=said)


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        ([], ["now", "bad", "good", "old"]),
        (["--outcome", "rollback"], ["bad", "old"]),
        (["--since", "2h"], ["now", "bad", "good"]),
        (["--since", "2h", "--outcome", "rollback"], ["bad"]),
        (["--since", "1ms"], ["now"]),
    ],
)
async def test_releases_are_chosen_by_verdict_and_by_when_they_were_watched(
    argv: list[str], found: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """What is still being watched is watched now, however long ago it was announced."""
    releases = {
        "now": view("now", submitted_at=time.time()),
        "bad": decided("bad", Outcome.ROLLBACK, ago=600.0),
        "good": decided("good", Outcome.PROMOTE, ago=1200.0),
        "old": decided("old", Outcome.ROLLBACK, ago=9000.0),
    }
    async with serving(Engine(releases=releases)) as api:
        assert await asyncio.to_thread(main, ["status", "--json", *argv, "--server", api.server.address.url]) == 0
    assert [one["id"] for one in json.loads(capsys.readouterr().out)] == found


async def test_one_release_is_not_chosen_among_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert await asyncio.to_thread(main, ["status", "shop-1", "--since", "2h"]) == 64
    assert "leave the id out" in capsys.readouterr().err


async def test_a_watch_of_one_release_ends_with_its_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    engine = Engine(releases={"shop-1": decided("shop-1", Outcome.PROMOTE, ago=1.0)})
    async with serving(engine) as api:
        argv = ["status", "shop-1", "--watch", "--server", api.server.address.url]
        assert await asyncio.to_thread(main, argv) == 0
    assert capsys.readouterr().out.startswith("shop-1 promote (")


class Looks:
    """What is found, one look after the other; the last one is the verdict on the only release."""

    def __init__(self, *found: Sequence[ReleaseView] | VerdictdError, monotonic: float = 0.0) -> None:
        self._left = [*found, [decided("shop-1", Outcome.ROLLBACK, ago=1.0)]]
        self.now = monotonic

    def __call__(self) -> Sequence[ReleaseView]:
        found = self._left.pop(0)
        if isinstance(found, VerdictdError):
            raise found
        return found

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def follow(self, *, as_json: bool = False) -> int:
        return follow(self, alone=True, as_json=as_json, sleep=self.sleep, monotonic=lambda: self.now)


def test_without_a_terminal_there_is_a_line_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    watching = [view("shop-1")]
    assert Looks(watching, watching, [view("shop-1", stage=Stage.REVERTING)]).follow() == 0
    assert [" ".join(line.split()[:2]) for line in capsys.readouterr().out.splitlines()] == [
        "shop-1 watching",
        "shop-1 reverting",
        "shop-1 rollback",
    ]


def test_with_json_each_change_is_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert Looks([view("shop-1")]).follow(as_json=True) == 0
    assert [json.loads(line)["stage"] for line in capsys.readouterr().out.splitlines()] == ["watching", "ended"]


def test_what_is_gone_and_comes_again_is_a_change(capsys: pytest.CaptureFixture[str]) -> None:
    other = [view("shop-2")]
    Looks([view("shop-2"), view("shop-1")], [view("shop-1")], [*other, view("shop-1")]).follow()
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["shop-1", "shop-2", "shop-2", "shop-1"]


def test_a_terminal_has_the_table_anew_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    assert Looks([view("shop-1")]).follow() == 0
    assert terminal.getvalue().count("\x1b[H\x1b[2JID ") == 2


def test_a_daemon_that_restarts_is_waited_for_and_one_that_stays_away_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    away = Unavailable("connection refused")
    assert Looks([view("shop-1")], away, away).follow() == 0
    assert capsys.readouterr().err.count("connection refused; trying again") == 2
    with pytest.raises(Unavailable):
        Looks([view("shop-1")], *[away] * 60).follow()
    with pytest.raises(Unavailable):
        Looks(away).follow()


def test_it_ends_when_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        lost = "Broken pipe"

    monkeypatch.setattr(sys, "stdout", Gone())
    assert Looks().follow() == 0
