"""The tables of the page: measured figures beside the reference's, worse ones marked."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from tests.bench.calibration.cells import Cell
from tests.bench.calibration.figures import Reference, delay, share
from tests.bench.calibration.probes import BOUND_TICKS, CERTIFICATES, LEGS, SUMS, First

Answers = Mapping[tuple[str, str], First]
WORSE: Final = " **worse**"
NOTHING: Final = ""


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An aligned table."""
    table = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in table]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


class Tables:
    """All tables of one calibration."""

    def __init__(self, cells: Sequence[Cell], answers: Answers, reference: Reference) -> None:
        """The answers must hold every cell."""
        self._cells, self._answers, self._reference = cells, answers, reference
        self.worse: list[str] = []

    def of(self, section: str) -> list[tuple[Cell, First]]:
        """Cells of a section with their answers."""
        return [(cell, self._answers[cell.section, cell.key]) for cell in self._cells if cell.section == section]

    def known(self, cell: Cell, column: str) -> float | list[float] | None:
        """The reference of a column, if there is one."""
        return self._reference.get(cell.section, {}).get(cell.key, {}).get(column)

    def share(self, cell: Cell, first: First, column: str, *, key: str | None = None) -> str:
        """A share with its standard error; the reference in brackets."""
        if column not in first:
            return NOTHING
        known = self.known(cell, key or column)
        against = float(known) if isinstance(known, int | float) else None
        runs = self.known(cell, "runs")
        figure = share(first[column], against, int(runs) if isinstance(runs, int | float) else 1000)
        return self._marked(cell, column, f"{figure}", figure.worse, None if against is None else f"{against:g}")

    def delay(self, cell: Cell, first: First, column: str, *, key: str | None = None) -> str:
        """Median and 90th percentile; the reference in brackets."""
        if column not in first:
            return NOTHING
        known = self.known(cell, key or column)
        against = [float(value) for value in known] if isinstance(known, list) else None
        figure = delay(first[column], cell.world.change.onset_tick, against)
        return self._marked(
            cell, column, f"{figure}", figure.worse, None if against is None else " / ".join(f"{v:g}" for v in against)
        )

    def _marked(self, cell: Cell, column: str, words: str, worse: bool, against: str | None) -> str:
        if against is not None:
            words += f" [{against}]"
        if worse:
            self.worse.append(f"{cell.section}: {cell.title}, {column}: {words}")
            words += WORSE
        return words

    def _table(self, section: str, header: Sequence[str], row: Callable[[Cell, First], list[str]]) -> str:
        return markdown(header, [[cell.title, *row(cell, first)] for cell, first in self.of(section)])

    def false(self) -> str:
        """False rollbacks of healthy releases without any tolerance."""
        return self._table(
            "false",
            ["healthy release", "runs", *SUMS, *(f"{leg} alone" for leg in LEGS)],
            lambda cell, first: [str(cell.runs), *(self.share(cell, first, column) for column in (*SUMS, *LEGS))],
        )

    def detection(self) -> str:
        """Ticks from the onset to rollback."""

        def row(cell: Cell, first: First) -> list[str]:
            return [self.delay(cell, first, cell.best_leg, key="leg"), *(self.delay(cell, first, column) for column in SUMS)]

        return self._table("detection", ["change", "best leg alone", *SUMS], row)

    def hazards(self) -> str:
        """False rollbacks without and with the guards; how bad the hazard is without them is no figure of the judge."""

        def without(cell: Cell, first: First) -> str:
            known = self.known(cell, "boost")
            return str(share(first["boost"])) + ("" if known is None else f" [{known}]")

        return self._table(
            "hazards",
            ["hazard", "runs", "without", "with guards"],
            lambda cell, first: [str(cell.runs), without(cell, first), self.share(cell, first, "guarded")],
        )

    def costs(self) -> str:
        """Ticks to rollback without and with the guards."""
        return self._table(
            "costs",
            ["change", "without", "with guards"],
            lambda cell, first: [self.delay(cell, first, "boost"), self.delay(cell, first, "guarded")],
        )

    def shapes(self) -> str:
        """Other latency shapes: ticks, or for healthy releases the share taken back."""

        def row(cell: Cell, first: First) -> list[str]:
            tell = self.share if cell.key.endswith("A/A") else self.delay
            return [tell(cell, first, column) for column in ("avg", "boost", "guarded")]

        return self._table("shapes", ["shape and change", "avg", "boost", "guarded"], row)

    def certified(self) -> str:
        """Ticks until a certificate is there."""
        chosen = [
            (cell, first) for cell, first in self.of("promotion") if not cell.key.split()[-1].startswith(("e0", "x1.1", "t1.1"))
        ]
        rows = [[cell.title, *(self._certificate(cell, first, column) for column in CERTIFICATES)] for cell, first in chosen]
        return markdown(["canary", *CERTIFICATES], rows)

    def _certificate(self, cell: Cell, first: First, column: str) -> str:
        if cell.tolerance == "absolute" and column != "errors":
            return NOTHING
        if self.known(cell, f"share {column}") is not None:
            return self.share(cell, first, column, key=f"share {column}")
        return self.delay(cell, first, column)

    def wrongly_certified(self) -> str:
        """The share certified although at the tolerance."""
        columns = {"at e0.6": ("errors",), "at e0.5": ("errors",), "at x1.1": ("rank", "mean", "p99"), "at t1.1": ("p99",)}
        rows = [
            [cell.title, certificate, self.share(cell, first, certificate, key=f"share {certificate}")]
            for cell, first in self.of("promotion")
            for key, certificates in columns.items()
            if cell.key.endswith(key)
            for certificate in certificates
        ]
        return markdown(["canary", "certificate", "given although at the tolerance"], rows)

    def bounds(self) -> str:
        """The factor of p99 that is certified, by time."""
        rows = []
        for cell, first in self.of("promotion"):
            if cell.key.split()[-1] in {"same", "t1.5"}:
                row = [cell.title]
                for tick in BOUND_TICKS:
                    values = np.array(first[f"bound {tick}"])
                    known = self.known(cell, f"bound {tick}")
                    median = float(np.median(np.nan_to_num(values, nan=np.inf)))
                    words = f"x{median:.2f}" if np.isfinite(median) else NOTHING
                    row.append(words + ("" if known is None else f" [x{known}]"))
                rows.append(row)
        return markdown(["canary", *(f"after {tick} ticks" for tick in BOUND_TICKS)], rows)

    def product(self) -> str:
        """What the default policy does."""

        def row(cell: Cell, first: First) -> list[str]:
            taken, given = first["rollback"], first["promote"]
            return [
                str(share(taken)),
                str(share(given)),
                str(share(first["inconclusive"])),
                *(_times([tick for tick in ticks if tick]) for ticks in (taken, given)),
            ]

        return self._table("product", ["release", "rollback", "promote", "inconclusive", "ticks to rollback", "to promotion"], row)


def _times(ticks: Sequence[float]) -> str:
    return f"{np.median(ticks):.0f} / {np.percentile(ticks, 90):.0f}" if len(ticks) >= 10 else NOTHING
