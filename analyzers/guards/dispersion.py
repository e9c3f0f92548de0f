"""Latency that moves from tick to tick more than independent requests would: divide the logarithm of its evidence by as much.

Under the null the standardised Mann-Whitney statistics of successive blocks of ticks differ by the variance of two normals.
Half the mean squared difference of *adjacent* blocks (von Neumann, Kent, Bellinson and Hart 1941) estimates it without being fooled
by a steady regression; the largest difference is left out, lest a regression that begins in between count as dispersion. Blocks
of 1, 4 and 16 ticks see correlation that lasts. A tick's statistic counts only so far as a capped tick can speak.
"""

from typing import Final

import numpy as np

from analyzers.layout import Array, Rows

LENGTHS: Final[Array] = np.array([1.0, 4.0, 16.0])
FEWEST: Final = 3.0
"""Differences before a block length counts."""
SLACK: Final = 1.6
SUM, PRECISION, TICKS, LAST, SQUARES, DONE, LARGEST = range(7)
LARGEST_Z: Final = 2.45
"""Beyond this many standard deviations a tick is one outlier: its evidence is capped there as well."""
_NUMBERS: Final = np.log([3.0, 4.0, 5.0, 6.0, 9.0, 15.0, 30.0, 75.0, 300.0])
_TRIMMED: Final = np.array([0.517, 0.566, 0.604, 0.636, 0.696, 0.769, 0.848, 0.918, 0.972])
"""Expected mean of half of n successive squared differences of normals without the largest (simulated, 40 000 or more of each)."""


def fold(rows: Rows, *, shift: Array, precision: Array) -> None:
    """Note one tick's statistic (releases,) and its precision under the null; ticks of precision 0 are left out."""
    known = precision > 0.0
    if not known.any():
        return
    blocks = rows.blocks
    root = np.sqrt(precision)
    z = np.minimum(np.maximum(shift * root, -LARGEST_Z), LARGEST_Z)
    blocks[:, :, : TICKS + 1] += np.array((root * z, precision, known)).T[:, None]
    full = known[:, None] & (blocks[:, :, TICKS] >= LENGTHS)
    z = blocks[:, :, SUM] / np.sqrt(np.maximum(blocks[:, :, PRECISION], 1e-300))
    compared = full & (blocks[:, :, DONE] > 0.0)
    square = np.where(compared, 0.5 * (z - blocks[:, :, LAST]) ** 2, 0.0)
    blocks[:, :, SQUARES] += square
    np.maximum(blocks[:, :, LARGEST], square, out=blocks[:, :, LARGEST])
    blocks[:, :, DONE] += full
    blocks[:, :, LAST] = np.where(full, z, blocks[:, :, LAST])
    blocks[:, :, : TICKS + 1] *= ~full[:, :, None]


def dispersion(blocks: Array) -> Array:
    """Variance between blocks in units of the model's (releases,), the largest of the lengths; 1 unless it is surely larger."""
    differences = blocks[:, :, DONE] - 1.0
    usual = np.interp(np.log(np.maximum(differences, FEWEST)), _NUMBERS, _TRIMMED)
    mean = (blocks[:, :, SQUARES] - blocks[:, :, LARGEST]) / np.maximum(differences - 1.0, 1.0) / usual
    sure = (differences >= FEWEST) & (mean > 1.0 + SLACK * np.sqrt(3.0 / np.maximum(differences, 1.0)))
    largest: Array = np.where(sure, mean, 1.0).max(1)
    return np.maximum(largest, 1.0)
