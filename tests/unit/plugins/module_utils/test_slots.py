"""The two slots, with a file system of the test's own and a systemd that only remembers."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils import slots
from ansible_collections.asgi.deploy.plugins.module_utils.layout import TRIAL, layout
from ansible_collections.asgi.deploy.plugins.module_utils.probe import Probe
from ansible_collections.asgi.deploy.plugins.module_utils.releaselog import NoSuchRelease, Pair, rollback_target
from ansible_collections.asgi.deploy.plugins.module_utils.slots import TRIAL_MARK, ActivationError, App, Locked
from ansible_collections.asgi.deploy.plugins.module_utils.systemd import SystemdError, Unit

PROBE = {"path": "/health", "host": "x", "statuses": [200], "successes": 1, "timeout": 1, "deadline": 1}


class FakeSystemd:
    """Units that start and stop when told to; ``broken`` holds releases that do not boot.

    ``unread`` holds what has been enabled since it read its units last.
    """

    def __init__(self, app_home):
        self.unread, self.verified = set(), []
        self.active, self.enabled, self.calls, self.broken = set(), set(), [], set()
        self.home = app_home

    def show(self, *units):
        return {
            unit: Unit(unit, "active" if unit in self.active else "inactive", "", unit in self.enabled, False, 0, "")
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
        return f"what {unit} said"


def rooted(value, root):
    if isinstance(value, dict):
        return {key: rooted(item, root) for key, item in value.items()}
    return f"{root}{value}" if value.startswith("/") else value


@pytest.fixture
def host(tmp_path, monkeypatch):
    return Host(tmp_path, monkeypatch)


class Host:
    """One host with one app; ``unhealthy`` holds releases whose probe fails."""

    def __init__(self, root, monkeypatch):
        self.paths = rooted(layout("hello"), root)
        self.systemd = FakeSystemd(self.paths["home"])
        self.unhealthy = set()
        Path(self.paths["home"]).mkdir(parents=True)
        monkeypatch.setattr(slots, "wait_healthy", self._wait_healthy)

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
        """Activate as the module does; return what changed."""
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
        """Return every path of the app with what it is: a link's target or a file's text."""
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


def test_the_same_again_changes_nothing(host):
    host.deploy("r1")
    calls = list(host.systemd.calls)

    assert host.deploy("r1") == []
    assert host.systemd.calls == calls


def test_the_same_anew_goes_through_the_other_slot(host):
    """For a server that cannot replace its workers in place; a rollback leads where it did before."""
    host.deploy("r1")
    host.deploy("r2")

    assert host.deploy("r2", anew=True)
    assert host.live == "blue.sock"
    assert host.systemd.active == host.systemd.enabled == host.units("blue")
    app = host.app()
    live = app.state().live_pair
    assert (live.release, rollback_target(app.log(), live, app.on_disk).release) == ("r2", "r1")
    # it is no activation: a hundred of them would leave none of another release
    assert [(entry["release"], entry["slot"], entry["result"]) for entry in app.log()] == [
        ("r1", "blue", "retired"),
        ("r2", "blue", "live"),
    ]


def test_the_same_anew_that_does_not_boot_leaves_the_live_slot_alone(host):
    host.deploy("r1")
    host.unhealthy.add("r1")

    with pytest.raises(ActivationError, match="answered 500"):
        host.deploy("r1", anew=True)

    assert host.live == "blue.sock"
    assert host.systemd.active == host.units("blue")
    assert host.results == [("r1", "live")]


def test_what_failed_anew_may_be_rolled_back_to(host):
    host.deploy("r1")
    host.unhealthy.add("r1")
    with pytest.raises(ActivationError):
        host.deploy("r1", anew=True)
    host.unhealthy.clear()
    host.deploy("r2")

    app = host.app()
    assert rollback_target(app.log(), app.state().live_pair, app.on_disk).release == "r1"


def test_anew_it_gets_the_entry_that_an_interrupted_run_has_not_written(host):
    host.deploy("r1")
    Path(host.paths["log"]).write_text("[]")

    host.deploy("r1", anew=True)

    assert host.results == [("r1", "live")]


def test_a_new_release_takes_the_idle_slot_and_stops_the_old_one_last(host):
    host.deploy("r1")
    host.deploy("r2")

    assert host.live == "green.sock"
    assert host.systemd.active == host.systemd.enabled == host.units("green")
    assert host.systemd.calls[-1] == ("stop", "hello@blue.socket", "hello@blue.service")
    assert host.systemd.calls[-2] == ("begin to stop", *host.systemd.calls[-1][1:])
    assert host.results == [("r1", "retired"), ("r2", "live")]


def test_systemd_learns_what_starts_at_boot_and_once_a_deploy(host):
    host.deploy("r1")
    assert not host.systemd.unread

    seen = []
    host.deploy("r2", verify=lambda: seen.append(set(host.systemd.unread)) or "")
    assert seen == [host.units("green")]
    assert not host.systemd.unread

    with pytest.raises(ActivationError):
        host.deploy("r3", verify=lambda: "nginx answered 502")
    assert not host.systemd.unread


def test_a_change_of_configuration_goes_through_a_slot_too(host):
    host.deploy("r1")

    assert host.deploy("r1", conf="workers = 3")
    assert host.live == "green.sock"


@pytest.mark.parametrize("fault", ["broken", "unhealthy"])
def test_a_bad_release_never_takes_traffic(host, fault):
    host.deploy("r1")
    {"broken": host.systemd.broken, "unhealthy": host.unhealthy}[fault].add("r2")

    with pytest.raises(ActivationError) as caught:
        host.deploy("r2")

    assert caught.value.journal == "what hello@green.service said"
    assert host.live == "blue.sock"
    assert host.systemd.active == host.units("blue")
    assert os.readlink(host.paths["current"]) == "releases/r1"
    assert host.results == [("r1", "live"), ("r2", "bad")]


def test_a_bad_first_release_leaves_nothing_running(host):
    host.systemd.broken.add("r1")

    with pytest.raises(ActivationError):
        host.deploy("r1")

    assert host.systemd.active == set()
    assert not os.path.lexists(host.paths["live_socket"])


def test_a_release_that_was_mended_elsewhere_may_try_again(host):
    host.deploy("r1")
    host.unhealthy.add("r2")
    with pytest.raises(ActivationError):
        host.deploy("r2")
    host.unhealthy.clear()

    host.deploy("r2")

    assert host.results[-1] == ("r2", "live")


def test_check_mode_says_what_would_be_done_and_does_nothing(host):
    host.deploy("r1")
    host.release("r2")
    before, calls = host.everything(), list(host.systemd.calls)

    changes = host.deploy("r2", dry=True)

    assert "activate release r2" in changes[0]
    assert host.everything() == before
    assert host.systemd.calls == calls


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
def test_the_next_run_repairs_what_is_amiss(host, damage):
    host.deploy("r1")
    damage(host)

    assert host.deploy("r1")
    assert host.deploy("r1") == []
    assert host.live == "blue.sock"
    assert host.systemd.active == host.systemd.enabled == host.units("blue")


class Interrupted(BaseException):
    """What Ctrl-C or a lost connection is to the code."""


@pytest.mark.parametrize("step", ["start", "enable", "link", "begin_stop", "disable", "stop"])
def test_an_interrupted_activation_is_finished_by_the_next_run(host, monkeypatch, step):
    host.deploy("r1")

    def interrupt(*_arguments, **_options):
        raise Interrupted

    with monkeypatch.context() as patch:
        if step == "link":
            real = slots.replace_link
            patch.setattr(
                slots,
                "replace_link",
                lambda path, target: interrupt() if path == host.paths["live_socket"] else real(path, target),
            )
        else:
            patch.setattr(host.systemd, step, interrupt)
        with pytest.raises(Interrupted):
            host.deploy("r2")
    bootable = {f"{slot}.sock" for slot in ("blue", "green") if host.units(slot) <= host.systemd.enabled}
    assert host.live in bootable, "a reboot right now would come up without the live slot"

    host.deploy("r2")

    assert host.live == "green.sock"
    assert host.systemd.active == host.systemd.enabled == host.units("green")
    assert not host.systemd.unread
    assert host.results[-1] == ("r2", "live")
    assert host.deploy("r2") == []


def test_what_fails_behind_the_proxy_gives_the_traffic_back(host):
    host.deploy("r1")
    seen = []

    def verify():
        seen.append((host.live, set(host.systemd.active)))
        return "nginx answered 502"

    with pytest.raises(ActivationError, match="502"):
        host.deploy("r2", verify=verify)

    assert seen == [("green.sock", host.units("blue") | host.units("green"))], "asked after the flip, both running"
    assert host.live == "blue.sock"
    assert host.systemd.active == host.systemd.enabled == host.units("blue")
    assert os.readlink(host.paths["current"]) == "releases/r1"
    assert host.results[-1] == ("r2", "bad")


def test_a_first_release_that_fails_behind_the_proxy_is_not_live(host):
    with pytest.raises(ActivationError):
        host.deploy("r1", verify=lambda: "nginx answered 502")

    assert host.app().state().live is None
    assert host.systemd.active == host.systemd.enabled == set()


def test_booted_first_and_live_later(host):
    host.deploy("r1")

    host.deploy("r2", until=slots.BOOTED)

    assert host.live == "blue.sock"
    assert host.systemd.active == host.units("blue") | host.units("green")

    calls = len(host.systemd.calls)
    host.deploy("r2")

    assert host.live == "green.sock"
    assert [call[0] for call in host.systemd.calls[calls:]] == ["begin to stop", "stop"], "not booted again"


def test_a_booted_one_that_is_another_now_boots_again(host):
    host.deploy("r1")
    host.deploy("r2", until=slots.BOOTED)

    host.deploy("r3")

    assert host.live == "green.sock"
    assert host.results[-1] == ("r3", "live")


@pytest.mark.parametrize("until", [slots.BOOTED, slots.LIVE])
def test_abandoned_before_or_after_the_flip(host, until):
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


def test_a_second_deploy_waits_as_long_as_it_may(host):
    with host.app().lock():
        began = time.monotonic()
        with pytest.raises(Locked), host.app().lock(wait=0.5):
            pass
        assert time.monotonic() - began >= 0.5


def test_a_second_deploy_at_the_same_time_is_refused_by_name(host):
    with host.app().lock(), pytest.raises(Locked, match="by tester since .*, process"):
        host.deploy("r1")


def test_configurations_nobody_needs_are_removed(host):
    host.deploy("r1", conf="a")
    first = set(os.listdir(host.paths["configs"]))
    host.deploy("r2", conf="b")
    assert first <= set(os.listdir(host.paths["configs"])), "a rollback needs it"

    Path(host.paths["releases"], "r1", "release.json").unlink()  # pruned
    host.deploy("r3", conf="c")

    assert not first & set(os.listdir(host.paths["configs"]))


def test_a_setting_that_systemd_does_not_know_is_no_activation(host):
    host.deploy("r1")

    with pytest.raises(ActivationError, match="Unknown key"):
        host.deploy("r1", service="[Service]\nMispelt=1\n")

    assert host.live == "blue.sock"


def test_settings_that_the_live_slot_has_are_known_to_systemd(host):
    host.deploy("r1")
    host.deploy("r2")
    assert host.systemd.verified == [host.paths["slots"]["blue"]["drop_in"]]

    host.deploy("r2", service="[Service]\nMemoryMax=1G\n")
    assert host.systemd.verified[1:] == [host.paths["slots"]["blue"]["drop_in"]]


def test_secrets_are_in_no_error_and_no_log(host):
    host.deploy("r1")
    host.unhealthy.add("r2")

    with pytest.raises(ActivationError) as caught:
        host.deploy("r2", env='A="answered 500"\nB="hello@green"\n')

    said = f"{caught.value} {caught.value.journal} {Path(host.paths['log']).read_text()}"
    assert "answered 500" not in said
    assert "hello@green.service said" not in said
    assert Path(host.paths["log"]).stat().st_mode & 0o077 == 0


def test_a_live_slot_that_does_not_run_is_not_said_to_serve(host):
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


def test_a_unit_that_others_may_write_is_written_anew(host):
    installed(host, UNITS)
    service = Path(host.paths["service_template"])
    service.chmod(0o666)

    assert installed(host, UNITS)[0] == [f"write {service}"]
    assert service.stat().st_mode & 0o777 == 0o644


# ---- what is measured beside the slots


@pytest.fixture
def killed_trial(host):
    """A host on which a measurement was killed in the midst: the trial slot runs, its files are there."""
    host.deploy("r1")
    its = host.paths[TRIAL]
    app = App({**host.paths, "slots": {TRIAL: its}}, host.systemd)
    files = {"gunicorn.conf.py": "workers = 7", "service.conf": f"{TRIAL_MARK}[Service]\n", "env": ""}
    app.fill(TRIAL, Pair("r1", app.store_config(files, gid=-1)), app.state())
    app.boot(TRIAL, Probe.from_dict(PROBE))
    host.systemd.active.add(host.paths["trial_proxy_unit"])
    Path(its["directory"], "load.lua").touch()
    for slot in ("blue", TRIAL):
        Path(host.paths["run"], "metrics", slot, "r1.c1").mkdir(parents=True)
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


def test_the_next_deploy_removes_what_a_killed_trial_has_left(killed_trial):
    before = killed_trial.systemd.active
    assert before == killed_trial.units("blue") | killed_trial.units("trial") | {"asgi-trial-hello.service"}

    assert killed_trial.deploy("r1") == ["stop and remove trial"]

    assert killed_trial.systemd.active == killed_trial.units("blue")
    assert in_slots(killed_trial) == {"blue"}
    assert os.listdir(Path(killed_trial.paths["run"], "metrics")) == ["blue"]
    assert len(os.listdir(killed_trial.paths["configs"])) == 1
    assert not os.path.exists(os.path.dirname(killed_trial.paths[TRIAL]["drop_in"]))
    assert killed_trial.deploy("r1") == []


def test_in_check_mode_a_killed_trial_is_only_told_of(killed_trial):
    assert killed_trial.deploy("r1", dry=True) == ["stop and remove trial"]
    assert in_slots(killed_trial) == {"blue", "trial"}


def test_clearing_that_was_interrupted_goes_on(killed_trial, monkeypatch):
    def killed():
        raise SystemdError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(killed_trial.systemd, "daemon_reload", killed)
        with pytest.raises(SystemdError):
            killed_trial.app().clear_trial()

    killed_trial.app().clear_trial()

    assert in_slots(killed_trial) == {"blue"}
    assert len(os.listdir(killed_trial.paths["configs"])) == 1


def test_uninstalling_removes_it_too(killed_trial):
    app = killed_trial.app()
    app.remove()

    assert killed_trial.systemd.active == set()
    assert app.changes[0] == "stop and remove trial"
