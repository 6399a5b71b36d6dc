#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write files of HAProxy's configuration that it accepts, and have it load them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_site
short_description: Write files of HAProxy's configuration that it accepts, and have it load them
version_added: 0.2.0
description:
  - Writes files below C(/etc/haproxy/asgi), which C(haproxy.service) is made to read in place of C(haproxy.cfg), after
    C(haproxy -c) has accepted a private copy that has them. What HAProxy refuses never reaches the disk.
  - Puts together what HAProxy looks host names up in, from what the file of each app says about itself. A name that
    another app has on the same port is refused.
  - Reloads HAProxy if it runs and something was written or has changed since it read its files, so a run that was
    interrupted between the two is made good by the next one. Otherwise HAProxy is left alone. A reload closes no
    connection.
  - Waits until HAProxy has a new worker. If it gets none, the former files are put back and the module fails.
  - Does not start HAProxy. Restarts it when it runs with other files than these.
options:
  files:
    description:
      - The files, by name below C(/etc/haproxy/asgi), with their text. A file without a text (V(null)) is removed.
      - An app's is C(asgi-<app>.cfg), and has lines such as C(# Serves on port 443 with <certificate>:), C(# Redirects
        on port 80 to 443:) and C(# Challenges on port 80 to <backend>:), followed by its names.
    type: dict
    required: true
  drop_in:
    description:
      - The text of the drop-in that makes C(haproxy.service) read these files.
    type: str
    required: true
  runtime:
    description:
      - The text of the program that the drop-in has HAProxy's state saved with.
    type: str
    required: true
  watch:
    description:
      - Other files that the configuration names, such as certificates. HAProxy is reloaded if one has changed since it
        read them.
      - If one does not exist yet, check mode does not ask HAProxy what it thinks of the files.
    type: list
    elements: path
    default: []
  ports:
    description:
      - The ports that the app listens on. The module fails if another program than HAProxy holds one.
    type: list
    elements: int
    default: []
  change_port:
    description:
      - Whether what all apps of a port have to agree on may change although there are others on that port. A file says it
        in a line such as C(# Agreed on port 443:) with names and values.
      - The module fails if it may not.
    type: bool
    default: false
  take_over:
    description:
      - Whether C(haproxy.cfg) may be read no longer although it is not as the package left it.
      - The module fails if it may not.
    type: bool
    default: false
attributes:
  check_mode:
    description: Can run in check mode, without HAProxy on the host as well.
    support: full
  diff_mode:
    description: Shows the text of each file before and after.
    support: full
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Balance an app no longer
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
  description: Whether HAProxy was reloaded, or restarted to read other files than before.
  type: bool
  returned: success
in_use:
  description: Whether the balancer has an app.
  type: bool
  returned: success
"""

import hashlib
import tempfile
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.asgi.deploy.plugins.module_utils import haproxy_site as decide
from ansible_collections.asgi.deploy.plugins.module_utils.checked_files import (
    CheckedFiles,
    Refused,
    copy_configuration,
    refuse_bad_files,
    sole_change,
)
from ansible_collections.asgi.deploy.plugins.module_utils.daemon_files import conffile_digest
from ansible_collections.asgi.deploy.plugins.module_utils.files import read_text
from ansible_collections.asgi.deploy.plugins.module_utils.layout import BALANCER, BALANCER_LOCK
from ansible_collections.asgi.deploy.plugins.module_utils.workers import children

UNIT = "haproxy.service"
SITES = Path(BALANCER)
RUNTIME = SITES / "runtime.py"
DROP_IN = Path(f"/etc/systemd/system/{UNIT}.d/asgi.conf")
PACKAGED = Path("/etc/haproxy/haproxy.cfg")

CHANGED = Path("/run/asgi-haproxy.changed")
LOADED = Path("/run/asgi-haproxy.loaded")

RELOAD_SECONDS = 30


class Site(CheckedFiles):
    def __init__(self, module: AnsibleModule) -> None:
        self.haproxy = module.get_bin_path("haproxy", opt_dirs=["/usr/sbin"])
        given = module.params["files"]
        there = {path.name: read_text(str(path), errors="replace") for path in SITES.glob("*") if path.is_file()}
        self.after = {name: text for name, text in {**there, **given}.items() if text is not None}
        lookups = decide.composed(self.after)
        gone = decide.unneeded({**self.after, **lookups})
        self.needed = bool(decide.uses(self.after))
        # what others name comes first and goes last: HAProxy may be started between any two
        wanted = {
            DROP_IN: module.params["drop_in"] if self.needed else None,
            RUNTIME: module.params["runtime"] if self.needed else None,
            **{SITES / name: text for name, text in lookups.items()},
            **{SITES / name: text for name, text in given.items()},
            **{SITES / name: None for name in gone},
        }
        super().__init__(module, UNIT, wanted, CHANGED, LOADED)

    @property
    def reads_these(self) -> bool:
        """Whether the HAProxy that runs was started with these files."""
        command = (read_text(f"/proc/{self.service.main_pid}/cmdline") or "").split("\0")
        return str(SITES) in command

    @property
    def on_other_files(self) -> bool:
        """Whether HAProxy runs with other files than it is to have; so it does if a run ended before systemd was told."""
        return self.service.running and self.needed != self.reads_these

    def refuse_foreign_configuration(self) -> None:
        """Refuse to put somebody's own configuration out of use."""
        if DROP_IN.exists() or not self.needed or not PACKAGED.exists():
            return
        _status, out, _err = self.module.run_command(["dpkg-query", "--show", "--showformat=${Conffiles}", "haproxy"])
        if hashlib.md5(PACKAGED.read_bytes(), usedforsecurity=False).hexdigest() != conffile_digest(out, str(PACKAGED)):
            raise Refused(
                f"{PACKAGED} is not as the package left it, and HAProxy would read {SITES} in its place: move what it "
                f"does to another host, or say that it can go with asgi_balancer_take_over (option take_over)"
            )

    def refuse_names_of_others(self) -> None:
        twice = decide.served_twice(self.after, set(self.module.params["files"]))
        if twice:
            raise Refused(
                f"another app of this balancer has {' and '.join(twice)} already, so nothing was changed: choose another "
                f"name, or take that one away"
            )

    def others_on(self, port: int) -> list:
        """Return the files of the other apps of *port*."""
        return [
            str(SITES / name) for name in decide.apps_on(self.after, port) if name not in self.module.params["files"]
        ]

    def refuse_what_haproxy_refuses(self) -> None:
        """Have HAProxy check a copy of its files with the changes made; refuse if it does not like them."""
        changes = {path: text for path, text in self.changes.items() if path.parent == SITES}
        with tempfile.TemporaryDirectory(dir=self.module.tmpdir) as directory:
            copy = Path(directory) / "etc"
            moves = {f"{SITES}/": f"{copy}/"}
            copy_configuration(SITES, copy, moves, changes)
            status, out, err = self.module.run_command([self.haproxy, "-c", "-f", str(copy)])
        if status:
            raise Refused(f"HAProxy refuses this, so nothing was changed: {decide.readable(err or out, moves)}")
        for warning in decide.warnings(err, moves):
            self.module.warn(f"HAProxy: {warning}")

    def reload(self) -> None:
        """Have HAProxy load what is on the disk; refuse, with the former files back, if it does not."""
        verb = "restart" if self.on_other_files else "reload"
        workers, asked = children(self.service.main_pid), time.time()
        status, out, err = self._systemctl(verb)
        # systemctl only passes the word on: the files are taken when there is a worker that was not there before
        while verb == "reload" and not status and not children(self.service.main_pid) - workers:
            if time.time() - asked > RELOAD_SECONDS:
                status, out, err = 1, "", f"it has no new worker after {RELOAD_SECONDS} s; its journal may say why"
            time.sleep(0.02)
        if status:
            self.restore()
            self._systemctl("restart" if verb == "restart" else "reload")
            raise Refused(f"HAProxy did not load the files, and the former ones are back: {(err or out).strip()}")
        self.note_loaded(asked)

    def _systemctl(self, verb: str) -> tuple:
        self.tell_of_drop_in()
        return self.module.run_command(["systemctl", verb, UNIT])

    def tell_of_drop_in(self) -> None:
        """Have systemd read the drop-in, if it may not have: before HAProxy is started nothing shows whether it has."""
        if DROP_IN in self.changes or self.on_other_files or (self.needed and not self.service.running):
            self.module.run_command(["systemctl", "daemon-reload"])


def run(module: AnsibleModule) -> dict:
    refuse_bad_files(module.params["files"], ".cfg")
    site = Site(module)
    watched = all(Path(path).exists() for path in module.params["watch"])

    if not module.params["take_over"]:
        site.refuse_foreign_configuration()
    site.refuse_names_of_others()
    if site.changes or not site.service.running:
        site.refuse_held_ports(module.params["ports"])
    if not module.params["change_port"]:
        site.refuse_disagreement(site.others_on, "asgi_balancer")
    if site.changes and site.needed and site.haproxy and (watched or not module.check_mode):
        site.refuse_what_haproxy_refuses()
    if not site.haproxy and not module.check_mode and site.needed:
        raise Refused("there is no HAProxy on this host: install Debian's haproxy package first")

    if site.changes and not module.check_mode:
        site.write()
    reloads = site.service.running and bool(
        site.changes or site.on_other_files or site.has_unloaded_changes(module.params["watch"])
    )
    if reloads and not module.check_mode:
        site.reload()
    elif not module.check_mode:
        site.tell_of_drop_in()
    return {**site.result(reloads), "in_use": site.needed}


def main():
    module = AnsibleModule(
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
    with sole_change(module, BALANCER_LOCK, "haproxy_site", "HAProxy's files"):
        result = run(module)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
