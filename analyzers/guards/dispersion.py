"""Latency that moves from tick to tick more than independent requests would: cool the evidence of the ranks and tails by as much.

Under the null the standardised Mann-Whitney statistics of successive blocks of ticks differ by the variance of two normals. Half
the mean squared difference of *adjacent* blocks estimates it without being fooled by a steady regression; blocks of 1, 4 and
16 ticks see correlation that lasts.
"""

from typing import Final

import numpy as np

from analyzers.layout import Array, Rows

LENGTHS: Final[Array] = np.array([1.0, 4.0, 16.0])
FEWEST: Final = 3.0
"""Differences before a block length counts."""
SLACK: Final = 1.6
SUM, PRECISION, TICKS, LAST, SQUARES, DONE = range(6)


def fold(rows: Rows, *, shift: Array, variance: Array) -> None:
    """Note one tick's statistic (releases,) and its variance under the null; ticks of variance 0 are left out."""
    known = variance > 0.0
    if not known.any():
        return
    blocks = rows.blocks
    precision = np.where(known, 1.0 / np.where(known, variance, 1.0), 0.0)
    blocks[:, :, SUM] += (precision * shift)[:, None]
    blocks[:, :, PRECISION] += precision[:, None]
    blocks[:, :, TICKS] += known[:, None]
    full = known[:, None] & (blocks[:, :, TICKS] >= LENGTHS)
    z = blocks[:, :, SUM] / np.sqrt(np.maximum(blocks[:, :, PRECISION], 1e-300))
    compared = full & (blocks[:, :, DONE] > 0.0)
    blocks[:, :, SQUARES] += np.where(compared, 0.5 * (z - blocks[:, :, LAST]) ** 2, 0.0)
    blocks[:, :, DONE] += full
    blocks[:, :, LAST] = np.where(full, z, blocks[:, :, LAST])
    blocks[:, :, : TICKS + 1] *= ~full[:, :, None]


def dispersion(blocks: Array) -> Array:
    """Variance between blocks in units of the model's (releases,), the largest of the lengths; 1 unless it is surely larger."""
    differences = blocks[:, :, DONE] - 1.0
    mean = blocks[:, :, SQUARES] / np.maximum(differences, 1.0)
    sure = (differences >= FEWEST) & (mean > 1.0 + SLACK * np.sqrt(3.0 / np.maximum(differences, 1.0)))
    largest: Array = np.where(sure, mean, 1.0).max(1)
    return np.maximum(largest, 1.0)
