"""Checks of what readers are told: ``python -m tests.docs`` (part of ``make check``); ``--write`` makes the generated pages."""
