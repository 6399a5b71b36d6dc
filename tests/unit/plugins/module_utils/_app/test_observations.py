"""Observations of doctor on a host."""

from __future__ import annotations

import fcntl
import os

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app import observations as look

SHOWN = """\
Id=hello@green.service
LoadState=loaded
ActiveState=active
UnitFileState=enabled
NeedDaemonReload=no
MainPID=42
TimeoutStopUSec=1min 20s
WatchdogUSec=1min

Id=asgi-gone.timer
LoadState=not-found
ActiveState=inactive
UnitFileState=
NeedDaemonReload=no
TimeoutStopUSec=infinity
"""


def test_properties_of_units():
    found = look.units(lambda _argv: (0, SHOWN, ""), [])

    assert found["hello@green.service"] == {
        "there": True,
        "active": "active",
        "enabled": True,
        "needs_daemon_reload": False,
        "main_pid": 42,
        "stop_seconds": 80,
        "watchdog_seconds": 60,
    }
    missing = found["asgi-gone.timer"]
    assert (missing["there"], missing["enabled"], missing["stop_seconds"]) == (False, False, None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("50s", 50), ("1min 30s", 90), ("1h", 3600), ("500ms", 0.5), ("infinity", None), ("", None)],
)
def test_time_spans(text, seconds):
    assert look.finite_seconds(text) == seconds


def test_timers_of_the_collection_and_the_app_are_listed(tmp_path):
    for name in ("asgi-renew.timer", "hello-report.timer", "other-report.timer", "hello@.service"):
        (tmp_path / name).touch()

    own = {"asgi-renew.timer", "hello-report.timer"}

    assert set(look.timers("hello", False, str(tmp_path))) - {"logrotate.timer"} == own
    assert set(look.timers("hello", True, str(tmp_path))) - {"logrotate.timer"} == {*own, "certbot.timer"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import os\nworkers = 3\nname = 'x'\nconfig = f(1)\na = b = 2\n", {"workers": 3, "name": "x", "a": 2}),
        ("workers = = 3", {}),
        (None, {}),
    ],
)
def test_settings_of_gunicorn(text, found):
    assert look.assignments(text) == found


def test_only_names_of_environment_variables_are_returned():
    text = "[Service]\n# Comment=1\nMemoryMax=1G\nEnvironment=TOKEN=secret\nMemoryMax=2G\n"

    assert look.setting_names(text) == ["Environment", "MemoryMax"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("upstream x {\n    keepalive 32;\n    keepalive_timeout 2s;\n}\n", 2),
        ("    keepalive_timeout 75;\n", 75),
        ("    # keepalive_timeout 2s;\n", None),
        (None, None),
    ],
)
def test_directives_of_nginx(text, seconds):
    assert look.directive_seconds(text, "keepalive_timeout") == seconds


ENTRY = {"release": "r", "config": "c", "slot": "blue", "result": "live"}


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (None, True),
        ("[]", True),
        ('[{"release": "r", "config": "c", "slot": "blue", "result": "live"}]', True),
        ("[", False),
        ("{}", False),
        ("[1]", False),
        ('[{"release": "r"}]', False),
        ("", False),
    ],
)
def test_a_damaged_activation_log_is_none(tmp_path, text, good):
    path = tmp_path / "releases.json"
    if text is not None:
        path.write_text(text)
    assert (look.entries(str(path)) is not None) is good


def test_incomplete_releases_are_listed(tmp_path):
    for name, manifest in {"r1": '{"built_at": "2026"}', "r2": None, "r3": "{", "r4": "[]"}.items():
        (tmp_path / name).mkdir()
        if manifest:
            (tmp_path / name / "release.json").write_text(manifest)
    (tmp_path / "link").symlink_to("r1")

    assert look.releases(str(tmp_path)) == [
        {"release": "r1", "built_at": "2026"},
        {"release": "r2", "built_at": None},
        {"release": "r3", "built_at": None},
        {"release": "r4", "built_at": None},
    ]


def test_temporary_configurations_are_listed(tmp_path):
    for name in (".new-a", ".old-b", "c1"):
        (tmp_path / name).mkdir()

    assert look.leftovers(str(tmp_path)) == [".new-a", ".old-b"]


def test_free_space_and_size_of_the_release(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code/main.py").write_bytes(os.urandom(3 << 20))

    found = look.disk(str(tmp_path), str(tmp_path))

    assert (found["release_mb"], found["release_files"]) == (3, 2)
    assert found["free_mb"] > 0


def test_owner_and_mode_of_a_path(tmp_path):
    path = tmp_path / "env"
    path.touch()
    path.chmod(0o640)

    assert look.mode(str(path))["mode"] == "0640"
    assert look.mode(str(tmp_path / "gone")) is None


def test_a_lock_is_read_without_taking_it(tmp_path):
    path = tmp_path / "lock"
    path.write_text("by ann since noon\n")

    assert look.locks([str(path), str(tmp_path / "none")]) == [
        {"path": str(path), "note": "by ann since noon", "held_by": None}
    ]
    with path.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert look.locks([str(path)])[0]["held_by"] == os.getpid()


SOCKETS = """\
u_str LISTEN 0      4096   /run/systemd/private 123 * 0
u_str LISTEN 17     2048   /run/hello/green.sock 456 * 0
"""


def test_the_queue_of_a_socket():
    assert look.queue(SOCKETS, "/run/hello/green.sock") == {"waiting": 17, "limit": 2048}
    assert look.queue(SOCKETS, "/run/hello/blue.sock") is None


def test_dropped_connections():
    netstat = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 0 12 13\nIpExt: InNoRoutes\nIpExt: 0\n"
    snmp = "Ip: Forwarding\nIp: 1\nTcp: ActiveOpens PassiveOpens\nTcp: 5 9000\n"

    assert look.tcp_drops(netstat, snmp) == {"dropped": 12, "accepted": 9000}
    assert look.tcp_drops(None, snmp) is None


def test_full_queues_in_the_log_of_nginx_are_counted(tmp_path):
    log = tmp_path / "error.log"
    line = (
        "connect() to unix:/run/x failed (11: Resource temporarily unavailable) while connecting to upstream, client\n"
    )
    log.write_text(line + "connect() failed (111: Connection refused)\n" + line)

    assert look.queue_full(str(log)) == 2
    assert look.queue_full(str(tmp_path / "none")) == 0


def test_the_kernel_reports_whether_the_clock_is_synchronised():
    assert look.clock_synchronised() in (True, False)
