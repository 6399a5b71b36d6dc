"""What reaches /etc/nginx, and what is put back, by what nginx and systemd say to it."""

from __future__ import annotations

import itertools
import os
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils import checked_files
from ansible_collections.asgi.deploy.plugins.modules import nginx_site as module

MASTER = 4711
RUNNING = "ActiveState=active\nMainPID=4711\nInactiveExitTimestamp=Sat 2026-11-21 00:10:00.000000 UTC\n"
STOPPED = "ActiveState=inactive\nMainPID=0\nInactiveExitTimestamp=\n"
FILES = {"asgi-a.conf": "new\n", "asgi-gone.conf": None, "asgi-b.conf": "same\n"}


class Host:
    """An nginx below *root* with a default site and three files; it says and does what the test wants."""

    def __init__(self, root: Path, monkeypatch) -> None:
        self.root = root
        self.nginx = "/usr/sbin/nginx"
        self.calls = []
        self.answers = {"test": (0, "", ""), "reload": (0, "", ""), "show": (0, RUNNING, "")}
        # a reload replaces the workers, unless a test says otherwise
        self.generations = ({number} for number in itertools.count(1))
        self.seen_by_test = None
        moved = {
            "CONFIGURATION": root / "etc/nginx",
            "SITES": root / "etc/nginx/conf.d",
            "DEFAULT_LINK": root / "etc/nginx/sites-enabled/default",
            "DEFAULT_SITE": root / "etc/nginx/sites-available/default",
            "LOGS": root / "log",
            "ERROR_LOG": root / "log/error.log",
            "CHANGED": root / "run/changed",
            "LOADED": root / "run/loaded",
            "RELOAD_SECONDS": 0.2,
            "FAULT_SECONDS": 0,
            "children": lambda _pid: next(self.generations),
        }
        for name, value in moved.items():
            monkeypatch.setattr(module, name, value)
        for directory in ("etc/nginx/conf.d", "etc/nginx/sites-enabled", "etc/nginx/sites-available", "log", "run"):
            (root / directory).mkdir(parents=True)
        (root / "etc/nginx/nginx.conf").write_text(f"include {root}/etc/nginx/conf.d/*.conf;\n")
        (root / "etc/nginx/sites-available/default").write_text("default\n")
        (root / "etc/nginx/sites-enabled/default").symlink_to("../sites-available/default")
        for name, text in {"asgi-a": "old\n", "asgi-gone": "going\n", "asgi-b": "same\n"}.items():
            (root / f"etc/nginx/conf.d/{name}.conf").write_text(text)

    def run_command(self, argv):
        kind = {"show": "show", "reload": "reload"}.get(argv[1], "test" if "-t" in argv else "other")
        self.calls.append(kind)
        if "-c" in argv:
            copy = Path(argv[-1]).parent
            self.seen_by_test = {
                str(path.relative_to(copy)): path.read_text(errors="replace")
                for path in copy.rglob("*")
                if path.is_file()
            }
        return self.answers.get(kind, (0, "", ""))

    def run(self, check_mode=False, files=None, default_site="remove", watch=(), change_port=False, prune=False):
        (self.root / "tmp").mkdir(exist_ok=True)
        params = {
            "files": FILES if files is None else files,
            "watch": list(watch),
            "ports": [],
            "change_port": change_port,
            "default_site": default_site,
            "prune": prune,
        }
        return module.run(
            SimpleNamespace(
                params=params,
                check_mode=check_mode,
                tmpdir=str(self.root / "tmp"),
                get_bin_path=lambda *_names, **_options: self.nginx,
                run_command=self.run_command,
                warn=self.calls.append,
            )
        )

    def disk(self):
        """Return every file and link below /etc/nginx with what is in it."""
        return {
            str(path.relative_to(self.root)): str(path.readlink()) if path.is_symlink() else path.read_text()
            for path in (self.root / "etc").rglob("*")
            if path.is_symlink() or path.is_file()
        }


@pytest.fixture
def host(tmp_path, monkeypatch):
    return Host(tmp_path, monkeypatch)


def test_what_nginx_accepts_is_written_and_loaded(host):
    before = host.disk()

    result = host.run()

    after = {path: text for path, text in before.items() if "gone" not in path and "sites-enabled" not in path}
    assert host.disk() == {**after, "etc/nginx/conf.d/asgi-a.conf": "new\n"}
    assert (result["changed"], result["reloaded"]) == (True, True)
    assert [Path(path).name for path in result["written"]] == ["asgi-a.conf"]
    assert [Path(path).name for path in result["removed"]] == ["asgi-gone.conf", "default"]
    assert host.calls == ["show", "test", "reload"]


def test_a_second_run_changes_nothing(host):
    host.run()
    host.calls.clear()
    result = host.run()
    assert (result["changed"], result["reloaded"], result["diff"]) == (False, False, [])
    assert host.calls == ["show"]


