"""The quantities that are judged (``table``), and the e-values of each."""
