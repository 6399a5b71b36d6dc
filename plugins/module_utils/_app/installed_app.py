# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of an app on this host, read from its files and from systemd. This module never changes the host."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
from typing import Callable, NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._app.probe import Probe
from ansible_collections.asgi.deploy.plugins.module_utils._app.process_files import is_secret
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_log import DamagedLog, Pair, read_log
from ansible_collections.asgi.deploy.plugins.module_utils._host.environment import (
    app_environment,
    describe_environment,
    hide,
    parse_environment,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import read_link, read_text
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import SLOTS, process_unit_pattern
from ansible_collections.asgi.deploy.plugins.module_utils._host.systemd import Systemd, Unit

# Names of the files in a configuration.
ENV_FILE = "env"
SERVICE_FILE = "service.conf"
PROBE_FILE = "probe.json"


def config_digest(files: dict[str, str]) -> str:
    """Return the name of the configuration that consists of *files*; equal files have equal names."""
    digest = hashlib.sha256()
    for name, text in sorted(files.items()):
        digest.update(f"\0{name}\0{len(text)}\0{text}".encode())
    return digest.hexdigest()[:12]


class State(NamedTuple):
    """The live slot, the release and configuration in each slot, and the slots' units, including those of processes and timers."""

    live: str | None
    pairs: dict[str, Pair | None]
    units: dict[str, Unit]

    @property
    def live_pair(self) -> Pair | None:
        return self.pairs[self.live] if self.live else None

    def slot_units(self, slot_paths: dict[str, str]) -> list[Unit]:
        return [self.units[slot_paths["socket_unit"]], self.units[slot_paths["service_unit"]]]

    def all_units(self, slot_paths: dict[str, str], test: Callable[[Unit], bool]) -> bool:
        return all(map(test, self.slot_units(slot_paths)))

    def any_unit(self, slot_paths: dict[str, str], test: Callable[[Unit], bool]) -> bool:
        return any(map(test, self.slot_units(slot_paths)))


class InstalledApp:
    """An app with the layout *paths*."""

    def __init__(self, paths: dict, systemd: Systemd) -> None:
        self.paths = paths
        self.systemd = systemd

    def state(self) -> State:
        names = [slot[unit] for slot in self.paths["slots"].values() for unit in ("service_unit", "socket_unit")]
        names += [unit for slot in self.paths["slots"] for unit in self.installed_process_units(slot)]
        return State(
            live=self.live_slot(),
            pairs={slot: self._pair(slot) for slot in self.paths["slots"]},
            units=self.systemd.show(*names),
        )

    def installed_process_units(self, slot: str) -> list[str]:
        """Return the units of the processes and timers whose unit files are installed for *slot*, and the target that starts them."""
        units = glob.escape(self.paths["units"])
        target = self.paths["slots"][slot]["target"]
        found = glob.glob(os.path.join(units, process_unit_pattern(self.paths["name"], slot)))
        found += glob.glob(os.path.join(units, glob.escape(target)))
        return sorted(map(os.path.basename, found))

    def live_slot(self) -> str | None:
        """Return the slot that receives the traffic, without querying systemd."""
        target = read_link(self.paths["live_socket"])
        if target is None:  # for example after a reboot without systemd-tmpfiles
            found = re.search(r"^L\+ .* (\w+\.sock)$", read_text(self.paths["tmpfiles"]) or "", re.MULTILINE)
            target = found.group(1) if found else ""
        slot = target.replace(".sock", "")
        return slot if slot in SLOTS else None

    def _pair(self, slot: str) -> Pair | None:
        release = read_link(self.paths["slots"][slot]["release"])
        config = read_link(self.paths["slots"][slot]["config"])
        return Pair(os.path.basename(release), os.path.basename(config)) if release and config else None

    def live_pair(self) -> Pair | None:
        """Return the live release and configuration without querying systemd."""
        slot = self.live_slot()
        return self._pair(slot) if slot else None

    def staged(self) -> str | None:
        """Return the id of the release that the asgi_app role staged last."""
        target = read_link(self.paths["staged"])
        return os.path.basename(target) if target else None

    def on_disk(self, pair: Pair) -> bool:
        return os.path.exists(os.path.join(self.paths["releases"], pair.release, "release.json")) and os.path.isdir(
            os.path.join(self.paths["configs"], pair.config)
        )

    def config_files(self, pair: Pair | None) -> dict:
        """Return the files of a configuration by name, without the environments."""
        if pair is None:
            return {}
        directory = os.path.join(self.paths["configs"], pair.config)
        names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
        return {
            name: read_text(os.path.join(directory, name)) for name in names if name != ENV_FILE and not is_secret(name)
        }

    def environment(self, pair: Pair | None) -> dict[str, str]:
        """Return the environment of a configuration."""
        text = read_text(os.path.join(self.paths["configs"], pair.config, ENV_FILE)) if pair else ""
        return parse_environment(text or "")

    def process_secrets(self, pair: Pair | None) -> list[str]:
        """Return the values in the environments of the processes of a configuration."""
        directory = os.path.join(self.paths["configs"], pair.config) if pair else ""
        files = [name for name in (os.listdir(directory) if os.path.isdir(directory) else ()) if is_secret(name)]
        texts = [read_text(os.path.join(directory, name)) for name in files]
        return [value for text in texts for value in parse_environment(text or "").values()]

    def hide(self, text: str, pair: Pair | None) -> str:
        """Return *text* without the values that the user set in the environment of *pair*."""
        defaults = app_environment(self.paths, {})
        secrets = {name: value for name, value in self.environment(pair).items() if value != defaults.get(name)}
        return hide(hide(text, secrets), dict(enumerate(self.process_secrets(pair))))

    def serving(self) -> str:
        """Return a sentence about the live release for a message."""
        state = self.state()
        if state.live_pair is None:
            return "no release is live"
        unit = state.units[self.paths["slots"][state.live]["service_unit"]]
        if not unit.running:
            return f"release {state.live_pair.release} has the traffic in slot {state.live}, but {unit.name} is {unit.active}"
        return f"release {state.live_pair.release} keeps serving in slot {state.live}"

    def describe(self, pair: Pair | None, files: dict, environment: str) -> str:
        """Return one side of a diff: the release, the names of the environment variables, and the files."""
        if pair is None:
            return ""
        parts = [f"release: {pair.release}", *environment.splitlines()]
        for name, text in sorted(files.items()):
            # Omit the workers' code, which changes only when the collection is upgraded.
            if not name.endswith(".py") or name.endswith(".conf.py"):
                parts += [f"--- {name}", text.rstrip()]
        return "\n".join(parts) + "\n"

    def difference(self, live: Pair | None, target: Pair, files: dict, environment: dict[str, str]) -> dict:
        """Return an Ansible diff from *live* to *target*. *files* and *environment* are those of *target*."""
        if live == target:
            return {"before": "", "after": ""}
        before = self.environment(live)
        shown = {name: text for name, text in files.items() if name != ENV_FILE and not is_secret(name)}
        return {
            "before_header": "live",
            "after_header": "to be live",
            "before": self.describe(live, self.config_files(live), describe_environment(before, before)),
            "after": self.describe(target, shown, describe_environment(environment, before)),
        }

    def log(self) -> list:
        try:
            return read_log(self.paths["log"])
        except DamagedLog as exc:
            raise DamagedLog(
                f"{exc}. The app is not affected -> run deploy.yml, which moves the file to "
                f"{self.paths['damaged_log']} and starts a new log with the live release"
            ) from exc

    def probe_of(self, pair: Pair) -> Probe:
        text = read_text(os.path.join(self.paths["configs"], pair.config, PROBE_FILE))
        return Probe.from_dict(json.loads(text or "{}"))

    def service_settings(self, slot_paths: dict[str, str]) -> str:
        """Return the text of the systemd drop-in in a slot's configuration."""
        return read_text(os.path.join(slot_paths["config"], SERVICE_FILE)) or ""

    def reload_seconds(self, pair: Pair) -> int:
        """Return the seconds that workers may take to boot and drain: the sum of both timeouts in the configuration's systemd settings."""
        settings = read_text(os.path.join(self.paths["configs"], pair.config, SERVICE_FILE)) or ""
        return sum(map(int, re.findall(r"^Timeout(?:Start|Stop)Sec=(\d+)$", settings, re.MULTILINE)))