def test_nginx_tests_a_copy_that_has_the_changes(host):
    host.run()
    seen = host.seen_by_test
    assert seen["conf.d/asgi-a.conf"] == "new\n"
    assert "conf.d/asgi-gone.conf" not in seen
    assert "sites-enabled/default" not in seen
    # and reads nothing but the copy
    assert str(host.root / "etc/nginx") not in seen["nginx.conf"]
    assert list((host.root / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "files", "told"),
    [
        ((1, "", "nginx: [emerg] unknown directive"), FILES, "nginx refuses this, so nothing was changed"),
        (
            (0, "", 'nginx: [warn] conflicting server name "a.test" on 0.0.0.0:443, ignored'),
            {"asgi-a.conf": "server_name a.test;"},
            "serves a.test already",
        ),
    ],
)
def test_a_refused_configuration_leaves_every_file_untouched(host, answer, files, told):
    before = host.disk()
    host.answers["test"] = answer
    with pytest.raises(module.Refused, match=told):
        host.run(files=files)
    assert host.disk() == before
    assert "reload" not in host.calls
    assert not module.CHANGED.exists()


def test_check_mode_tests_but_writes_nothing(host):
    before = host.disk()
    result = host.run(check_mode=True)
    assert (result["changed"], result["reloaded"]) == (True, True)
    assert host.calls == ["show", "test"]
    assert host.disk() == before


def test_a_reload_that_systemd_refuses_restores(host):
    before = host.disk()
    host.answers["reload"] = (1, "", "Job failed")
    with pytest.raises(module.Refused, match="the former files are back: Job failed"):
        host.run()
    assert host.disk() == before
    assert not module.LOADED.exists()


@pytest.mark.parametrize("said", ["", "2026/11/21 [emerg] 1#1: bind() failed\n"])
def test_a_reload_that_gives_no_new_workers_restores(host, said):
    before = host.disk()
    workers = iter([{1}])
    host.generations = itertools.chain(workers, itertools.repeat({1}))
    reload = host.run_command

    def log_a_fault(argv):
        if argv[1] == "reload":
            module.ERROR_LOG.write_text(said)
        return reload(argv)

    host.run_command = log_a_fault
    with pytest.raises(module.Refused, match="did not load the files, and the former ones are back") as caught:
        host.run()
    assert ("bind() failed" in str(caught.value)) == bool(said)
    assert host.disk() == before
    assert not module.LOADED.exists()


def test_what_an_interrupted_run_wrote_is_loaded_by_the_next(host, monkeypatch):
    def interrupt(_site):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(module.Site, "reload", interrupt)
        host.run()
    assert (host.root / "etc/nginx/conf.d/asgi-a.conf").read_text() == "new\n"

    result = host.run()
    assert (result["changed"], result["reloaded"], result["written"]) == (True, True, [])
    assert host.run()["changed"] is False


def test_a_changed_certificate_is_loaded(host):
    host.run()
    certificate = host.root / "live.pem"
    certificate.write_text("renewed")
    assert host.run(watch=[certificate])["reloaded"] is True


def test_a_stopped_nginx_is_left_alone(host):
    host.answers["show"] = (0, STOPPED, "")
    result = host.run()
    assert (result["changed"], result["reloaded"]) == (True, False)
    assert "reload" not in host.calls


@pytest.mark.parametrize("name", ["../x.conf", "x", ".x.conf", "a/b.conf"])
def test_a_name_that_leads_elsewhere_is_refused(host, name):
    with pytest.raises(module.Refused, match="not a file name"):
        host.run(files={name: "x"})


@pytest.fixture
def udp_port():
    """A port of UDP that this process holds."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_port_of_http3_that_another_program_holds_is_refused(host, udp_port, check_mode):
    before = host.disk()
    with pytest.raises(
        module.Refused, match=rf"UDP port {udp_port} of this host is held by .* \(process {os.getpid()}\)"
    ):
        host.run(files={"asgi-a.conf": f"    listen {udp_port} quic;\n"}, check_mode=check_mode)
    assert host.disk() == before
    assert host.run(files={"asgi-a.conf": f"    listen {udp_port} ssl;\n"})["changed"] is True


def test_a_port_of_http3_that_nginx_holds_is_its_own(host, udp_port):
    host.answers["show"] = (0, RUNNING.replace("4711", str(os.getpid())), "")
    assert host.run(files={"asgi-a.conf": f"    listen {udp_port} quic;\n"})["changed"] is True


AGREED = "# Agreed on port 443: ipv6=true proxy_protocol={}\nserver {{\n    listen 443 ssl;\n}}\n"
PORT_FILE = {"asgi-01-default-443.conf": AGREED.format("true")}


@pytest.fixture
def port(host):
    """A port on which the proxy protocol is off, for this site, whose name is in PORT_FILE's company, and maybe others."""
    (host.root / "etc/nginx/conf.d/asgi-01-default-443.conf").write_text(AGREED.format("false"))
    return host


