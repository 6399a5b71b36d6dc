# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module haproxy_site writes a configuration that HAProxy accepts, and restores the previous files after a failed reload."""

from __future__ import annotations

import hashlib
import itertools
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.modules import haproxy_site as module

RUNNING = "ActiveState=active\nMainPID=4711\nInactiveExitTimestamp=Sat 2026-11-21 00:10:00.000000 UTC\n"
STOPPED = "ActiveState=inactive\nMainPID=0\nInactiveExitTimestamp=\n"


def app(name, port=443):
    return f"# Serves on port {port} with /etc/asgi/{name}/tls/live.pem: {name}.test\nbackend asgi_{name} from asgi\n"


def files(name, profile="intermediate", port=443):
    return {
        "asgi-00-shared.cfg": "global\n",
        f"asgi-01-https-{port}.cfg": f"# Agreed on port {port}: ipv6=true tls_profile={profile}\nfrontend x\n",
        f"asgi-{name}.cfg": app(name, port),
    }


class Host:
    """A simulated HAProxy below *root*. The test sets the results of its commands."""

    def __init__(self, root: Path, monkeypatch) -> None:
        self.root = root
        self.haproxy = "/usr/sbin/haproxy"
        self.calls = []
        self.answers = {"show": (0, RUNNING, "")}
        # a reload replaces the worker, unless a test overrides this
        self.generations = ({number} for number in itertools.count(1))
        self.seen_by_test = None
        sites = root / "etc/haproxy/asgi"
        moved = {
            "SITES": sites,
            "RUNTIME": sites / "runtime.py",
            "DROP_IN": root / "etc/systemd/system/haproxy.service.d/asgi.conf",
            "PACKAGED": root / "etc/haproxy/haproxy.cfg",
            "CHANGED": root / "run/changed",
            "LOADED": root / "run/loaded",
            "RELOAD_SECONDS": 0.2,
            "most_open_files": lambda: None,
            "children": lambda _pid: next(self.generations),
        }
        for name, value in moved.items():
            monkeypatch.setattr(module, name, value)
        monkeypatch.setattr(module.Site, "runs_these_files", property(lambda _site: self.runs_these_files))
        self.runs_these_files = False
        (root / "run").mkdir()
        sites.parent.mkdir(parents=True)
        module.PACKAGED.write_text("as packaged\n")
        digest = hashlib.md5(b"as packaged\n").hexdigest()
        self.answers["dpkg"] = (0, f" {module.PACKAGED} {digest}\n", "")

    def run_command(self, argv):
        kind = {"dpkg-query": "dpkg", self.haproxy: "test"}.get(argv[0], argv[1])
        self.calls.append(kind)
        if kind == "test":
            self.seen_by_test = {path.name: path.read_text(errors="replace") for path in Path(argv[-1]).iterdir()}
        if kind in ("restart", "reload") and not self.answers.get(kind, (0,))[0]:
            self.runs_these_files = module.DROP_IN.exists()
        return self.answers.get(kind, (0, "", ""))

    def run(self, given, check_mode=False, watch=(), change_port=False, take_over=False):
        (self.root / "tmp").mkdir(exist_ok=True)
        params = {
            "files": given,
            "drop_in": "[Service]\n",
            "runtime": "# program\n",
            "watch": list(watch),
            "ports": [],
            "change_port": change_port,
            "take_over": take_over,
        }
        return module.run(
            SimpleNamespace(
                params=params,
                check_mode=check_mode,
                tmpdir=str(self.root / "tmp"),
                get_bin_path=lambda *_names, **_options: self.haproxy,
                run_command=self.run_command,
                warn=self.calls.append,
            )
        )

    def disk(self):
        return {
            path.name: path.read_text(errors="replace") for path in (self.root / "etc").rglob("*") if path.is_file()
        }


@pytest.fixture
def host(tmp_path, monkeypatch):
    return Host(tmp_path, monkeypatch)


def test_the_first_app_restarts_haproxy_with_its_files(host):
    result = host.run(files("a"))

    assert host.calls == ["show", "dpkg", "test", "daemon-reload", "restart"]
    assert (result["changed"], result["reloaded"], result["in_use"]) == (True, True, True)
    assert host.disk()["hosts-443.map"] == "a.test asgi_a\n"
    assert host.disk()["certificates-443.list"] == "/etc/asgi/a/tls/live.pem a.test\n"
    # HAProxy has tested exactly the files that it loads
    written = {path.name for path in module.SITES.iterdir()}
    assert set(host.seen_by_test) == written


def test_a_second_run_changes_nothing(host):
    host.run(files("a"))
    host.calls.clear()
    result = host.run(files("a"))
    assert (result["changed"], result["reloaded"], result["diff"]) == (False, False, [])
    assert host.calls == ["show"]


