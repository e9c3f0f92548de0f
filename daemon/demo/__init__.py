"""``verdictd demo``: a real proxy, a real broker and real traffic on one machine, and a bad canary taken back.

The child processes of the demo are modules of this package too, so nothing heavy is imported here.
"""

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str]) -> int:
    """Run the demo with these command-line arguments; the exit code is 0 only if every outcome was seen in the traffic."""
    from daemon.demo.command import main as run

    return run(argv)
