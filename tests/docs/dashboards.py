"""deploy/grafana: three dashboards, made from the rows below, so that all panels look alike and each query stands once."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

FOLDER = "deploy/grafana"
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH, _HEIGHT = 8, 7
_ACROSS = 24 // _WIDTH
_SCHEMA_VERSION = 41
OF_ONE: Final = '{release="$release"}'


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: what it shows of which queries, by their legends. ``unit`` is Grafana's word for it."""

    title: str
    about: str
    queries: Mapping[str, str]
    unit: str = "short"
    kind: str = "timeseries"


def _quantiles(metric: str, by: str = "") -> dict[str, str]:
    labels = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    return {
        f"{said}{legend}": f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket[$__rate_interval])))"
        for said, q in (("median", 0.5), ("p99", 0.99))
    }


_ROLLBACKS: Final = 'increase(verdictd_verdicts_total{outcome="rollback"}[$__range])'
_FLEET: Final = (
    Panel("Releases", "How many are in which stage.", {"{{stage}}": "sum by (stage) (verdictd_releases)"}),
    Panel(
        "Verdicts",
        "How releases end.",
        {"{{outcome}}": "sum by (outcome) (increase(verdictd_verdicts_total[$__rate_interval]))"},
    ),
    Panel(
        "Rollbacks by service",
        "In the time that is shown.",
        {"{{namespace}}/{{service}}": f"sum by (namespace, service) ({_ROLLBACKS})"},
        kind="bargauge",
    ),
    Panel(
        "Evidence, of what a rollback needs",
        "At 1 it is sure that the canary is worse; that it is worse than tolerated is asked beside it.",
        {"{{namespace}}/{{service}}": "verdictd_release_evidence / verdictd_release_evidence_boundary"},
        unit="percentunit",
        kind="bargauge",
    ),
    Panel(
        "What became of the traffic of bad canaries",
        "failed and blocked: they still have it.",
        {"{{action}}": f"sum by (action) ({_ROLLBACKS})"},
        kind="bargauge",
    ),
    Panel("From the watch's start to the decision", "By outcome.", _quantiles("verdictd_detection_seconds", "outcome"), unit="s"),
    Panel("From the decision to no traffic", "As it was seen in the mesh.", _quantiles("verdictd_revert_seconds"), unit="s"),
    Panel(
        "Reverts that somebody undid",
        "They are done again.",
        {"undone": "sum(increase(verdictd_reverts_undone_total[$__rate_interval]))"},
    ),
    Panel("Frozen", "Namespaces in which nothing is taken back.", {"frozen": "count(verdictd_frozen) or vector(0)"}, kind="stat"),
)
_RELEASE: Final = (
    Panel(
        "What it is",
        "Cluster, mesh and policy.",
        {"{{cluster}} {{mesh}} {{policy}}": f"verdictd_release_info{OF_ONE}"},
        kind="stat",
    ),
    Panel("Stage", "Where it is in its life.", {"{{stage}}": f"verdictd_release_stage{OF_ONE}"}, kind="stat"),
    Panel(
        "Verdict",
        "For five minutes after it.",
        {"{{outcome}}, {{action}}": f"last_over_time(verdictd_release_verdict{OF_ONE}[$__range])"},
        kind="stat",
    ),
    Panel(
        "Evidence that it is worse at all",
        "Above its boundary it is sure.",
        {"evidence": f"verdictd_release_evidence{OF_ONE}", "boundary": f"verdictd_release_evidence_boundary{OF_ONE}"},
    ),
    Panel("The same by leg", "Each alone.", {"{{leg}}": f"verdictd_leg_evidence{OF_ONE}"}),
    Panel("Evidence that it is worse than tolerated", "By leg.", {"{{leg}}": f"verdictd_leg_beyond{OF_ONE}"}),
    Panel(
        "Difference of rates", "Failed, denied, unanswered.", {"{{leg}}": f"verdictd_leg_effect_points{OF_ONE}"}, unit="percentunit"
    ),
    Panel("Latency by the baseline's", "1 is the same.", {"{{leg}}": f"verdictd_leg_effect_ratio{OF_ONE}"}),
    Panel(
        "Requests judged",
        "Of both arms.",
        {"{{arm}}": f"rate(verdictd_release_requests_total{OF_ONE}[$__rate_interval])"},
        unit="reqps",
    ),
    Panel(
        "The canary's share",
        "As its route says, and as it was seen.",
        {"weight": f"verdictd_release_weight_ratio{OF_ONE}", "share": f"verdictd_release_share_ratio{OF_ONE}"},
        unit="percentunit",
    ),
    Panel(
        "Ticks without data",
        "Nothing is judged in them.",
        {"gaps": f"increase(verdictd_release_gaps_total{OF_ONE}[$__rate_interval])"},
    ),
    Panel("Age of what was judged", "Of the newest counter.", {"age": f"verdictd_release_telemetry_age_seconds{OF_ONE}"}, unit="s"),
)
_HEALTH: Final = (
    Panel("Daemons", "By version.", {"{{version}}": "count by (version) (verdictd_build_info)"}, kind="stat"),
    Panel("Components", "1: works, as /readyz says it.", {"{{component}}": "verdictd_component_up"}, kind="stat"),
    Panel("How late the loop turns", "Reverts come as much later.", _quantiles("verdictd_event_loop_lag_seconds"), unit="s"),
    Panel(
        "Between two rounds",
        "Longer than the tick: it lags.",
        {"{{telemetry}}": "verdictd_round_interval_seconds"},
        unit="s",
    ),
    Panel("Reading telemetry", "A round of all releases.", _quantiles("verdictd_sampling_seconds", "telemetry"), unit="s"),
    Panel("Judging", "A round of all releases.", _quantiles("verdictd_judging_seconds", "telemetry"), unit="s"),
    Panel(
        "Telemetry's last answer",
        "Ago.",
        {"{{telemetry}}": "time() - (verdictd_telemetry_last_success_timestamp_seconds > 0)"},
        unit="s",
    ),
    Panel(
        "Telemetry's samples",
        "How far apart, and how late at most.",
        {"{{telemetry}} apart": "verdictd_telemetry_spacing_seconds", "{{telemetry}} late": "verdictd_telemetry_late_seconds"},
        unit="s",
    ),
    Panel(
        "NATS",
        "Connected, and seconds since a write was acknowledged.",
        {"connected": "verdictd_nats_connected", "write ago": "time() - (verdictd_nats_last_write_timestamp_seconds > 0)"},
    ),
    Panel(
        "Events that were not used",
        "With the reason as dead letters, or gone before they were read.",
        {
            "dead letters": "increase(verdictd_dead_letters_total[$__rate_interval])",
            "lost": "increase(verdictd_events_lost_total[$__rate_interval])",
        },
    ),
    Panel(
        "Retried",
        "What failed, by what it was.",
        {"{{what}} {{error}}": "sum by (what, error) (increase(verdictd_troubles_total[$__rate_interval])) or vector(0)"},
    ),
    Panel(
        "Answers of the API",
        "By endpoint and status.",
        {"{{route}} {{code}}": "sum by (route, code) (rate(verdictd_http_request_seconds_count[$__rate_interval]))"},
        unit="reqps",
    ),
    Panel("Processor", "Of one core.", {"{{instance}}": "rate(process_cpu_seconds_total[$__rate_interval])"}, unit="percentunit"),
    Panel("Memory", "Resident.", {"{{instance}}": "process_resident_memory_bytes"}, unit="bytes"),
    Panel("Open files", "Of what is allowed.", {"{{instance}}": "process_open_fds / process_max_fds"}, unit="percentunit"),
)


