#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write configuration files that HAProxy accepts, and reload HAProxy."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_site
short_description: Write configuration files that HAProxy accepts, and reload HAProxy
version_added: 1.0.0
description:
  - Writes files in C(/etc/haproxy/asgi), which C(haproxy.service) reads instead of C(haproxy.cfg), after C(haproxy -c) has accepted a
    private copy with these files. A configuration that HAProxy rejects is never written.
  - Generates HAProxy's maps of host names from comments in the files of the apps. Fails if another app uses a name on the same port.
  - Reloads a running HAProxy if files were written or have changed since HAProxy read them. If a run is interrupted before the
    reload, the next run therefore reloads HAProxy. A reload closes no connections.
  - Also reloads HAProxy if it serves an app with a certificate other than the one in the file.
  - Waits until HAProxy has a new worker. Without a new worker, restores the previous files and fails.
  - Does not start HAProxy. Restarts a running HAProxy that was started with different files.
options:
  files:
    description:
      - Texts of the files in C(/etc/haproxy/asgi) by name. V(null) removes a file.
      - The file of an app is C(asgi-<app>.cfg). It contains comments such as C(# Serves on port 443 with <certificate>:), C(# Redirects
        on port 80 to 443:) and C(# Challenges on port 80 to <backend>:), followed by names.
    type: dict
    required: true
  drop_in:
    description: Text of the drop-in for C(haproxy.service) that selects these files.
    type: str
    required: true
  runtime:
    description: Text of the program with which the drop-in saves HAProxy's state.
    type: str
    required: true
  watch:
    description:
      - Other files that the configuration uses, such as certificates. HAProxy is reloaded if one of them has changed since it read them.
      - If one of them does not exist yet, check mode does not test the configuration.
    type: list
    elements: path
    default: []
  ports:
    description: Ports that the app listens on. The module fails if a program other than HAProxy uses one of them.
    type: list
    elements: int
    default: []
  change_port:
    description:
      - Whether to allow changes of the settings that all apps on a port share, although other apps use the port. A file records these
        settings in a line such as C(# Agreed on port 443:) with names and values.
      - With V(false), the module fails if such a setting would change.
    type: bool
    default: false
  take_over:
    description:
      - Whether to continue if C(haproxy.cfg) was changed since its installation. HAProxy then no longer reads this file.
      - With V(false), the module fails in this case.
    type: bool
    default: false
attributes:
  check_mode:
    description: Can run in check mode, even if HAProxy is not installed.
    support: full
  diff_mode:
    description: Shows the text of each file before and after.
    support: full
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Remove an app
  asgi.deploy.haproxy_site:
    files:
      asgi-shop.cfg:
    drop_in: "{{ drop_in }}"
    runtime: "{{ runtime }}"
"""

RETURN = r"""
written:
  description: The files that were written.
  type: list
  elements: str
  returned: success
removed:
  description: The files that were removed.
  type: list
  elements: str
  returned: success
reloaded:
  description: Whether HAProxy was reloaded, or restarted to read different files.
  type: bool
  returned: success
in_use:
  description: Whether the balancer serves any app.
  type: bool
  returned: success
"""

import tempfile
import time
from pathlib import Path

from ansible_collections.asgi.deploy.plugins.module_utils._app.workers import children
from ansible_collections.asgi.deploy.plugins.module_utils._balancer import haproxy_site as decide
from ansible_collections.asgi.deploy.plugins.module_utils._host.checked_files import (
    CheckedFiles,
    Refused,
    copy_configuration,
    exclusive_change,
    refuse_bad_files,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.connection_limits import most_open_files
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import read_text
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import BALANCER, BALANCER_LOCK, UNITS
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.site_check import SAMPLE_LABEL
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.site_requests import certificate_in, served_certificate

UNIT = "haproxy.service"
SITES = Path(BALANCER)
RUNTIME = SITES / "runtime.py"
DROP_IN = Path(f"{UNITS}/{UNIT}.d/asgi.conf")
PACKAGED = Path("/etc/haproxy/haproxy.cfg")

CHANGED = Path("/run/asgi-haproxy.changed")
LOADED = Path("/run/asgi-haproxy.loaded")

RELOAD_SECONDS = 30


class Site(CheckedFiles):
    def __init__(self, module: HostModule) -> None:
        self.haproxy = module.get_bin_path("haproxy", opt_dirs=["/usr/sbin"])
        given = module.params["files"]
        current = {path.name: read_text(str(path), errors="replace") for path in SITES.glob("*") if path.is_file()}
        self.after = {name: text for name, text in {**current, **given}.items() if text is not None}
        lookups = decide.lookup_files(self.after)
        unneeded = decide.unneeded({**self.after, **lookups})
        self.needed = bool(decide.uses(self.after))
        lookups.update(decide.limits(self.after, most_open_files()) if self.needed else {})
        # Files that other files depend on are written first and removed last, because HAProxy could start in between.
        wanted = {
            DROP_IN: module.params["drop_in"] if self.needed else None,
            RUNTIME: module.params["runtime"] if self.needed else None,
            **{SITES / name: text for name, text in lookups.items()},
            **{SITES / name: text for name, text in given.items()},
            **{SITES / name: None for name in unneeded},
        }
        super().__init__(module, UNIT, wanted, CHANGED, LOADED)

    @property
    def runs_these_files(self) -> bool:
        """Whether the running HAProxy was started with these files."""
        command = (read_text(f"/proc/{self.service.main_pid}/cmdline") or "").split("\0")
        return str(SITES) in command

    @property
    def runs_other_files(self) -> bool:
        """Whether HAProxy was started with the wrong files, for example after a run that was interrupted before systemd's reload."""
        return self.service.running and self.needed != self.runs_these_files

    def refuse_foreign_configuration(self) -> None:
        """Refuse to disable a changed haproxy.cfg."""
        if DROP_IN.exists() or not self.needed or not PACKAGED.exists():
            return
        if not self.is_unchanged_conffile(PACKAGED, "haproxy"):
            raise Refused(
                f"{PACKAGED} was changed since its installation, and HAProxy would read {SITES} instead -> move its services to "
                f"another host, or set asgi_balancer_take_over (option take_over) to disable it"
            )

    def refuse_served_names(self) -> None:
        """Refuse names that another app serves on the same port."""
        duplicates = decide.duplicate_names(self.after, set(self.module.params["files"]))
        if duplicates:
            raise Refused(
                f"another app of this balancer already serves {' and '.join(duplicates)}; nothing was changed -> choose another "
                f"name, or remove that app"
            )

    def others_on(self, port: int) -> list:
        """Return the files of the other apps on *port*."""
        return [
            str(SITES / name) for name in decide.apps_on(self.after, port) if name not in self.module.params["files"]
        ]

    def refuse_invalid_configuration(self) -> None:
        """Refuse the changes if HAProxy rejects a copy of its files with these changes."""
        changes = {path: text for path, text in self.changes.items() if path.parent == SITES}
        with tempfile.TemporaryDirectory(dir=self.module.tmpdir) as directory:
            copy = Path(directory) / "etc"
            moves = {f"{SITES}/": f"{copy}/"}
            copy_configuration(SITES, copy, moves, changes)
            status, out, err = self.module.run_command([self.haproxy, "-c", "-f", str(copy)])
        if status:
            raise Refused(
                f"HAProxy rejects the configuration, and nothing was changed: {decide.error_lines(err or out, moves)}",
                "haproxy-config-rejected",
            )
        for warning in decide.warnings(err, moves):
            self.module.warn(f"HAProxy: {warning}")

    def serves_other_certificates(self) -> bool:
        """Return whether HAProxy serves an app with a certificate other than the one in its file."""
        for use in decide.uses({name: text for name, text in self.module.params["files"].items() if text}):
            wanted = certificate_in(use.certificate) if use.certificate else None
            if wanted:
                served = served_certificate(use.names[0].replace("*", SAMPLE_LABEL, 1), use.port)
                if served and served != wanted:
                    return True
        return False

    def reload(self) -> None:
        """Reload HAProxy; restore the previous files and raise Refused if the reload fails."""
        verb = "restart" if self.runs_other_files else "reload"
        workers, load_time, began = children(self.service.main_pid), self.begin_load(), time.monotonic()
        status, out, err = self._systemctl(verb)
        # systemctl only sends the signal. A new worker shows that HAProxy has loaded the files.
        while verb == "reload" and not status and not children(self.service.main_pid) - workers:
            if time.monotonic() - began > RELOAD_SECONDS:
                status, out, err = 1, "", f"no new worker after {RELOAD_SECONDS} s; see its journal"
            time.sleep(0.02)
        if status:
            self.restore()
            self._systemctl("restart" if verb == "restart" else "reload")
            raise Refused(
                f"HAProxy did not load the files, and the previous files were restored: {(err or out).strip()}",
                "haproxy-not-reloaded",
            )
        self.note_loaded(load_time)

    def _systemctl(self, verb: str) -> tuple:
        self.reload_systemd()
        return self.module.run_command(["systemctl", verb, UNIT])

    def reload_systemd(self) -> None:
        """Make systemd read the drop-in, unless HAProxy runs with these files, which shows that systemd has read it."""
        if DROP_IN in self.changes or self.runs_other_files or (self.needed and not self.service.running):
            self.module.run_command(["systemctl", "daemon-reload"])


def run(module: HostModule) -> dict:
    refuse_bad_files(module.params["files"], (".cfg",))
    site = Site(module)
    watched = all(Path(path).exists() for path in module.params["watch"])

    if not module.params["take_over"]:
        site.refuse_foreign_configuration()
    site.refuse_served_names()
    if site.changes or not site.service.running:
        site.refuse_held_ports(module.params["ports"])
    if not module.params["change_port"]:
        site.refuse_disagreement(site.others_on, "asgi_balancer")
    if site.changes and site.needed and site.haproxy and (watched or not module.check_mode):
        site.refuse_invalid_configuration()
    if not site.haproxy and not module.check_mode and site.needed:
        raise Refused("HAProxy is not installed on this host -> install Debian's haproxy package first")

    if site.changes and not module.check_mode:
        site.write()
    reloads = site.service.running and bool(
        site.changes
        or site.runs_other_files
        or site.has_unloaded_changes(module.params["watch"])
        or site.serves_other_certificates()
    )
    if reloads and not module.check_mode:
        site.reload()
    elif not module.check_mode:
        site.reload_systemd()
    return {**site.result(reloads), "in_use": site.needed}


def main():
    module = HostModule(
        argument_spec={
            "files": {"type": "dict", "required": True},
            "drop_in": {"type": "str", "required": True},
            "runtime": {"type": "str", "required": True},
            "watch": {"type": "list", "elements": "path", "default": []},
            "ports": {"type": "list", "elements": "int", "default": []},
            "change_port": {"type": "bool", "default": False},
            "take_over": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    with exclusive_change(module, BALANCER_LOCK, "haproxy_site", "HAProxy's files"):
        result = run(module)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
