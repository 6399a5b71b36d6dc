# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two slots of an app on this host: what is live, and how another release becomes it.

Every step leaves a state from which the next run goes on: the flip is one rename, what is needed after a reboot is
written so that the slot that takes traffic is always one that starts by itself, and :meth:`App.settle` brings any
half-way state to the end.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from typing import Callable, NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils.environment import (
    app_environment,
    describe_environment,
    hide,
    parse_environment,
)
from ansible_collections.asgi.deploy.plugins.module_utils.files import Locked as LockedFile
from ansible_collections.asgi.deploy.plugins.module_utils.files import (
    is_ours,
    locked,
    read_link,
    read_text,
    remove,
    replace_file,
    replace_link,
    write_text,
)
from ansible_collections.asgi.deploy.plugins.module_utils.layout import SLOTS, TRIAL
from ansible_collections.asgi.deploy.plugins.module_utils.probe import Probe, wait_healthy
from ansible_collections.asgi.deploy.plugins.module_utils.releaselog import (
    Pair,
    is_live,
    now,
    pair_of,
    rollback_target,
    with_bad,
    with_live,
    with_slot,
    withdrawn,
)
from ansible_collections.asgi.deploy.plugins.module_utils.systemd import Systemd, SystemdError, Unit

ENV_FILE = "env"
SERVICE_FILE = "service.conf"
PROBE_FILE = "probe.json"
UNIT_FILE = "service.unit"  # a record, and so that another unit is another configuration
UNIT_MODE = 0o644

# The first line of a service.conf that is a trial's: its configuration is removed with it.
TRIAL_MARK = "# of a trial\n"

BOOTED, LIVE = "booted", "live"


class ActivationError(Exception):
    """The release did not come to serve; ``journal`` holds what its instance said."""

    def __init__(self, reason: str, journal: str = "") -> None:
        super().__init__(reason)
        self.journal = journal


class Locked(Exception):
    """Somebody else deploys this app right now; the message says who and since when."""


class State(NamedTuple):
    """What is on the host: the live slot, what each slot holds, and its units."""

    live: str | None
    pairs: dict
    units: dict

    @property
    def live_pair(self) -> Pair | None:
        return self.pairs[self.live] if self.live else None


def other(slot: str | None) -> str:
    """Return the slot to use beside *slot*: the other one, or the first if nothing is live."""
    return SLOTS[0] if slot is None else SLOTS[1 - SLOTS.index(slot)]


def config_digest(files: dict) -> str:
    """Return the name of a configuration: the same files give the same name."""
    digest = hashlib.sha256()
    for name, text in sorted(files.items()):
        digest.update(f"\0{name}\0{len(text)}\0{text}".encode())
    return digest.hexdigest()[:12]


def tmpfiles_text(paths: dict, slot: str) -> str:
    """Return what systemd-tmpfiles recreates below /run at boot."""
    return (
        f"# Which slot of {paths['name']} takes traffic. Written at each activation; do not edit.\n"
        f"d {paths['run']} 0755 root root -\n"
        f"L+ {paths['live_socket']} - - - - {slot}.sock\n"
    )


