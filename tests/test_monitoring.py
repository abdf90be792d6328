"""The dashboard and the alerts in deploy/ name what the daemon really says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from aggregator.metrics import Metrics

PROMTOOL = shutil.which("promtool")
_NAMES = re.compile(r"\b(?:bmn|process)_[a-z_]+")


@pytest.fixture(scope="module")
def given() -> set[str]:
    """Every name that a Prometheus would know us by."""
    types = re.findall(r"^# TYPE (\S+) (\S+)$", Metrics().expose().decode(), re.MULTILINE)
    parts = {"histogram": ("_bucket", "_sum", "_count")}
    return {name + part for name, kind in types for part in parts.get(kind, ("",))}


@pytest.fixture(scope="module")
def dashboard(root: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((root / "deploy" / "grafana.json").read_text("utf-8"))
    return read


@pytest.fixture(scope="module")
def rules(root: Path) -> list[dict[str, Any]]:
    groups = yaml.safe_load((root / "deploy" / "alerts.yaml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries(dashboard: dict[str, Any]) -> Iterator[str]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]


def test_every_metric_of_dashboard_and_alerts_exists(dashboard, rules, given):
    used = {name for text in (*queries(dashboard), *(rule["expr"] for rule in rules)) for name in _NAMES.findall(text)}
    assert len(used) > 20
    assert used - given == set()


def test_panels_are_told_apart_and_none_covers_another(dashboard):
    cells: set[tuple[int, int]] = set()
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in own) < 24
        assert not own & cells, panel["title"]
        cells |= own


def test_labels_that_alerts_choose_by_are_given(rules):
    """A value that no code sets would make an alert that never fires."""
    metrics = Metrics()
    metrics.show_waiting(dict.fromkeys(("due", "ungrouped", "pushes"), (0, 0.0)), {"failing": 0, "blocked": 0})
    metrics.reloads.labels("refused").inc()
    metrics.entries.labels("new").inc()
    for stage in ("poll", "group", "publish"):
        metrics.last_progress.labels(stage).set(1)
    said = metrics.expose().decode()
    chosen = {
        pair
        for rule in rules
        for pair in re.findall(r'(queue|status|stage|health|result|change)=~?"([^"]+)"', rule["expr"])
    }
    assert len(chosen) > 5
    for label, values in chosen:
        for value in values.split("|"):
            assert f'{label}="{value}"' in said, (label, value)


def test_the_manual_says_what_to_do_about_every_alert(root, rules):
    manual = (root / "docs" / "operations.md").read_text("utf-8")
    told = set(re.findall(r"^\| `(Bmn\w+)` \|", manual, re.MULTILINE))
    assert told == {rule["alert"] for rule in rules}


@pytest.mark.soak
@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_prometheus_takes_the_alerts_and_they_fire_when_they_should(root, tmp_path):
    cases = tmp_path / "cases.yaml"
    cases.write_text(
        yaml.safe_dump(
            {
                "rule_files": [str(root / "deploy" / "alerts.yaml")],
                "evaluation_interval": "1m",
                "tests": [fires(series, name, at) for series, name, at in FIRING],
            }
        )
    )
    done = subprocess.run([str(PROMTOOL), "test", "rules", str(cases)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


FIRING = [
    ({'up{job="bmn"}': "0x20"}, "BmnDown", "10m"),
    ({'bmn_store_answers{job="bmn"}': "0x20"}, "BmnDatabaseUnreachable", "10m"),
    ({'bmn_queue_age_seconds{job="bmn", queue="due"}': "400x30"}, "BmnPollsLate", "20m"),
    ({'bmn_parser_kills{job="bmn"}': "0+1x70"}, "BmnParsersKilled", "60m"),
    (
        {
            'bmn_http_answers_total{job="bmn", instance="a", status="5xx"}': "0+60x20",
            'bmn_http_answers_total{job="bmn", instance="a", status="2xx"}': "0+600x20",
        },
        "BmnServerErrors",
        "15m",
    ),
    (
        {
            'bmn_sources{job="bmn", instance="a", health="failing"}': "3x60",
            'bmn_sources{job="bmn", instance="a", health="ok"}': "9x60",
        },
        "BmnManySourcesFail",
        "40m",
    ),
]


def fires(series: dict[str, str], name: str, at: str) -> dict[str, Any]:
    """One case of `promtool test rules`: at that time this alert fires, whatever its labels and words."""
    given = [{"series": key, "values": values} for key, values in series.items()]
    count = {"expr": f'count(ALERTS{{alertname="{name}", alertstate="firing"}})', "eval_time": at}
    return {
        "interval": "1m",
        "input_series": given,
        "promql_expr_test": [{**count, "exp_samples": [{"labels": "{}", "value": 1}]}],
    }
