"""The number of clients that a host serves, and the limits derived from it."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._host import connection_limits as decide

LIMITS = """Limit                     Soft Limit           Hard Limit           Units
Max processes             95000                95000                processes
Max open files            1024                 524288               files
"""


@pytest.mark.parametrize(
    ("memory", "cgroup", "clients"),
    [
        (460, None, 2048),
        (64, None, 1024),
        (960, None, 4096),
        # one MiB less, which another kernel may reserve, does not change the result
        (1986, None, 8192),
        (1985, None, 8192),
        (3920, None, 16384),
        (24105, None, 32768),
        (1048576, None, 32768),
        (2980, None, 16384),
        (24105, 1024, 4096),
        (1024, 24105, 4096),
        (None, 512, 2048),
        (None, None, 4096),
    ],
)
def test_auto_depends_on_the_memory(memory, cgroup, clients):
    capacity = {"memtotal_mb": memory, "cgroup_memory_mb": cgroup}
    assert decide.client_limit(capacity) == clients


def test_other_apps_do_not_change_the_limit():
    # otherwise, a deploy of another app would change the configuration of this app
    alone = decide.connection_plan({"memtotal_mb": 3920, "apps": []})
    assert alone == decide.connection_plan({"memtotal_mb": 3920, "apps": [{"name": "a"}, {"name": "b"}]})
    assert alone == {"clients": 16384, "app_files": 33792}


@pytest.mark.parametrize("clients", [5000, "5000"])
def test_explicit_number_takes_precedence(clients):
    assert decide.connection_plan({"memtotal_mb": 64}, clients) == {"clients": 5000, "app_files": 11024}


@pytest.mark.parametrize(
    ("clients", "most", "expected"),
    [
        (4096, None, (8704, 13056)),
        (4096, 524288, (8704, 13056)),
        (4096, 13056, (8704, 13056)),
        (4096, 6000, (4000, 6000)),
        (100000, None, (200512, 300768)),
    ],
)
def test_one_worker_of_nginx_can_have_all_clients(clients, most, expected):
    connections, files = decide.proxy_limits(clients, most)
    assert (connections, files) == expected
    assert files >= connections


def test_nginx_limits_of_the_maximum_fit_systemd():
    from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.shared import MOST_CLIENTS

    assert decide.proxy_limits(MOST_CLIENTS)[1] < 524288
    assert decide.connection_plan({}, MOST_CLIENTS)["app_files"] < 524288


def test_maxconn_fits_the_limit_of_open_files():
    assert decide.balancer_limit(4096) == 4096
    assert decide.balancer_limit(4096, 20000) == 4096
    assert decide.balancer_limit(32768, 20000) == 9488


def test_the_site_with_the_most_clients_counts():
    assert decide.most_clients([]) == 0
    assert decide.most_clients(["server {}\n", "  # Clients: 9\n", "# Clients: many\n"]) == 0
    assert decide.most_clients(["# Managed\n# Clients: 1024\n", "# Clients: 4096\nserver {}\n", "x\n"]) == 4096


def test_the_limit_of_open_files(tmp_path):
    assert decide.open_files_limit(LIMITS) == 1024
    assert decide.open_files_limit(LIMITS, "hard") == 524288
    assert decide.open_files_limit(LIMITS.replace("524288", "unlimited"), "hard") is None
    assert decide.open_files_limit("") is None
    (tmp_path / "proc/1").mkdir(parents=True)
    (tmp_path / "proc/1/limits").write_text(LIMITS)
    assert decide.most_open_files(f"{tmp_path}/") == 524288
