"""What the tests of the page show on it, and ask of it."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import msgspec

from analyzers.counts import Arm, Latency, Pod
from analyzers.ruling import Finding, LegsNow, Ruling
from config.policy import Policy
from daemon.measurements import ArmState, PodsState, Reading, Watch
from daemon.model import Action, ArmSpec, Outcome, Release, Stage
from daemon.ports.service import ReleaseChange
from daemon.releaseview import ReleaseView
from tests.hand.api import Api, Engine, verdict, view

SPILLS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
NAMES = "[...document.querySelectorAll('#open tbody tr td.service a')].map((one) => one.textContent).join()"


def failed(release_id: str, service: str, *, action: Action = Action.FAILED) -> ReleaseView:
    said = msgspec.structs.replace(verdict(release_id), action=action)
    return msgspec.structs.replace(view(release_id, service=service, stage=Stage.GUARDING), verdict=said)


def engine_of(*views: ReleaseView) -> Engine:
    return Engine(releases={one.id: one for one in views}, ends={one.id: one.verdict for one in views if one.verdict})


def address(api: Api, path: str) -> str:
    return f"http://127.0.0.1:{api.server.address.port}{path}"


def told(api: Api, one: ReleaseView, number: int = 1000) -> None:
    """The release is so from now on, and whoever follows hears of it."""
    api.engine.releases[one.id] = one
    api.engine.coming.put_nowait(ReleaseChange(number=number, release=one))


_ERRORS = Finding(
    leg="errors",
    effect=0.031,
    unit="points",
    low=0.004,
    high=0.06,
    level=0.95,
    e_value=97.0,
    tolerance=0.005,
    standing="open",
    sentence="3.2 % of the canary's 4 560 requests failed since the start, 0.11 % of the baseline's; allowed 0.5 %",
    beyond=12.0,
)
_TYPICAL = dataclasses.replace(_ERRORS, leg="typical", unit="ratio", effect=1.02, low=None, high=1.2, tolerance=1.1, e_value=0.9)
SO_FAR = (_ERRORS, _TYPICAL)


def watched(api: Api, one: ReleaseView, *, ticks: int = 40) -> None:
    """Its watch goes on for some ticks: the canary becomes bad, one tick has no data, and pods are seen."""
    watch = Watch(release_id=one.id, release=one.release, policy=Policy())
    state = PodsState(
        baseline=ArmState(pods=3, ready=3), canary=ArmState(pods=2, ready=1, restarts=4, troubles=("web-v2-1: CrashLoopBackOff",))
    )
    for tick in range(1, ticks + 1):
        evidence = 1.0 + 0.06 * tick**2
        legs = LegsNow(("errors", "typical"), (evidence, 0.9), (evidence / 8.0, 1.0), lambda _: (0.031, 1.02), lambda _: SO_FAR, 0)
        ruling = Ruling(
            outcome="continue", tick=tick, t=5.0 * tick, evidence=evidence, boundary=100.0, legs=legs, leg=None, reason=""
        )
        bad = tick // 8 + tick % 3
        slow = Latency(counts=(8, 30 + tick % 7, 60, 20, 2 + tick % 2, 0), sum_ms=4000.0)
        quick = Latency(counts=(90, 420, 300, 60, 10, 0), sum_ms=18000.0)
        canary = Arm(
            requests=120,
            errors=bad,
            latency=slow,
            pods={"web-v2-0": Pod(requests=70, errors=0, latency=slow), "web-v2-1": Pod(requests=50, errors=bad, latency=slow)},
        )
        served = Reading(
            seconds=5.0,
            baseline=Arm(requests=880, errors=1, latency=quick, pods={"web-v1-0": Pod(requests=880, errors=1, latency=quick)}),
            canary=canary,
            bounds_ms=(5.0, 10.0, 25.0, 50.0, 100.0),
            weight=5.0 if tick < 12 else 12.0,
            pods=state,
        )
        gap = Reading(seconds=5.0, gap="Prometheus does not answer", weight=12.0)
        api.metrics.ticked(watch, gap if tick in {20, 21} else served, ruling)


def busy(now: float) -> Iterator[ReleaseView]:
    """Releases in every state."""
    failing = "4.1 % of the canary's 612 requests failed since the start (95 % sure: at least 1.9 %), 0.1 % of the baseline's"
    more = "more requests of the canary are needed: 312 of 500"

    def one(service: str, *, age: float, evidence: float = 1.0, stage: Stage = Stage.WATCHING, **over: Any) -> ReleaseView:
        old, new = ArmSpec(version="2.4.0"), ArmSpec(version="2.4.1")
        about = Release(service=service, namespace=over.pop("namespace", "shop"), weight=10.0, baseline=old, canary=new)
        made = ReleaseView(
            id=f"{service}-5d41402abc4b2a76", release=about, stage=stage, submitted_at=now - age, evidence=evidence, boundary=100.0
        )
        ticks = {"ticks": int(age / 5.0), "seconds": age, "window_seconds": 1800.0, "waiting_for": more}
        return msgspec.structs.replace(made, **{**ticks, **over})

    def ended(service: str, outcome: Outcome, action: Action, reason: str, *, age: float, **over: Any) -> ReleaseView:
        said = msgspec.structs.replace(verdict(service, outcome), reason=reason, action=action, decided_at=now - age)
        about: dict[str, Any] = {"stage": Stage.ENDED, "verdict": said, "waiting_for": "", **over}
        return one(service, age=age + 300.0, **about)

    no_rights = f"{failing}; not taken back: the API server refuses to patch virtualservices in namespace payments"
    yield ended(
        "payments", Outcome.ROLLBACK, Action.FAILED, no_rights, age=70.0, stage=Stage.GUARDING, evidence=340.0, namespace="payments"
    )
    yield one("checkout", age=95.0, evidence=130.0, stage=Stage.REVERTING, waiting_for=f"the revert: {failing}")
    yield one("search", age=240.0, evidence=38.0, owner="Flagger (shop/search)")
    yield one("invoices", age=400.0, namespace="billing", gaps=14, hindrances=("no sample since 70 s: Prometheus does not answer",))
    yield one("cart", age=610.0, evidence=2.3, owner="Argo Rollouts (shop/cart)")
    yield one("catalog", age=45.0)
    yield one("profile", age=1300.0, evidence=1.4, gaps=3)
    yield ended("web", Outcome.ROLLBACK, Action.REVERT, failing, age=1300.0, evidence=128.0)
    yield ended("mail", Outcome.PROMOTE, Action.NONE, "within every tolerance, 95 % sure each", age=2400.0)
    yield ended("reports", Outcome.INCONCLUSIVE, Action.NONE, "the window ended; too few requests: 41 of 500", age=5200.0)
