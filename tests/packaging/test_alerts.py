"""The alerting rules: Prometheus takes them, each fires when it should, and says where its page is."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.metrics import names
from tests.servers.locate import require

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
TESTS = Path(__file__).parent / "alerts" / "tests.yaml"
ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]
]


@pytest.mark.live
def test_prometheus_takes_them_and_each_fires_when_it_should_and_not_else(tmp_path: Path) -> None:
    promtool = require("promtool")
    for file in (RULES, TESTS):
        shutil.copy(file, tmp_path)
    for words in (["check", "rules", "--lint=all", "--lint-fatal", RULES.name], ["test", "rules", TESTS.name]):
        told = subprocess.run([promtool, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert told.returncode == 0, told.stdout + told.stderr


def test_each_alert_is_seen_to_fire() -> None:
    told = yaml.safe_load(TESTS.read_text(encoding="utf-8"))["tests"]
    fired = {one["alertname"] for test in told for one in test.get("alert_rule_test", []) if one["exp_alerts"]}
    assert fired == {rule["alert"] for rule in ALERTS}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_metrics_that_there_are_and_names_its_part_of_the_runbook(rule: dict[str, Any]) -> None:
    asked = set(re.findall(r"verdictd_[a-z_]+", rule["expr"]))
    assert asked
    assert asked <= names()
    page, _, part = rule["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^## (\w+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert part == rule["alert"].lower()
    assert rule["alert"] in headings
