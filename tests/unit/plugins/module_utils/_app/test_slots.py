"""Activation, repair and removal of the slots, in a temporary directory with a fake systemd.

test_slots_crash_points.py tests the order of the steps, interruptions, check mode, second runs and concurrent runs.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app import slots
from ansible_collections.asgi.deploy.plugins.module_utils._app.probe import Probe
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_log import (
    DamagedLog,
    NoSuchRelease,
    Pair,
    rollback_target,
)
from ansible_collections.asgi.deploy.plugins.module_utils._app.slots import (
    TRIAL_MARK,
    ActivationError,
    App,
    Blocked,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host import files
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import Locked, Obstacle
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import RUN_MODE, TRIAL, layout
from ansible_collections.asgi.deploy.plugins.module_utils._host.systemd import SystemdError, Unit

PROBE = {"path": "/health", "host": "x", "statuses": [200], "successes": 1, "timeout": 1, "deadline": 1}


class FakeSystemd:
    """A fake systemd; ``broken`` holds the releases that do not boot.

    ``unread`` holds the units that were enabled since the last daemon-reload.
    """

    def __init__(self, app_home):
        self.unread, self.verified, self.masked = set(), [], set()
        self.active, self.enabled, self.calls, self.broken = set(), set(), [], set()
        self.home = app_home

    def show(self, *units):
        return {
            unit: Unit(
                unit,
                "active" if unit in self.active else "inactive",
                "",
                unit in self.enabled,
                False,
                0,
                "",
                masked=unit in self.masked,
            )
            for unit in units
        }

    def start(self, *units):
        self.calls.append(("start", *units))
        slot = units[0].split("@")[1].split(".")[0]
        if os.path.basename(os.readlink(f"{self.home}/slots/{slot}/release")) in self.broken:
            raise SystemdError("Job failed")
        self.active |= set(units)

    def begin_stop(self, *units):
        self.calls.append(("begin to stop", *units))

    def stop(self, *units):
        self.calls.append(("stop", *units))
        self.active -= set(units)

    def enable(self, *units, read=True):
        self.enabled |= set(units)
        self.unread = set() if read else self.unread | set(units)

    def disable(self, *units):
        self.enabled -= set(units)
        self.unread = set()

    def daemon_reload(self):
        self.calls.append(("daemon-reload",))
        self.unread = set()

    def misread(self, unit, path):
        self.verified.append(path)
        return "Unknown key" if "Mispelt" in Path(path).read_text() else ""

    def journal(self, unit, since, lines=40):
        return f"log of {unit}"


def rooted(value, root):
    if isinstance(value, dict):
        return {key: rooted(item, root) for key, item in value.items()}
    return f"{root}{value}" if value.startswith("/") else value


@pytest.fixture
def host(tmp_path, monkeypatch):
    return Host(tmp_path, monkeypatch)


class Host:
    """A host with one app; ``unhealthy`` holds releases whose probe fails, ``unreachable`` sockets that accept no connections."""

    def __init__(self, root, monkeypatch):
        self.paths = rooted(layout("hello"), root)
        self.systemd = FakeSystemd(self.paths["home"])
        self.unhealthy = set()
        self.unreachable = set()
        Path(self.paths["home"]).mkdir(parents=True)
        monkeypatch.setattr(slots, "wait_healthy", self._wait_healthy)
        monkeypatch.setattr(slots, "accepts", lambda socket: os.path.basename(socket) not in self.unreachable)

    def _wait_healthy(self, socket, probe):
        slot = os.path.basename(socket).replace(".sock", "")
        release = os.path.basename(os.readlink(f"{self.paths['slots_directory']}/{slot}/release"))
        return "GET /health answered 500" if release in self.unhealthy else ""

    def release(self, name):
        directory = Path(self.paths["releases"], name)
        directory.mkdir(parents=True, exist_ok=True)
        directory.joinpath("release.json").write_text("{}")

    def app(self, dry=False):
        return App(self.paths, self.systemd, dry=dry, by="tester")

    def deploy(self, release, conf="workers = 2", dry=False, service="[Service]\n", env="", **options):
        """Activate *release* as the module does; return the changes."""
        self.release(release)
        app = self.app(dry)
        files = {"gunicorn.conf.py": conf, "service.conf": service, "env": env, "probe.json": json.dumps(PROBE)}
        with app.lock():
            target = Pair(release, app.store_config(files, gid=-1))
            app.activate(target, app.state(), Probe.from_dict(PROBE), **options)
        return app.changes

    @property
    def live(self):
        return os.readlink(self.paths["live_socket"])

    @property
    def results(self):
        return [(entry["release"], entry["result"]) for entry in self.app().log()]

    def everything(self):
        """Return the target of each symlink and the content of each file of the app by path."""
        return {
            str(path): os.readlink(path) if path.is_symlink() else path.read_text()
            for path in Path(self.paths["home"]).rglob("*")
            if path.is_symlink() or path.is_file()
        }

    def units(self, slot):
        return {f"hello@{slot}.service", f"hello@{slot}.socket"}


def test_first_activation(host):
    assert host.deploy("r1")

    assert host.live == "blue.sock"
    assert host.systemd.active == host.systemd.enabled == host.units("blue")
    assert os.readlink(host.paths["current"]) == "releases/r1"
    assert "blue.sock" in Path(host.paths["tmpfiles"]).read_text()
    assert host.results == [("r1", "live")]


def test_restart_uses_the_other_slot(host):
    """A server with a single process is reloaded by a restart in the other slot, which must not change the rollback target."""
    host.deploy("r1")
    host.deploy("r2")

    assert host.deploy("r2", restart=True)
    assert host.live == "blue.sock"
    assert host.systemd.active == host.systemd.enabled == host.units("blue")
    app = host.app()
    live = app.state().live_pair
    assert (live.release, rollback_target(app.log(), live, app.on_disk).release) == ("r2", "r1")
    # restarts have no log entries, because many of them would displace the entries of other releases
    assert [(entry["release"], entry["slot"], entry["result"]) for entry in app.log()] == [
        ("r1", "blue", "retired"),
        ("r2", "blue", "live"),
    ]


def test_failed_restart_keeps_the_live_slot(host):
    host.deploy("r1")
    host.unhealthy.add("r1")

    with pytest.raises(ActivationError, match="answered 500"):
        host.deploy("r1", restart=True)

    assert host.live == "blue.sock"
    assert host.systemd.active == host.units("blue")
    assert host.results == [("r1", "live")]


def test_release_with_a_failed_restart_is_a_rollback_target(host):
    host.deploy("r1")
    host.unhealthy.add("r1")
    with pytest.raises(ActivationError):
        host.deploy("r1", restart=True)
    host.unhealthy.clear()
    host.deploy("r2")

    app = host.app()
    assert rollback_target(app.log(), app.state().live_pair, app.on_disk).release == "r1"


def test_new_release_uses_the_idle_slot_and_stops_the_old_one_last(host):
    host.deploy("r1")
    host.deploy("r2")

    assert host.live == "green.sock"
    assert host.systemd.active == host.systemd.enabled == host.units("green")
    assert host.systemd.calls[-1] == ("stop", "hello@blue.socket", "hello@blue.service")
    assert host.systemd.calls[-2] == ("begin to stop", *host.systemd.calls[-1][1:])
    assert host.results == [("r1", "retired"), ("r2", "live")]


def test_systemd_reads_unit_files_once_per_deploy(host):
    host.deploy("r1")
    assert not host.systemd.unread

    seen = []
    host.deploy("r2", verify=lambda: seen.append(set(host.systemd.unread)) or "")
    assert seen == [host.units("green")]
    assert not host.systemd.unread

    with pytest.raises(ActivationError):
        host.deploy("r3", verify=lambda: "nginx answered 502")
    assert not host.systemd.unread


def test_changed_configuration_is_activated_in_the_idle_slot(host):
    host.deploy("r1")

    assert host.deploy("r1", conf="workers = 3")
    assert host.live == "green.sock"


@pytest.mark.parametrize("fault", ["broken", "unhealthy"])
def test_failed_release_never_gets_traffic(host, fault):
    host.deploy("r1")
    {"broken": host.systemd.broken, "unhealthy": host.unhealthy}[fault].add("r2")

    with pytest.raises(ActivationError) as caught:
        host.deploy("r2")

    assert caught.value.journal == "log of hello@green.service"
    assert host.live == "blue.sock"
    assert host.systemd.active == host.units("blue")
    assert os.readlink(host.paths["current"]) == "releases/r1"
    assert host.results == [("r1", "live"), ("r2", "bad")]


def test_a_write_to_a_relative_path_is_explained(host, monkeypatch):
    output = "OSError: [Errno 30] Read-only file system: './app.db'"
    monkeypatch.setattr(host.systemd, "journal", lambda unit, since: output)
    host.unhealthy.add("r1")

    with pytest.raises(
        ActivationError, match=r"cannot write to './app.db': set asgi_server_working_directory to shared"
    ):
        host.deploy("r1")


def test_denied_executable_memory_is_explained(host, monkeypatch):
    said = "RuntimeError: could not create a primitive"
    monkeypatch.setattr(host.systemd, "journal", lambda unit, since: said)
    host.unhealthy.add("r1")

    with pytest.raises(ActivationError, match=r"denies executable memory: add MemoryDenyWriteExecute: false to"):
        host.deploy("r1", service="[Service]\nMemoryDenyWriteExecute=yes\n")


def test_failed_release_can_be_activated_again(host):
    host.deploy("r1")
    host.unhealthy.add("r2")
    with pytest.raises(ActivationError):
        host.deploy("r2")
    host.unhealthy.clear()

    host.deploy("r2")

    assert host.results[-1] == ("r2", "live")


@pytest.mark.parametrize(
    "damage",
    [
        lambda host: host.systemd.active.clear(),
        lambda host: host.systemd.enabled.clear(),
        lambda host: os.unlink(host.paths["live_socket"]),
        lambda host: os.unlink(host.paths["tmpfiles"]),
        lambda host: os.unlink(host.paths["current"]),
        lambda host: host.systemd.active.update(host.units("green")),
        lambda host: host.systemd.enabled.update(host.units("green")),
        lambda host: Path(host.paths["slots"]["blue"]["drop_in"]).write_text("[Service]\nMemoryMax=1\n"),
    ],
    ids="stopped disabled no-link no-tmpfiles no-current other-runs other-enabled drop-in-edited".split(),
)
def test_next_run_repairs_the_damage(host, damage):
    host.deploy("r1")
    damage(host)

    assert host.deploy("r1")
    assert host.deploy("r1") == []
    assert host.live == "blue.sock"
    assert host.systemd.active == host.systemd.enabled == host.units("blue")


def test_unreachable_live_slot_is_replaced_by_the_other_slot(host):
    """The socket file was removed, and systemd keeps listening on the unlinked socket."""
    host.deploy("r1")
    host.unreachable.add("blue.sock")

    assert host.deploy("r1", dry=True)
    assert host.live == "blue.sock"
    assert any("nothing accepts connections on" in change and "blue.sock" in change for change in host.deploy("r1"))
    assert host.live == "green.sock"
    assert host.systemd.active == host.systemd.enabled == host.units("green")
    # the old workers finish their requests before they stop
    assert host.systemd.calls[-2:] == [
        ("begin to stop", *sorted(host.units("blue"), reverse=True)),
        ("stop", *sorted(host.units("blue"), reverse=True)),
    ]
    assert host.results == [("r1", "live")]
    assert host.deploy("r1") == []


def test_unreachable_socket_of_a_stopped_service_is_restarted(host):
    host.deploy("r1")
    host.unreachable.add("blue.sock")
    host.systemd.active.discard("hello@blue.service")
    host.systemd.calls.clear()

    assert host.deploy("r1")
    assert [call[0] for call in host.systemd.calls] == ["stop", "start"]
    assert host.live == "blue.sock"


def test_check_of_a_socket_does_not_start_a_stopped_service(host, monkeypatch):
    """In check mode, a connection would make systemd start the service."""
    host.deploy("r1")
    host.systemd.active.discard("hello@blue.service")
    socket = Path(host.paths["slots"]["blue"]["socket"])
    socket.parent.mkdir(parents=True, exist_ok=True)
    socket.touch()
    connections = []
    monkeypatch.setattr(slots, "accepts", connections.append)

    assert host.deploy("r1", dry=True) == ["start hello@blue.service"]
    assert connections == []


def test_failed_activation_repairs_the_socket_of_the_live_slot(host):
    host.deploy("r1")
    host.unreachable.add("blue.sock")
    host.unhealthy.add("r2")
    host.systemd.calls.clear()

    with pytest.raises(ActivationError):
        host.deploy("r2")

    blue = ("hello@blue.socket", "hello@blue.service")
    assert host.systemd.calls.index(("stop", *blue)) < host.systemd.calls.index(("start", *blue))
    assert host.live == "blue.sock"


def test_failed_verification_switches_the_traffic_back(host):
    host.deploy("r1")
    seen = []

    def verify():
        seen.append((host.live, set(host.systemd.active)))
        return "nginx answered 502"

    with pytest.raises(ActivationError, match="502"):
        host.deploy("r2", verify=verify)

    assert seen == [("green.sock", host.units("blue") | host.units("green"))], (
        "verify must run after the switch, while both slots run"
    )
    assert host.live == "blue.sock"
    assert host.systemd.active == host.systemd.enabled == host.units("blue")
    assert os.readlink(host.paths["current"]) == "releases/r1"
    assert host.results[-1] == ("r2", "bad")


def test_booted_release_becomes_live_later(host):
    host.deploy("r1")

    host.deploy("r2", until=slots.BOOTED)

    assert host.live == "blue.sock"
    assert host.systemd.active == host.units("blue") | host.units("green")

    calls = len(host.systemd.calls)
    host.deploy("r2")

    assert host.live == "green.sock"
    assert [call[0] for call in host.systemd.calls[calls:]] == ["begin to stop", "stop"], "not booted again"


@pytest.mark.parametrize("until", [slots.BOOTED, slots.LIVE])
def test_abandon_before_and_after_the_switch(host, until):
    host.deploy("r1")
    host.deploy("r2", until=until)
    app = host.app()

    app.abandon("green", "the smoke test failed", app.state())

    assert host.live == "blue.sock"
    assert host.systemd.active == host.systemd.enabled == host.units("blue")
    assert app.log()[-1]["reason"] == "the smoke test failed"
    assert host.results[-1] == ("r2", "bad")


def test_the_only_release_is_not_abandoned(host):
    host.deploy("r1")
    app = host.app()

    with pytest.raises(NoSuchRelease):
        app.abandon("blue", "a hook failed", app.state())

    assert host.systemd.active == host.units("blue")


def test_concurrent_deploy_waits_for_the_lock_timeout(host):
    with host.app().lock():
        began = time.monotonic()
        with pytest.raises(Locked), host.app().lock(wait=0.5):
            pass
        assert time.monotonic() - began >= 0.5


def test_unneeded_configurations_are_removed(host):
    host.deploy("r1", conf="a")
    first = set(os.listdir(host.paths["configs"]))
    host.deploy("r2", conf="b")
    assert first <= set(os.listdir(host.paths["configs"])), "a rollback needs it"

    Path(host.paths["releases"], "r1", "release.json").unlink()  # r1 is pruned
    host.deploy("r3", conf="c")

    assert not first & set(os.listdir(host.paths["configs"]))


def test_unneeded_environments_are_removed(host):
    """Each release keeps its latest configuration, and the previously live configuration is kept; replaced secrets are removed."""
    for number in range(4):
        host.deploy("r1", env=f'TOKEN="old-{number}"\n')
    host.deploy("r2", env='TOKEN="new"\n')
    host.deploy("r2", env='TOKEN="newer"\n')
    host.deploy("r3", env='TOKEN="newest"\n')

    kept = {path.read_text() for path in Path(host.paths["configs"]).glob("*/env")}
    assert kept == {f'TOKEN="{token}"\n' for token in ("old-3", "newer", "newest")}
    app = host.app()
    live = app.live_pair()
    targets = [rollback_target(app.log(), live, app.on_disk, release) for release in (None, "r1", "r2")]
    assert [app.environment(target)["TOKEN"] for target in targets] == ["newer", "old-3", "newer"]


def test_failed_releases_keep_the_previous_configuration(host):
    host.deploy("r1", env='TOKEN="before"\n')
    host.deploy("r1", env='TOKEN="live"\n')
    host.unhealthy.add("r2")
    for number in range(2):
        with pytest.raises(ActivationError):
            host.deploy("r2", env=f'TOKEN="bad-{number}"\n')
    app = host.app()
    app._prune_configs(app.log())

    kept = {path.read_text() for path in Path(host.paths["configs"]).glob("*/env")}
    # asgi_rollback_allow_bad can activate the latest failed configuration
    assert kept == {f'TOKEN="{token}"\n' for token in ("before", "live", "bad-1")}
    assert app.environment(rollback_target(app.log(), app.live_pair(), app.on_disk))["TOKEN"] == "before"


def test_failed_write_of_a_configuration_leaves_no_files(host, monkeypatch):
    host.deploy("r1")
    before = host.everything()

    def full(path, *_arguments, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    monkeypatch.setattr(slots, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        host.deploy("r1", conf="workers = 5")
    assert host.everything() == before
    assert not list(Path(host.paths["configs"]).glob(".new-*"))


@pytest.mark.parametrize("place", ["log", "tmpfiles"])
def test_full_file_system_fails_before_the_switch(host, monkeypatch, place):
    """If the file system were full only after the switch, the log or the boot configuration would not match the live slot."""
    host.deploy("r1")
    full = os.path.dirname(host.paths[place])

    def refuse(directory):
        if directory == full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), directory)

    monkeypatch.setattr(slots, "refuse_full", refuse)
    calls = list(host.systemd.calls)
    with pytest.raises(OSError, match="No space left"):
        host.deploy("r2")
    assert (host.live, host.systemd.calls, host.results) == ("blue.sock", calls, [("r1", "live")])
    assert host.deploy("r1") == [], "nothing to activate"


@pytest.mark.parametrize("text", ["", '[{"release": "r1", "con', "{}", "[1]", '[{"release": "r1"}]', "\xff"])
def test_deploy_moves_a_damaged_log_aside(host, text):
    host.deploy("r1")
    Path(host.paths["log"]).write_text(text)
    with pytest.raises(DamagedLog, match=r"releases\.json is damaged: .* -> run deploy\.yml"):
        host.app().log()

    assert host.deploy("r2", dry=True)[0].startswith("move the damaged ")
    assert Path(host.paths["log"]).read_text() == text
    host.release("r2")
    app = host.app()
    app.activate(Pair("r2", app.live_pair().config), app.state(), Probe.from_dict(PROBE))

    assert host.live == "green.sock"
    assert host.results == [("r1", "retired"), ("r2", "live")]
    assert Path(host.paths["damaged_log"]).read_text() == text
    assert len(app.warnings) == 1
    assert host.paths["damaged_log"] in app.warnings[0]


def test_deploy_moves_a_directory_at_the_path_of_the_log_aside(host):
    host.deploy("r1")
    for _time in range(2):
        os.unlink(host.paths["log"])
        os.mkdir(host.paths["log"])
        with pytest.raises(DamagedLog, match="it is a directory"):
            host.app().log()
        host.deploy("r1")
        assert host.results == [("r1", "live")]
        assert os.path.isdir(host.paths["damaged_log"])


@pytest.mark.parametrize("path", ["current", "live_socket", "slot"])
@pytest.mark.parametrize("kind", ["a directory", "a file"])
def test_obstacle_at_a_link_prevents_the_activation(host, path, kind):
    host.deploy("r1")
    path = Path(host.paths["slots"]["green"]["release"] if path == "slot" else host.paths[path])
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir() if kind == "a directory" else path.write_text("dear")
    host.release("r2")
    app, calls = host.app(), list(host.systemd.calls)

    with pytest.raises(Obstacle, match=f"{path} is {kind}, not the symlink .* mv {path} {path}.old"):
        app.activate(Pair("r2", os.listdir(host.paths["configs"])[0]), app.state(), Probe.from_dict(PROBE))
    assert host.systemd.calls == calls
    assert host.results == [("r1", "live")]


def test_masked_unit_prevents_the_activation(host):
    host.deploy("r1")
    host.systemd.masked = {"hello@green.service"}
    calls = list(host.systemd.calls)
    with pytest.raises(Blocked, match=r"systemctl unmask hello@green\.service$"):
        host.deploy("r2")
    assert host.systemd.calls == calls


def test_masked_template_is_not_replaced(host):
    template = Path(host.paths["service_template"])
    template.parent.mkdir(parents=True)
    template.symlink_to(os.devnull)
    with pytest.raises(Blocked, match=r"hello@\.service is masked, by .* -> systemctl unmask hello@\.service"):
        host.app().install_units({"service": "[Service]\n"})
    assert os.readlink(template) == os.devnull


def test_unknown_systemd_setting_fails_the_activation(host):
    host.deploy("r1")

    with pytest.raises(ActivationError, match="Unknown key"):
        host.deploy("r1", service="[Service]\nMispelt=1\n")

    assert host.live == "blue.sock"


def test_settings_of_the_live_slot_are_not_verified_again(host):
    host.deploy("r1")
    host.deploy("r2")
    assert host.systemd.verified == [host.paths["slots"]["blue"]["drop_in"]]

    host.deploy("r2", service="[Service]\nMemoryMax=1G\n")
    assert host.systemd.verified[1:] == [host.paths["slots"]["blue"]["drop_in"]]


def test_errors_and_log_contain_no_secrets(host):
    host.deploy("r1")
    host.unhealthy.add("r2")

    with pytest.raises(ActivationError) as caught:
        host.deploy("r2", env='A="answered 500"\nB="hello@green"\n')

    text = f"{caught.value} {caught.value.journal} {Path(host.paths['log']).read_text()}"
    assert "answered 500" not in text
    assert "log of hello@green" not in text
    assert Path(host.paths["log"]).stat().st_mode & 0o077 == 0


def test_stopped_live_slot_is_reported_as_inactive(host):
    host.deploy("r1")
    host.systemd.active.clear()

    assert "has the traffic in slot blue, but hello@blue.service is inactive" in host.app().serving()


UNITS = {"service": "[Service]\n", "socket": "[Socket]\n"}


def installed(host, units, dry=False):
    app = host.app(dry)
    diffs = app.install_units(units)
    return app.changes, [(diff["after_header"], diff["before"], diff["after"]) for diff in diffs]


def test_units_are_written_once(host):
    service, socket = host.paths["service_template"], host.paths["socket_template"]
    changes = [f"write {service}", f"write {socket}"]
    diffs = [(service, "", "[Service]\n"), (socket, "", "[Socket]\n")]

    assert installed(host, UNITS, dry=True) == (changes, diffs)
    assert not Path(service).exists()
    assert installed(host, UNITS) == (changes, diffs)
    assert Path(service).read_text() == "[Service]\n"
    assert installed(host, UNITS) == ([], [])
    assert installed(host, {**UNITS, "socket": "[Socket]\nBacklog=1\n"}) == (
        [f"write {socket}"],
        [(socket, "[Socket]\n", "[Socket]\nBacklog=1\n")],
    )


def test_unit_writable_by_others_is_replaced(host):
    installed(host, UNITS)
    service = Path(host.paths["service_template"])
    service.chmod(0o666)

    assert installed(host, UNITS)[0] == [f"write {service}"]
    assert service.stat().st_mode & 0o777 == 0o644


# ---- trials


@pytest.fixture
def killed_trial(host):
    """A host on which a measurement was killed: the trial slot runs and its files exist."""
    host.deploy("r1")
    trial = host.paths[TRIAL]
    app = App({**host.paths, "slots": {TRIAL: trial}}, host.systemd)
    files = {"gunicorn.conf.py": "workers = 7", "service.conf": f"{TRIAL_MARK}[Service]\n", "env": ""}
    app.prepare(TRIAL, Pair("r1", app.store_config(files, gid=-1)), app.state())
    app.boot(TRIAL, Probe.from_dict(PROBE))
    host.systemd.active.add(host.paths["trial_proxy_unit"])
    Path(trial["directory"], "load.lua").touch()
    for slot in ("blue", TRIAL):
        Path(host.paths["metrics_counters"], slot, "r1.c1").mkdir(parents=True)
    return host


def in_slots(host):
    return set(os.listdir(host.paths["slots_directory"]))


def test_a_trial_touches_neither_slot(killed_trial):
    assert killed_trial.live == "blue.sock"
    assert killed_trial.systemd.enabled == killed_trial.units("blue")
    assert in_slots(killed_trial) == {"blue", "trial"}
    assert killed_trial.results == [("r1", "live")]
    state = killed_trial.app().state()
    assert state.pairs["green"] is None
    assert state.live_pair.release == "r1"


def test_next_deploy_removes_a_killed_trial(killed_trial):
    before = killed_trial.systemd.active
    assert before == killed_trial.units("blue") | killed_trial.units("trial") | {"asgi-trial-hello.service"}

    assert killed_trial.deploy("r1") == ["stop and remove trial"]

    assert killed_trial.systemd.active == killed_trial.units("blue")
    assert in_slots(killed_trial) == {"blue"}
    assert os.listdir(killed_trial.paths["metrics_counters"]) == ["blue"]
    assert len(os.listdir(killed_trial.paths["configs"])) == 1
    assert not os.path.exists(os.path.dirname(killed_trial.paths[TRIAL]["drop_in"]))
    assert killed_trial.deploy("r1") == []


def test_check_mode_only_reports_a_killed_trial(killed_trial):
    assert killed_trial.deploy("r1", dry=True)[0] == "stop and remove trial"
    assert in_slots(killed_trial) == {"blue", "trial"}


def test_next_run_completes_the_removal_of_a_trial(killed_trial, monkeypatch):
    def killed():
        raise SystemdError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(killed_trial.systemd, "daemon_reload", killed)
        with pytest.raises(SystemdError):
            killed_trial.app().clear_trial()

    killed_trial.app().clear_trial()

    assert in_slots(killed_trial) == {"blue"}
    assert len(os.listdir(killed_trial.paths["configs"])) == 1


def test_removal_of_the_app_removes_the_trial(killed_trial):
    app = killed_trial.app()
    app.remove()

    assert killed_trial.systemd.active == set()
    assert app.changes[0] == "stop and remove trial"


def test_counters_of_earlier_versions_are_removed_with_their_slot(host):
    """The live slot uses its counters until another slot replaces it."""
    host.deploy("r1")
    former = Path(host.paths["run"], "metrics")
    for slot in ("blue", "green"):
        (former / slot / "r0.c0").mkdir(parents=True)

    host.unhealthy = {"r2"}
    with pytest.raises(ActivationError):
        host.deploy("r2")
    assert os.listdir(former) == ["blue"]
    host.deploy("r3")
    assert os.listdir(former) == []


def test_counters_that_cannot_be_removed_do_not_stop_a_deploy(host, monkeypatch):
    """The app owns the counters, and may add files during the removal."""
    host.deploy("r1")
    former = Path(host.paths["run"], "metrics/green/r0.c0")
    former.mkdir(parents=True)

    def rmtree(path):
        raise OSError(errno.ENOTEMPTY, "Directory not empty", path)

    monkeypatch.setattr(files.shutil, "rmtree", rmtree)

    host.deploy("r2")
    assert host.live == "green.sock"


def test_the_socket_unit_creates_the_directory_with_the_mode_that_is_checked():
    template = Path(__file__).parents[5] / "roles/asgi_server/templates/etc/systemd/system/app@.socket.j2"
    assert f"\nDirectoryMode={RUN_MODE:04o}\n" in template.read_text()
