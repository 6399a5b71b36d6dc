"""The units that serve metrics, with a file system of the test's own and a systemd that only remembers."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils import metrics_endpoint
from ansible_collections.asgi.deploy.plugins.module_utils.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils.metrics_endpoint import Endpoint, Taken, in_use, listens
from ansible_collections.asgi.deploy.plugins.module_utils.systemd import Unit

SOCKET, SERVICE = "shop-metrics.socket", "shop-metrics.service"


class FakeSystemd:
    def __init__(self):
        self.active, self.enabled, self.reloads = set(), set(), 0

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

    def provide(self, name="shop", listen="127.0.0.1:9464", program="1", **options):
        endpoint = self.endpoint(name, **options)
        endpoint.provide(
            {
                "metrics_socket": f"[Socket]\nListenStream={listen}\n",
                "metrics_service": "[Service]\n",
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


def test_it_is_provided_once(host):
    assert host.provide()
    assert host.files() == ["metrics_exporter.py", SERVICE, SOCKET]
    assert host.systemd.active == host.systemd.enabled == {SOCKET}
    assert host.systemd.reloads == 1
    assert host.provide() == []


def test_check_mode_says_the_same_and_does_nothing(host):
    said = host.provide(dry=True)
    assert host.files() == []
    assert said == host.provide()
    said = host.remove(dry=True)
    assert len(host.files()) == 3
    assert said == host.remove()


def test_a_new_program_is_started_by_the_next_scrape(host):
    host.provide()
    host.systemd.active.add(SERVICE)

    changes = host.provide(program="2")

    assert f"stop {SOCKET}" in changes
    assert host.systemd.active == {SOCKET}
    assert host.systemd.reloads == 1, "no unit has changed"


def test_what_was_stopped_by_hand_is_started(host):
    host.provide()
    host.systemd.active.clear()

    assert host.provide() == [f"start {SOCKET}"]


def test_it_goes_without_a_trace(host):
    host.provide()
    host.remove()

    assert host.files() == []
    assert host.systemd.active == host.systemd.enabled == set()
    assert host.remove() == []


def test_a_removal_that_was_interrupted_is_finished(host):
    host.provide()
    Path(host.endpoint().paths["metrics_program"]).unlink()

    assert host.remove()
    assert host.files() == []


def test_an_address_of_another_app_is_refused(host):
    host.provide()
    with pytest.raises(Taken, match=r"the metrics of the app shop on this host are served at 127\.0\.0\.1:9464"):
        host.provide(name="tiles")
    assert host.files() == ["metrics_exporter.py", SERVICE, SOCKET]
    assert host.provide(name="tiles", listen="127.0.0.1:9465")


def test_an_address_of_another_process_is_refused(host):
    host.busy.add("127.0.0.1:9464")
    with pytest.raises(Taken, match=r"another process of this host listens at 127\.0\.0\.1:9464"):
        host.provide()
    assert host.files() == []


def test_our_own_address_is_not_somebody_elses(host):
    host.provide()
    host.busy.add("127.0.0.1:9464")
    assert host.provide(program="2")


def test_from_one_address_to_all_of_them(host):
    """Ours is in the way of it, and is stopped first; another port is another matter."""
    host.provide()
    host.busy |= {"0.0.0.0:9464", "0.0.0.0:9465"}
    assert host.provide(listen="0.0.0.0:9464")
    with pytest.raises(Taken, match=r"another process of this host listens at 0\.0\.0\.0:9465"):
        host.provide(listen="0.0.0.0:9465")

    host.systemd.active.clear()
    host.busy.add("127.0.0.1:9464")
    with pytest.raises(Taken):
        host.provide(listen="127.0.0.1:9464")


def test_a_unix_socket_is_left_to_systemd(host):
    assert host.provide(listen="/run/shop-metrics.sock")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_whether_an_address_is_in_use(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        port = listener.getsockname()[1]
        where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        listener.listen()
        assert in_use(where)
    assert not in_use(where)


def test_where_a_socket_listens():
    assert listens("[Socket]\nListenStream=127.0.0.1:1\nBacklog=16\n") == "127.0.0.1:1"
    assert listens(None) is None
