"""What systemctl and journalctl print, and what is made of it."""

from __future__ import annotations

import json

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils import systemd as module
from ansible_collections.asgi.deploy.plugins.module_utils.systemd import (
    Systemd,
    SystemdError,
    excerpt,
    misread_lines,
    parse_show,
    readable_journal,
)

SHOWN = """\
Id=hello@blue.service
ActiveState=active
SubState=running
NeedDaemonReload=no
MainPID=812
ActiveEnterTimestamp=Sat 2026-11-21 00:46:28 UTC
CanReload=yes

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
    """A directory with the links of enabled units."""
    monkeypatch.setattr(module, "LINKS", (f"{tmp_path}/*.wants",))
    directory = tmp_path / "multi-user.target.wants"
    directory.mkdir()
    return directory


def test_units_are_read(links):
    (links / "hello@blue.service").symlink_to("/etc/systemd/system/hello@.service")
    units = parse_show(SHOWN)

    blue, green = units["hello@blue.service"], units["hello@green.service"]
    assert (blue.can_reload, green.can_reload) == (True, False)
    assert (blue.running, blue.stopped, blue.enabled, blue.main_pid) == (True, False, True, 812)
    assert (green.running, green.stopped, green.enabled, green.needs_daemon_reload) == (False, True, False, True)


@pytest.mark.parametrize(("options", "told"), [({}, []), ({"read": False}, ["--no-reload"])])
def test_systemd_reads_what_is_enabled_at_once_or_later(options, told):
    commands = []
    Systemd(lambda command: commands.append(command) or (0, "", "")).enable("x.service", **options)

    assert [word for word in commands[0] if "reload" in word] == told


@pytest.mark.parametrize("state", ["activating", "deactivating"])
def test_a_unit_on_its_way_is_neither_running_nor_stopped(state):
    unit = parse_show(f"Id=x.service\nActiveState={state}\n")["x.service"]

    assert (unit.running, unit.stopped) == (False, False)


def test_the_journal_is_readable():
    entry = {"level": "error", "logger": "uvicorn.error", "message": "no", "exception": "Traceback\nKeyError"}

    text = readable_journal(f"Starting hello\n{json.dumps(entry)}\n7\n")

    assert text.splitlines() == ["Starting hello", "[error] uvicorn.error: no", "Traceback", "KeyError", "7"]


def test_what_systemd_does_not_understand_is_found():
    text = (
        "/etc/systemd/system/hello@blue.service.d/slot.conf:9: Unknown key name 'MemoryMaxx' in section 'Service', ignoring.\n"
        "/lib/systemd/system/other.service:3: Unknown key name 'X' in section 'Unit', ignoring.\n"
    )

    assert misread_lines(text, "/etc/systemd/system/hello@blue.service.d/slot.conf") == (
        "9: Unknown key name 'MemoryMaxx' in section 'Service', ignoring."
    )
    assert misread_lines(text, "/elsewhere") == ""


def test_a_refusal_is_an_error_with_systemds_own_words():
    systemd = Systemd(lambda command: (1, "", "Unit x.service not found.\n"))

    with pytest.raises(SystemdError, match="Unit x.service not found."):
        systemd.start("x.service")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [(0, ""), (1, "0"), (5, "0|1|2|3|4"), (6, "0|1|2|... 1 lines ...|4|5"), (9, "0|1|2|... 4 lines ...|7|8")],
)
def test_a_long_journal_shows_how_it_began_and_how_it_ended(lines, expected):
    assert excerpt("\n".join(map(str, range(lines))), first=3, last=2).split("\n") == expected.split("|")


@pytest.mark.parametrize(
    ("namespace", "synced", "read"),
    [("\n", [], []), ("", [], []), ("shop\n", ["--namespace=shop"], ["--namespace=+shop"])],
)
def test_the_journal_is_read_where_it_is_written_once_it_is_there(namespace, synced, read):
    commands = []

    def run_command(command):
        commands.append(command)
        return 0, namespace if command[0] == "systemctl" else "said", ""

    assert Systemd(run_command).journal("hello@green.service", 5.5) == "said"
    sync, reading = (command for command in commands if command[0] == "journalctl")
    assert sync == ["journalctl", "--sync", *synced]
    assert [word for word in reading if "namespace" in word] == read
