"""The metrics endpoint, in a temporary directory with a fake systemd."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app import metrics_endpoint
from ansible_collections.asgi.deploy.plugins.module_utils._app.metrics_endpoint import (
    Endpoint,
    Unusable,
    in_use,
    listens,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils._host.systemd import Unit

SOCKET, SERVICE, MOUNT = "shop-metrics.socket", "shop-metrics.service", "run-shop-counters.mount"
PROGRAM = "metrics_exporter.py"


class FakeSystemd:
    def __init__(self):
        self.active, self.enabled, self.reloads, self.remounted = set(), set(), 0, []

    def show(self, *names):
        return {
            name: Unit(name, "active" if name in self.active else "inactive", "", name in self.enabled, False, 0, "")
            for name in names
        }

    def start(self, *names):
        self.active |= set(names)

    def stop(self, *names):
        self.active -= set(names)

    def enable(self, *names):
        self.enabled |= set(names)

    def disable(self, *names):
        self.enabled -= set(names)

    def daemon_reload(self):
        self.reloads += 1

    def reload(self, name):
        self.remounted.append(name)


@pytest.fixture
def host(tmp_path, monkeypatch):
    return Host(tmp_path, monkeypatch)


class Host:
    """A host; ``busy`` holds the addresses at which other processes listen."""

    def __init__(self, root, monkeypatch):
        self.root, self.systemd, self.busy = root, FakeSystemd(), set()
        monkeypatch.setattr(metrics_endpoint, "in_use", self.busy.__contains__)

    def endpoint(self, name="shop", dry=False):
        paths = {key: f"{self.root}{value}" for key, value in layout(name).items() if key.startswith("metrics_")}
        return Endpoint(paths, self.systemd, dry)

    def provide(self, name="shop", listen="127.0.0.1:9464", program="1", size="64m", group="root", **options):
        endpoint = self.endpoint(name, **options)
        endpoint.provide(
            {
                "metrics_socket": f"[Socket]\nListenStream={listen}\nSocketGroup={group}\n",
                "metrics_service": "[Service]\n",
                "metrics_mount": f"[Mount]\nOptions=size={size}\n",
                "metrics_program": program,
            }
        )
        return endpoint.changes

    def remove(self, name="shop", **options):
        endpoint = self.endpoint(name, **options)
        endpoint.remove()
        return endpoint.changes

    def files(self):
        return sorted(path.name for path in self.root.rglob("*") if path.is_file())


def test_second_run_changes_nothing(host):
    assert host.provide()
    assert host.files() == [PROGRAM, MOUNT, SERVICE, SOCKET]
    assert host.systemd.active == {MOUNT, SOCKET}
    assert host.systemd.enabled == {SOCKET}
    assert host.systemd.reloads == 1
    assert host.provide() == []


def test_check_mode_reports_the_same_without_changes(host):
    predicted = host.provide(dry=True)
    assert host.files() == []
    assert predicted == host.provide()
    predicted = host.remove(dry=True)
    assert len(host.files()) == 4
    assert predicted == host.remove()


def test_a_new_program_is_started_by_the_next_scrape(host):
    host.provide()
    host.systemd.active.add(SERVICE)

    changes = host.provide(program="2")

    assert f"stop {SOCKET}" in changes
    assert host.systemd.active == {MOUNT, SOCKET}
    assert host.systemd.reloads == 1, "no unit has changed"


def test_stopped_endpoint_is_started(host):
    host.provide()
    host.systemd.active.clear()

    assert host.provide() == [f"start {MOUNT}", f"start {SOCKET}"]


def test_the_counters_are_mounted_before_a_slot_starts(host):
    """On a host deployed with an earlier version, only the mount unit is missing."""
    host.provide()
    paths = host.endpoint().paths
    Path(paths["metrics_mount"]).unlink()
    host.systemd.active.discard(MOUNT)

    changes = host.provide()

    assert f"start {MOUNT}" in changes
    assert host.systemd.active == {MOUNT, SOCKET}
    assert host.provide() == []


def test_changed_size_is_remounted_without_a_stop(host):
    host.provide()

    changes = host.provide(size="128m")

    assert f"stop {MOUNT}" not in changes
    assert host.systemd.remounted == [MOUNT]
    assert MOUNT in host.systemd.active


def test_a_missing_group_is_rejected(host):
    with pytest.raises(Unusable, match="no group nobody-s -> create it, or choose another asgi_server_metrics_group"):
        host.provide(group="nobody-s")
    assert host.files() == []


def test_removal_leaves_no_files(host):
    host.provide()
    counters = Path(host.endpoint().paths["metrics_counters"])
    counters.mkdir(parents=True)
    host.remove()

    assert host.files() == []
    assert not counters.exists()
    assert host.systemd.active == host.systemd.enabled == set()
    assert host.remove() == []


def test_a_removal_that_was_interrupted_is_finished(host):
    host.provide()
    Path(host.endpoint().paths["metrics_program"]).unlink()

    assert host.remove()
    assert host.files() == []


def test_an_address_of_another_app_is_refused(host):
    host.provide()
    with pytest.raises(Unusable, match=r"the metrics of the app shop on this host are served at 127\.0\.0\.1:9464"):
        host.provide(name="tiles")
    assert host.files() == [PROGRAM, MOUNT, SERVICE, SOCKET]
    assert host.provide(name="tiles", listen="127.0.0.1:9465")


def test_an_address_of_another_process_is_refused(host):
    host.busy.add("127.0.0.1:9464")
    with pytest.raises(Unusable, match=r"another process of this host listens at 127\.0\.0\.1:9464"):
        host.provide()
    assert host.files() == []


def test_own_address_is_not_in_use(host):
    host.provide()
    host.busy.add("127.0.0.1:9464")
    assert host.provide(program="2")


def test_listen_address_changes_to_all_addresses(host):
    """The endpoint's own socket holds the port and is stopped first; any other port must be free."""
    host.provide()
    host.busy |= {"0.0.0.0:9464", "0.0.0.0:9465"}
    assert host.provide(listen="0.0.0.0:9464")
    with pytest.raises(Unusable, match=r"another process of this host listens at 0\.0\.0\.0:9465"):
        host.provide(listen="0.0.0.0:9465")

    host.systemd.active.clear()
    host.busy.add("127.0.0.1:9464")
    with pytest.raises(Unusable):
        host.provide(listen="127.0.0.1:9464")


def test_unix_socket_is_not_checked(host):
    assert host.provide(listen="/run/shop-metrics.sock")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_address_in_use(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        port = listener.getsockname()[1]
        where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        listener.listen()
        assert in_use(where)
    assert not in_use(where)


def test_listen_address_of_a_socket():
    assert listens("[Socket]\nListenStream=127.0.0.1:1\nBacklog=16\n") == "127.0.0.1:1"
    assert listens(None) is None
