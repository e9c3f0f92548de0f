"""One module per line of evidence. The exact ones offer ``PRIOR`` and ``log_e``; ``analyzers.bank`` folds them all at once."""
