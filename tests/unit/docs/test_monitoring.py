"""The dashboard, the alerts and the example use only existing metrics."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "docs/monitoring"
SERVER = ROOT / "roles/asgi_server/files/srv/app"

# Series that prometheus-nginx-exporter or Prometheus itself exports.
OTHERS = {"nginx_connections_active", "up"}
LABELS = {"app", "instance", "job", "slot", "release", "config", "method", "route", "status", "le"}


def exported():
    """Return the names of the series that the workers and the metrics exporter export."""
    source = (SERVER / "configs/asgi_deploy_metrics.py").read_text()
    counters = re.findall(r'counter\(\s*"(\w+)"', source)
    gauges = re.findall(r'gauge\("(\w+)"', source)
    [histogram] = re.findall(r'Histogram\(\s*"(\w+)"', source)
    seen = re.findall(r'"(asgi_\w+)", \d|# TYPE (asgi_\w+) ', (SERVER / "metrics_exporter.py").read_text())
    return {
        *(f"{name}_total" for name in counters),
        *gauges,
        *(f"{histogram}_{part}" for part in ("bucket", "sum", "count")),
        *filter(None, (name for pair in seen for name in pair)),
    }


def dashboard():
    return json.loads((MONITORING / "grafana-dashboard.json").read_text())


def expressions():
    """Yield the queries of the dashboard's panels, variables and annotations, and of the alerts."""
    board = dashboard()
    yield from (target["expr"] for panel in board["panels"] for target in panel["targets"])
    yield from (entry["query"]["query"] for entry in board["templating"]["list"] if entry["type"] == "query")
    yield from (entry["expr"] for entry in board["annotations"]["list"])
    for group in yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def names(expression):
    bare = re.sub(r'"[^"]*"', "", expression)
    return set(re.findall(r"\b(?:asgi|nginx)_\w+\b|\bup\b", bare))


def test_what_is_exported_is_found():
    assert len(exported()) >= 13
    assert {"asgi_requests_total", "asgi_slot_live", "asgi_listen_queue_limit", "asgi_workers"} <= exported()


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_a_query_names_what_there_is(expression):
    assert names(expression)
    assert names(expression) <= exported() | OTHERS
    used = re.findall(r"(\w+)\s*(?:=~|=|!=|!~)\s*\"", expression)
    used += [name for inside in re.findall(r"\bby \(([^)]*)\)", expression) for name in inside.split(", ")]
    assert set(used) <= LABELS


def test_all_that_is_exported_is_shown_or_watched():
    assert exported() <= set().union(*map(names, expressions()))


def test_the_panels_do_not_overlap():
    taken = [
        (x, y)
        for panel in dashboard()["panels"]
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _y in taken) < 24


def test_every_alert_is_tested():
    alerts = {
        rule["alert"]
        for group in yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
        for rule in group["rules"]
    }
    tests = yaml.safe_load((MONITORING / "alerts_test.yml").read_text())["tests"]
    silent, loud = ({case["alertname"] for case in test["alert_rule_test"]} for test in tests)
    assert alerts == silent == loud
