"""Checks of asgi_server's variables beyond its argument specification."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.asgi.deploy.plugins.plugin_utils.checks.asgi_server import AT_LEAST, problems
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import Context

DEFAULTS = yaml.safe_load((Path(__file__).parents[5] / "roles/asgi_server/defaults/main.yml").read_text())
GOOD = {**DEFAULTS, "asgi_server_probe_host": "hello.test", "asgi_proxy_upstream_keepalive_timeout": 2}


def faults(**options):
    return [problem.variable for problem in problems(Context(options={**GOOD, **options}, find=None))]


def test_the_defaults_are_good():
    assert faults() == []


@pytest.mark.parametrize("name", sorted(AT_LEAST))
def test_numbers_have_a_least_value(name):
    assert name in faults(**{name: AT_LEAST[name] - 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("asgi_server_workers", 1),
        ("asgi_server_workers", "4"),
        ("asgi_server_worker_memory", "measured"),
        ("asgi_server_worker_memory", "256"),
        ("asgi_server_memory_share", 100),
        ("asgi_server_probe_path", "/health?deep=1"),
        ("asgi_server_probe_host", "[::1]:8000"),
        ("asgi_server_memory_max", "1G"),
        ("asgi_server_memory_max", "80%"),
        ("asgi_server_cpu_quota", "150%"),
        ("asgi_server_write_paths", ["/var/lib/shop"]),
        ("asgi_server_log_namespace", "shop_log-1"),
        ("asgi_server_metrics_listen", "127.0.0.2:9464"),
        ("asgi_server_metrics_listen", "[::1]:9464"),
        ("asgi_server_metrics_listen", "/run/shop-metrics.sock"),
        ("asgi_server_metrics_buckets", [0.5]),
        ("asgi_server_unit_settings", {"LimitNOFILE": 65536, "PrivateUsers": True, "SystemCallFilter": ["a", "b"]}),
    ],
)
def test_good_values(name, value):
    assert faults(**{name: value}) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("asgi_server_workers", "many"),
        ("asgi_server_workers", "9" * 5000),
        ("asgi_server_worker_memory", "9" * 5000),
        ("asgi_server_metrics_listen", "127.0.0.1:" + "9" * 5000),
        ("asgi_server_log_namespace", "a.b"),
        ("asgi_server_log_namespace", ""),
        ("asgi_server_metrics_listen", "9464"),
        ("asgi_server_metrics_listen", "localhost:9464"),
        ("asgi_server_metrics_listen", "127.0.0.1:0"),
        ("asgi_server_metrics_listen", "127.0.0.1:65536"),
        ("asgi_server_metrics_listen", "::1:9464"),
        ("asgi_server_metrics_listen", "/srv/metrics.sock"),
        ("asgi_server_metrics_listen", "/run/a b"),
        ("asgi_server_metrics_buckets", []),
        ("asgi_server_metrics_buckets", [0, 1]),
        ("asgi_server_metrics_buckets", [1, 1]),
        ("asgi_server_workers", 0),
        ("asgi_server_workers", True),
        ("asgi_server_workers", 2.5),
        ("asgi_server_worker_memory", 0),
        ("asgi_server_worker_memory", "much"),
        ("asgi_server_memory_share", 0),
        ("asgi_server_memory_share", 101),
        ("asgi_server_probe_path", "health"),
        ("asgi_server_probe_path", "/a b"),
        ("asgi_server_probe_host", "a b"),
        ("asgi_server_probe_host", "a\r\nX: y"),
        ("asgi_server_probe_statuses", []),
        ("asgi_server_probe_statuses", [20]),
        ("asgi_server_memory_max", "lots"),
        ("asgi_server_cpu_quota", "1.5"),
        ("asgi_server_write_paths", ["relative"]),
        ("asgi_server_write_paths", ["/srv/../etc"]),
        ("asgi_server_write_paths", ["/var/lib/my files"]),
        ("asgi_server_unit_settings", {"limitnofile": 1}),
        ("asgi_server_unit_settings", {"ExecStart": "/bin/sh"}),
        ("asgi_server_unit_settings", {"LimitNOFILE": "1\nUser=root"}),
        ("asgi_server_unit_settings", {"LimitNOFILE": {"a": 1}}),
        ("asgi_server_unit_settings", {"Environment": "A=b\\"}),
    ],
)
def test_bad_values(name, value):
    assert faults(**{name: value}) == [name]


def test_fewer_at_most_than_at_least():
    assert faults(asgi_server_workers_min=4, asgi_server_workers_max=3) == ["asgi_server_workers_max"]


@pytest.mark.parametrize(("server", "proxy", "good"), [(10, 2, True), (2, 2, False), (2, 5, False)])
def test_nginx_closes_idle_connections_first(server, proxy, good):
    found = faults(asgi_server_keepalive=server, asgi_proxy_upstream_keepalive_timeout=proxy)

    assert found == ([] if good else ["asgi_proxy_upstream_keepalive_timeout"])


def test_the_directory_of_the_metrics_is_ours_when_there_are_any():
    env = {"PROMETHEUS_MULTIPROC_DIR": "/tmp/x"}
    assert faults(asgi_env=env) == []
    assert faults(asgi_env=env, asgi_server_metrics=True) == ["asgi_env"]


@pytest.mark.parametrize(
    ("options", "variable"),
    [
        ({"asgi_server_threads": 4}, "asgi_server_threads"),
        ({"asgi_server_type": "uvicorn", "asgi_server_threads": 4}, "asgi_server_threads"),
        ({"asgi_server_type": "uvicorn", "asgi_server_workers": 2}, "asgi_server_workers"),
        ({"asgi_server_type": "uvicorn", "asgi_server_max_requests": 1000}, "asgi_server_max_requests"),
        ({"asgi_server_type": "uvicorn", "asgi_server_metrics": True}, "asgi_server_metrics"),
        ({"asgi_server_type": "gthread", "asgi_server_metrics": True}, "asgi_server_metrics"),
        ({"asgi_server_watchdog": 30}, "asgi_server_watchdog"),
        ({"asgi_server_timeout": 120}, "asgi_server_watchdog"),
    ],
    ids=str,
)
def test_what_a_server_cannot_do_is_refused(options, variable):
    assert faults(**options) == [variable]


@pytest.mark.parametrize(
    "options",
    [
        {"asgi_server_type": "gthread", "asgi_server_threads": 8},
        {"asgi_server_type": "uvicorn"},
        {"asgi_server_type": "uvicorn", "asgi_server_workers": "1"},
        {"asgi_server_type": "uvicorn", "asgi_server_timeout": 120},  # systemd's time is that one, then
        {"asgi_server_timeout": 120, "asgi_server_watchdog": 0},
    ],
    ids=str,
)
def test_what_a_server_can_do(options):
    assert faults(**options) == []