@pytest.mark.parametrize("check_mode", [False, True])
def test_what_holds_for_a_port_is_not_changed_behind_anothers_back(port, check_mode):
    (port.root / "etc/nginx/conf.d/asgi-b.conf").write_text("server {\n    listen [::]:443 ssl;\n}\n")
    before = port.disk()
    with pytest.raises(
        module.Refused, match=r"proxy_protocol is false and not true.*asgi-b\.conf.*asgi_proxy_change_port"
    ):
        port.run(files=PORT_FILE, check_mode=check_mode)
    assert port.disk() == before


@pytest.mark.parametrize(
    ("other", "change_port"),
    [("listen 8443 ssl;", False), ("listen 4430;", False), ("# listen 443;", False), ("    listen 443 ssl;", True)],
)
def test_it_is_changed_where_nobody_else_is_or_all_are_meant(port, other, change_port):
    (port.root / "etc/nginx/conf.d/asgi-b.conf").write_text(f"{other}\n")
    port.run(files=PORT_FILE, change_port=change_port)
    assert "proxy_protocol=true" in (port.root / "etc/nginx/conf.d/asgi-01-default-443.conf").read_text()


@pytest.mark.parametrize("name", ["somebody.conf", "asgi-z.conf"])
def test_the_file_of_another_may_be_in_any_encoding(port, name):
    path = port.root / "etc/nginx/conf.d" / name
    text = "# f\u00fcr M\u00fcller\nserver {\n    listen 443 ssl;\n}\n".encode("latin-1")
    path.write_bytes(text)
    with pytest.raises(module.Refused, match=rf"proxy_protocol is false and not true.*{name}"):
        port.run(files=PORT_FILE)
    port.run(files=PORT_FILE, change_port=True, prune=name.startswith("asgi-"))
    assert path.read_bytes() == text


def test_what_somebody_has_made_of_our_file_is_put_back_as_it_was(host):
    path = host.root / "etc/nginx/conf.d/asgi-a.conf"
    path.write_bytes(b"# M\xfcller\n")
    host.answers["reload"] = (1, "", "Job failed")
    with pytest.raises(module.Refused, match="the former files are back"):
        host.run()
    assert path.read_bytes() == b"# M\xfcller\n"

    host.answers["reload"] = (0, "", "")
    told = [each["before"] for each in host.run()["diff"]]
    assert "# M\ufffdller\n" in told
    assert path.read_text() == "new\n"


def test_a_site_does_not_disagree_with_itself(port):
    (port.root / "etc/nginx/conf.d/asgi-b.conf").write_text("    listen 443 ssl;\n")
    assert port.run(files={**PORT_FILE, "asgi-b.conf": "    listen 443 ssl proxy_protocol;\n"})["changed"]


def test_what_no_app_needs_goes_with_the_site(host, monkeypatch):
    """The site first and what it builds on last: nginx may be started between any two."""
    sites = host.root / "etc/nginx/conf.d"
    (sites / "asgi-a.conf").write_text("listen 443 ssl;\n")
    (sites / "asgi-b.conf").write_text("listen 8443 ssl;\n")
    (sites / "asgi-gone.conf").unlink()
    for name in ("asgi-00-shared", "asgi-01-default-443", "asgi-01-default-8443", "zz-somebody"):
        (sites / f"{name}.conf").write_text("shared\n")
    written = []
    put = checked_files.put
    monkeypatch.setattr(checked_files, "put", lambda path, text: (written.append(path), put(path, text)))

    result = host.run(files={"asgi-a.conf": None}, default_site="keep", prune=True)

    assert [path.name for path in written if path.parent == sites] == ["asgi-a.conf", "asgi-01-default-443.conf"]
    assert (result["changed"], result["reloaded"]) == (True, True)

    written.clear()
    host.run(files={"asgi-b.conf": None}, default_site="keep", prune=True)

    left = ["asgi-b.conf", "asgi-01-default-8443.conf", "asgi-00-shared.conf"]
    assert [path.name for path in written if path.parent == sites] == left
    assert [path.name for path in sites.iterdir()] == ["zz-somebody.conf"]
    assert host.run(files={"asgi-b.conf": None}, default_site="keep", prune=True)["changed"] is False


def test_a_site_is_removed_from_a_host_that_has_no_nginx_any_more(host):
    host.nginx, host.answers["show"] = None, (0, STOPPED, "")
    assert host.run(files={"asgi-a.conf": None}, default_site="keep")["changed"] is True
    assert not (host.root / "etc/nginx/conf.d/asgi-a.conf").exists()
    assert host.calls == ["show"]
    with pytest.raises(module.Refused, match="there is no nginx"):
        host.run()
