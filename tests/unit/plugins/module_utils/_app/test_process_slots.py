# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes and timers of the slots: their order during an activation, and what each interruption leaves, with a fake systemd."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app import process_slots, slots
from ansible_collections.asgi.deploy.plugins.module_utils._app.probe import Probe
from ansible_collections.asgi.deploy.plugins.module_utils._app.process_files import file_of
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_log import Pair
from ansible_collections.asgi.deploy.plugins.module_utils._app.slots import ActivationError, App
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout, starts_file
from ansible_collections.asgi.deploy.plugins.module_utils._host.systemd import SystemdError, Unit
from ansible_collections.asgi.deploy.plugins.module_utils._host.transient_unit import TimedOut, UnitError

PROBE = {"path": "/health", "host": "x", "statuses": [200], "successes": 1, "timeout": 1, "deadline": 1}
WORKER = {"kind": "process", "command": ["celery"], "instances": 2, "ready": {"seconds": 0}, "stop_timeout": 60}
BEAT = {"kind": "process", "command": ["beat"], "exclusive": True, "ready": {"seconds": 0}}
CLEANUP = {"kind": "timer", "command": ["cleanup"], "timeout": 3600}
PROCESSES = {"worker": WORKER, "beat": BEAT, "cleanup": CLEANUP}


class FakeSystemd:
    """A fake systemd. ``dies`` holds processes that end after their start, ``slow`` those that need more time to finish their work."""

    def __init__(self):
        self.states, self.enabled, self.calls = {}, set(), []
        self.dies, self.slow, self.broken, self.pids = set(), set(), set(), 0
        self.results, self.main_pids, self.misread = {}, {}, lambda *_: ""

    def show(self, *units):
        assert units, "systemctl show without units describes the manager"
        return {
            unit: Unit(
                unit,
                self.states.get(unit, "inactive"),
                "",
                unit in self.enabled,
                False,
                self.main_pids.get(unit, 0),
                "",
                result=self.results.get(unit, ""),
            )
            for unit in units
        }

    def start(self, *units):
        self.calls.append(("start", *units))
        for unit in units:
            self.pids += 1
            name = unit.split(".")[1].split("@")[0]
            if name in self.broken:
                self.states[unit] = "activating"
                raise SystemdError(f"Job for {unit} failed")
            self.states[unit], self.main_pids[unit] = ("activating" if name in self.dies else "active"), self.pids

    restart = reload = start

    def _end(self, unit):
        self.states[unit] = "deactivating" if unit.split(".")[1].split("@")[0] in self.slow else "inactive"

    def begin_stop(self, *units):
        self.calls.append(("begin to stop", *units))
        for unit in units:
            self.states[unit] = "deactivating" if self.states.get(unit, "inactive") != "inactive" else "inactive"

    def stop(self, *units):
        self.calls.append(("stop", *units))
        self.states.update(dict.fromkeys(units, "inactive"))

    def stop_within(self, seconds, *units):
        self.calls.append(("wait", *units))
        for unit in units:
            self._end(unit)
        return True

    def reset_failed(self, *units):
        pass

    def enable(self, *units, read=True):
        self.calls.append(("enable", *units))
        self.enabled |= set(units)

    def disable(self, *units):
        self.enabled -= set(units)

    def daemon_reload(self):
        self.calls.append(("daemon-reload",))

    def misread_files(self, units):
        found = {path: Path(path).read_text() for path in units}
        return {path: "Unknown key" for path, text in found.items() if "Mispelt" in text}

    def journal(self, unit, since):
        return f"log of {unit} with s3cret-value"

    @property
    def processes(self):
        """The processes and timers that run, and the target."""
        web = ("shop@blue.service", "shop@blue.socket", "shop@green.service", "shop@green.socket")
        return {unit for unit, state in self.states.items() if state not in ("inactive",) and unit not in web}


def rooted(value, root):
    if isinstance(value, dict):
        return {key: rooted(item, root) for key, item in value.items()}
    return f"{root}{value}" if value.startswith("/") else value


def running(slot, *names):
    return {f"shop.{name}@{slot}.{'timer' if name == 'cleanup' else 'service'}" for name in names} | {
        f"shop@{slot}.target"
    }


