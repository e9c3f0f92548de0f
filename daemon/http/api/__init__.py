"""The groups of the API. A new one is a module beside these, and a row here."""

from typing import Final

from daemon.http.api import events, facades, freezes, gates, hooks, operations, questions, recordings, releases, ui, verdicts
from daemon.http.endpoint import Group

GROUPS: Final[tuple[Group, ...]] = (
    releases.GROUP,
    verdicts.GROUP,
    events.GROUP,
    recordings.GROUP,
    freezes.GROUP,
    questions.GROUP,
    hooks.GROUP,
    gates.GROUP,
    facades.GROUP,
    operations.GROUP,
    ui.GROUP,
)
