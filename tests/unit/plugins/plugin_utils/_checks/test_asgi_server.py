"""Checks of the variables of asgi_server beyond their types."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.asgi_server import AT_LEAST, problems
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Context

DEFAULTS = yaml.safe_load((Path(__file__).parents[5] / "roles/asgi_server/defaults/main.yml").read_text())
GOOD = {**DEFAULTS, "asgi_server_probe_host": "hello.test", "asgi_proxy_upstream_keepalive_timeout": 2}


def codes(**options):
    given = {**GOOD, "asgi_name": "hello", **options}
    return [(problem.variable, problem.code) for problem in problems(Context(options=given, find=None))]


def faults(**options):
    return [variable for variable, _code in codes(**options)]


def test_defaults_are_valid():
    assert faults() == []


@pytest.mark.parametrize("name", sorted(AT_LEAST))
def test_numbers_have_a_minimum(name):
    assert (name, "number-out-of-range") in codes(**{name: AT_LEAST[name] - 1})


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
        ("asgi_server_working_directory", "shared"),
        ("asgi_server_gunicorn_hooks", "deploy/gunicorn_hooks.v2.py"),
        ("asgi_server_settings", {"ws_max_size": 1048576, "limit_concurrency": 10}),
        ("asgi_server_working_directory", "shared/data/.db-1"),
        ("asgi_server_log_namespace", "shop_log-1"),
        ("asgi_server_metrics_listen", "127.0.0.2:9464"),
        ("asgi_server_metrics_listen", "[::1]:9464"),
        ("asgi_server_metrics_listen", "/run/shop-metrics.sock"),
        ("asgi_server_metrics_group", "prometheus"),
        ("asgi_server_metrics_buckets", [0.5]),
        ("asgi_server_unit_settings", {"LimitNOFILE": 65536, "PrivateUsers": True, "SystemCallFilter": ["a", "b"]}),
    ],
)
def test_valid_values_are_accepted(name, value):
    assert faults(**{name: value}) == []


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("asgi_server_workers", "many", "workers-invalid"),
        ("asgi_server_workers", "\uff14", "workers-invalid"),
        ("asgi_server_worker_memory", "\u0661\u0662", "worker-memory-invalid"),
        ("asgi_server_memory_max", "\uff11G", "memory-limit-invalid"),
        ("asgi_server_cpu_quota", "1\u0665%", "cpu-quota-invalid"),
        ("asgi_server_metrics_listen", "[fe80::1%a\nListenStream=/run/x]:9464", "metrics-listen-invalid"),
        ("asgi_server_metrics_listen", "[fe80::1%eth0]:9464", "metrics-listen-invalid"),
        ("asgi_server_metrics_listen", "[[::1]]:9464", "metrics-listen-invalid"),
        ("asgi_server_metrics_listen", "127.0.0.1:\uff19", "metrics-listen-invalid"),
        ("asgi_server_metrics_listen", "/run/a\0ListenStream=/run/b", "metrics-listen-invalid"),
        ("asgi_server_metrics_listen", "/run/../etc/a", "metrics-listen-invalid"),
        ("asgi_server_metrics_buckets", [1, float("nan")], "metrics-buckets-invalid"),
        ("asgi_server_gunicorn_hooks", "/srv/hooks.py", "gunicorn-hooks-invalid"),
        ("asgi_server_gunicorn_hooks", "../hooks.py", "gunicorn-hooks-invalid"),
        ("asgi_server_gunicorn_hooks", "deploy/.hooks.py", "gunicorn-hooks-invalid"),
        ("asgi_server_gunicorn_hooks", "hooks.conf", "gunicorn-hooks-invalid"),
        ("asgi_server_settings", {"preload_app": True}, "server-setting-reserved"),
        ("asgi_server_settings", {"ws_maxsize": 1}, "server-setting-unknown"),
        ("asgi_server_settings", {"websocket_max_message_size": 1}, "server-setting-not-supported"),
        ("asgi_server_settings", {"root_path": "api"}, "server-setting-value-invalid"),
        ("asgi_server_working_directory", "data", "working-directory-invalid"),
        ("asgi_server_working_directory", "/srv/shop/shared", "working-directory-invalid"),
        ("asgi_server_working_directory", "shared/../code", "working-directory-invalid"),
        ("asgi_server_working_directory", "shared/..", "working-directory-invalid"),
        ("asgi_server_working_directory", "shared/", "working-directory-invalid"),
        ("asgi_server_working_directory", "shared\n", "working-directory-invalid"),
        ("asgi_server_write_paths", ["/srv/a\0ExecStart=/b"], "path-not-absolute"),
        ("asgi_server_write_paths", ["/srv/a\xad"], "path-not-absolute"),
        # BindPaths= would interpret /etc as the destination.
        ("asgi_server_write_paths", ["/home/shop:/etc"], "path-not-absolute"),
        ("asgi_server_read_paths", ["/home/shop:/etc"], "path-not-absolute"),
        ("asgi_server_unit_settings", {"LimitNPROC": ["1", "2\\"]}, "unit-setting-value-invalid"),
        ("asgi_server_unit_settings", {"SupplementaryGroups": ["a\nExecStartPre=/b"]}, "unit-setting-value-invalid"),
        ("asgi_server_unit_settings", {"LimitNPROC": [["1"]]}, "unit-setting-value-invalid"),
        ("asgi_server_unit_settings", {"LimitNPROC": float("inf")}, "unit-setting-value-invalid"),
        ("asgi_server_workers", "9" * 5000, "workers-invalid"),
        ("asgi_server_worker_memory", "9" * 5000, "worker-memory-invalid"),
        ("asgi_server_metrics_listen", "127.0.0.1:" + "9" * 5000, "metrics-listen-invalid"),
        ("asgi_server_log_namespace", "a.b", "log-namespace-invalid"),
        ("asgi_server_log_namespace", "", "log-namespace-invalid"),
        ("asgi_server_metrics_listen", "9464", "metrics-listen-invalid"),
        ("asgi_server_metrics_listen", "localhost:9464", "metrics-listen-invalid"),
        ("asgi_server_metrics_listen", "127.0.0.1:0", "metrics-listen-invalid"),
        ("asgi_server_metrics_listen", "127.0.0.1:65536", "metrics-listen-invalid"),
        ("asgi_server_metrics_listen", "::1:9464", "metrics-listen-invalid"),
        ("asgi_server_metrics_listen", "/srv/metrics.sock", "metrics-socket-outside-run"),
        ("asgi_server_metrics_listen", "/run/a b", "metrics-listen-invalid"),
        ("asgi_server_metrics_listen", "/run/../srv/metrics.sock", "metrics-listen-invalid"),
        ("asgi_server_metrics_listen", "[fe80::1%a\nExecStartPre=/bin/sh]:9464", "metrics-listen-invalid"),
        ("asgi_server_metrics_group", "adm\nSocketMode=0666", "group-invalid"),
        ("asgi_server_metrics_group", "", "group-invalid"),
        ("asgi_server_metrics_buckets", [], "metrics-buckets-invalid"),
        ("asgi_server_metrics_buckets", [0, 1], "metrics-buckets-invalid"),
        ("asgi_server_metrics_buckets", [1, 1], "metrics-buckets-invalid"),
        ("asgi_server_workers", 0, "workers-invalid"),
        ("asgi_server_workers", True, "workers-invalid"),
        ("asgi_server_workers", 2.5, "workers-invalid"),
        ("asgi_server_worker_memory", 0, "worker-memory-invalid"),
        ("asgi_server_worker_memory", "much", "worker-memory-invalid"),
        ("asgi_server_memory_share", 0, "number-out-of-range"),
        ("asgi_server_memory_share", 101, "number-out-of-range"),
        ("asgi_server_probe_path", "health", "probe-path-invalid"),
        ("asgi_server_probe_path", "/a b", "probe-path-invalid"),
        ("asgi_server_probe_host", "a b", "probe-host-invalid"),
        ("asgi_server_probe_host", "a\r\nX: y", "probe-host-invalid"),
        ("asgi_server_probe_statuses", [], "http-status-invalid"),
        ("asgi_server_probe_statuses", [20], "http-status-invalid"),
        ("asgi_server_memory_max", "lots", "memory-limit-invalid"),
        ("asgi_server_cpu_quota", "1.5", "cpu-quota-invalid"),
        ("asgi_server_write_paths", ["relative"], "path-not-absolute"),
        ("asgi_server_write_paths", ["/srv/../etc"], "path-not-absolute"),
        ("asgi_server_write_paths", ["/var/lib/my files"], "path-not-absolute"),
        ("asgi_server_unit_settings", {"limitnofile": 1}, "unit-setting-invalid"),
        ("asgi_server_unit_settings", {"ExecStart": "/bin/sh"}, "unit-setting-reserved"),
        ("asgi_server_unit_settings", {"LimitNOFILE": "1\nUser=root"}, "unit-setting-value-invalid"),
        ("asgi_server_unit_settings", {"LimitNOFILE": {"a": 1}}, "unit-setting-value-invalid"),
        ("asgi_server_unit_settings", {"LogExtraFields": "A=b\\"}, "unit-setting-value-invalid"),
        ("asgi_server_unit_settings", {"TimeoutSec": "5"}, "unit-setting-reserved"),
        ("asgi_server_unit_settings", {"UnsetEnvironment": ""}, "unit-setting-reserved"),
        ("asgi_server_unit_settings", {"KillSignal": "SIGKILL"}, "unit-setting-reserved"),
        ("asgi_server_unit_settings", {"RuntimeDirectory": "hello"}, "unit-setting-root-directory"),
        ("asgi_server_unit_settings", {"RuntimeDirectory": ["x", "hello/sub"]}, "unit-setting-root-directory"),
        ("asgi_server_unit_settings", {"StateDirectory": "x asgi//hello"}, "unit-setting-root-directory"),
        ("asgi_server_unit_settings", {"StateDirectory": "asgi-timers/hello"}, "unit-setting-root-directory"),
        ("asgi_server_unit_settings", {"CacheDirectory": '"asgi"'}, "unit-setting-root-directory"),
        ("asgi_server_unit_settings", {"LogsDirectory": "nginx:x"}, "unit-setting-root-directory"),
    ],
)
def test_invalid_values_are_rejected(name, value, code):
    assert codes(**{name: value}) == [(name, code)]


@pytest.mark.parametrize("setting", ["Environment", "SetCredential"])
@pytest.mark.parametrize("value", ["TOKEN=hunter2", ["TOKEN=hunter2"], {"TOKEN": "hunter2"}])
def test_settings_that_every_account_can_read_are_rejected(setting, value):
    options = {**GOOD, "asgi_server_unit_settings": {setting: value}}
    (problem,) = problems(Context(options=options, find=None))
    assert (problem.code, setting in problem.fault) == ("unit-setting-public", True)
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize(
    "settings",
    [
        {"LoadCredential": "token:/etc/shop/token"},
        {"SetCredentialEncrypted": "token: AAAA"},
        {"RuntimeDirectory": "hello-cache"},
        {"StateDirectory": ["shop", "shop/asgi"]},
        {"LogsDirectory": "shop"},
    ],
)
def test_credentials_in_files_and_directories_of_the_app_are_accepted(settings):
    assert faults(asgi_server_unit_settings=settings) == []


def test_maximum_number_of_workers_is_not_below_the_minimum():
    found = codes(asgi_server_workers_min=4, asgi_server_workers_max=3)
    assert found == [("asgi_server_workers_max", "workers-range-inverted")]


@pytest.mark.parametrize(("server", "proxy", "good"), [(10, 2, True), (2, 2, False), (2, 5, False)])
def test_nginx_closes_idle_connections_first(server, proxy, good):
    found = codes(asgi_server_keepalive=server, asgi_proxy_upstream_keepalive_timeout=proxy)

    assert found == ([] if good else [("asgi_proxy_upstream_keepalive_timeout", "keepalive-order")])


@pytest.mark.parametrize(
    ("listen", "allowed", "expected"),
    [
        ("0.0.0.0:9464", ["192.0.2.7", "2001:db8::/32"], []),
        ("0.0.0.0:9464", ["prometheus.test"], ["asgi_server_metrics_allow"]),
        ("0.0.0.0:9464", ["192.0.2.7 --x"], ["asgi_server_metrics_allow"]),
        # The list would have no effect, because clients of a unix socket have no address.
        (None, ["192.0.2.7"], ["asgi_server_metrics_allow"]),
        ("/run/shop-metrics.sock", ["192.0.2.7"], ["asgi_server_metrics_allow"]),
    ],
)
def test_allowed_clients_of_the_metrics_are_checked(listen, allowed, expected):
    given = {"asgi_server_metrics_listen": listen} if listen else {}
    assert faults(**given, asgi_server_metrics_allow=allowed) == expected


def test_metrics_reserve_an_environment_variable():
    env = {"PROMETHEUS_MULTIPROC_DIR": "/tmp/x"}
    assert faults(asgi_env=env) == []
    assert codes(asgi_env=env, asgi_server_metrics=True) == [("asgi_env", "metrics-directory-reserved")]


@pytest.mark.parametrize(
    ("options", "variable", "code"),
    [
        ({"asgi_server_threads": 4}, "asgi_server_threads", "threads-not-supported"),
        ({"asgi_server_type": "uvicorn", "asgi_server_threads": 4}, "asgi_server_threads", "threads-not-supported"),
        ({"asgi_server_type": "uvicorn", "asgi_server_workers": 2}, "asgi_server_workers", "workers-not-supported"),
        (
            {"asgi_server_type": "uvicorn", "asgi_server_max_requests": 1000},
            "asgi_server_max_requests",
            "max-requests-not-supported",
        ),
        ({"asgi_server_type": "uvicorn", "asgi_server_metrics": True}, "asgi_server_metrics", "metrics-not-supported"),
        ({"asgi_server_type": "gthread", "asgi_server_metrics": True}, "asgi_server_metrics", "metrics-not-supported"),
        (
            {"asgi_server_type": "uvicorn", "asgi_server_gunicorn_hooks": "hooks.py"},
            "asgi_server_gunicorn_hooks",
            "gunicorn-hooks-not-supported",
        ),
        ({"asgi_server_watchdog": 30}, "asgi_server_watchdog", "watchdog-too-short"),
        ({"asgi_server_timeout": 120}, "asgi_server_watchdog", "watchdog-too-short"),
    ],
    ids=str,
)
def test_settings_that_a_server_does_not_support_are_rejected(options, variable, code):
    assert codes(**options) == [(variable, code)]


@pytest.mark.parametrize(
    "options",
    [
        {"asgi_server_type": "gthread", "asgi_server_threads": 8},
        {"asgi_server_type": "uvicorn"},
        {"asgi_server_type": "uvicorn", "asgi_server_workers": "1"},
        {"asgi_server_type": "uvicorn", "asgi_server_timeout": 120},  # systemd's watchdog applies the timeout
        {"asgi_server_timeout": 120, "asgi_server_watchdog": 0},
    ],
    ids=str,
)
def test_settings_that_a_server_supports_are_accepted(options):
    assert faults(**options) == []


@pytest.mark.parametrize(
    ("path", "strips", "root_path", "found"),
    [
        ("/api", True, "/api", [("asgi_server_settings", "server-setting-reserved")]),
        ("/api", True, "", []),
        ("/api", False, "/api", []),
        (None, True, "/api", []),
    ],
)
def test_a_path_of_the_proxy_excludes_a_root_path_of_the_server(path, strips, root_path, found):
    proxy = {"asgi_proxy_path": path, "asgi_proxy_strip_path": strips}
    assert codes(**proxy, asgi_server_settings={"root_path": root_path}) == found
