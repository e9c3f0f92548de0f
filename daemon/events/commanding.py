"""From a message to a person's word about a release."""

from daemon.events import decoding
from daemon.model import Command


def read_command(body: bytes) -> Command:
    """Read a command. Raises ``InvalidEvent`` with the path to the fault and how to mend it."""
    fix = 'send {"command":"rollback","by":"name","reason":"..."}'
    with decoding.netted("a command"):
        return decoding.decode_as(Command, body, path="$", fix=fix)
