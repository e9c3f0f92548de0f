"""By what istiod is known to work, or not: its own counters, as they stand on its page at port 15014.

A proxy that has rejected what it was sent, or has not been sent it, goes on with what it had: it may send requests to pods that are
gone, or know nothing of the canary's. What it then answers says nothing of the canary.
"""

from daemon.telemetry.signs import ControlPlane, Sign, grown

_UPTIME = "istiod_uptime_seconds{$these}"
"""Always shown; others are not before they have something to tell."""
_CONNECTED = "pilot_xds{$these}"
# Versions differ in how they write the bound.
_SENT_WITHIN_10_S = 'sum(increase(pilot_proxy_convergence_time_bucket{le=~"10|10.0",$these}[$within]))'
_SENT = 'sum(increase(pilot_proxy_convergence_time_bucket{le="+Inf",$these}[$within]))'


def _grown(series: str) -> str:
    return grown(series, uptime=_UPTIME)


BUILD = 'istio_build{component="pilot"}'
"""By which istiod says which version it is."""

CONTROL_PLANE = ControlPlane(
    name="istiod",
    alive=f"sum({_UPTIME})",
    signs=(
        Sign(
            kind="config_rejected",
            effect="excuses",
            expression=_grown("pilot_total_xds_rejects{$these}"),
            words="proxies have rejected configuration of istiod {value} times within 2 min",
        ),
        Sign(
            kind="config_not_made",
            effect="excuses",
            expression=_grown("pilot_total_xds_internal_errors{$these}"),
            words="istiod could not make configuration {value} times within 2 min",
        ),
        Sign(
            kind="config_not_sent",
            effect="excuses",
            expression=_grown('pilot_xds_pushes{type=~".*_senderr",$these}'),
            words="istiod could not send configuration to proxies {value} times within 2 min",
        ),
        Sign(
            kind="config_not_taken",
            effect="excuses",
            expression=_grown("pilot_xds_write_timeout{$these}"),
            words="proxies have not taken istiod's configuration in time {value} times within 2 min",
        ),
        Sign(
            kind="out_of_sync",
            effect="excuses",
            expression=f"(1 - {_SENT_WITHIN_10_S} / {_SENT} > 0.1)",
            words="{percent} of what istiod has sent to proxies within 2 min came more than 10 s late",
        ),
        Sign(
            kind="no_proxies",
            effect="excuses",
            expression=f"(sum({_CONNECTED}) == 0)",
            words="no proxy is connected to istiod",
        ),
        Sign(
            kind="config_refused",
            effect="says",
            expression=_grown("galley_validation_failed{$these}"),
            words="istiod has refused objects that somebody wrote, {value} times within 2 min",
        ),
    ),
    install="have istiod scraped (port 15014, /metrics of the Service istiod; the PodMonitor or job of Istio's own samples does)",
)
