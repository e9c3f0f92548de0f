"""By what it is known whether Linkerd's control plane works: its proxies' questions to it, and their certificates."""

from daemon.telemetry.signs import ControlPlane, Sign

_ANSWERS = "control_response_total{%s$these}"
_EXPIRES = "identity_cert_expiration_timestamp_seconds{$these}"


def _asked(label: str = "") -> str:
    return f"sum(increase({_ANSWERS % label}[$within]))"


_FAILED = _asked('classification="failure",')

CONTROL_PLANE = ControlPlane(
    name="Linkerd's control plane",
    alive=f"count({_ANSWERS % ''})",
    signs=(
        Sign(
            kind="control_plane_failing",
            effect="excuses",
            expression=f"({_FAILED} / {_asked()} > 0.1)",
            words="{percent} of what the proxies asked Linkerd's control plane within 2 min failed",
        ),
        Sign(
            kind="certificates_expired",
            effect="excuses",
            expression=f"count(({_EXPIRES} > 0) < time())",
            words="the certificates of {value} proxies have expired",
        ),
    ),
    install="have the proxies' own series scraped, control_response_total among them",
)
