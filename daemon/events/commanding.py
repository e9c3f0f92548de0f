"""From a message to a person's word about a release."""

from daemon.events import decoding
from daemon.interventions import Command


def read_command(body: bytes) -> Command:
    """Read a command. Raises ``InvalidEvent`` with every fault, its path and how to mend it."""
    fix = 'send {"command":"rollback","by":"name","reason":"..."}'
    with decoding.netted("a command"):
        return decoding.checked(decoding.decode(body, path="$", fix=fix, like=Command), Command, path="$")
