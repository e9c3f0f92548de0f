"""PyJWT (RFC 7519), where it is installed: for tokens that others sign, and for those by which we say which App of GitHub we are.

It is an extra, so this is the one place that imports it; without it ``jwt`` is null, and whoever needs it says so in the settings.
"""

from typing import Final

from config.errors import Fault

try:
    import jwt as jwt  # noqa: PLC0414 - exported
except ImportError:  # the extra is not installed
    jwt = None  # type: ignore[assignment]

_FIX: Final = "install verdictd[issuers], which has PyJWT; the image has it"


def missing(path: str) -> Fault:
    """What to say of settings at this path that need it, where it is not there."""
    return Fault(path=path, message="needs PyJWT, which is not installed", fix=_FIX)
