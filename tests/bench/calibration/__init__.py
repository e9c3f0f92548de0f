"""``make calibration``: how often the judge is wrong and how fast it is, measured on simulated releases, as a page with plots."""
