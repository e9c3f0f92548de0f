"""By what it is known whether Envoys hear of their control plane, whichever it is: their own word."""

from daemon.telemetry.signs import ControlPlane, Sign

_CONNECTED = "envoy_control_plane_connected_state{$these}"
_REJECTED = tuple(
    f"sum(increase({series}{{$these}}[$within])) > 0"
    for series in ("envoy_cluster_manager_cds_update_rejected", "envoy_listener_manager_lds_update_rejected")
)


def heard_of(name: str) -> ControlPlane:
    """The control plane of this name, as its Envoys tell of it."""
    return ControlPlane(
        name=name,
        alive=f"count({_CONNECTED})",
        signs=(
            Sign(
                kind="proxies_cut_off",
                effect="excuses",
                expression=f"(count({_CONNECTED} == 0) / count({_CONNECTED}) > 0.1)",
                words=f"{{percent}} of the proxies have lost {name}, and go on with what they had",
            ),
            Sign(
                kind="config_rejected",
                effect="excuses",
                expression=f"({' or '.join(_REJECTED)})",
                words=f"proxies have rejected configuration of {name} {{value}} times within 2 min",
            ),
        ),
        install="have the proxies' own series scraped, envoy_control_plane_connected_state among them",
    )
