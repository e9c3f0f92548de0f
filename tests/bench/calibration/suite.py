"""The labelled suite: 1000 releases, half of them bad, judged under the policies of their kinds; and the same as recordings.

``python -m tests.bench.calibration --recordings FOLDER`` writes them, so that ``verdictd replay FOLDER/*`` can be scored by the
labels in ``labels.json``.
"""

import gzip
import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from daemon import recordings
from daemon.model import ArmSpec, Release
from daemon.simulation.trials import Ends, Watch, judge_block, terms_for, watched_ticks
from tests.bench.calibration.kinds import Kind, bad, healthy
from tests.bench.calibration.tables import markdown

RELEASES: Final = 1000
SEED: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What became of the releases of one kind."""

    kind: Kind
    ends: Ends

    @property
    def taken_back(self) -> int:
        """Releases rolled back."""
        return self.ends.outcomes.count("rollback")


def kinds() -> list[Kind]:
    """All kinds, healthy ones first."""
    return [*healthy(), *bad()]


def scores(*, releases: int = RELEASES, chosen: Sequence[Kind] | None = None) -> list[Score]:
    """Judge the suite, or some kinds: the same number of releases of every kind."""
    all_kinds = kinds() if chosen is None else chosen
    each = releases // len(all_kinds)
    return [
        Score(kind=kind, ends=judge_block(kind.world, terms_for(kind.world, kind.policy), releases=each, seed=_seed(number)))
        for number, kind in enumerate(all_kinds)
    ]


def _seed(kind: int) -> int:
    return 1000 * SEED + kind


def precision_and_recall(found: Sequence[Score]) -> tuple[float, float]:
    """Of what was taken back, the share that was bad; of what was bad, the share that was taken back."""
    right = sum(score.taken_back for score in found if score.kind.bad)
    wrong = sum(score.taken_back for score in found if not score.kind.bad)
    all_bad = sum(len(score.ends.outcomes) for score in found if score.kind.bad)
    return right / max(1, right + wrong), right / max(1, all_bad)


def report(*, releases: int = RELEASES, chosen: Sequence[Kind] | None = None) -> str:
    """The suite's part of the page."""
    found = scores(releases=releases, chosen=chosen)
    precision, recall = precision_and_recall(found)
    rows = []
    for score in found:
        outcomes = Counter(score.ends.outcomes)
        delays = score.ends.delays("rollback", after_tick=score.kind.world.change.onset_tick)
        middle = f"{sorted(delays.tolist())[len(delays) // 2]}" if score.kind.bad and len(delays) else ""
        kind = "bad" if score.kind.bad else "healthy"
        rows.append([kind, score.kind.name, *(str(outcomes[name]) for name in ("rollback", "promote", "inconclusive")), middle])
    number = sum(len(score.ends.outcomes) for score in found)
    return (
        f"## {number} labelled releases\n\n"
        f"**Precision {_percent(precision, number // 2)}**: of what was taken back, so much was bad. "
        f"**Recall {_percent(recall, number // 2)}**: of what was bad, so much was taken back. "
        "Neither inconclusive nor promoted counts as found.\n\n"
        + markdown(["truth", "kind", "rollback", "promote", "inconclusive", "median ticks to rollback"], rows)
    )


def _percent(part: float, of: int) -> str:
    error = math.sqrt(max(part * (1.0 - part), 0.25 / of) / of)
    return f"{100.0 * part:.1f} ± {100.0 * error:.1f} %"


def write(folder: Path, *, releases: int = RELEASES, chosen: Sequence[Kind] | None = None) -> int:
    """Write the suite, or some kinds, as packed recordings as long as the watch was, and ``labels.json``; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    all_kinds = kinds() if chosen is None else chosen
    each = releases // len(all_kinds)
    labels: dict[str, str] = {}
    for number, kind in enumerate(all_kinds):
        name = f"{'bad' if kind.bad else 'healthy'}-{re.sub('[^a-z0-9]+', '-', kind.name.lower()).strip('-')}"
        for at, lines in enumerate(_lines(kind, releases=each, seed=_seed(number))):
            file = f"{name}-{at:03d}.jsonl.gz"
            (folder / file).write_bytes(gzip.compress(b"".join(line + b"\n" for line in lines), mtime=0))
            labels[file] = "bad" if kind.bad else "healthy"
    (folder / "labels.json").write_text(json.dumps(labels, indent=1), encoding="utf-8")
    return len(labels)


def _lines(kind: Kind, *, releases: int, seed: int) -> list[list[bytes]]:
    terms = terms_for(kind.world, kind.policy)
    files = [[recordings.header_line(_header(kind))] for _ in range(releases)]
    watch = Watch(kind.world, terms, releases=releases, seed=seed)
    for now in watch.rounds(watched_ticks(kind.world, terms)):
        for at, sample in zip(now.places, now.samples, strict=True):
            files[at].append(recordings.line(sample))
        watch.places = [at for at, ruling in zip(now.places, now.rulings, strict=True) if ruling.outcome == "continue"]
    return files


def _header(kind: Kind) -> recordings.Header:
    release = Release(
        service="simulated",
        baseline=ArmSpec(version="v1"),
        canary=ArmSpec(version="v2"),
        weight=kind.world.traffic.weight,
    )
    return recordings.Header(
        release=msgspec.to_builtins(release),
        policy=kind.policy,
        bounds_ms=kind.world.times.bounds_ms,
        split=kind.world.split,
        tick_seconds=kind.world.traffic.tick_seconds,
    )
