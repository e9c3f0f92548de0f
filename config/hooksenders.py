"""Who can send to a hook, by the word that the settings and the command line use: the one list, which imports nothing else."""

from typing import Final, Literal, get_args

HookSender = Literal["cloudevents", "github", "gitlab", "flux", "template"]
HOOK_SENDERS: Final[tuple[HookSender, ...]] = get_args(HookSender)
SIGNERS: Final[frozenset[HookSender]] = frozenset({"github", "gitlab"})
"""Those that cannot show the daemon's token."""