class App:
    """One app on this host. *paths* is its layout; *dry* only reports what would be done."""

    def __init__(self, paths: dict, systemd: Systemd, dry: bool = False, by: str = "") -> None:
        self.paths = paths
        self.systemd = systemd
        self.dry = dry
        self.by = by
        self.changes: list = []
        self.activates = False

    # ---- what is there

    def state(self) -> State:
        names = [slot[unit] for slot in self.paths["slots"].values() for unit in ("service_unit", "socket_unit")]
        return State(
            live=self._live_slot(),
            pairs={slot: self._pair(slot) for slot in self.paths["slots"]},
            units=self.systemd.show(*names),
        )

    def _live_slot(self) -> str | None:
        target = read_link(self.paths["live_socket"])
        if target is None:  # after a reboot without tmpfiles, say
            found = re.search(r"^L\+ .* (\w+\.sock)$", read_text(self.paths["tmpfiles"]) or "", re.MULTILINE)
            target = found.group(1) if found else ""
        slot = target.replace(".sock", "")
        return slot if slot in SLOTS else None

    def _pair(self, slot: str) -> Pair | None:
        release = read_link(self.paths["slots"][slot]["release"])
        config = read_link(self.paths["slots"][slot]["config"])
        return Pair(os.path.basename(release), os.path.basename(config)) if release and config else None

    def live_pair(self) -> Pair | None:
        """Return what takes traffic, without asking systemd."""
        slot = self._live_slot()
        return self._pair(slot) if slot else None

    def staged(self) -> str | None:
        """Return the id of the release that asgi_app staged last."""
        target = read_link(self.paths["staged"])
        return os.path.basename(target) if target else None

    def on_disk(self, pair: Pair) -> bool:
        return os.path.exists(os.path.join(self.paths["releases"], pair.release, "release.json")) and os.path.isdir(
            os.path.join(self.paths["configs"], pair.config)
        )

    def config_files(self, pair: Pair | None) -> dict:
        """Return the texts of a configuration, but for the environment."""
        if pair is None:
            return {}
        directory = os.path.join(self.paths["configs"], pair.config)
        names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
        return {name: read_text(os.path.join(directory, name)) for name in names if name != ENV_FILE}

    def environment(self, pair: Pair | None) -> dict[str, str]:
        """Return the environment of a configuration."""
        text = read_text(os.path.join(self.paths["configs"], pair.config, ENV_FILE)) if pair else ""
        return parse_environment(text or "")

    def hide(self, text: str, pair: Pair | None) -> str:
        """Return *text* without what the user has put into the environment of *pair*."""
        ours = app_environment(self.paths, {})
        return hide(text, {name: value for name, value in self.environment(pair).items() if value != ours.get(name)})

    def serving(self) -> str:
        """Return a sentence on what takes traffic now."""
        state = self.state()
        if state.live_pair is None:
            return "nothing is live: this would have been the first release"
        unit = state.units[self.paths["slots"][state.live]["service_unit"]]
        if not unit.running:
            return f"release {state.live_pair.release} has the traffic in slot {state.live}, but {unit.name} is {unit.active}"
        return f"release {state.live_pair.release} goes on serving in slot {state.live}"

    def describe(self, pair: Pair | None, files: dict, environment: str) -> str:
        """Return what a person compares before and after: the release, the environment's names, the files."""
        if pair is None:
            return ""
        parts = [f"release: {pair.release}", *environment.splitlines()]
        for name, text in sorted(files.items()):
            if not name.endswith(".py") or name.endswith(".conf.py"):  # not our own code
                parts += [f"--- {name}", text.rstrip()]
        return "\n".join(parts) + "\n"

    def difference(self, live: Pair | None, target: Pair, files: dict, environment: dict[str, str]) -> dict:
        """Return Ansible's diff from *live* to *target*, which has *files* and *environment*."""
        if live == target:
            return {"before": "", "after": ""}
        before = self.environment(live)
        shown = {name: text for name, text in files.items() if name != ENV_FILE}
        return {
            "before_header": "live",
            "after_header": "to be live",
            "before": self.describe(live, self.config_files(live), describe_environment(before, before)),
            "after": self.describe(target, shown, describe_environment(environment, before)),
        }

    def log(self) -> list:
        return json.loads(read_text(self.paths["log"]) or "[]")

    def probe_of(self, pair: Pair) -> Probe:
        text = read_text(os.path.join(self.paths["configs"], pair.config, PROBE_FILE))
        return Probe.from_dict(json.loads(text or "{}"))

    def reload_seconds(self, pair: Pair) -> int:
        """Return how long the workers of a configuration may take to boot and to drain, by what systemd was told."""
        settings = read_text(os.path.join(self.paths["configs"], pair.config, SERVICE_FILE)) or ""
        return sum(map(int, re.findall(r"^Timeout(?:Start|Stop)Sec=(\d+)$", settings, re.MULTILINE)))

    # ---- one at a time

    @contextlib.contextmanager
    def lock(self, wait: float = 0, why: str = ""):
        """Keep everybody else from changing this app; raise Locked if somebody does for *wait* seconds more."""
        if self.dry:
            yield
            return
        note = f"by {self.by or 'somebody'} since {now()}{why and ': '}{why}"
        try:
            with locked(self.paths["lock"], note, wait):
                yield
        except LockedFile as exc:
            raise Locked(f"{self.paths['name']} is being changed {exc}") from exc

    # ---- changes

    def install_units(self, units: dict) -> list:
        """Write the units of the slots, texts by kind (service, socket), where they differ; return the diffs of the texts.

        That systemd has not read them yet is found, and made good, with what else is amiss.
        """
        diffs = []
        for kind, text in units.items():
            path = self.paths[f"{kind}_template"]
            before = read_text(path)
            if before == text and is_ours(path, UNIT_MODE):
                continue
            self._do(f"write {path}", lambda path=path, text=text: replace_file(path, text, UNIT_MODE))
            diffs.append({"before_header": path, "after_header": path, "before": before or "", "after": text})
        return diffs

    def store_config(self, files: dict, gid: int) -> str:
        """Write a configuration, whole or not at all, unless it is there already; return its digest."""
        digest = config_digest(files)
        directory = os.path.join(self.paths["configs"], digest)
        if os.path.isdir(directory) or self.dry:
            return digest
        os.makedirs(self.paths["configs"], mode=0o755, exist_ok=True)
        building = tempfile.mkdtemp(dir=self.paths["configs"], prefix=".new-")
        for name, text in files.items():
            write_text(os.path.join(building, name), text, mode=0o640 if name == ENV_FILE else 0o644, gid=gid)
        os.chown(building, -1, gid)
        os.chmod(building, 0o750)
        os.replace(building, directory)
        return digest

    def activate(
        self,
        target: Pair,
        state: State,
        probe: Probe,
        until: str = LIVE,
        verify: Callable[[], str] = lambda: "",
        rollback: bool = False,
        anew: bool = False,
    ) -> str:
        """Make *target* live, by way of the idle slot, and return that slot; if it is live already, mend what is amiss.

        With *until* BOOTED it boots in the idle slot and gets no traffic yet. *verify* is asked after the flip, while the
        old slot still runs, and returns what is wrong with the new one; then the traffic goes back. A *rollback* is logged as
        one. *Anew*, what is live already goes that way, too; for the log that is no activation, however it ends.
        """
        self.clear_trial()
        same = state.live_pair == target
        if same and not anew:
            self.settle(state.live, state, probe)
            if not self.dry and target not in map(pair_of, filter(is_live, self.log())):  # interrupted after the flip
                self._write_log(with_live(self.log(), self._entry(target, state.live)))
            return state.live
        slot = other(state.live)
        self.activates = True
        self.changes.append(f"activate release {target.release} with configuration {target.config} in slot {slot}")
        if self.dry:
            return slot
        entry = self._entry(target, slot)
        began = time.time()
        try:
            if not self._has_booted(slot, target, state, probe):
                self.fill(slot, target, state)
                self.boot(slot, probe)
            if until == BOOTED:
                return slot
            self.flip(slot, state)
            fault = verify()
            if fault:
                raise self.failure(slot, fault, began)
        except ActivationError as exc:
            self._give_up(slot, state.live)
            if not same:
                self._write_log(with_bad(self.log(), entry, str(exc)))
            raise
        log = withdrawn(self.log()) if rollback else self.log()
        if same and target in map(pair_of, filter(is_live, log)):
            self._write_log(with_slot(log, slot))
        else:
            self._write_log(with_live(log, {**entry, "rollback": True} if rollback else entry))
        self.settle(slot, self.state(), probe)
        self._prune_configs()
        return slot

    def abandon(self, slot: str, reason: str, state: State) -> None:
        """Give up what was brought up in *slot*, whether it has traffic by now or not; the one before it serves."""
        pair = state.pairs[slot]
        if state.live == slot:
            before = rollback_target(self.log(), pair, self.on_disk)
            self.activate(before, state, self.probe_of(before), rollback=True)
        else:
            self._give_up(slot, state.live)
        self._write_log(with_bad(self.log(), self._entry(pair, slot), reason))

    def remove(self) -> None:
        """Stop both slots and take away what was put on the host for them, the slots' directory last.

        As long as that is there an app has not been removed: whatever interrupts this, the next run goes on.
        """
        self.clear_trial()
        state = self.state()
        enabled = [unit.name for unit in state.units.values() if unit.enabled]
        if enabled:
            self._do(f"disable {' and '.join(enabled)} at boot", lambda: self.systemd.disable(*enabled))
        awake = [unit.name for unit in state.units.values() if not unit.stopped]
        if awake:
            # together: a connection that comes in between would start a service again
            self._do(f"drain and stop {' and '.join(awake)}", lambda: self.systemd.stop(*awake))
        its = [slot["drop_in"] for slot in self.paths["slots"].values()]
        its += [self.paths[name] for name in ("service_template", "socket_template", "tmpfiles", "run")]
        its += [self.paths[name] for name in ("current", "configs", "log")]
        for path in filter(os.path.lexists, its):
            self._do(f"remove {path}", lambda path=path: remove(path))
        for slot in self.paths["slots"].values():
            with contextlib.suppress(OSError):  # somebody else's drop-ins stay, and so does their directory
                if not self.dry:
                    os.rmdir(os.path.dirname(slot["drop_in"]))
        slots = self.paths["slots_directory"]
        if self.changes or os.path.lexists(slots):
            self._do("reload systemd's unit files", self.systemd.daemon_reload)
        if os.path.lexists(slots):
            self._do(f"remove {slots}", lambda: remove(slots))

    def clear_trial(self) -> None:
        """Stop and remove what is measured beside the slots, or what is left of it when the measuring was killed."""
        its = self.paths[TRIAL]
        if os.path.lexists(its["directory"]):
            self._do(f"stop and remove {TRIAL}", lambda: self._remove_trial(its))

    def _remove_trial(self, its: dict) -> None:
        units = self.systemd.show(self.paths["trial_proxy_unit"], its["socket_unit"], its["service_unit"])
        awake = [unit.name for unit in units.values() if unit.active != "inactive"]
        if awake:
            self.systemd.stop(*awake)
        remove(os.path.dirname(its["drop_in"]))
        self.systemd.daemon_reload()
        for config in os.listdir(self.paths["configs"]):
            directory = os.path.join(self.paths["configs"], config)
            if (read_text(os.path.join(directory, SERVICE_FILE)) or "").startswith(TRIAL_MARK):
                remove(directory)
        # what its workers have counted: systemd keeps it, as it does for the slots
        remove(os.path.join(self.paths["run"], "metrics", TRIAL))
        # last: as long as it is there, whatever interrupts this, the next run goes on
        remove(its["directory"])

    def _entry(self, pair: Pair, slot: str) -> dict:
        return {"release": pair.release, "config": pair.config, "slot": slot, "at": now(), "by": self.by}

    def _has_booted(self, slot: str, target: Pair, state: State, probe: Probe) -> bool:
        """Return whether *target* serves in *slot* already: booted for a hook, or by a run that was interrupted."""
        its = self.paths["slots"][slot]
        runs = state.pairs[slot] == target and self._all(its, state, lambda unit: unit.running)
        return runs and not wait_healthy(its["socket"], probe)

    def _give_up(self, slot: str, live: str | None) -> None:
        """Stop *slot*; if there is a *live* one beside it, make sure that it has the traffic."""
        its = self.paths["slots"][slot]
        if live:
            state = self.state()
            self.settle(live, state, self.probe_of(state.pairs[live]))
        else:
            self.systemd.disable(its["socket_unit"], its["service_unit"])
            for path in (self.paths["live_socket"], self.paths["tmpfiles"], self.paths["current"]):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
        self.systemd.stop(its["socket_unit"], its["service_unit"])

    def fill(self, slot: str, target: Pair, state: State) -> None:
        """Put *target* into the idle *slot*; whatever an interrupted run left running there is stopped first."""
        its = self.paths["slots"][slot]
        if not self._all(its, state, lambda unit: unit.stopped):
            self.systemd.stop(its["socket_unit"], its["service_unit"])
        replace_link(its["release"], f"../../releases/{target.release}")
        replace_link(its["config"], f"../../configs/{target.config}")
        settings = read_text(os.path.join(its["config"], SERVICE_FILE))
        if write_text(its["drop_in"], settings or "") or self._any(its, state, lambda unit: unit.needs_daemon_reload):
            self.systemd.daemon_reload()
        live = self.paths["slots"].get(state.live)  # None for a trial, too, which knows of no other slot
        if live and settings == read_text(live["drop_in"]):
            return  # as systemd understood it when that slot was filled
        misread = self.systemd.misread(its["service_unit"], its["drop_in"])
        if misread:
            raise ActivationError(f"systemd does not understand {its['drop_in']}: {misread}")

    def boot(self, slot: str, probe: Probe) -> None:
        """Start *slot* and wait until it serves and is healthy; raise ActivationError with what it said if not."""
        its = self.paths["slots"][slot]
        began = time.time()
        try:
            self.systemd.start(its["socket_unit"], its["service_unit"])
            reason = wait_healthy(its["socket"], probe)
        except SystemdError as exc:
            limit = " within asgi_server_boot_timeout" if "timeout was exceeded" in str(exc) else ""
            reason = f"{its['service_unit']} did not come to serve{limit}: {exc}".splitlines()[0]
        if reason:
            raise self.failure(slot, reason, began)

    def failure(self, slot: str, reason: str, began: float) -> ActivationError:
        """Return the error for *slot*, with what its instance has said since *began* and without secrets."""
        journal = self.systemd.journal(self.paths["slots"][slot]["service_unit"], began)
        pair = self._pair(slot)
        return ActivationError(self.hide(reason, pair), self.hide(journal, pair))

    def settle(self, slot: str, state: State, probe: Probe) -> None:
        """Make *slot* the one that takes traffic, now and after a reboot, and the other one idle; note what changed."""
        its, idle = self.paths["slots"][slot], self.paths["slots"][other(slot)]
        self._settle_unit_files(its, state)
        if not self._all(its, state, lambda unit: unit.running):
            self._do(f"start {its['service_unit']}", lambda: self.boot(slot, probe))
        self.flip(slot, state)
        awake = not self._all(idle, state, lambda unit: unit.stopped)
        if awake and not self.dry:
            # together: a connection that comes in between would start the service again; it drains while systemd is busy
            self.systemd.begin_stop(idle["socket_unit"], idle["service_unit"])
        if self._any(idle, state, lambda unit: unit.enabled):
            self._do(
                f"disable {other(slot)} at boot",
                lambda: self.systemd.disable(idle["socket_unit"], idle["service_unit"]),
            )
        if awake:
            self._do(
                f"drain and stop {other(slot)}", lambda: self.systemd.stop(idle["socket_unit"], idle["service_unit"])
            )

    def flip(self, slot: str, state: State) -> None:
        """Give *slot* the traffic, now and after a reboot; the other one keeps running.

        The order matters: a reboot between any two steps finds a slot that starts by itself and a link to it.
        """
        its = self.paths["slots"][slot]
        release = os.path.basename(read_link(its["release"]) or "")
        if not self._all(its, state, lambda unit: unit.enabled):
            # the other one, if it is enabled, is disabled later on, and systemd reads its units then
            read = not self._any(self.paths["slots"][other(slot)], state, lambda unit: unit.enabled)
            self._do(
                f"enable {slot} at boot",
                lambda: self.systemd.enable(its["socket_unit"], its["service_unit"], read=read),
            )
        if read_link(self.paths["live_socket"]) != f"{slot}.sock":
            self._do(f"flip to {slot}", lambda: replace_link(self.paths["live_socket"], f"{slot}.sock"))
        if read_text(self.paths["tmpfiles"]) != tmpfiles_text(self.paths, slot):
            self._do(
                f"remember {slot} for the next boot",
                lambda: write_text(self.paths["tmpfiles"], tmpfiles_text(self.paths, slot)),
            )
        if read_link(self.paths["current"]) != f"releases/{release}":
            self._do(
                f"point current at {release}",
                lambda: replace_link(self.paths["current"], f"releases/{release}"),
            )

    def _settle_unit_files(self, its: dict, state: State) -> None:
        settings = read_text(os.path.join(its["config"], SERVICE_FILE)) or ""
        if read_text(its["drop_in"]) != settings:
            self._do(f"restore {its['drop_in']}", lambda: write_text(its["drop_in"], settings))
            self._do("reload systemd's unit files", self.systemd.daemon_reload)
        elif self._any(its, state, lambda unit: unit.needs_daemon_reload):
            self._do("reload systemd's unit files", self.systemd.daemon_reload)

    def _do(self, change: str, action) -> None:
        self.changes.append(change)
        if not self.dry:
            action()

    def _units(self, its: dict, state: State) -> list[Unit]:
        return [state.units[its["socket_unit"]], state.units[its["service_unit"]]]

    def _all(self, its: dict, state: State, test) -> bool:
        return all(test(unit) for unit in self._units(its, state))

    def _any(self, its: dict, state: State, test) -> bool:
        return any(test(unit) for unit in self._units(its, state))

    def _write_log(self, log: list) -> None:
        write_text(self.paths["log"], json.dumps(log, indent=1) + "\n", mode=0o600)

    def _prune_configs(self) -> None:
        """Remove the configurations that neither a slot nor a kept release needs any more."""
        kept = {pair.config for pair in map(self._pair, self.paths["slots"]) if pair}
        kept |= {entry["config"] for entry in self.log() if self.on_disk(Pair(entry["release"], entry["config"]))}
        for name in os.listdir(self.paths["configs"]):
            if name not in kept:
                # renamed first: what a crash leaves of it is not taken for a whole one
                leaving = os.path.join(self.paths["configs"], f".old-{name}")
                os.replace(os.path.join(self.paths["configs"], name), leaving)
                shutil.rmtree(leaving)
