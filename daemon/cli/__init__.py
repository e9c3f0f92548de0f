"""The command ``verdictd``. Each command is a module, imported when it is chosen, so that ``verdictd wait`` starts at once."""

from daemon.cli.entry import main

__all__ = ["main"]
