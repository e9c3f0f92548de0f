"""What can go wrong in the demo, each with what to do about it.

The demo is the first thing a newcomer runs: an error here is a message with a way out, never a traceback.
"""

from daemon.errors import VerdictdError


class DemoError(VerdictdError):
    """The demo cannot go on.

    Args:
        message: what happened.
        fix: what to do about it.
        log_tail: the last lines that the failing process wrote.
    """

    def __init__(self, message: str, *, fix: str, log_tail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.log_tail = log_tail

    def __str__(self) -> str:
        """The message, the end of the log if there is one, and the way out."""
        tail = f"\n--- the end of its log ---\n{self.log_tail.rstrip()}\n---" if self.log_tail.strip() else ""
        return f"{self.message}{tail}\nWhat to do: {self.fix}"
