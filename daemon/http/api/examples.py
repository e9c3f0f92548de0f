"""One release as the OpenAPI document shows it: announced, watched, taken back. Made of the models, so that it is what they are."""

from typing import Final

from analyzers.ruling import Finding
from config.identity import policy_hash
from config.policy import Policy
from daemon.interventions import Said
from daemon.model import Action, ArmSpec, Outcome, Record, Release, Stage, TimedStep, Verdict
from daemon.releaseview import ReleaseView

_ID = "checkout-5d41402abc4b2a76"
_SUBMITTED, _DECIDED = 1787408827.0, 1787408862.5

RELEASE: Final = Release(
    service="checkout",
    namespace="shop",
    baseline=ArmSpec(subset="v1"),
    canary=ArmSpec(subset="v2"),
    weight=10.0,
    artifact="registry.example/shop/checkout:2.4.1",
    revision="5d41402abc4b2a76b9719d911017c592aef1c7d2",
    initiated_by="ann",
)
VIEW: Final = ReleaseView(
    id=_ID,
    release=RELEASE,
    stage=Stage.WATCHING,
    submitted_at=_SUBMITTED,
    ticks=4,
    seconds=20.0,
    evidence=8.5,
    boundary=100.0,
    canary_requests=412,
    baseline_requests=3730,
)
VERDICT: Final = Verdict(
    release_id=_ID,
    service="checkout",
    namespace="shop",
    cluster="default",
    outcome=Outcome.ROLLBACK,
    meaning="rollback",
    action=Action.REVERT,
    reason="errors: 5.1 % of the canary's requests fail, against 0.1 %",
    leg="errors",
    evidence=140.0,
    boundary=100.0,
    ticks=7,
    decided_at=_DECIDED,
    policy_hash=policy_hash(Policy()),
    revision=RELEASE.revision,
    initiated_by=RELEASE.initiated_by,
    findings=(
        Finding(
            leg="errors",
            effect=0.05,
            unit="points",
            low=0.021,
            high=0.09,
            level=0.99,
            e_value=140.0,
            tolerance=0.005,
            standing="convicts",
            sentence="5.1 % of the canary's requests fail, against 0.1 %",
            beyond=12.0,
        ),
    ),
)
RECORD: Final = Record(
    verdict=VERDICT,
    release=RELEASE,
    policy=Policy(),
    bounds_ms=(5.0, 10.0, 25.0, 50.0, 100.0, 250.0),
    sample_digest="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    fixed_horizon={"canary_errors_low": 0.034, "canary_errors_high": 0.076, "mann_whitney_p": None},
    marks=(TimedStep(step="submitted", at=_SUBMITTED), TimedStep(step="decided", at=_DECIDED)),
)
SAID: Final = Said(by="ann@example.org", reason="customers see errors at checkout")
