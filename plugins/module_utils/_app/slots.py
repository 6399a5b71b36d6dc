# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes to the two slots of an app: activation, repair and removal.

After a crash at any step, the next run continues from the state on the host: one rename switches the traffic, the slot that has the traffic
is always enabled at boot, and :meth:`App.settle` completes any partial state.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from typing import Callable

from ansible_collections.asgi.deploy.plugins.module_utils._app.activation_error import (
    ActivationError,
    Blocked,
    tolerated,
)
from ansible_collections.asgi.deploy.plugins.module_utils._app.installed_app import (
    ENV_FILE,
    SERVICE_FILE,
    State,
    config_digest,
)
from ansible_collections.asgi.deploy.plugins.module_utils._app.probe import Probe, accepts, wait_healthy
from ansible_collections.asgi.deploy.plugins.module_utils._app.process_files import is_secret
from ansible_collections.asgi.deploy.plugins.module_utils._app.process_slots import ProcessSlots
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_log import (
    DamagedLog,
    Pair,
    is_live,
    is_recorded,
    needed_configs,
    now,
    pair_of,
    rollback_target,
    with_bad,
    with_live,
    with_recorded,
    withdrawn,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import (
    is_ours,
    leftovers,
    locked,
    read_link,
    read_text,
    refuse_full,
    refuse_obstacle,
    remove,
    remove_at_once,
    replace_file,
    replace_link,
    write_text,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import RUN_MODE, SLOTS, TRIAL, other_slot
from ansible_collections.asgi.deploy.plugins.module_utils._host.systemd import SystemdError

# Name of the unit file in a configuration. A changed unit file changes the digest of the configuration.
UNIT_FILE = "service.unit"
UNIT_MODE = 0o644

# First line of a trial's service.conf. The line marks the configuration for removal together with the trial.
TRIAL_MARK = "# of a trial\n"

BOOTED, LIVE = "booted", "live"


def other(slot: str | None) -> str:
    """Return the slot other than *slot*, or the first slot if *slot* is None because nothing is live."""
    return SLOTS[0] if slot is None else other_slot(slot)


def tmpfiles_text(paths: dict, slot: str) -> str:
    """Return the configuration for systemd-tmpfiles, which recreates the files below /run at boot."""
    return (
        f"# Which slot of {paths['name']} takes traffic. Written at each activation; do not edit.\n"
        f"d {paths['run']} {RUN_MODE:04o} root root -\n"
        f"L+ {paths['live_socket']} - - - - {slot}.sock\n"
    )


class App(ProcessSlots):
    """An app whose slots can be changed."""

    activates = False

    @contextlib.contextmanager
    def lock(self, wait: float = 0, why: str = "") -> Iterator[None]:
        """Hold the lock of this app; raise Locked if another process still holds it after *wait* seconds."""
        if self.dry:
            yield
            return
        note = f"by {self.by or 'an unknown user'} since {now()}{why and ': '}{why}"
        with locked(self.paths["lock"], note, wait, busy=f"{self.paths['name']} is being changed "):
            yield

    def install_units(self, units: dict) -> list:
        """Write the slots' template units that differ, and return the diffs. *units* maps a kind (service, socket) to a text.

        Does not reload systemd's unit files; settle() does.
        """
        diffs = []
        for kind, text in units.items():
            path = self.paths[f"{kind}_template"]
            before = read_text(path)
            if before == text and is_ours(path, UNIT_MODE):
                continue
            if os.path.realpath(path) == os.devnull:
                unit = os.path.basename(path)
                raise Blocked(f"{unit} is masked, by {path} -> systemctl unmask {unit}")
            self._do(f"write {path}", lambda path=path, text=text: replace_file(path, text, UNIT_MODE))
            diffs.append({"before_header": path, "after_header": path, "before": before or "", "after": text})
        return diffs

    def store_config(self, files: dict, gid: int) -> str:
        """Write a configuration atomically unless it exists; return its digest."""
        digest = config_digest(files)
        directory = os.path.join(self.paths["configs"], digest)
        if os.path.isdir(directory) or self.dry:
            return digest
        os.makedirs(self.paths["configs"], mode=0o755, exist_ok=True)
        building = tempfile.mkdtemp(dir=self.paths["configs"], prefix=".new-")
        try:
            for name, text in files.items():
                mode = 0o640 if name == ENV_FILE or is_secret(name) else 0o644
                write_text(os.path.join(building, name), text, mode=mode, gid=gid)
            os.chown(building, -1, gid)
            os.chmod(building, 0o750)
            os.replace(building, directory)
        except BaseException:
            remove(building)
            raise
        return digest

    def activate(
        self,
        target: Pair,
        state: State,
        probe: Probe,
        until: str = LIVE,
        verify: Callable[[], str] = lambda: "",
        rollback: bool = False,
        restart: bool = False,
    ) -> str:
        """Activate *target* in the idle slot, and return that slot. If *target* is already live, repair and return its slot.

        With *until* BOOTED, *target* boots in the idle slot and gets no traffic yet. *verify* is called after the switch, while the
        old slot still runs; if it returns a fault, the traffic is switched back. A *rollback* is logged as such. With *restart*, a live
        *target* is started again in the idle slot, without a new log entry. The same happens if the live slot runs but accepts no
        connections; its workers finish their open requests.
        """
        self._refuse_blocked(state)
        log = self._replace_damaged_log()
        self.clear_trial()
        same = state.live_pair == target
        if same and self.runs_unreachable(state):
            socket = self.paths["slots"][state.live]["socket"]
            self.changes.append(f"replace slot {state.live}: nothing accepts connections on {socket}")
            restart = True
        if same and not restart:
            entry = self._entry(target, state.live, rollback)
            try:
                self.settle(state.live, state, probe, unproven=not is_recorded(log, target))
            except ActivationError as exc:
                self._take_back(log, entry, state, str(exc))
                raise
            self._complete(log, entry)
            return state.live
        slot = other(state.live)
        self.activates = True
        self.changes.append(f"activate release {target.release} with configuration {target.config} in slot {slot}")
        if self.dry:
            return slot
        # Check now, because these files are written only during and after the switch.
        for path in (self.paths["log"], self.paths["tmpfiles"]):
            refuse_full(os.path.dirname(path))
        leaving = log
        if rollback and not same:  # An interrupted run may not have recorded the release that is rolled back.
            leaving = withdrawn(with_recorded(log, self._entry(state.live_pair, state.live)))
        began = time.time()
        try:
            if not self._has_booted(slot, target, state, probe):
                self.prepare(slot, target, state)
                self.boot(slot, probe)
            if until == BOOTED:
                return slot
            if leaving != log:  # Write it before the switch: a repeated rollback recognises an interrupted one by it.
                self._write_log(leaving)
            self._switch_to(slot, state)
            fault = verify()
            if fault:
                raise self.failure(slot, fault, began, code="site-not-answering")
            self.start_processes(slot)
        except ActivationError as exc:
            self._stop_failed(slot, state.live)
            if not same:
                self._write_log(with_bad(log, self._entry(target, slot), str(exc)))
            raise
        log = with_recorded(leaving, self._entry(target, slot, rollback))
        self._write_log(log)
        # All processes were ready. If one has ended since then, only warn: the release is live, and the old processes must stop.
        self.settle(slot, self.state(), probe, strict=False)
        self._discard_legacy_counters(other(slot))
        self._prune_configs(log)
        return slot

    def _take_back(self, log: list, entry: dict, state: State, reason: str) -> None:
        """Switch back to the recorded release in the other slot if the live one failed and was activated by an interrupted run."""
        before = state.pairs[other(state.live)]
        if not self.dry and not is_recorded(log, pair_of(entry)) and before and is_recorded(log, before):
            self._stop_failed(state.live, other(state.live))
            self._write_log(with_bad(log, entry, reason))

    def _complete(self, log: list, entry: dict) -> None:
        """Complete an activation that was interrupted after the switch: record the live *entry*, and remove old configurations."""
        recorded = with_recorded(log, entry)
        if recorded != log:
            self._do(f"record release {entry['release']} in {self.paths['log']}", lambda: self._write_log(recorded))
        self._prune_configs(recorded)

    def abandon(self, slot: str, reason: str, state: State) -> None:
        """Stop the release in *slot*, log it as bad, and make the previous release live if *slot* has the traffic."""
        pair = state.pairs[slot]
        log = self._replace_damaged_log()
        if state.live == slot:
            before = rollback_target(log, pair, self.on_disk)
            self.activate(before, state, self.probe_of(before), rollback=True)
        else:
            self._stop_failed(slot, state.live)
            if state.live:
                rolled_back = any(entry.get("withdrawn") for entry in filter(is_live, log))
                self._complete(log, self._entry(state.live_pair, state.live, rolled_back))
        self._write_log(with_bad(self.log(), self._entry(pair, slot), reason))

    def remove(self) -> None:
        """Stop both slots and remove their files, the slots' directory last.

        An app with that directory counts as installed, so the next run continues an interrupted removal.
        """
        self.clear_trial()
        state = self.state()
        enabled = [unit.name for unit in state.units.values() if unit.enabled]
        if enabled:
            self._do(f"disable {' and '.join(enabled)} at boot", lambda: self.systemd.disable(*enabled))
        running = [unit.name for unit in state.units.values() if not unit.stopped]
        if running:
            # Stop both units together; a connection in between would start the service again.
            self._do(f"drain and stop {' and '.join(running)}", lambda: self.systemd.stop(*running))
        self.remove_processes()
        names = "service_template socket_template tmpfiles run current configs log damaged_log".split()
        written = [slot["drop_in"] for slot in self.paths["slots"].values()] + [self.paths[name] for name in names]
        for path in [*filter(os.path.lexists, written), *leftovers(*written)]:
            take = remove_at_once if path == self.paths["configs"] else remove
            self._do(f"remove {path}", lambda path=path, take=take: take(path))
        for slot in self.paths["slots"].values():
            # Keep a directory that contains drop-ins of the operator.
            with contextlib.suppress(OSError):
                if not self.dry:
                    os.rmdir(os.path.dirname(slot["drop_in"]))
        slots = self.paths["slots_directory"]
        if self.changes or os.path.lexists(slots):
            self._do("reload systemd's unit files", self.systemd.daemon_reload)
        if os.path.lexists(slots):
            self._do(f"remove {slots}", lambda: remove(slots))

    def clear_trial(self) -> None:
        """Stop and remove the trial slot, including one that a killed measurement has left behind."""
        trial = self.paths[TRIAL]
        if os.path.lexists(trial["directory"]):
            self._do(f"stop and remove {TRIAL}", lambda: self._remove_trial(trial))

    def _remove_trial(self, trial: dict[str, str]) -> None:
        units = self.systemd.show(self.paths["trial_proxy_unit"], trial["socket_unit"], trial["service_unit"])
        running = [unit.name for unit in units.values() if unit.active != "inactive"]
        if running:
            self.systemd.stop(*running)
        remove(os.path.dirname(trial["drop_in"]))
        self.systemd.daemon_reload()
        for config in os.listdir(self.paths["configs"]):
            directory = os.path.join(self.paths["configs"], config)
            if (read_text(os.path.join(directory, SERVICE_FILE)) or "").startswith(TRIAL_MARK):
                remove_at_once(directory)
        self._discard(self.paths["metrics_counters"], TRIAL)
        # last, so that the next run continues an interrupted removal
        remove(trial["directory"])

    def _discard(self, directory: str, slot: str) -> None:
        """Remove the counters of *slot* from *directory*. Errors are ignored, because the app owns the files and must not block a deploy."""
        with contextlib.suppress(OSError):
            remove(os.path.join(directory, slot))

    def _discard_legacy_counters(self, slot: str) -> None:
        """Remove the counters of the stopped *slot* that earlier versions stored on the file system of /run, which the app could fill."""
        self._discard(os.path.join(self.paths["run"], "metrics"), slot)

    def _entry(self, pair: Pair, slot: str, rollback: bool = False) -> dict:
        entry = {"release": pair.release, "config": pair.config, "slot": slot, "at": now(), "by": self.by}
        return {**entry, "rollback": True} if rollback else entry

    def _has_booted(self, slot: str, target: Pair, state: State, probe: Probe) -> bool:
        """Return whether *target* already runs in *slot* and is healthy: it may have booted there before a hook or in an interrupted run."""
        slot_paths = self.paths["slots"][slot]
        runs = state.pairs[slot] == target and state.all_units(slot_paths, lambda unit: unit.running)
        return runs and not wait_healthy(slot_paths["socket"], probe)

    def _stop_failed(self, slot: str, live: str | None) -> None:
        """Stop *slot*, whose release failed; the *live* slot, if any, gets the traffic."""
        slot_paths, state = self.paths["slots"][slot], self.state()
        if live:
            self.settle(live, state, self.probe_of(state.pairs[live]), strict=False)
        else:
            self.systemd.disable(*self.units_at_boot(slot))
            self.stop_processes(slot, state)
            for path in (self.paths["live_socket"], self.paths["tmpfiles"], self.paths["current"]):
                remove(path)
        self.systemd.stop(slot_paths["socket_unit"], slot_paths["service_unit"])

    def prepare(self, slot: str, target: Pair, state: State) -> None:
        """Put *target* into the idle *slot*, after stopping units that an interrupted run has left running."""
        slot_paths = self.paths["slots"][slot]
        if not state.all_units(slot_paths, lambda unit: unit.stopped):
            self.systemd.stop(slot_paths["socket_unit"], slot_paths["service_unit"])
        if slot in self.paths["slots"]:
            self.begin_stop_processes(slot, state)
        self._discard_legacy_counters(slot)
        replace_link(slot_paths["release"], f"../../releases/{target.release}")
        replace_link(slot_paths["config"], f"../../configs/{target.config}")
        settings = self.service_settings(slot_paths)
        stale = state.any_unit(slot_paths, lambda unit: unit.needs_daemon_reload)
        if write_text(slot_paths["drop_in"], settings) or stale:
            self.systemd.daemon_reload()
        # A trial has no processes.
        if slot in self.paths["slots"]:
            self.prepare_processes(slot, state.live)
        # For a trial, there is no live slot to compare with.
        live = self.paths["slots"].get(state.live)
        if live and settings == read_text(live["drop_in"]):
            return  # systemd has already accepted these settings for the live slot
        misread = self.systemd.misread(slot_paths["service_unit"], slot_paths["drop_in"])
        if misread:
            raise ActivationError(
                f"systemd cannot parse {slot_paths['drop_in']}: {misread}", code="unit-settings-invalid"
            )

    def boot(self, slot: str, probe: Probe) -> None:
        """Start *slot* and wait until it is healthy; raise ActivationError with its journal if it does not become healthy."""
        slot_paths = self.paths["slots"][slot]
        began = time.time()
        try:
            self.systemd.start(slot_paths["socket_unit"], slot_paths["service_unit"])
            reason, code = wait_healthy(slot_paths["socket"], probe), "app-not-healthy"
        except SystemdError as exc:
            limit = " within asgi_server_boot_timeout" if "timeout was exceeded" in str(exc) else ""
            reason = f"{slot_paths['service_unit']} did not start{limit}: {exc}".splitlines()[0]
            code = "app-not-started"
        if reason:
            raise self.failure(slot, reason, began, code=code)

    def runs_unreachable(self, state: State) -> bool:
        """Return whether the units of the live slot are active but its socket accepts no connections."""
        live = self.paths["slots"].get(state.live)
        return bool(live) and state.all_units(live, lambda unit: unit.running) and not accepts(live["socket"])

    def _open_socket(self, slot_paths: dict[str, str], state: State) -> bool:
        """Return False if the socket unit of a slot runs without its socket file, and must be restarted."""
        socket = slot_paths["socket"]
        if not state.units[slot_paths["socket_unit"]].running:
            return True
        # A connection would start a stopped service, even in check mode.
        return accepts(socket) if state.units[slot_paths["service_unit"]].running else os.path.exists(socket)

    def settle(self, slot: str, state: State, probe: Probe, strict: bool = True, unproven: bool = False) -> None:
        """Repair *slot*, give it the traffic, now and after a reboot, and stop the other slot.

        Unless *strict*, a process that cannot be repaired causes only a warning, so that the traffic is switched and the other slot stops anyway.
        If *unproven*, also wait until processes that are already running are ready.
        """
        live, idle = self.paths["slots"][slot], self.paths["slots"][other(slot)]
        self._settle_unit_files(live, state)
        with tolerated(self.warnings, not strict):
            self.settle_process_files(slot, state.units)
        if not self._open_socket(live, state):
            self._do(
                f"stop {live['socket_unit']}, whose socket file is gone",
                lambda: self.systemd.stop(live["socket_unit"], live["service_unit"]),
            )
            self._do(f"start {live['service_unit']}", lambda: self.boot(slot, probe))
        elif not state.all_units(live, lambda unit: unit.running):
            self._do(f"start {live['service_unit']}", lambda: self.boot(slot, probe))
        self._switch_to(slot, state)
        with tolerated(self.warnings, not strict):
            self.start_processes(slot, unproven)
        idle_units = (idle["socket_unit"], idle["service_unit"])
        runs = not state.all_units(idle, lambda unit: unit.stopped)
        stoppable = self.stoppable(other(slot), state.units)
        if (runs or stoppable) and not self.dry:
            # Stop both units together; a connection in between would start the service again. The slot drains while systemd reads the unit
            # files below.
            self.systemd.begin_stop(*(idle_units if runs else ()), *stoppable)
        at_boot = self.units_at_boot(other(slot))
        if any(state.units[unit].enabled for unit in at_boot if unit in state.units):
            self._do(f"disable {other(slot)} at boot", lambda: self.systemd.disable(*at_boot))
        if runs:
            self._do(f"drain and stop {other(slot)}", lambda: self.systemd.stop(*idle_units))
        if stoppable:
            self.changes.append(f"stop {' and '.join(stoppable)}")
        self.finish_processes(other(slot), stoppable)

    def _switch_to(self, slot: str, state: State) -> None:
        """Give *slot* the traffic, now and after a reboot; the other slot keeps running.

        The order matters: after a reboot between any two steps, the symlink of the live socket leads to an enabled slot.
        """
        slot_paths = self.paths["slots"][slot]
        release = os.path.basename(read_link(slot_paths["release"]) or "")
        at_boot = self.units_at_boot(slot)
        # The target of a slot that has just been prepared is not in *state*.
        if not all(unit in state.units and state.units[unit].enabled for unit in at_boot):
            # Skip the daemon-reload if the other slot must be disabled, because disabling it reloads the unit files as well.
            read = not state.any_unit(self.paths["slots"][other(slot)], lambda unit: unit.enabled)
            self._do(
                f"enable {slot} at boot",
                lambda: self.systemd.enable(*at_boot, read=read),
            )
        if os.path.isdir(self.paths["run"]) and os.stat(self.paths["run"]).st_mode & 0o777 != RUN_MODE:
            self._do(f"close {self.paths['run']} to other accounts", lambda: os.chmod(self.paths["run"], RUN_MODE))
        if read_link(self.paths["live_socket"]) != f"{slot}.sock":
            self._do(f"switch traffic to {slot}", lambda: replace_link(self.paths["live_socket"], f"{slot}.sock"))
        if read_text(self.paths["tmpfiles"]) != tmpfiles_text(self.paths, slot):
            self._do(
                f"write {self.paths['tmpfiles']}",
                lambda: write_text(self.paths["tmpfiles"], tmpfiles_text(self.paths, slot)),
            )
        if read_link(self.paths["current"]) != f"releases/{release}":
            self._do(
                f"point current at {release}",
                lambda: replace_link(self.paths["current"], f"releases/{release}"),
            )

    def _settle_unit_files(self, slot_paths: dict[str, str], state: State) -> None:
        settings = self.service_settings(slot_paths)
        edited = read_text(slot_paths["drop_in"]) != settings
        if edited:
            self._do(f"restore {slot_paths['drop_in']}", lambda: write_text(slot_paths["drop_in"], settings))
        if edited or state.any_unit(slot_paths, lambda unit: unit.needs_daemon_reload):
            self._do("reload systemd's unit files", self.systemd.daemon_reload)

    def _refuse_blocked(self, state: State) -> None:
        """Raise an error before any change if a masked unit, or a file in place of a symlink, would make the activation fail."""
        slots = self.paths["slots"].values()
        for path in (
            self.paths["current"],
            self.paths["live_socket"],
            *(s[k] for s in slots for k in ("release", "config")),
        ):
            refuse_obstacle(path)
        masked = [unit.name for unit in state.units.values() if unit.masked]
        if masked:
            names = " ".join(masked)
            raise Blocked(f"systemd cannot start masked units ({names}) -> systemctl unmask {names}")

    def _replace_damaged_log(self) -> list:
        """Return the log. Move a damaged one aside and start a new one with the live release, so that deploys remain possible."""
        try:
            return self.log()
        except DamagedLog as exc:
            live = self.live_slot()
            pair = self._pair(live) if live else None
            entries = with_live([], self._entry(pair, live)) if pair else []
            self._do(f"move the damaged {self.paths['log']} aside", lambda: self._start_log(entries))
            becomes = "would become" if self.dry else "is now"
            self.warnings.append(
                f"{exc.__cause__}. It {becomes} {self.paths['damaged_log']}, and a new log starts with the live release; a "
                "rollback does not find releases that were live before"
            )
            return entries

    def _start_log(self, entries: list) -> None:
        remove(self.paths["damaged_log"])
        os.replace(self.paths["log"], self.paths["damaged_log"])
        self._write_log(entries)

    def _write_log(self, log: list) -> None:
        write_text(self.paths["log"], json.dumps(log, indent=1) + "\n", mode=0o600)

    def _prune_configs(self, log: list) -> None:
        """Remove the configurations that no slot uses and no rollback can activate, because they contain secrets."""
        kept = {pair.config for pair in map(self._pair, self.paths["slots"]) if pair}
        kept |= needed_configs(log, self.live_pair(), self.on_disk)
        for name in sorted(set(os.listdir(self.paths["configs"])) - kept):
            directory = os.path.join(self.paths["configs"], name)
            self._do(f"remove {directory}", lambda directory=directory: remove_at_once(directory))