def test_another_app_is_loaded_without_a_restart(host):
    host.run(files("a"))
    host.calls.clear()

    host.run(files("b"))

    assert host.calls == ["show", "test", "reload"]
    assert host.disk()["hosts-443.map"] == "a.test asgi_a\nb.test asgi_b\n"
    assert host.disk()["asgi-a.cfg"] == app("a")


def test_names_of_another_app_are_refused(host):
    host.run(files("a"))
    before = host.disk()
    taken = {**files("b"), "asgi-b.cfg": app("b").replace("b.test", "a.test")}
    with pytest.raises(module.Refused, match=r"a\.test on port 443 \(app a\)"):
        host.run(taken)
    assert host.disk() == before


def test_files_of_others_may_have_any_encoding(host):
    host.run(files("a"))
    other = module.SITES / "other.cfg"
    other.write_bytes(b"# M\xfcller\n")
    host.run(files("b"))
    assert host.disk()["hosts-443.map"] == "a.test asgi_a\nb.test asgi_b\n"
    assert other.read_bytes() == b"# M\xfcller\n"


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_rejected_configuration_is_not_written(host, check_mode):
    host.run(files("a"))
    before, host.calls = host.disk(), []
    host.answers["test"] = (1, "", "[ALERT]    (7) : config : parsing [x:1] : unknown keyword\n")
    with pytest.raises(module.Refused, match=r"nothing was changed: parsing \[x:1\] : unknown keyword"):
        host.run({**files("a"), "asgi-a.cfg": app("a") + "nonsense\n"}, check_mode=check_mode)
    assert host.disk() == before
    assert "reload" not in host.calls


def test_check_mode_tests_but_writes_nothing(host):
    before = host.disk()
    result = host.run(files("a"), check_mode=True)
    assert (result["changed"], result["reloaded"]) == (True, True)
    assert host.calls == ["show", "dpkg", "test"]
    assert host.disk() == before


@pytest.mark.parametrize("fault", ["refused", "no new worker"])
def test_a_failed_reload_restores_the_previous_files(host, fault):
    host.run(files("a"))
    before = host.disk()
    if fault == "refused":
        host.answers["reload"] = (1, "", "Job failed")
    else:
        host.generations = itertools.repeat({1})
    with pytest.raises(module.Refused, match="the previous files were restored"):
        host.run({**files("a"), "asgi-a.cfg": app("a") + "# more\n"})
    assert host.disk() == before


def test_a_failed_first_restart_restores_the_package_configuration(host):
    before = host.disk()
    host.answers["restart"] = (1, "", "Job failed")
    with pytest.raises(module.Refused, match="Job failed"):
        host.run(files("a"))
    assert host.disk() == before
    assert host.calls[-2:] == ["daemon-reload", "restart"]


def test_a_changed_haproxy_cfg_is_not_disabled(host):
    module.PACKAGED.write_text("listen mine\n")
    before = host.disk()
    with pytest.raises(module.Refused, match="asgi_balancer_take_over"):
        host.run(files("a"))
    assert host.disk() == before
    assert host.run(files("a"), take_over=True)["changed"] is True
    # take_over is needed only once
    assert host.run(files("a"))["changed"] is False


def test_shared_settings_of_a_port_do_not_change_beside_other_apps(host):
    host.run(files("a"))
    host.run(files("b"))
    with pytest.raises(
        module.Refused, match=r"tls_profile is intermediate and not modern.*asgi-a\.cfg.*asgi_balancer_change_port"
    ):
        host.run(files("b", profile="modern"))
    assert host.run(files("b", profile="modern"), change_port=True)["changed"] is True


def test_shared_settings_change_without_other_apps(host):
    host.run(files("a"))
    assert host.run(files("a", profile="modern"))["changed"] is True


def test_a_port_is_removed_with_its_last_app(host):
    host.run(files("a"))
    host.run(files("a", port=8443))
    assert {name for name in host.disk() if "443" in name and "8443" not in name} == set()


def test_removing_the_last_app_restores_the_package_configuration(host):
    before = host.disk()
    host.run(files("a"))
    host.run(files("b"))
    assert host.run({"asgi-a.cfg": None})["in_use"] is True
    assert host.disk()["hosts-443.map"] == "b.test asgi_b\n"

    host.calls.clear()
    result = host.run({"asgi-b.cfg": None})

    assert (result["in_use"], result["changed"]) == (False, True)
    assert host.disk() == before
    assert host.calls[-2:] == ["daemon-reload", "restart"]
    host.calls.clear()
    assert host.run({"asgi-b.cfg": None})["changed"] is False


