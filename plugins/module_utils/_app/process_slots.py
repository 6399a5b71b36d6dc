# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes and timers of the two slots: unit files, start, readiness and stop.

The live slot's processes and timers run, those of the other slot do not. During an activation, the new ones start before the old ones stop,
except exclusive ones. A stopping process may need more time to finish its jobs than a deploy waits. The next activation can use its slot
nevertheless, because systemd starts a unit only after its previous process has ended.
"""

from __future__ import annotations

import contextlib
import glob
import os
import time
from datetime import datetime, timezone
from typing import Callable

from ansible_collections.asgi.deploy.plugins.module_utils._app.activation_error import ActivationError
from ansible_collections.asgi.deploy.plugins.module_utils._app.executable_memory import REMEDY, denials, describe_denial
from ansible_collections.asgi.deploy.plugins.module_utils._app.installed_app import ENV_FILE, InstalledApp, State
from ansible_collections.asgi.deploy.plugins.module_utils._app.process_files import (
    PROCESSES_FILE,
    NoProgram,
    Process,
    file_of,
    find_program,
    parse_processes,
    unit_files,
)
from ansible_collections.asgi.deploy.plugins.module_utils._app.sandbox import from_drop_in, transient
from ansible_collections.asgi.deploy.plugins.module_utils._app.write_faults import write_advice
from ansible_collections.asgi.deploy.plugins.module_utils._host.environment import (
    parse_environment,
    search_path,
    without_withheld,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.failed_output import condense
from ansible_collections.asgi.deploy.plugins.module_utils._host.failures import error_message
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import read_text, remove, write_text
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import (
    SLOTS,
    other_slot,
    process_unit_pattern,
    starts_file,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.systemd import (
    MARGIN_SECONDS,
    Systemd,
    SystemdError,
    Unit,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.transient_unit import TimedOut, TransientUnit, UnitError

# Seconds that an activation waits for stopping processes; more than the default of stop_timeout.
FINISH_SECONDS = 75
POLL_SECONDS = 0.5
# Seconds between two attempts of the command in ``ready``.
RETRY_SECONDS = 1
# A process that systemd has restarted this often, and that has not been up for this time since, restarts in a loop.
LOOP_RESTARTS, LOOP_SECONDS = 3, 60


class ProcessSlots(InstalledApp):
    """An app whose processes can be changed. *by* is the user in the release log; a *dry* app only records the changes."""

    def __init__(self, paths: dict, systemd: Systemd, dry: bool = False, by: str = "") -> None:
        super().__init__(paths, systemd)
        self.dry = dry
        self.by = by
        self.changes: list[str] = []
        self.warnings: list[str] = []

    def _do(self, change: str, action: Callable[[], object]) -> None:
        self.changes.append(change)
        if not self.dry:
            action()

    # ---- report

    def process_report(self, slot: str | None) -> list[dict]:
        """Return the state of each instance of the processes, and of each timer, of the live *slot*."""
        plan = self.processes(slot) if slot else []
        if not plan:
            return []
        app = self.paths["name"]
        pairs = [
            (process, *names)
            for process in plan
            for names in zip(process.started(app, slot), process.services(app, slot))
        ]
        found = self.systemd.show(*{unit for _process, *names in pairs for unit in names})
        return [self._reported(process, found[unit], found[service]) for process, unit, service in pairs]

    def _reported(self, process: Process, unit: Unit, service: Unit) -> dict:
        up = time.clock_gettime(time.CLOCK_MONOTONIC) - unit.entered if unit.running else 0
        report = {
            "name": process.name,
            "kind": process.kind,
            "unit": unit.name,
            "state": unit.active,
            "since": unit.since,
            "restarts": unit.restarts,
            "loops": unit.restarts >= LOOP_RESTARTS and up < LOOP_SECONDS,
            "result": service.result,
        }
        if process.is_timer:
            with contextlib.suppress(OSError):
                success = os.stat(os.path.join(self.paths["timer_successes"], process.name)).st_mtime
                report["last_success"] = utc(success) if success else None
        return report

    # ---- unit files

    def units_at_boot(self, slot: str) -> tuple[str, ...]:
        """Return the units of *slot* that are enabled while it is live."""
        slot_paths = self.paths["slots"][slot]
        target = [slot_paths["target"]] if slot_paths["target"] in self.installed_process_units(slot) else []
        return (slot_paths["socket_unit"], slot_paths["service_unit"], *target)

    def process_files(self, slot: str) -> dict[str, str]:
        """Return the files in the configuration of *slot* that describe its processes; none if it has no processes."""
        directory = self.paths["slots"][slot]["config"]
        if read_text(os.path.join(directory, PROCESSES_FILE)) is None:
            return {}
        return self.config_files(self._pair(slot))

    def processes(self, slot: str) -> list[Process]:
        """Return the processes and timers in the configuration of *slot*."""
        return parse_processes(read_text(os.path.join(self.paths["slots"][slot]["config"], PROCESSES_FILE)))

    def unit_texts(self, slot: str) -> dict[str, str]:
        """Return the text of each unit of the processes and timers of *slot*."""
        pair = self._pair(slot)
        if pair is None:
            return {}
        release = os.path.join(self.paths["releases"], pair.release)
        try:
            return unit_files(self.paths["name"], slot, release, self.process_files(slot))
        except NoProgram as exc:
            raise ActivationError(str(exc)) from exc

    def settle_process_files(self, slot: str, units: dict[str, Unit]) -> None:
        """Write the unit files of *slot* that differ, and remove those that its configuration does not need.

        The file of a unit that is still stopping remains until a later run, because systemd would lose the timeout of the unit.
        """
        texts = self.unit_texts(slot)
        stale = any(units[unit].needs_daemon_reload for unit in texts if unit in units)
        for unit, text in texts.items():
            path = os.path.join(self.paths["units"], unit)
            if read_text(path) != text:
                self._do(f"write {path}", lambda path=path, text=text: write_text(path, text))
                stale = True
        needless = [unit for unit in self.installed_process_units(slot) if unit not in texts]
        needless = [unit for unit in needless if unit not in units or units[unit].stopped]
        if self.paths["slots"][slot]["target"] in needless:
            self._do(
                f"disable {slot}'s target at boot", lambda: self.systemd.disable(self.paths["slots"][slot]["target"])
            )
        for unit in needless:
            path = os.path.join(self.paths["units"], unit)
            self._do(f"remove {path}", lambda path=path: remove(path))
        if stale or needless:
            self._do("reload systemd's unit files", self.systemd.daemon_reload)
        for timer in (process for process in self.processes(slot) if process.is_timer):
            success = os.path.join(self.paths["timer_successes"], timer.name)
            if not os.path.exists(success):
                self._do(f"write {success}", lambda success=success: self._write_no_success(slot, success))

    def _write_no_success(self, slot: str, path: str) -> None:
        """Write the file of a timer of *slot* that has not succeeded yet.

        Its jobs lock the file. No other account can open it, so that no other app can hold the lock.
        """
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        write_text(path, "", mode=0o640, gid=os.stat(self.paths["slots"][slot]["config"]).st_gid)
        os.utime(path, (0, 0))

    def begin_stop_processes(self, slot: str, state: State) -> None:
        """Begin to stop the processes of the idle *slot* that an interrupted run left running."""
        running = self.stoppable(slot, state.units)
        if running:
            self.systemd.begin_stop(*running)

    def prepare_processes(self, slot: str, live: str | None) -> None:
        """Write the unit files of the idle *slot* for its new configuration. Its processes start after the switch."""
        installed = self.installed_process_units(slot)
        texts = self.unit_texts(slot)
        changes = list(self.changes)
        self.settle_process_files(slot, self.systemd.show(*installed) if installed else {})
        self.changes = changes  # the activation is the change that is reported
        for unit in {*texts, *installed}:
            remove(starts_file(self.paths, unit))
        if not texts:
            return
        if live and self.process_files(slot) == self.process_files(live):
            return  # systemd has already accepted these files for the live slot
        misread = self.systemd.misread_files({os.path.join(self.paths["units"], unit): unit for unit in texts})
        if misread:
            path, errors = min(misread.items())
            raise ActivationError(f"systemd cannot parse {path}: {errors}", code="unit-settings-invalid")

    # ---- start

    def start_processes(self, slot: str, unproven: bool = False) -> None:
        """Start the processes and timers of the live *slot* that do not run, and wait until they are ready.

        Exclusive ones of the other slot are stopped first. If *unproven*, an interrupted run may have started processes without waiting for
        them. Raises ActivationError if a process does not become ready.
        """
        plan = self.processes(slot)
        if not plan:
            return
        app, target = self.paths["name"], self.paths["slots"][slot]["target"]
        wanted = [target, *(unit for process in plan for unit in process.started(app, slot))]
        units = self.systemd.show(*wanted)
        down = [unit for unit in wanted if not units[unit].running]
        if down:
            self._stop_exclusive(slot, plan)
            timers = [process for process in plan if process.is_timer and process.started(app, slot)[0] in down]
            self._do(f"start {' and '.join(down)}", lambda: self._start(slot, plan, timers, down))
        rest = [
            (process, [unit for unit in process.services(app, slot) if unit not in down])
            for process in plan
            if not process.is_timer
        ]
        running = [unit for _process, units in rest for unit in units]
        if unproven and running and not self.dry:
            self.wait_ready(slot, rest, self.systemd.show(*running), time.time())

    def _stop_exclusive(self, slot: str, plan: list[Process]) -> None:
        """Stop the processes of the slot other than *slot* that are exclusive in either configuration."""
        other = other_slot(slot)
        before = self.processes(other)
        names = {process.name for process in [*before, *plan] if process.exclusive}
        listed = [
            unit for process in before if process.name in names for unit in process.services(self.paths["name"], other)
        ]
        if not listed:
            return
        units = self.systemd.show(*listed)
        running = [unit for unit in listed if not units[unit].stopped]
        if running:
            seconds = max(process.stop_timeout for process in before if process.name in names)
            self._do(f"stop {' and '.join(running)}", lambda: self._stop_and_warn(running, seconds))

    def _stop_and_warn(self, units: list[str], seconds: float) -> None:
        """Stop the *units*, which may take *seconds*, and warn about those that were killed; stop() would discard their results."""
        self.systemd.stop_within(seconds + MARGIN_SECONDS, *units)
        self._warn_killed(self.systemd.show(*units))
        self.systemd.stop(*units)

    def _warn_killed(self, units: dict[str, Unit]) -> None:
        self.warnings += [
            f"{unit} did not end within its stop_timeout and was killed; its unfinished jobs may be lost -> raise "
            f"its stop_timeout, or see its log: journalctl --unit={unit}"
            for unit, found in units.items()
            if found.result == "timeout"
        ]

    def _stop_timers(self, slot: str, timers: list[Process]) -> None:
        """Stop the timers of the slot other than *slot* that have the names of *timers*: each would start the job as well."""
        listed = [unit for timer in timers for unit in timer.started(self.paths["name"], other_slot(slot))]
        if not listed:
            return
        units = self.systemd.show(*listed)
        running = [unit for unit in listed if not units[unit].stopped]
        if running:
            self.systemd.stop(*running)

    def _start(self, slot: str, plan: list[Process], timers: list[Process], down: list[str]) -> None:
        self._stop_timers(slot, timers)
        for timer in timers:
            self._carry_stamp(slot, timer)
        began = time.time()
        started = [
            (process, [unit for unit in process.services(self.paths["name"], slot) if unit in down])
            for process in plan
            if not process.is_timer
        ]
        services = [unit for _process, units in started for unit in units]
        try:
            self.systemd.start(*down)
        except SystemdError as exc:
            failed = next((unit for unit, found in self.systemd.show(*down).items() if not found.running), down[-1])
            reason = str(exc).splitlines()[0]
            raise self.failure(slot, f"{failed} did not start: {reason}", began, failed) from exc
        self.wait_ready(slot, started, self.systemd.show(*services) if services else {}, began)

    def _carry_stamp(self, slot: str, timer: Process) -> None:
        """Copy the time when the persistent *timer* last elapsed from the other slot to *slot*, unless its own is later.

        Otherwise, systemd would treat the days in which the slot was idle like a machine that was off, and run the job at once. The stamp
        of a live timer that was stopped by hand is later than that of the other slot.
        """
        app = self.paths["name"]
        stamp, before = (
            os.path.join(self.paths["timer_stamps"], f"stamp-{timer.started(app, each)[0]}")
            for each in (slot, other_slot(slot))
        )
        try:
            found = os.stat(before)
        except FileNotFoundError:
            remove(stamp)
            return
        with contextlib.suppress(FileNotFoundError):
            if os.stat(stamp).st_mtime_ns >= found.st_mtime_ns:
                return
        write_text(stamp, "")
        os.utime(stamp, ns=(found.st_atime_ns, found.st_mtime_ns))

    # ---- readiness

    def wait_ready(
        self, slot: str, started: list[tuple[Process, list[str]]], first: dict[str, Unit], began: float
    ) -> None:
        """Wait until the *started* processes are ready; raise ActivationError for the first that is not.

        *first* is the state of their units after the start: a changed process id shows a restart.
        """
        seconds = max((process.ready.get("seconds", 0) for process, units in started if units), default=0)
        end = time.monotonic() + seconds
        while True:
            self._refuse_restarted(slot, first, began)
            if time.monotonic() >= end:
                break
            time.sleep(min(POLL_SECONDS, max(end - time.monotonic(), 0)))
        for process, units in started:
            for unit in units:
                if process.ready.get("command"):
                    self._run_ready(slot, process, unit, {unit: first[unit]}, began)

    def _refuse_restarted(self, slot: str, first: dict[str, Unit], began: float) -> None:
        for unit, found in self.systemd.show(*first).items() if first else ():
            if not found.running or found.main_pid != first[unit].main_pid:
                state = "ended" if found.running or found.sub == "auto-restart" else f"is {found.active}"
                raise self.failure(slot, f"{unit} does not stay up: it {state} after its start", began, unit)

    def _run_ready(self, slot: str, process: Process, unit: str, first: dict[str, Unit], began: float) -> None:
        """Repeat the command in ``ready`` until it succeeds."""
        pair = self._pair(slot)
        release = os.path.join(self.paths["releases"], pair.release)
        instance = unit.rpartition("@")[0].rpartition(".")[2]
        command = [
            str(word).replace("{instance}", instance).replace("{slot}", slot) for word in process.ready["command"]
        ]
        try:
            command[0] = find_program(release, command[0])
        except NoProgram as exc:
            raise ActivationError(f"the readiness of {unit} cannot be checked: {exc}") from exc
        environment = {
            "PATH": search_path(f"{release}/.venv"),
            **without_withheld(self.process_environment(pair, process.name)),
            "ASGI_SLOT": slot,
            "ASGI_PROCESS": process.name,
            "ASGI_INSTANCE": instance,
        }
        settings = from_drop_in(read_text(os.path.join(self.paths["units"], unit)) or "", slot)
        transient_unit = TransientUnit(f"asgi-ready-{self.paths['name']}", self.paths["user"], transient(settings))
        end = time.monotonic() + process.ready["timeout"]
        while True:
            try:
                left = max(end - time.monotonic(), 1)
                status, out, err = transient_unit.run(command, f"{release}/code", environment, left)
                fault = f"ended with status {status}" if status else ""
            except TimedOut as exc:
                fault, out, err = "did not end", exc.out, exc.err
            except (UnitError, OSError) as exc:
                raise self.failure(
                    slot, f"the readiness of {unit} cannot be checked: {error_message(exc)}", began, unit
                ) from exc
            if not fault:
                return
            self._refuse_restarted(slot, first, began)
            if time.monotonic() + RETRY_SECONDS > end:
                break
            time.sleep(RETRY_SECONDS)
        said = condense((err or out).strip(), first=0, last=5)
        reason = f"{unit} is not ready within {process.ready['timeout']} s: {command[0]} {fault}: {said}".rstrip(": ")
        raise self.failure(slot, reason, began, unit)

    def process_environment(self, pair, name: str) -> dict[str, str]:
        """Return the environment of the process *name* in the configuration of *pair*."""
        directory = os.path.join(self.paths["configs"], pair.config)
        texts = [read_text(os.path.join(directory, file)) for file in (ENV_FILE, file_of(name, kind="env"))]
        return {key: value for text in texts for key, value in parse_environment(text or "").items()}

    def failure(self, slot: str, reason: str, began: float, unit: str = "", code: str = "") -> ActivationError:
        """Return the error for *unit* of *slot*, by default its web server, with the journal since *began*, without secrets."""
        code = code or ("process-not-started" if unit else "app-not-healthy")
        slot_paths, pair = self.paths["slots"][slot], self._pair(slot)
        settings = os.path.join(self.paths["units"], unit) if unit else slot_paths["drop_in"]
        journal = self.systemd.journal(unit or slot_paths["service_unit"], began)
        advice = write_advice(self.paths["name"], journal)
        reason += f"; {advice}" if advice else ""
        for error in denials(journal, read_text(settings) or "")[:1]:
            reason += f"; {describe_denial(error)}: {REMEDY}"
        return ActivationError(self.hide(reason, pair), self.hide(journal, pair), code)

    # ---- stop

    def stoppable(self, slot: str, units: dict[str, Unit]) -> list[str]:
        """Return the units of the processes and timers of *slot* that run and are not stopping yet.

        Jobs of timers are excluded: they may finish within their own timeout.
        """
        return [
            unit
            for unit in self.installed_process_units(slot)
            if unit in units and not units[unit].stopped and not units[unit].stopping and not _is_job(unit)
        ]

    def finish_processes(self, slot: str, stopping: list[str]) -> None:
        """Wait a limited time for the *stopping* units of the idle *slot*, and warn about those that are still finishing their work."""
        if stopping and not self.dry:
            self.systemd.stop_within(FINISH_SECONDS, *stopping)
        units = self.installed_process_units(slot)
        if not units or self.dry:
            return
        found = self.systemd.show(*units)
        self._warn_killed({unit: found[unit] for unit in stopping})
        ended = [unit for unit, state in found.items() if state.active == "failed"]
        if ended:
            self.systemd.reset_failed(*ended)
        seconds = {
            name: each.stop_timeout for each in self.processes(slot) for name in each.services(self.paths["name"], slot)
        }
        for unit, state in found.items():
            if state.stopping:
                limit = f" within its stop_timeout of {seconds[unit]} s" if unit in seconds else ""
                self.warnings.append(
                    f"{unit} is still finishing its work{limit}, and the deploy does not wait for it. The next release in slot {slot} "
                    f"cannot start this process before that -> to end it now: systemctl kill --signal=SIGKILL {unit}"
                )
            elif _is_job(unit) and not state.stopped:
                self.warnings.append(f"{unit} is a job of the previous release, which continues until it has finished")

    def stop_processes(self, slot: str, state: State) -> None:
        """Stop all processes, timers and jobs of *slot* and wait until they have stopped."""
        running = [
            unit for unit in self.installed_process_units(slot) if unit in state.units and not state.units[unit].stopped
        ]
        if running:
            self._do(f"stop {' and '.join(running)}", lambda: self.systemd.stop(*running))

    def remove_processes(self) -> None:
        """Remove the unit files of both slots and what their timers have left. The units have stopped."""
        for slot in SLOTS:
            units = self.installed_process_units(slot)
            if units and not self.dry:
                # A job that was stopped has failed, which starts the command of its on_failure.
                self.systemd.stop(*units)
            paths = [os.path.join(self.paths["units"], unit) for unit in units]
            patterns = (process_unit_pattern(self.paths["name"], slot), self.paths["slots"][slot]["target"])
            for pattern in patterns:  # left behind by an interrupted run
                paths += glob.glob(os.path.join(glob.escape(self.paths["units"]), f".{pattern}.*"))
            for path in paths:
                self._do(f"remove {path}", lambda path=path: remove(path))
        pattern = os.path.join(glob.escape(self.paths["timer_stamps"]), f"stamp-{self.paths['name']}.*@*.timer")
        for path in [*glob.glob(pattern), self.paths["timer_successes"]]:
            if os.path.lexists(path):
                self._do(f"remove {path}", lambda path=path: remove(path))
        with contextlib.suppress(OSError):  # not empty, or missing
            if not self.dry:
                os.rmdir(os.path.dirname(self.paths["timer_successes"]))

    # ---- reload

    def reload_processes(self, slot: str, only: str | None = None) -> list[str]:
        """Reload or restart the processes of the live *slot* one after the other; return their units.

        With *only*, restart the process of that name, even if a reload sends it a signal.
        """
        plan = [process for process in self.processes(slot) if not process.is_timer and only in (None, process.name)]
        done = []
        for process in plan:
            for unit in process.services(self.paths["name"], slot):
                began = time.time()
                try:
                    (self.systemd.reload if process.reload == "signal" and not only else self.systemd.restart)(unit)
                except SystemdError as exc:
                    raise self.failure(slot, f"{unit} was not reloaded: {exc}", began, unit) from exc
                self.wait_ready(slot, [(process, [unit])], self.systemd.show(unit), began)
                done.append(unit)
        return done


def utc(seconds: float) -> str:
    """Return the time *seconds* since the epoch in the format of the release log."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_job(unit: str) -> bool:
    """Return whether *unit* is the service of a timer: the name of an instance ends with a number, and that of a job has one dot."""
    return unit.endswith(".service") and not unit.rpartition("@")[0].rpartition(".")[2].isdigit()
