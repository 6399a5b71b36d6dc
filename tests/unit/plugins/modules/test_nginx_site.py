"""The module nginx_site writes a configuration that nginx accepts, and restores the previous files after a failed reload."""

from __future__ import annotations

import itertools
import os
import socket
import stat
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._host import checked_files
from ansible_collections.asgi.deploy.plugins.modules import nginx_site as module

MASTER = 4711
RUNNING = "ActiveState=active\nMainPID=4711\nInactiveExitTimestamp=Sat 2026-11-21 00:10:00.000000 UTC\n"
STOPPED = "ActiveState=inactive\nMainPID=0\nInactiveExitTimestamp=\n"
FILES = {"asgi-a.conf": "new\n", "asgi-gone.conf": None, "asgi-b.conf": "same\n"}


class Host:
    """A simulated nginx below *root*, with a default site and three files. The test sets the results of its commands."""

    def __init__(self, root: Path, monkeypatch) -> None:
        self.root = root
        self.nginx = "/usr/sbin/nginx"
        self.calls = []
        self.answers = {"test": (0, "", ""), "reload": (0, "", ""), "show": (0, RUNNING, "")}
        # a reload replaces the workers, unless a test overrides this
        self.generations = ({number} for number in itertools.count(1))
        self.seen_by_test = None
        moved = {
            "CONFIGURATION": root / "etc/nginx",
            "MAIN": root / "etc/nginx/nginx.conf",
            "SITES": root / "etc/nginx/conf.d",
            "HASHES": root / "etc/nginx/conf.d/asgi-00-hashes.conf",
            "most_open_files": lambda: None,
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
        (root / "etc/nginx/nginx.conf").write_text(f"http {{ include {root}/etc/nginx/conf.d/*.conf; }}\n")
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

    def run(
        self,
        check_mode=False,
        files=None,
        default_site="remove",
        watch=(),
        change_port=False,
        prune=False,
        limits=False,
    ):
        (self.root / "tmp").mkdir(exist_ok=True)
        params = {
            "files": FILES if files is None else files,
            "watch": list(watch),
            "ports": [],
            "change_port": change_port,
            "default_site": default_site,
            "prune": prune,
            "limits": limits,
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
        """Return the content or target of every file and link below /etc/nginx."""
        return {
            str(path.relative_to(self.root)): str(path.readlink()) if path.is_symlink() else path.read_text()
            for path in (self.root / "etc").rglob("*")
            if path.is_symlink() or path.is_file()
        }


@pytest.fixture
def host(tmp_path, monkeypatch):
    return Host(tmp_path, monkeypatch)


def test_an_accepted_configuration_is_written_and_loaded(host):
    before = host.disk()

    result = host.run()

    after = {path: text for path, text in before.items() if "gone" not in path and "sites-enabled" not in path}
    assert host.disk() == {**after, "etc/nginx/conf.d/asgi-a.conf": "new\n"}
    assert (result["changed"], result["reloaded"]) == (True, True)
    assert [Path(path).name for path in result["written"]] == ["asgi-a.conf"]
    assert [Path(path).name for path in result["removed"]] == ["asgi-gone.conf", "default"]
    assert host.calls == ["show", "test", "reload"]


def test_a_log_in_a_directory_of_an_app_is_rejected(host, monkeypatch):
    """nginx opens logs as root, and would follow a symlink that the app creates in place of a log."""
    media = host.root / "shared/logs"
    media.mkdir(parents=True)
    stat_of = os.stat

    def of_the_app(path, *args, **options):
        found = stat_of(path, *args, **options)
        return os.stat_result([*found[:4], 4711, *found[5:10]]) if str(path) == str(media.parent) else found

    monkeypatch.setattr(module.nginx_logs.os, "stat", of_the_app)
    before = host.disk()
    with pytest.raises(
        module.Refused, match=r"shared/logs/a\.log is below .*/shared, which belongs to 4711; nothing was changed"
    ):
        host.run(files={"asgi-a.conf": f"access_log {media}/a.log asgi;\n"})
    assert host.disk() == before


@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("check_mode", [False, True])
def test_logs_that_every_account_could_read_are_protected(host, monkeypatch, is_there, check_mode):
    """The module protects the logs of an unchanged site too, and does not reload nginx for that."""
    log = host.root / "log/a.access.log"
    files = {"asgi-a.conf": f"access_log {log} asgi;\n"}
    owners = []
    monkeypatch.setattr(module.nginx_logs, "is_exposed", lambda mode, _gid: bool(mode & 0o007))
    monkeypatch.setattr(os, "fchown", lambda _file, uid, gid: owners.append((uid, gid)))
    monkeypatch.setattr(module.nginx_logs, "_uid", {"www-data": 33}.get)
    monkeypatch.setattr(module.nginx_logs, "_gid", {"adm": 4}.get)
    host.run(files=files)
    os.unlink(log)
    if is_there:
        log.write_text("GET /?token=1\n")
        log.chmod(0o644)
    host.calls.clear()
    owners.clear()

    result = host.run(files=files, check_mode=check_mode)

    assert (result["changed"], result["reloaded"], result["protected"]) == (True, False, [str(log)])
    assert [(each["before_header"], each["after"]) for each in result["diff"]] == [(str(log), "www-data:adm 0640\n")]
    if check_mode:
        assert log.exists() == is_there
        assert not is_there or stat.S_IMODE(log.stat().st_mode) == 0o644
    else:
        assert stat.S_IMODE(log.stat().st_mode) == 0o640
        assert owners == [(33, 4)]
        assert host.run(files=files)["changed"] is False


def test_a_second_run_changes_nothing(host):
    host.run()
    host.calls.clear()
    result = host.run()
    assert (result["changed"], result["reloaded"], result["diff"]) == (False, False, [])
    assert host.calls == ["show"]


def test_nginx_tests_a_copy_with_the_changes(host):
    host.run()
    seen = host.seen_by_test
    assert seen["conf.d/asgi-a.conf"] == "new\n"
    assert "conf.d/asgi-gone.conf" not in seen
    assert "sites-enabled/default" not in seen
    # the copy does not refer to the original files
    assert str(host.root / "etc/nginx") not in seen["nginx.conf"]
    assert list((host.root / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "files", "message"),
    [
        (
            (1, "", "nginx: [emerg] unknown directive"),
            FILES,
            "nginx rejects the configuration, and nothing was changed",
        ),
        (
            (0, "", 'nginx: [warn] conflicting server name "a.test" on 0.0.0.0:443, ignored'),
            {"asgi-a.conf": "server_name a.test;"},
            "already serves a.test",
        ),
    ],
)
def test_a_rejected_configuration_changes_no_file(host, answer, files, message):
    before = host.disk()
    host.answers["test"] = answer
    with pytest.raises(module.Refused, match=message):
        host.run(files=files)
    assert host.disk() == before
    assert "reload" not in host.calls
    assert not module.CHANGED.exists()


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize("has_nginx", [False, True])
def test_a_name_of_another_site_is_refused(host, check_mode, has_nginx):
    host.nginx = "/usr/sbin/nginx" if has_nginx else None
    other = host.root / "etc/nginx/conf.d/other.conf"
    other.write_text("server { listen [::]:443; server_name x.test\n  a.test; }\n")
    before = host.disk()
    site = "server {\n    listen 443 ssl;\n    server_name a.test b.test;\n}\n"

    with pytest.raises(module.Refused, match=rf"a.test on port 443 is served by {other} already; nothing was changed"):
        host.run(files={"asgi-a.conf": site}, check_mode=check_mode)

    assert host.disk() == before
    # a server without a name does not clash with the one in the shared files
    other.write_text("server { listen 443; server_name _; }\n")
    assert host.run(
        files={"asgi-a.conf": site, "asgi-01-default-443.conf": site.replace("a.test b.test", "_")}, check_mode=True
    )


def test_check_mode_tests_but_writes_nothing(host):
    before = host.disk()
    result = host.run(check_mode=True)
    assert (result["changed"], result["reloaded"]) == (True, True)
    assert host.calls == ["show", "test"]
    assert host.disk() == before


def test_a_failed_reload_restores_the_previous_files(host):
    before = host.disk()
    host.answers["reload"] = (1, "", "Job failed")
    with pytest.raises(module.Refused, match="the previous files were restored: Job failed"):
        host.run()
    assert host.disk() == before
    assert not module.LOADED.exists()


def test_sites_are_restored_before_the_files_that_they_include_are_removed(host, monkeypatch):
    """The site must never include a missing file, because nginx could start or the module could be killed between two steps."""
    sites = host.root / "etc/nginx/conf.d"
    (sites / "asgi-a.conf").write_text("include conf.d/asgi-00-tls-1.inc;\n")
    (sites / "asgi-00-tls-1.inc").write_text("old\n")
    host.answers["reload"] = (1, "", "Job failed")
    put, missing = checked_files.put, []

    def checked_put(path, text, foreign=False):
        put(path, text, foreign)
        included = (sites / "asgi-a.conf").read_text().split("/")[1].rstrip(";\n")
        if not (sites / included).exists():
            missing.append(included)

    monkeypatch.setattr(checked_files, "put", checked_put)
    files = {"asgi-00-tls-2.inc": "new\n", "asgi-a.conf": "include conf.d/asgi-00-tls-2.inc;\n"}
    with pytest.raises(module.Refused, match="the previous files were restored: Job failed"):
        host.run(files=files, prune=True, default_site="keep")

    assert missing == []
    assert sorted(path.name for path in sites.glob("*.inc")) == ["asgi-00-tls-1.inc"]


@pytest.mark.parametrize("logged", ["", "2026/11/21 [emerg] 1#1: bind() failed\n"])
def test_a_reload_without_new_workers_restores_the_previous_files(host, logged):
    before = host.disk()
    workers = iter([{1}])
    host.generations = itertools.chain(workers, itertools.repeat({1}))
    reload = host.run_command

    def log_a_fault(argv):
        if argv[1] == "reload":
            module.ERROR_LOG.write_text(logged)
        return reload(argv)

    host.run_command = log_a_fault
    with pytest.raises(module.Refused, match="did not load the files, and the previous files were restored") as caught:
        host.run()
    assert ("bind() failed" in str(caught.value)) == bool(logged)
    assert host.disk() == before
    assert not module.LOADED.exists()


def test_the_next_run_loads_the_files_of_an_interrupted_run(host, monkeypatch):
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
    time.sleep(0.02)  # file timestamps have the resolution of the kernel's tick
    certificate.write_text("renewed")
    assert host.run(watch=[certificate])["reloaded"] is True


def test_a_changed_certificate_is_loaded_despite_a_load_time_in_the_future(host):
    host.run()
    certificate = host.root / "live.pem"
    certificate.write_text("renewed")
    os.utime(module.LOADED, (2**33, 2**33))

    assert host.run(watch=[certificate])["reloaded"] is True
    assert host.run(watch=[certificate])["changed"] is False


def test_files_dated_in_the_future_are_loaded_once(host, monkeypatch):
    host.run()
    certificate = host.root / "live.pem"
    certificate.write_text("renewed")
    written = certificate.stat().st_ctime
    # the clock is set back by a minute
    monkeypatch.setattr(checked_files.time, "time", lambda: written - 60)
    touched = []
    monkeypatch.setattr(
        checked_files.os, "utime", lambda path, *_arguments, **_options: touched.append(Path(path).name)
    )

    assert host.run(watch=[certificate])["reloaded"] is True
    assert {"live.pem", "asgi-a.conf", "changed", "loaded"} <= set(touched)


@pytest.mark.parametrize(("stale", "reloads"), [(["a.test"], True), ([], False)])
def test_a_certificate_that_nginx_does_not_serve_is_loaded(host, monkeypatch, stale, reloads):
    host.run()
    monkeypatch.setattr(module, "stale_names", lambda text: stale if text == "new\n" else [])

    result = host.run(check_mode=True)
    assert (result["changed"], result["reloaded"]) == (reloads, reloads)
    assert host.run()["reloaded"] is reloads


def test_a_stopped_nginx_is_not_started(host):
    host.answers["show"] = (0, STOPPED, "")
    result = host.run()
    assert (result["changed"], result["reloaded"]) == (True, False)
    assert "reload" not in host.calls


@pytest.mark.parametrize("name", ["../x.conf", "x", ".x.conf", "a/b.conf"])
def test_a_name_outside_of_the_directory_is_refused(host, name):
    with pytest.raises(module.Refused, match="not a file name"):
        host.run(files={name: "x"})


@pytest.fixture
def udp_port():
    """A UDP port that this process holds."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_udp_port_of_another_program_is_refused(host, udp_port, check_mode):
    before = host.disk()
    with pytest.raises(
        module.Refused, match=rf"UDP port {udp_port} of this host is held by .* \(process {os.getpid()}\)"
    ):
        host.run(files={"asgi-a.conf": f"    listen {udp_port} quic;\n"}, check_mode=check_mode)
    assert host.disk() == before
    assert host.run(files={"asgi-a.conf": f"    listen {udp_port} ssl;\n"})["changed"] is True


def test_a_udp_port_of_nginx_is_accepted(host, udp_port):
    host.answers["show"] = (0, RUNNING.replace("4711", str(os.getpid())), "")
    assert host.run(files={"asgi-a.conf": f"    listen {udp_port} quic;\n"})["changed"] is True


AGREED = "# Agreed on port 443: ipv6=true proxy_protocol={}\nserver {{\n    listen 443 ssl;\n}}\n"
PORT_FILE = {"asgi-01-default-443.conf": AGREED.format("true")}


@pytest.fixture
def port(host):
    """A host whose port 443 does not use the PROXY protocol."""
    (host.root / "etc/nginx/conf.d/asgi-01-default-443.conf").write_text(AGREED.format("false"))
    return host


@pytest.mark.parametrize("check_mode", [False, True])
def test_shared_settings_of_a_port_do_not_change_beside_other_sites(port, check_mode):
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
def test_shared_settings_change_without_other_sites_or_with_change_port(port, other, change_port):
    (port.root / "etc/nginx/conf.d/asgi-b.conf").write_text(f"{other}\n")
    port.run(files=PORT_FILE, change_port=change_port)
    assert "proxy_protocol=true" in (port.root / "etc/nginx/conf.d/asgi-01-default-443.conf").read_text()


@pytest.mark.parametrize("name", ["other.conf", "asgi-z.conf"])
def test_files_of_others_may_have_any_encoding(port, name):
    path = port.root / "etc/nginx/conf.d" / name
    text = "# f\u00fcr M\u00fcller\nserver {\n    listen 443 ssl;\n}\n".encode("latin-1")
    path.write_bytes(text)
    with pytest.raises(module.Refused, match=rf"proxy_protocol is false and not true.*{name}"):
        port.run(files=PORT_FILE)
    port.run(files=PORT_FILE, change_port=True, prune=name.startswith("asgi-"))
    assert path.read_bytes() == text


def test_a_manually_changed_file_is_restored_unchanged(host):
    path = host.root / "etc/nginx/conf.d/asgi-a.conf"
    path.write_bytes(b"# M\xfcller\n")
    host.answers["reload"] = (1, "", "Job failed")
    with pytest.raises(module.Refused, match="the previous files were restored"):
        host.run()
    assert path.read_bytes() == b"# M\xfcller\n"

    host.answers["reload"] = (0, "", "")
    texts = [each["before"] for each in host.run()["diff"]]
    assert "# M\ufffdller\n" in texts
    assert path.read_text() == "new\n"


def test_a_site_may_change_its_own_settings(port):
    (port.root / "etc/nginx/conf.d/asgi-b.conf").write_text("    listen 443 ssl;\n")
    assert port.run(files={**PORT_FILE, "asgi-b.conf": "    listen 443 ssl proxy_protocol;\n"})["changed"]


def test_shared_files_are_removed_with_the_last_site(host, monkeypatch):
    """Sites are removed before the files that they use, because nginx could start between the two steps."""
    sites = host.root / "etc/nginx/conf.d"
    (sites / "asgi-a.conf").write_text("listen 443 ssl;\n")
    (sites / "asgi-b.conf").write_text("listen 8443 ssl;\n")
    (sites / "asgi-gone.conf").unlink()
    (sites / "asgi-00-tls-0a1b2c3d.inc").write_text("shared\n")
    for name in ("asgi-00-shared", "asgi-01-default-443", "asgi-01-default-8443", "zz-other"):
        (sites / f"{name}.conf").write_text("shared\n")
    written = []
    put = checked_files.put
    monkeypatch.setattr(
        checked_files, "put", lambda path, text, **kept: (written.append(path), put(path, text, **kept))
    )

    result = host.run(files={"asgi-a.conf": None}, default_site="keep", prune=True)

    assert [path.name for path in written if path.parent == sites] == [
        *("asgi-a.conf", "asgi-01-default-443.conf", "asgi-00-tls-0a1b2c3d.inc"),
    ]
    assert (result["changed"], result["reloaded"]) == (True, True)

    written.clear()
    host.run(files={"asgi-b.conf": None}, default_site="keep", prune=True)

    left = ["asgi-b.conf", "asgi-01-default-8443.conf", "asgi-00-shared.conf"]
    assert [path.name for path in written if path.parent == sites] == left
    assert [path.name for path in sites.iterdir()] == ["zz-other.conf"]
    assert host.run(files={"asgi-b.conf": None}, default_site="keep", prune=True)["changed"] is False


def test_a_site_is_removed_without_nginx(host):
    host.nginx, host.answers["show"] = None, (0, STOPPED, "")
    assert host.run(files={"asgi-a.conf": None}, default_site="keep")["changed"] is True
    assert not (host.root / "etc/nginx/conf.d/asgi-a.conf").exists()
    assert host.calls == ["show"]
    with pytest.raises(module.Refused, match="nginx is not installed"):
        host.run()


MAIN = "events {\n\tworker_connections 768;\n}\nhttp {\n\tinclude conf.d/*.conf;\n}\n"
SITE = "# Clients: 1024\nserver {}\n"


@pytest.fixture
def limited(host):
    """Return a host with a distribution's nginx.conf that is not world-readable, and no site."""
    for path in module.SITES.iterdir():
        path.unlink()
    module.MAIN.write_text(MAIN)
    module.MAIN.chmod(0o640)
    host.run_limited = lambda **files: host.run(
        files={f"asgi-{name}.conf": text for name, text in files.items()}, prune=True, limits=True, default_site="keep"
    )
    return host


def test_nginx_has_the_limits_that_its_sites_require(limited):
    result = limited.run_limited(a=SITE)

    assert "\tworker_connections 2560; # asgi.deploy: was 768\n" in module.MAIN.read_text()
    assert "worker_rlimit_nofile 3840; # asgi.deploy: was not set\nevents" in module.MAIN.read_text()
    assert "variables_hash_max_size 4096;\n" in module.HASHES.read_text()
    assert result["written"] == [str(module.HASHES), str(module.SITES / "asgi-a.conf"), str(module.MAIN)]
    assert (result["changed"], result["reloaded"]) == (True, True)
    assert limited.seen_by_test["nginx.conf"] == module.MAIN.read_text()
    # the file keeps its mode
    assert module.MAIN.stat().st_mode & 0o777 == 0o640

    second = limited.run_limited(a=SITE)
    assert (second["changed"], second["reloaded"]) == (False, False)


def test_the_site_with_the_most_clients_counts(limited):
    for sites, connections in (
        ({"a": SITE}, 2560),
        ({"b": "# Clients: 4096\n"}, 8704),
        ({"a": "# Clients: 2048\n"}, 8704),
        ({"b": None}, 4608),
        # a site without a number of clients requires no limit
        ({"c": "server {}\n"}, 4608),
        ({"a": None}, 768),
    ):
        limited.run_limited(**sites)
        assert f"worker_connections {connections};" in module.MAIN.read_text(), sites


def test_the_limits_are_removed_with_the_last_site(limited):
    limited.run_limited(a=SITE)
    result = limited.run_limited(a=None)

    assert module.MAIN.read_text() == MAIN
    assert not module.HASHES.exists()
    assert str(module.HASHES) in result["removed"]


def test_the_limit_of_open_files_caps_the_connections(limited, monkeypatch):
    monkeypatch.setattr(module, "most_open_files", lambda: 3000)

    limited.run_limited(a=SITE)

    assert "worker_connections 2000;" in module.MAIN.read_text()
    assert "worker_rlimit_nofile 3000;" in module.MAIN.read_text()


def test_a_directive_of_another_file_is_not_set_again(limited):
    (module.CONFIGURATION / "modules-enabled").mkdir()
    (module.CONFIGURATION / "modules-enabled/limits.conf").write_text("worker_rlimit_nofile 100000;\n")
    (module.SITES / "tuning.conf").write_text("# map_hash\n  variables_hash_max_size 2048;\n")

    limited.run_limited(a=SITE)

    assert "worker_rlimit_nofile" not in module.MAIN.read_text()
    assert "variables_hash_max_size" not in module.HASHES.read_text()
    assert "variables_hash_bucket_size 128;" in module.HASHES.read_text()


def test_a_directive_of_a_new_site_is_not_set_again(limited):
    snippet = "variables_hash_max_size 8192;\nserver {}\n"
    limited.run_limited(a=SITE)

    limited.run_limited(b=snippet)
    assert "variables_hash_max_size" not in limited.seen_by_test["conf.d/asgi-00-hashes.conf"]
    assert limited.run_limited(b=snippet)["changed"] is False
    limited.run_limited(b=None)
    assert "variables_hash_max_size 4096;" in module.HASHES.read_text()


def test_a_site_is_written_without_limits_that_nginx_rejects(limited):
    limited.answers["test"] = None
    results = iter([(1, "", "nginx: [emerg] directive is duplicate"), (0, "", "")] * 2)
    original = limited.run_command
    limited.run_command = lambda argv: (original(argv), next(results))[1] if "-t" in argv else original(argv)

    result = limited.run_limited(a=SITE)

    assert result["written"] == [str(module.SITES / "asgi-a.conf")]
    assert module.MAIN.read_text() == MAIN
    assert "nginx rejected the new limits" in limited.calls[-2] and "directive is duplicate" in limited.calls[-2]
    # later runs omit the limits too
    assert limited.run_limited(a=SITE)["changed"] is False


def test_a_rejected_site_is_refused_with_and_without_limits(limited):
    limited.answers["test"] = (1, "", "nginx: [emerg] bad")

    with pytest.raises(checked_files.Refused, match="nginx rejects the configuration"):
        limited.run_limited(a=SITE)
    assert module.MAIN.read_text() == MAIN


def test_a_failed_reload_restores_the_limits(limited):
    limited.answers["reload"] = (1, "", "no")

    with pytest.raises(checked_files.Refused, match="previous files were restored"):
        limited.run_limited(a=SITE)
    assert module.MAIN.read_text() == MAIN
    assert not module.HASHES.exists()
    assert module.MAIN.stat().st_mode & 0o777 == 0o640


def test_a_server_in_nginx_conf_belongs_to_the_administrator(limited, monkeypatch):
    """New limits change neither the server nor its log. Only the log that all servers share is protected."""
    monkeypatch.setattr(os, "fchown", lambda *_arguments: None)
    own, shared = limited.root / "log/own.log", limited.root / "log/access.log"
    for log in (own, shared):
        log.touch(0o644)
    server = f"server {{ listen 80; server_name own.test; access_log {own}; }}"
    module.MAIN.write_text(MAIN.replace("http {\n", f"http {{\n\taccess_log {shared};\n\t{server}\n"))

    limited.run_limited(a=SITE)

    assert "worker_connections 2560;" in module.MAIN.read_text()
    assert [log.stat().st_mode & 0o777 for log in (own, shared)] == [0o644, 0o640]
    shared.chmod(0o644)
    assert limited.run_limited(a=SITE)["protected"] == [str(shared)]


def test_a_symlink_nginx_conf_is_not_changed(limited):
    module.MAIN.rename(module.CONFIGURATION / "real.conf")
    module.MAIN.symlink_to("real.conf")

    limited.run_limited(a=SITE)

    assert module.MAIN.is_symlink()
    assert module.MAIN.read_text() == MAIN
    [warning] = [call for call in limited.calls if "worker_connections" in call]
    assert "has worker_connections 768, which this module does not change, and 1024 clients require 2560" in warning


def test_limits_outside_of_nginx_conf_that_are_too_low_cause_a_warning(limited):
    module.MAIN.write_text("include events.conf;\nhttp {}\n")

    limited.run_limited(a=SITE)
    limited.run_limited(a="server {}\n")

    assert [call.split(", ")[0] for call in limited.calls if "clients" in call] == [
        f"{module.MAIN} has worker_connections 512"
    ]
