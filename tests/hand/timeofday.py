"""A time of day of its own for a process, which can be set while it runs: libfaketime's. What only passes goes on as before.

A nats-server that the process starts has the machine's: Go's programs ask the kernel without a library.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_LIBRARIES = ("usr/lib/*/faketime/libfaketimeMT.so.1", "usr/lib/faketime/libfaketimeMT.so.1")


def clock_library() -> Path | None:
    """libfaketime, where it is installed."""
    return next((found for pattern in _LIBRARIES for found in Path("/").glob(pattern)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeOfDay:
    """Of every process that is started in its environment.

    Attributes:
        file: holds what it is off by.
        library: see ``clock_library``.
    """

    file: Path
    library: Path

    def be_off(self, seconds: float) -> None:
        """From now on, against the machine's."""
        self.file.write_text(f"{seconds:+g}\n")

    @property
    def environment(self) -> Mapping[str, str]:
        """Ours, and what has a process begin with this time of day."""
        told = {"FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        return {**os.environ, **told, "LD_PRELOAD": str(self.library)}
