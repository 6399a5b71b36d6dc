#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write nginx sites that nginx accepts, and have it load them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_site
short_description: Write nginx sites that nginx accepts, and have it load them
version_added: 0.1.0
description:
  - Writes files below C(/etc/nginx/conf.d) after C(nginx -t) has accepted a private copy of C(/etc/nginx) that has
    them. What nginx refuses never reaches the disk.
  - Reloads nginx if it runs and something was written or has changed since it read its files, so a run that was
    interrupted between the two is made good by the next one. Otherwise nginx is left alone.
  - Waits until nginx has new workers. If it gets none, the former files are put back and the module fails.
  - Does not start nginx.
options:
  files:
    description:
      - The files, by name below C(/etc/nginx/conf.d), with their text. A file without a text (V(null)) is removed.
    type: dict
    required: true
  watch:
    description:
      - Other files that the sites name, such as certificates. nginx is reloaded if one has changed since it read them.
      - If one does not exist yet, check mode does not ask nginx what it thinks of the sites.
    type: list
    elements: path
    default: []
  ports:
    description:
      - The ports that the sites listen on. The module fails if another program than nginx holds one.
      - Of UDP it looks at the ports that O(files) say C(listen ... quic) of.
    type: list
    elements: int
    default: []
  change_port:
    description:
      - Whether what all sites of a port have to agree on may change although others listen on that port. A file says it
        in a line such as C(# Agreed on port 443:) with names and values.
      - The module fails if it may not.
    type: bool
    default: false
    version_added: 0.2.0
  default_site:
    description:
      - What becomes of C(/etc/nginx/sites-enabled/default).
      - V(remove_untouched) removes the link if it and the site are as the package left them, and fails if they are not.
      - V(remove) removes the link wherever it leads, V(keep) leaves it. A file in its place is never removed.
    type: str
    choices: [remove_untouched, remove, keep]
    default: keep
  prune:
    description:
      - Whether files that the apps of this collection share are removed when no app needs them, such as the default
        server of a port that none listens on any more.
    type: bool
    default: false
attributes:
  check_mode:
    description: Can run in check mode, without nginx on the host as well.
    support: full
  diff_mode:
    description: Shows the text of each file before and after.
    support: full
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Serve a redirect
  asgi.deploy.nginx_site:
    files:
      old.conf: |
        server {
            listen 80;
            server_name old.example.org;
            return 308 https://new.example.org$request_uri;
        }
    ports: [80]

- name: Serve it no longer
  asgi.deploy.nginx_site:
    files:
      old.conf:
"""

RETURN = r"""
written:
  description: The files that were written.
  type: list
  elements: str
  returned: success
removed:
  description: The files and links that were removed.
  type: list
  elements: str
  returned: success
reloaded:
  description: Whether nginx was reloaded.
  type: bool
  returned: success
"""

import hashlib
import re
import tempfile
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.asgi.deploy.plugins.module_utils import nginx_site as decide
from ansible_collections.asgi.deploy.plugins.module_utils.checked_files import (
    CheckedFiles,
    Refused,
    difference,
    is_there,
    refuse_bad_files,
    sole_change,
)
from ansible_collections.asgi.deploy.plugins.module_utils.daemon_files import conffile_digest
from ansible_collections.asgi.deploy.plugins.module_utils.files import read_link, read_text, replace_link
from ansible_collections.asgi.deploy.plugins.module_utils.nginx_copy import try_copy
from ansible_collections.asgi.deploy.plugins.module_utils.workers import children

CONFIGURATION = Path("/etc/nginx")
SITES = CONFIGURATION / "conf.d"
DEFAULT_LINK = CONFIGURATION / "sites-enabled/default"
DEFAULT_SITE = CONFIGURATION / "sites-available/default"
LOGS = Path("/var/log/nginx")
ERROR_LOG = LOGS / "error.log"

CHANGED = Path("/run/asgi-nginx.changed")
LOADED = Path("/run/asgi-nginx.loaded")

LOCK = "/run/asgi-nginx.lock"  # nginx is one for all apps of a host

RELOAD_SECONDS = 30
FAULT_SECONDS = 5  # nginx tries for 2.5 s to listen on a port


class Site(CheckedFiles):
    def __init__(self, module: AnsibleModule) -> None:
        self.nginx = module.get_bin_path("nginx", opt_dirs=["/usr/sbin"])
        wanted = {SITES / name: text for name, text in module.params["files"].items()}
        if module.params["prune"]:
            wanted.update(dict.fromkeys(_unneeded(wanted)))
        super().__init__(module, "nginx.service", wanted, CHANGED, LOADED)
        try:
            self.drops_default = decide.removes_default(
                module.params["default_site"],
                present=is_there(DEFAULT_LINK),
                is_link=DEFAULT_LINK.is_symlink(),
                untouched=self._default_untouched(),
            )
        except ValueError as exc:
            raise Refused(f"{DEFAULT_LINK} {exc} (option default_site; in the role, asgi_proxy_default_site)") from exc
        self.default_target = read_link(str(DEFAULT_LINK))

    @property
    def changes_files(self) -> bool:
        return super().changes_files or self.drops_default

    def _default_untouched(self) -> bool:
        if self.module.params["default_site"] != "remove_untouched" or not DEFAULT_LINK.is_symlink():
            return False
        if DEFAULT_LINK.resolve() != DEFAULT_SITE:
            return False
        _status, out, _err = self.module.run_command(
            ["dpkg-query", "--show", "--showformat=${Conffiles}", "nginx-common"]
        )
        try:
            digest = hashlib.md5(DEFAULT_SITE.read_bytes(), usedforsecurity=False).hexdigest()
        except OSError:
            return False
        return digest == conffile_digest(out, str(DEFAULT_SITE))

    def refuse_what_nginx_refuses(self) -> None:
        """Have nginx test a copy of its configuration with the changes made; refuse if it does not like them."""
        # for root only: there may be keys below /etc/nginx
        with tempfile.TemporaryDirectory(dir=self.module.tmpdir) as directory:
            self._test_copy(Path(directory))

    def _test_copy(self, directory: Path) -> None:
        changes = {**self.changes, DEFAULT_LINK: None} if self.drops_default else self.changes
        status, said = try_copy(self.module.run_command, self.nginx, directory, CONFIGURATION, LOGS, changes)
        if status:
            raise Refused(f"nginx refuses this, so nothing was changed: {said}")
        twice = decide.served_twice(said, [text for text in self.changes.values() if text])
        if twice:
            raise Refused(
                f"another site of this host serves {' and '.join(twice)} already, and nginx would ignore one of them, "
                f"so nothing was changed: choose another name, or remove that site"
            )
        for warning in decide.warnings(said):
            self.module.warn(f"nginx: {warning}")

    def others_on(self, port: int) -> list:
        """Return the sites of others that listen on *port*."""
        return [
            str(other)
            for other in sorted(SITES.glob("*.conf"))
            # "asgi-0..." are no sites but what they share
            if other not in self.wanted
            and not other.name.startswith("asgi-0")
            and decide.listens_on(read_text(str(other), errors="replace") or "", port)
        ]

    def write(self) -> None:
        if not SITES.is_dir():
            raise Refused(f"{SITES} does not exist: is Debian's nginx package installed?")
        # first, so that no crash leaves two default servers, with which nginx could not start
        if self.drops_default:
            self.note_change()
            DEFAULT_LINK.unlink()
        super().write()

    def restore(self) -> None:
        super().restore()
        if self.drops_default:
            replace_link(str(DEFAULT_LINK), self.default_target)

    def reload(self) -> None:
        """Have nginx load what is on the disk; refuse, with the former files back, if it does not."""
        workers = children(self.service.main_pid)
        said_before = _size(ERROR_LOG)
        asked = time.time()
        status, out, err = self.module.run_command(["systemctl", "reload", "nginx.service"])
        if status:
            self.restore()
            _status, out2, err2 = self.module.run_command([self.nginx, "-t", "-q"])
            raise Refused(
                f"nginx was not reloaded, and the former files are back: {(err or out).strip()} "
                f"{decide.readable(err2 or out2, {})}"
            )
        # systemctl only passes the word on: nginx has taken the files when it has workers that were not there before
        while not children(self.service.main_pid) - workers:
            waited = time.time() - asked
            faults = re.findall(r".*\[(?:emerg|alert)\].*", _tail(ERROR_LOG, said_before))
            if waited > RELOAD_SECONDS or (faults and waited > FAULT_SECONDS):
                self.restore()
                said = "\n".join(dict.fromkeys(faults)) or f"{ERROR_LOG} does not say why"
                raise Refused(f"nginx did not load the files, and the former ones are back: {said}")
            time.sleep(0.02)
        self.note_loaded(asked)

    def diff(self) -> list:
        dropped = [difference(DEFAULT_LINK, f"-> {self.default_target}\n", "")] if self.drops_default else []
        return super().diff() + dropped

    def result(self, reloaded: bool) -> dict:
        found = super().result(reloaded)
        return {**found, "removed": found["removed"] + ([str(DEFAULT_LINK)] if self.drops_default else [])}


def _unneeded(wanted):
    there = {path: read_text(str(path), errors="replace") for path in SITES.glob("asgi-*.conf")}
    after = {path.name: text for path, text in {**there, **wanted}.items() if text is not None}
    return [SITES / name for name in decide.unneeded(after)]


def _size(path):
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _tail(path, offset):
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            file.seek(offset)
            return file.read()
    except OSError:
        return ""


def run(module: AnsibleModule) -> dict:
    refuse_bad_files(module.params["files"], ".conf")
    site = Site(module)
    watched = all(Path(path).exists() for path in module.params["watch"])

    if site.changes_files or not site.service.running:
        texts = [text for text in site.wanted.values() if text]
        site.refuse_held_ports(module.params["ports"], udp=decide.quic_ports(texts))
    if not module.params["change_port"]:
        site.refuse_disagreement(site.others_on, "asgi_proxy")
    if site.changes_files and site.nginx and (watched or not module.check_mode):
        site.refuse_what_nginx_refuses()
    if not site.nginx and not module.check_mode and any(text is not None for text in site.wanted.values()):
        raise Refused("there is no nginx on this host: install Debian's nginx package first")

    if site.changes_files and not module.check_mode:
        site.write()
    reloads = site.service.running and (site.changes_files or site.has_unloaded_changes(module.params["watch"]))
    if reloads and not module.check_mode:
        site.reload()
    return site.result(reloads)


def main():
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "dict", "required": True},
            "watch": {"type": "list", "elements": "path", "default": []},
            "ports": {"type": "list", "elements": "int", "default": []},
            "change_port": {"type": "bool", "default": False},
            "default_site": {"type": "str", "choices": ["remove_untouched", "remove", "keep"], "default": "keep"},
            "prune": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    with sole_change(module, LOCK, "nginx_site", "nginx's sites"):
        result = run(module)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