def interrupt(monkeypatch):
    """Interrupt the next runs after they write the files, before the reload."""

    def killed(_site):
        raise KeyboardInterrupt

    monkeypatch.setattr(module.Site, "reload", killed)
    monkeypatch.setattr(module.Site, "reload_systemd", killed)


@pytest.mark.parametrize("service", [RUNNING, STOPPED])
def test_the_next_run_completes_an_interrupted_first_app(host, monkeypatch, service):
    host.answers["show"] = (0, service, "")
    with monkeypatch.context() as during, pytest.raises(KeyboardInterrupt):
        interrupt(during)
        host.run(files("a"))
    host.calls.clear()

    assert host.run(files("a"), check_mode=True)["reloaded"] is (service == RUNNING)
    assert host.calls == ["show"]
    host.calls.clear()
    host.run(files("a"))

    # the role, not the module, starts a stopped HAProxy
    assert host.calls == ["show", "daemon-reload", *(["restart"] if service == RUNNING else [])]
    assert host.run(files("a"))["changed"] is False


def test_the_next_run_completes_an_interrupted_last_uninstall(host, monkeypatch):
    host.run(files("a"))
    with monkeypatch.context() as during, pytest.raises(KeyboardInterrupt):
        interrupt(during)
        host.run({"asgi-a.cfg": None})
    host.calls.clear()

    assert host.run({"asgi-a.cfg": None})["reloaded"] is True
    assert host.calls == ["show", "daemon-reload", "restart"]
    assert host.run({"asgi-a.cfg": None})["changed"] is False


def test_a_changed_certificate_is_loaded(host):
    host.run(files("a"))
    certificate = host.root / "live.pem"
    time.sleep(0.05)  # file timestamps have a resolution of a few milliseconds
    certificate.write_text("renewed")
    assert host.run(files("a"), watch=[certificate])["reloaded"] is True


@pytest.mark.parametrize(
    ("served", "reloads"), [("old", True), ("new", False), (None, False)], ids=["old", "new", "no-response"]
)
def test_a_certificate_that_haproxy_does_not_serve_is_loaded(host, monkeypatch, served, reloads):
    host.run(files("a"))
    requests = []
    monkeypatch.setattr(module, "certificate_in", lambda path: "new" if path == "/etc/asgi/a/tls/live.pem" else None)
    monkeypatch.setattr(module, "served_certificate", lambda name, port: requests.append((name, port)) or served)

    assert host.run(files("a"))["reloaded"] is reloads
    assert requests == [("a.test", 443)]


def test_a_stopped_haproxy_is_not_started(host):
    host.answers["show"] = (0, STOPPED, "")
    result = host.run(files("a"))
    assert (result["changed"], result["reloaded"]) == (True, False)
    assert host.calls == ["show", "dpkg", "test", "daemon-reload"]


def test_a_host_without_haproxy(host):
    host.haproxy, host.answers["show"] = None, (0, STOPPED, "")
    with pytest.raises(module.Refused, match="HAProxy is not installed"):
        host.run(files("a"))
    assert host.run(files("a"), check_mode=True)["changed"] is True
    assert host.run({"asgi-a.cfg": None})["changed"] is False


@pytest.mark.parametrize("name", ["../x.cfg", "x", ".x.cfg", "a/b.cfg"])
def test_a_name_outside_of_the_directory_is_refused(host, name):
    with pytest.raises(module.Refused, match="not a file name"):
        host.run({name: "x"})


def test_maxconn_is_that_of_the_app_with_the_most_clients(host, monkeypatch):
    def limits(name, clients):
        given = files(name)
        given[f"asgi-{name}.cfg"] += f"# Clients: {clients}\n" if clients else ""
        host.run(given)
        return host.disk().get("asgi-00-limits.cfg", "").splitlines()[-2:]

    assert limits("a", 4096) == ["global", "    maxconn 4096"]
    assert limits("b", 2048) == ["global", "    maxconn 4096"]
    assert limits("a", 1024) == ["global", "    maxconn 2048"]
    assert "maxconn 2048" in host.seen_by_test["asgi-00-limits.cfg"]
    # HAProxy does not start if maxconn requires more open files than it may have
    monkeypatch.setattr(module, "most_open_files", lambda: 3024)
    assert limits("b", 2048) == ["global", "    maxconn 1000"]

    host.run({"asgi-a.cfg": None})
    assert "asgi-00-limits.cfg" in host.disk()
    host.run({"asgi-b.cfg": None})
    assert "asgi-00-limits.cfg" not in host.disk()


def test_an_app_of_an_earlier_version_has_no_limit(host):
    host.run(files("a"))
    assert "asgi-00-limits.cfg" not in host.disk()
