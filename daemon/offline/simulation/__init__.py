"""Releases that never happened: seeded streams of samples of which the truth is known, and their watch by the real judge.

What the calibration measures and what `verdictd plan` foretells comes from here. Counts are drawn, never single requests, for
many releases at once; numpy only.
"""