def made() -> dict[str, str]:
    """Each dashboard's file, by its name."""
    boards = {
        "fleet": _board("fleet", "verdictd: all releases", _FLEET),
        "release": _board("release", "verdictd: one release", _RELEASE, variables=(_release_variable(),)),
        "health": _board("health", "verdictd: the daemon", _HEALTH),
    }
    return {f"{FOLDER}/{name}.json": json.dumps(board, indent=2) + "\n" for name, board in boards.items()}


def _board(name: str, title: str, panels: Sequence[Panel], *, variables: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    return {
        "uid": f"verdictd-{name}",
        "title": title,
        "tags": ["verdictd"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_SOURCE_VARIABLE, *variables]},
        "annotations": {"list": [_VERDICTS]},
        "links": [{"type": "dashboards", "tags": ["verdictd"], "title": "verdictd", "asDropdown": False, "includeVars": False}],
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }


_SOURCE_VARIABLE: Final = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
_VERDICTS: Final = {
    "name": "Verdicts",
    "enable": True,
    "datasource": _SOURCE,
    "iconColor": "red",
    "expr": "verdictd_release_verdict",
    "titleFormat": "{{namespace}}/{{service}}: {{outcome}}",
    "textFormat": "{{action}} ({{release}})",
    "step": "15s",
}


def _release_variable() -> dict[str, Any]:
    query = "label_values(verdictd_release_info, release)"
    return {
        "name": "release",
        "label": "Release",
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": "release"},
        "definition": query,
        "refresh": 2,
        "sort": 2,
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    at = {"x": number % _ACROSS * _WIDTH, "y": number // _ACROSS * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
    named = panel.kind == "stat" and all(legend.startswith("{{") for legend in panel.queries)
    return {
        "id": number + 1,
        "title": panel.title,
        "description": panel.about,
        "type": panel.kind,
        "datasource": _SOURCE,
        "gridPos": at,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "options": {"textMode": "name" if named else "auto"} if panel.kind == "stat" else {},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": _SOURCE,
                "expr": query,
                "legendFormat": legend,
                "instant": panel.kind != "timeseries",
                "range": panel.kind == "timeseries",
            }
            for place, (legend, query) in enumerate(panel.queries.items())
        ],
    }