ALL = ("worker.1", "worker.2", "beat.1", "cleanup")


class Host:
    def __init__(self, root, monkeypatch):
        self.paths = rooted(layout("shop"), root)
        self.systemd = FakeSystemd()
        for name in ("home", "units", "timer_stamps", "run"):
            Path(self.paths[name]).mkdir(parents=True)
        monkeypatch.setattr(slots, "wait_healthy", lambda socket, probe: "")
        monkeypatch.setattr(slots, "accepts", lambda socket: True)
        monkeypatch.setattr(process_slots.time, "sleep", lambda _seconds: None)

    def app(self, dry=False):
        return App(self.paths, self.systemd, dry=dry, by="tester")

    def files(self, processes, extra=""):
        files = {"service.conf": "[Service]\n", "env": "", "probe.json": json.dumps(PROBE)}
        for name, entry in processes.items():
            run = f"[Service]\nExecStart=@program:{entry['command'][0]}@ @instance@ @other@\n{extra}"
            files[file_of(name)] = run
            if entry["kind"] == "timer":
                files[file_of(name, kind="timer")] = "[Timer]\nOnCalendar=daily\n"
        if processes:
            files["processes.json"] = json.dumps(processes)
        return files

    def deploy(self, release, processes=None, dry=False, extra="", env=None, **options):
        programs = Path(self.paths["releases"], release, ".venv/bin")
        programs.mkdir(parents=True, exist_ok=True)
        for name in ("celery", "beat", "cleanup"):
            programs.joinpath(name).touch(mode=0o755)
        programs.parents[1].joinpath("release.json").write_text("{}")
        app = self.app(dry)
        self.last = app
        files = {**self.files(PROCESSES if processes is None else processes, extra), **(env or {})}
        target = Pair(release, app.store_config(files, gid=-1))
        app.activate(target, app.state(), Probe.from_dict(PROBE), **options)
        return app.changes

    @property
    def live(self):
        return os.readlink(self.paths["live_socket"]).split(".")[0]

    def called(self, verb, unit):
        return next(number for number, call in enumerate(self.systemd.calls) if call[0] == verb and unit in call)


@pytest.fixture
def host(tmp_path, monkeypatch):
    return Host(tmp_path, monkeypatch)


def test_first_activation_starts_the_processes(host):
    host.deploy("r1")

    assert host.systemd.processes == running("blue", *ALL)
    assert "shop@blue.target" in host.systemd.enabled
    unit = Path(host.paths["units"], "shop.worker.2@blue.service").read_text()
    assert f"ExecStart={host.paths['releases']}/r1/.venv/bin/celery 2 green\n" in unit
    wants = Path(host.paths["units"], "shop@blue.target").read_text()
    assert (
        "Wants=shop.beat.1@blue.service shop.cleanup@blue.timer shop.worker.1@blue.service shop.worker.2@blue" in wants
    )


def test_second_deploy_changes_nothing(host):
    host.deploy("r1")
    calls = list(host.systemd.calls)

    assert host.deploy("r1") == []
    assert host.systemd.calls == calls


def test_app_without_processes_writes_no_unit_files(host):
    host.deploy("r1", {})

    assert list(Path(host.paths["units"]).glob("shop*@blue*")) == [Path(host.paths["slots"]["blue"]["drop_in"]).parent]
    assert not os.path.exists(host.paths["timer_successes"])


def test_new_processes_run_before_the_old_ones_stop(host):
    host.deploy("r1")
    host.systemd.calls.clear()
    host.deploy("r2")

    assert host.systemd.processes == running("green", *ALL)
    assert "shop@green.target" in host.systemd.enabled
    assert "shop@blue.target" not in host.systemd.enabled
    started = host.called("start", "shop.worker.1@green.service")
    assert started < host.called("begin to stop", "shop.worker.1@blue.service")
    # an exclusive process is stopped first
    assert host.called("stop", "shop.beat.1@blue.service") < host.called("start", "shop.beat.1@green.service")
    # the target is enabled together with the web server, so a reboot starts exactly one slot
    assert host.called("enable", "shop@green.target") == host.called("enable", "shop@green.service")


