"""Which releases a file lists."""

from pathlib import Path

import pytest

from daemon.errors import InvalidInput
from daemon.model import ArmSpec
from daemon.offline.backtest.past import arm_words, past_of, pasts_in, recording_name
from daemon.offline.replay.labels import Label

NOW = 1_790_000_000.0
ONE = {"service": "web", "from": NOW - 3600.0, "baseline": {"workload": "web-v1"}, "canary": {"workload": "web-v2"}}


def test_what_stands_beside_the_list_is_of_all_of_them(tmp_path: Path) -> None:
    file = tmp_path / "releases.yaml"
    file.write_text(
        "service: web\nnamespace: shop\nbaseline: {workload: web-v1}\nreleases:\n"
        "- {from: 2026-09-21T10:00:00Z, canary: {workload: web-v2}, label: bad, onset_seconds: 60}\n"
        "- {from: 2026-09-21 11:00, to: 2026-09-21 12:00, canary: {workload: web-v3}, weight: 10}\n",
        encoding="utf-8",
    )
    first, second = pasts_in(file, given={"namespace": "other"}, now=NOW)
    assert (first.release.service, first.release.namespace) == ("web", "other")
    assert first.label == Label(label="bad", onset_seconds=60.0)
    assert (first.begin, first.end) == (1_789_984_800.0, None)
    assert (second.end, second.label, second.release.weight) == (1_789_992_000.0, None, 10.0)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"from": None}, r"x\.from: is missing"),
        ({"to": NOW - 7200.0}, r"x\.to: is not after from"),
        ({"label": "splendid"}, r"x\.label: .*healthy or bad"),
        ({"canary": None}, "canary"),
        ({"color": "red"}, "color"),
    ],
)
def test_a_fault_is_named_with_its_place(changed: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        past_of({**ONE, **changed}, path="x", now=NOW)


@pytest.mark.parametrize("text", ["", "releases: []", "releases: [5]", "releases: web"])
def test_a_file_without_releases_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "releases.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match="write releases: a list"):
        pasts_in(file, given={}, now=NOW)


def test_a_recording_has_the_same_name_for_the_same_question_and_another_for_another() -> None:
    past = past_of(ONE, path="x", now=NOW)

    def name(*, end: float = NOW, tick: float | None = None, source: str = "a") -> str:
        return recording_name(past, end=end, tick_seconds=tick, source=source)

    names = {name(), name(end=NOW - 1), name(tick=5.0), name(source="b")}
    assert len(names) == 4
    assert name() in names
    assert name().startswith(f"default-web-{int(NOW - 3600)}-")


def test_an_arm_is_told_in_short() -> None:
    assert arm_words(ArmSpec(workload="web", version="v2", labels={"b": "2", "a": "1"})) == "web v2 a=1 b=2"
