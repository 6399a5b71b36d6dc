"""The output of systemctl and journalctl, and the control of units."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._host import systemd as module
from ansible_collections.asgi.deploy.plugins.module_utils._host.systemd import (
    Systemd,
    SystemdError,
    misread_lines,
    parse_show,
    parse_timespan,
)

SHOWN = """\
Id=hello@blue.service
ActiveState=active
SubState=running
NeedDaemonReload=no
MainPID=812
ActiveEnterTimestamp=Sat 2026-11-21 00:46:28 UTC
CanReload=yes
StatusText=2 workers serve, reload 1

Id=hello@green.service
ActiveState=failed
SubState=failed
NeedDaemonReload=yes
MainPID=0
ActiveEnterTimestamp=
CanReload=no
"""


@pytest.fixture
def links(tmp_path, monkeypatch):
    """Return the directory that contains the symlinks of enabled units."""
    monkeypatch.setattr(module, "LINKS", (f"{tmp_path}/*.wants",))
    directory = tmp_path / "multi-user.target.wants"
    directory.mkdir()
    return directory


def test_units_are_read(links):
    (links / "hello@blue.service").symlink_to("/etc/systemd/system/hello@.service")
    units = parse_show(SHOWN)

    blue, green = units["hello@blue.service"], units["hello@green.service"]
    assert (blue.can_reload, green.can_reload) == (True, False)
    assert (blue.status, green.status) == ("2 workers serve, reload 1", "")
    assert (blue.running, blue.stopped, blue.enabled, blue.main_pid) == (True, False, True, 812)
    assert (green.running, green.stopped, green.enabled, green.needs_daemon_reload) == (False, True, False, True)


@pytest.mark.parametrize(("options", "reload_options"), [({}, []), ({"read": False}, ["--no-reload"])])
def test_enable_with_and_without_reload(options, reload_options):
    commands = []
    Systemd(lambda command: commands.append(command) or (0, "", "")).enable("x.service", **options)

    assert [word for word in commands[0] if "reload" in word] == reload_options


@pytest.mark.parametrize(("state", "masked"), [("masked", True), ("loaded", False), ("not-found", False)])
def test_masked_unit_is_detected(state, masked):
    assert parse_show(f"Id=x.service\nLoadState={state}\n")["x.service"].masked is masked


@pytest.mark.parametrize("state", ["activating", "deactivating"])
def test_unit_in_transition_is_neither_running_nor_stopped(state):
    unit = parse_show(f"Id=x.service\nActiveState={state}\n")["x.service"]

    assert (unit.running, unit.stopped) == (False, False)


def test_unknown_setting_is_found():
    text = (
        "/etc/systemd/system/hello@blue.service.d/slot.conf:9: Unknown key name 'MemoryMaxx' in section 'Service', ignoring.\n"
        "/lib/systemd/system/other.service:3: Unknown key name 'X' in section 'Unit', ignoring.\n"
    )

    assert misread_lines(text, "/etc/systemd/system/hello@blue.service.d/slot.conf") == (
        "9: Unknown key name 'MemoryMaxx' in section 'Service', ignoring."
    )
    assert misread_lines(text, "/elsewhere") == ""


def test_failed_systemctl_raises_its_output():
    systemd = Systemd(lambda command: (1, "", "Unit x.service not found.\n"))

    with pytest.raises(SystemdError, match="Unit x.service not found."):
        systemd.start("x.service")


@pytest.mark.parametrize(
    ("namespace", "synced", "read"),
    [("\n", [], []), ("", [], []), ("shop\n", ["--namespace=shop"], ["--namespace=+shop"])],
)
def test_journal_is_flushed_and_read_from_its_namespace(namespace, synced, read, monkeypatch):
    commands = []

    def run_command(command):
        commands.append(command)
        return 0, namespace, ""

    monkeypatch.setattr(module, "read_output", lambda command: commands.append(command) or "said")
    assert Systemd(run_command).journal("hello@green.service", 5.5) == "said"
    sync, reading = (command for command in commands if command[0] == "journalctl")
    assert sync == ["journalctl", "--sync", *synced]
    assert [word for word in reading if "namespace" in word] == read


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("50s", 50), ("1min 30s", 90), ("1h 500ms", 3600.5), ("infinity", float("inf")), ("0", 0)],
)
def test_time_spans_of_systemd(text, seconds):
    assert parse_timespan(text) == seconds


class Held:
    """A fake systemctl whose jobs end after *seconds*, or after *kills* kills. The service has timeouts of 60 s (start) and 50 s (stop)."""

    def __init__(self, seconds, kills=1, active="activating"):
        self.seconds, self.kills, self.active = seconds, kills, active
        self.commands = []

    def __call__(self, command):
        self.commands.append(command)
        if "--property=TimeoutStartUSec,TimeoutStopUSec" in command:
            return 0, "\nTimeoutStartUSec=1min\nTimeoutStopUSec=50s\n", ""
        if "show" in command:
            return 0, f"Id=x.service\nActiveState={self.active}\n", ""
        if "kill" in command:
            self.kills -= 1
        if command[0] == "timeout":
            limit = float(command[1])
            ends = self.seconds <= limit or limit == 0 or ("stop" in command and self.kills <= 0)
            return (0 if ends else 124), "", ""
        return 0, "", ""

    def killed(self):
        return [command for command in self.commands if "kill" in command]


def test_a_service_that_stops_in_time_is_not_killed():
    systemctl = Held(seconds=50)
    Systemd(systemctl).stop("x.socket", "x.service")

    assert systemctl.killed() == []


@pytest.mark.parametrize("kills", [1, 2])
def test_a_service_that_extends_its_stop_is_killed(kills):
    systemctl = Held(seconds=10_000, kills=kills)
    Systemd(systemctl).stop("x.socket", "x.service")

    assert systemctl.killed() == [["systemctl", "kill", "--signal=SIGKILL", "x.service"]] * kills


def test_a_service_that_survives_sigkill_is_an_error():
    with pytest.raises(SystemdError, match=r"x\.service cannot be stopped"):
        Systemd(Held(seconds=10_000, kills=100)).stop("x.socket", "x.service")


def test_a_start_that_extends_its_timeout_fails():
    with pytest.raises(SystemdError, match="timeout was exceeded"):
        Systemd(Held(seconds=10_000)).start("x.socket", "x.service")


def test_a_start_that_waits_for_other_units_continues():
    systemctl = Held(seconds=10_000, active="inactive")

    def run_command(command):
        if "--property=TimeoutStartUSec,TimeoutStopUSec" not in command and "show" in command:
            systemctl.seconds = 1  # the unit that the start waits for, such as the network, is up
        return systemctl(command)

    Systemd(run_command).start("x.socket", "x.service")


def test_a_reload_that_extends_its_timeout_fails():
    with pytest.raises(SystemdError, match="within 65 s"):
        Systemd(Held(seconds=10_000)).reload("x.service")


def test_endless_journal_output_is_truncated(monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 1000)

    output = module.read_output(["sh", "-c", "echo begins; head -c 10000000 /dev/zero | tr '\\0' x; echo ends >&2"])

    assert output.startswith("begins\n")
    assert output.endswith("ends\n")
    assert len(output) < 1100
