"""The channels over HTTP that verdicts are told on: a row for each. A new one is a module and a row here."""

from typing import Final

from daemon.sinks.alertmanager import ALERTMANAGER
from daemon.sinks.channel import ChannelKind
from daemon.sinks.flux import FLUX
from daemon.sinks.github import DEPLOYMENT, DISPATCH
from daemon.sinks.githubrule import PROTECTION_RULE
from daemon.sinks.gitlab import PIPELINE, STATUS
from daemon.sinks.webhook import CALLBACK, WEBHOOK

CHANNELS: Final[tuple[ChannelKind, ...]] = (
    WEBHOOK,
    CALLBACK,
    DEPLOYMENT,
    DISPATCH,
    PROTECTION_RULE,
    STATUS,
    PIPELINE,
    ALERTMANAGER,
    FLUX,
)