@pytest.mark.parametrize("fault", ["dies", "broken"])
@pytest.mark.parametrize("process", ["worker", "beat"])
def test_process_that_does_not_come_up_takes_the_release_back(host, fault, process):
    host.deploy("r1")
    getattr(host.systemd, fault).add(process)
    started = host.systemd.start

    def start(*units):
        # the processes of the previous release are good
        if all("blue" in unit for unit in units):
            host.systemd.dies, host.systemd.broken = set(), set()
        started(*units)

    host.systemd.start = start
    with pytest.raises(ActivationError, match=rf"shop\.{process}\.1@green\.service"):
        host.deploy("r2")

    assert host.live == "blue"
    assert host.systemd.processes == running("blue", *ALL)
    assert host.systemd.enabled >= {"shop@blue.target", "shop@blue.service"}
    assert "shop@green.target" not in host.systemd.enabled
    assert [(entry["release"], entry["result"]) for entry in host.app().log()] == [("r1", "live"), ("r2", "bad")]


def test_failed_first_release_leaves_no_processes(host):
    host.systemd.dies.add("worker")
    with pytest.raises(ActivationError):
        host.deploy("r1")

    assert host.systemd.processes == set()
    assert host.systemd.enabled == set()


def test_failure_of_a_process_hides_its_environment(host):
    host.systemd.dies.add("worker")
    with pytest.raises(ActivationError) as caught:
        host.deploy("r1", env={"process.worker.env": 'TOKEN="s3cret-value"\n'})

    assert caught.value.journal == "log of shop.worker.1@blue.service with ********"


def test_environment_of_a_process_is_stored_like_that_of_the_app(host):
    host.deploy("r1", env={"process.worker.env": 'TOKEN="s3cret-value"\n'})

    config = Path(host.paths["slots"]["blue"]["config"])
    assert (config / "process.worker.env").stat().st_mode & 0o777 == 0o640
    assert "process.worker.env" not in host.app().config_files(host.app().live_pair())


def test_missing_program_fails_before_the_switch(host):
    host.deploy("r1")
    with pytest.raises(ActivationError, match="'absent' is neither in the venv of the release nor in the system"):
        host.deploy("r2", {"worker": {**WORKER, "command": ["absent"]}})

    assert host.live == "blue"
    assert host.systemd.processes == running("blue", *ALL)


def test_misread_unit_file_fails_before_the_switch(host):
    host.deploy("r1")
    with pytest.raises(ActivationError, match="systemd cannot parse"):
        host.deploy("r2", extra="Mispelt=yes\n")

    assert host.live == "blue"


@pytest.mark.parametrize("unit", ["shop.worker.2@blue.service", "shop.beat.1@blue.service", "shop.cleanup@blue.timer"])
def test_stopped_process_is_started_again(host, unit):
    host.deploy("r1")
    host.systemd.stop(unit)

    assert host.deploy("r1") == [f"start {unit}"]
    assert host.systemd.processes == running("blue", *ALL)


def test_processes_of_the_other_slot_are_stopped(host):
    host.deploy("r1")
    host.deploy("r2")
    host.systemd.start("shop.worker.1@blue.service")

    assert host.deploy("r2") == ["stop shop.worker.1@blue.service"]
    assert host.systemd.processes == running("green", *ALL)


def test_interruption_after_the_switch_is_completed(host):
    """The run was killed after the switch: the old processes run, the new ones do not."""
    host.deploy("r1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(App, "start_processes", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            host.deploy("r2")
    assert host.live == "green"
    assert host.systemd.processes == running("blue", *ALL)

    host.deploy("r2")
    assert host.systemd.processes == running("green", *ALL)


def test_interrupted_release_whose_processes_do_not_come_up_is_taken_back(host):
    host.deploy("r1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(App, "start_processes", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            host.deploy("r2")
    started = host.systemd.start

    def start(*units):
        host.systemd.dies = {"worker"} if any("green" in unit for unit in units) else set()
        started(*units)

    host.systemd.start = start
    with pytest.raises(ActivationError, match="does not stay up"):
        host.deploy("r2")
    assert host.live == "blue"
    assert host.systemd.processes == running("blue", *ALL)
    assert [(entry["release"], entry["result"]) for entry in host.app().log()] == [("r1", "live"), ("r2", "bad")]


PINGED = {"worker": {**WORKER, "instances": 1, "ready": {"command": ["celery", "{instance}.{slot}"], "timeout": 0}}}


class FakeTransientUnit:
    """Fails with *error* in slot green."""

    error: Exception | None = None
    runs: list = []  # noqa: RUF012

    def __init__(self, *_arguments):
        pass

    def run(self, command, _directory, environment, _timeout):
        self.runs.append((command[1:], environment))
        if self.error and environment["ASGI_SLOT"] == "green":
            raise self.error
        return 0, "", ""


@pytest.fixture
def ready(monkeypatch):
    monkeypatch.setattr(process_slots, "TransientUnit", FakeTransientUnit)
    monkeypatch.setattr(FakeTransientUnit, "runs", [])
    return FakeTransientUnit


def test_readiness_command_runs_in_the_environment_of_the_process(host, ready):
    host.deploy("r1", PINGED, env={"process.worker.env": 'TOKEN="s3cret-value"\n'})

    [(arguments, environment)] = ready.runs
    assert arguments == ["1.blue"]
    assert environment.items() >= {"ASGI_PROCESS": "worker", "ASGI_INSTANCE": "1", "TOKEN": "s3cret-value"}.items()


@pytest.mark.parametrize("error", [TimedOut(), OSError(8, "Exec format error", "ready"), UnitError("no memory")])
def test_release_whose_readiness_cannot_be_checked_is_taken_back(host, ready, monkeypatch, error):
    host.deploy("r1", PINGED)
    monkeypatch.setattr(ready, "error", error)
    with pytest.raises(ActivationError, match=r"shop\.worker\.1@green\.service"):
        host.deploy("r2", PINGED)
    assert host.live == "blue"


def test_interruption_of_the_readiness_check_does_not_skip_it(host, ready, monkeypatch):
    host.deploy("r1", PINGED)
    monkeypatch.setattr(ready, "error", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        host.deploy("r2", PINGED)
    assert host.live == "green"

    monkeypatch.setattr(ready, "error", TimedOut())
    with pytest.raises(ActivationError, match="is not ready"):
        host.deploy("r2", PINGED)
    assert host.live == "blue"
    assert [(entry["release"], entry["result"]) for entry in host.app().log()] == [("r1", "live"), ("r2", "bad")]


def test_live_release_stays_if_a_process_dies_later(host):
    """There is nothing to take back: the release was activated by an earlier run."""
    host.deploy("r1")
    host.deploy("r2")
    host.systemd.dies.add("worker")
    host.systemd.stop("shop.worker.1@green.service")
    with pytest.raises(ActivationError, match="does not stay up"):
        host.deploy("r2")
    assert host.live == "green"


def test_process_that_ends_after_it_was_ready_is_reported(host):
    """The release is live already, so the old processes must finish."""
    host.deploy("r1")
    write_log = App._write_log

    def write(app, log):
        write_log(app, log)
        host.systemd.states["shop.worker.1@green.service"] = "activating"
        host.systemd.dies.add("worker")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(App, "_write_log", write)
        host.deploy("r2")
    assert [warning.split(":")[0] for warning in host.last.warnings] == ["shop.worker.1@green.service does not stay up"]
    assert not {unit for unit in host.systemd.processes if "@blue" in unit}


def test_release_is_taken_back_even_if_a_program_of_the_live_one_is_gone(host):
    host.deploy("r1")
    Path(host.paths["releases"], "r1/.venv/bin/celery").unlink()
    with pytest.raises(ActivationError, match="the site is down"):
        host.deploy("r2", verify=lambda: "the site is down")

    assert host.live == "blue"
    assert "'celery' is neither in the venv" in host.last.warnings[0]
    assert [(entry["release"], entry["result"]) for entry in host.app().log()] == [("r1", "live"), ("r2", "bad")]


def test_another_release_after_an_interruption_stops_the_processes_of_its_slot(host):
    host.deploy("r1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(App, "start_processes", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            host.deploy("r2")

    host.systemd.calls.clear()
    host.deploy("r3")
    assert host.live == "blue"
    assert host.called("begin to stop", "shop.worker.1@blue.service") < host.called(
        "start", "shop.worker.1@blue.service"
    )
    assert host.systemd.processes == running("blue", *ALL)


def test_slow_process_is_reported_while_stopping(host):
    host.deploy("r1")
    host.systemd.slow.add("worker")
    host.deploy("r2")

    assert (
        sum("is still finishing its work within its stop_timeout of 60 s" in warning for warning in host.last.warnings)
        == 2
    )
    calls = list(host.systemd.calls)
    assert host.deploy("r2") == []  # it is stopping already, so a second run changes nothing and does not wait
    assert host.systemd.calls == calls
    assert len(host.last.warnings) == 2


@pytest.mark.parametrize("unit", ["shop.worker.1@blue.service", "shop.beat.1@blue.service"])
def test_killed_process_is_reported(host, unit):
    host.deploy("r1")
    host.systemd.results[unit] = "timeout"
    stop = host.systemd.stop

    def stop_and_reset(*units):
        for each in units:
            host.systemd.results.pop(each, None)
        stop(*units)

    host.systemd.stop = stop_and_reset
    host.deploy("r2")

    assert [warning.split(" -> ")[0] for warning in host.last.warnings] == [
        f"{unit} did not end within its stop_timeout and was killed; its unfinished jobs may be lost"
    ]


def test_job_of_the_old_release_goes_on(host):
    host.deploy("r1")
    host.systemd.states["shop.cleanup@blue.service"] = "activating"
    host.deploy("r2")

    assert host.systemd.states["shop.cleanup@blue.service"] == "activating"
    assert host.systemd.states["shop.cleanup@blue.timer"] == "inactive"
    assert "shop.cleanup@blue.service is a job of the previous release" in host.last.warnings[0]


def test_timer_takes_over_the_time_of_its_last_run(host):
    """With the stamp of its last activation, days ago, systemd would run the job at once."""
    stamps = Path(host.paths["timer_stamps"])
    host.deploy("r1")
    blue, green = (stamps / f"stamp-shop.cleanup@{slot}.timer" for slot in ("blue", "green"))
    blue.touch()
    os.utime(blue, (2000, 2000))
    green.touch()
    os.utime(green, (1000, 1000))

    host.deploy("r2")
    assert green.stat().st_mtime == 2000


def test_only_the_app_can_lock_the_job_of_a_timer(host, monkeypatch):
    owners = []
    monkeypatch.setattr(process_slots.os, "fchown", lambda _file, uid, gid: owners.append((uid, gid)))
    host.deploy("r1")

    success = Path(host.paths["timer_successes"], "cleanup")
    assert success.stat().st_mode & 0o777 == 0o640
    assert (-1, Path(host.paths["slots"]["blue"]["config"]).stat().st_gid) in owners


def test_stamp_of_a_live_timer_that_was_stopped_by_hand_is_kept(host):
    """With the older stamp of the other slot, systemd would run the job at once."""
    stamps = Path(host.paths["timer_stamps"])
    host.deploy("r1")
    host.deploy("r2")
    for slot, seconds in (("blue", 1000), ("green", 2000)):
        stamp = stamps / f"stamp-shop.cleanup@{slot}.timer"
        stamp.touch()
        os.utime(stamp, (seconds, seconds))
    host.systemd.stop("shop.cleanup@green.timer")

    host.deploy("r2")
    assert (stamps / "stamp-shop.cleanup@green.timer").stat().st_mtime == 2000


def test_timers_of_both_slots_never_run_at_once(host):
    """A new process may take an hour to become ready, in which each timer would start the job."""
    host.deploy("r1")
    host.systemd.calls.clear()
    host.deploy("r2")
    timer = "shop.cleanup@{}.timer"
    assert host.called("stop", timer.format("blue")) < host.called("start", timer.format("green"))

    host.systemd.calls.clear()
    started = host.systemd.start

    def start(*units):
        host.systemd.dies = {"worker"} if any("blue" in unit for unit in units) else set()
        started(*units)

    host.systemd.start = start
    with pytest.raises(ActivationError):
        host.deploy("r3")
    assert host.called("stop", timer.format("blue")) < host.called("start", timer.format("green"))
    assert host.systemd.processes == running("green", *ALL)


def test_removed_processes_leave_no_units(host):
    host.deploy("r1")
    host.deploy("r2", {})
    host.deploy("r3", {})

    assert host.systemd.processes == set()
    assert sorted(path.name for path in Path(host.paths["units"]).iterdir()) == [
        "shop@blue.service.d",
        "shop@green.service.d",
    ]


def test_process_becomes_exclusive(host):
    host.deploy("r1", {"worker": {**WORKER, "instances": 1}})
    host.systemd.calls.clear()
    host.deploy("r2", {"worker": {**WORKER, "instances": 1, "exclusive": True}})

    assert host.called("stop", "shop.worker.1@blue.service") < host.called("start", "shop.worker.1@green.service")


def test_counted_starts_begin_anew(host):
    host.deploy("r1")
    counted = Path(starts_file(host.paths, "shop.worker.1@green.service"))
    counted.write_text("123")
    host.deploy("r2")

    assert not counted.exists()


def test_restart_in_the_other_slot_takes_the_processes_along(host):
    host.deploy("r1")
    host.deploy("r1", restart=True)

    assert host.systemd.processes == running("green", *ALL)


def test_check_mode_reports_without_changes(host):
    host.deploy("r1")
    host.systemd.stop("shop.worker.1@blue.service")
    calls = list(host.systemd.calls)

    assert host.deploy("r1", dry=True) == ["start shop.worker.1@blue.service"]
    assert host.systemd.calls == calls


def test_edited_unit_file_is_restored(host):
    host.deploy("r1")
    path = Path(host.paths["units"], "shop.worker.1@blue.service")
    path.write_text("[Service]\n")

    assert host.deploy("r1") == [f"write {path}", "reload systemd's unit files"]
    assert "celery 1 green" in path.read_text()


def test_uninstall_removes_everything(host):
    host.deploy("r1")
    host.systemd.states["shop.cleanup@blue.service"] = "activating"
    Path(host.paths["timer_stamps"], "stamp-shop.cleanup@blue.timer").touch()

    host.app().remove()
    assert host.systemd.processes == set()
    assert host.systemd.enabled == set()
    assert list(Path(host.paths["units"]).iterdir()) == []
    assert list(Path(host.paths["timer_stamps"]).iterdir()) == []
    assert not os.path.exists(host.paths["timer_successes"])


def test_uninstall_stops_the_command_that_a_stopped_job_has_started(host):
    host.deploy("r1")
    Path(host.paths["units"], "shop.cleanup.failed@blue.service").touch()
    host.systemd.states["shop.cleanup@blue.service"] = "activating"
    stop = host.systemd.stop

    def stop_job(*units):
        failed = host.systemd.states.get("shop.cleanup@blue.service") == "activating"
        stop(*units)
        if failed:
            host.systemd.states["shop.cleanup.failed@blue.service"] = "activating"

    host.systemd.stop = stop_job
    host.app().remove()
    assert host.systemd.processes == set()


def test_report(host):
    host.deploy("r1")
    host.systemd.states["shop.worker.2@blue.service"] = "activating"
    success = Path(host.paths["timer_successes"], "cleanup")

    found = {each["unit"]: each for each in host.app().process_report("blue")}
    assert {unit: each["state"] for unit, each in found.items()} == {
        "shop.beat.1@blue.service": "active",
        "shop.cleanup@blue.timer": "active",
        "shop.worker.1@blue.service": "active",
        "shop.worker.2@blue.service": "activating",
    }
    assert found["shop.cleanup@blue.timer"]["last_success"] is None
    os.utime(success, (86400, 86400))
    [cleanup] = [each for each in host.app().process_report("blue") if each["kind"] == "timer"]
    assert cleanup["last_success"] == "1970-01-02T00:00:00Z"


def test_reload_restarts_or_signals_each_instance(host):
    host.deploy("r1")
    host.systemd.calls.clear()

    assert host.app().reload_processes("blue") == [
        "shop.beat.1@blue.service",
        "shop.worker.1@blue.service",
        "shop.worker.2@blue.service",
    ]
