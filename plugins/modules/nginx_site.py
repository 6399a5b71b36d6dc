#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write nginx sites that nginx accepts, and reload nginx."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_site
short_description: Write nginx sites that nginx accepts, and reload nginx
version_added: 1.0.0
description:
  - Writes files in C(/etc/nginx/conf.d) after C(nginx -t) has accepted a private copy of C(/etc/nginx) with these files. A configuration
    that nginx rejects is never written.
  - Reloads a running nginx if files were written or have changed since nginx read them. If a run is interrupted before the reload,
    the next run therefore reloads nginx.
  - Also reloads nginx if it serves a site of this collection with a certificate other than the one in the file.
  - Waits until nginx has new workers. Without new workers, restores the previous files and fails.
  - Does not start nginx.
  - Creates the log files named in O(files) before nginx opens them, and repairs the permissions of existing ones and their rotated
    copies. Only root, nginx's workers and the group C(adm) can read them. The same applies to the logs that C(nginx.conf) sets for
    servers without their own logs.
options:
  files:
    description:
      - Texts of the files in C(/etc/nginx/conf.d) by name. V(null) removes a file.
      - Names end in C(.conf), or in C(.inc) for files that sites include.
    type: dict
    required: true
  watch:
    description:
      - Other files that the sites use, such as certificates. nginx is reloaded if one of them has changed since it read them.
      - If one of them does not exist yet, check mode does not test the configuration.
    type: list
    elements: path
    default: []
  ports:
    description:
      - Ports that the sites listen on. The module fails if a program other than nginx uses one of them.
      - The UDP ports in the C(listen ... quic) directives of O(files) are checked in the same way.
    type: list
    elements: int
    default: []
  change_port:
    description:
      - Whether to allow changes of the settings that all sites on a port share, although other sites listen on the port. A file records
        these settings in a line such as C(# Agreed on port 443:) with names and values.
      - With V(false), the module fails if such a setting would change.
    type: bool
    default: false
  default_site:
    description:
      - Whether to remove C(/etc/nginx/sites-enabled/default).
      - V(remove_untouched) removes the symlink if the symlink and the site are unchanged since their installation, and fails otherwise.
      - V(remove) removes the symlink in any case, V(keep) keeps it. A regular file is never removed.
    type: str
    choices: [remove_untouched, remove, keep]
    default: keep
  prune:
    description:
      - Whether to remove shared files of this collection that no app needs, such as the default server of a port that no app listens on.
    type: bool
    default: false
  limits:
    description:
      - Whether to set nginx's limits to values that suffice for the sites of this collection. These are the sizes of its hashes, in a
        separate file, and C(worker_connections) and C(worker_rlimit_nofile) in C(nginx.conf).
      - The values in C(nginx.conf) depend on the largest number of clients that a site records in a comment C(# Clients:). Larger
        existing values are kept. The previous values are restored once no site records a number.
      - The module does not set a directive that another file in C(/etc/nginx) sets. If nginx rejects the limits, the module
        prints a warning and continues without them.
    type: bool
    default: false
attributes:
  check_mode:
    description: Can run in check mode, even if nginx is not installed.
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

- name: Remove the redirect
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
protected:
  description: The log files that were created or whose permissions were repaired.
  type: list
  elements: str
  returned: success
reloaded:
  description: Whether nginx was reloaded.
  type: bool
  returned: success
"""

import re
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from ansible_collections.asgi.deploy.plugins.module_utils._app.workers import children
from ansible_collections.asgi.deploy.plugins.module_utils._host.checked_files import (
    CheckedFiles,
    Refused,
    difference,
    exclusive_change,
    is_there,
    refuse_bad_files,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.connection_limits import (
    most_clients,
    most_open_files,
    proxy_limits,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import read_link, read_text, replace_link
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import NGINX_LOGS, NGINX_SITES
from ansible_collections.asgi.deploy.plugins.module_utils._proxy import clashes, nginx_config, nginx_limits, nginx_logs
from ansible_collections.asgi.deploy.plugins.module_utils._proxy import nginx_site as decide
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_copy import try_copy
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.site_requests import stale_names

SITES = Path(NGINX_SITES)
CONFIGURATION = SITES.parent
MAIN = CONFIGURATION / "nginx.conf"
HASHES = SITES / "asgi-00-hashes.conf"
DEFAULT_LINK = CONFIGURATION / "sites-enabled/default"
DEFAULT_SITE = CONFIGURATION / "sites-available/default"
LOGS = Path(NGINX_LOGS)
ERROR_LOG = LOGS / "error.log"

SUFFIXES = (".conf", decide.INCLUDE_SUFFIX)

CHANGED = Path("/run/asgi-nginx.changed")
LOADED = Path("/run/asgi-nginx.loaded")

LOCK = "/run/asgi-nginx.lock"  # all apps of a host share nginx

RELOAD_SECONDS = 30
FAULT_SECONDS = 5  # nginx retries for 2.5 s to listen on a port


class Site(CheckedFiles):
    def __init__(self, module: HostModule) -> None:
        self.nginx = module.get_bin_path("nginx", opt_dirs=["/usr/sbin"])
        wanted = {SITES / name: text for name, text in module.params["files"].items()}
        if module.params["prune"]:
            unneeded = _unneeded(wanted)
            # Locations of an app come first, because they need its other file, and nginx could start in between.
            wanted = {**{path: None for path in unneeded if decide.JOINED.fullmatch(path.name)}, **wanted}
            wanted.update(dict.fromkeys(unneeded))
        super().__init__(module, "nginx.service", wanted, CHANGED, LOADED)
        self.optional: dict = {}
        if module.params["limits"]:
            self._add_limits()
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
        main = read_text(str(MAIN), errors="replace")
        self.log_account = nginx_logs.worker_account(main)
        logs = nginx_logs.log_files(self.texts.values())
        for fault in nginx_logs.risks(logs, self.log_account):
            raise Refused(
                f"{fault}; nothing was changed, because nginx opens its logs as root, and that account could replace the log with a "
                f"symlink to any file -> log to {LOGS}, or to another directory of root"
            )
        logs += nginx_logs.shared_log_files(main) if self.texts else []
        self.exposed_logs = {path: nginx_logs.describe(path) for path in nginx_logs.exposed(logs)}

    def _add_limits(self) -> None:
        """Schedule the files with nginx's limits before the files that need them."""
        sites = [text for name, text in _after(self.wanted).items() if decide.is_app(name)]
        # use the new texts, because a new snippet may set a directive that this collection would otherwise set
        texts = {**_texts(CONFIGURATION), **self.wanted}
        others = {path: text for path, text in texts.items() if path != HASHES and text is not None}
        found = {HASHES: nginx_limits.hashes(others.values())} if sites else {}
        if MAIN in others:
            main, clients = others.pop(MAIN), most_clients(sites)
            # a symlink points to a file that another tool manages
            if not MAIN.is_symlink():
                main = found[MAIN] = self._main(main, clients, others.values())
                self.foreign.add(MAIN)
            self._warn_of_limits(main, clients)
        for path, text in found.items():
            self.before[path] = read_text(str(path), errors="surrogateescape")
            if text != self.before[path]:
                self.optional[path] = text
        self.wanted = {**self.optional, **self.wanted}
        self.changes = {**self.optional, **self.changes}

    def _main(self, text: str, clients: int, others: Iterable[str]) -> str:
        """Return the *text* of nginx.conf with the limits for this number of *clients*."""
        if not clients:
            return nginx_limits.without_limits(text)
        connections, files = proxy_limits(clients, most_open_files())
        files_elsewhere = nginx_limits.sets(others, nginx_limits.FILES)
        return nginx_limits.with_limits(text, connections, None if files_elsewhere else files)

    def _warn_of_limits(self, main: str, clients: int) -> None:
        """Print a warning if nginx.conf with the new text *main* has too few connections for this number of *clients*."""
        current = nginx_limits.limits(main).get(nginx_limits.CONNECTIONS, nginx_limits.DEFAULT_CONNECTIONS)
        required = proxy_limits(clients, most_open_files())[0]
        if clients and current < required:
            self.module.warn(
                f"{MAIN} has worker_connections {current}, which this module does not change, and {clients} clients require {required} "
                "-> raise it, or set asgi_proxy_manage_nginx_conf to false"
            )

    def _drop_limits(self) -> None:
        for path in self.optional:
            del self.wanted[path], self.changes[path]
        self.optional = {}

    @property
    def changes_files(self) -> bool:
        return super().changes_files or self.drops_default

    @property
    def texts(self) -> dict:
        """The texts of this collection's files by path, without nginx.conf, which may contain other servers."""
        return {path: text for path, text in self.wanted.items() if text and path not in self.foreign}

    def _default_untouched(self) -> bool:
        if self.module.params["default_site"] != "remove_untouched" or not DEFAULT_LINK.is_symlink():
            return False
        return DEFAULT_LINK.resolve() == DEFAULT_SITE and self.is_unchanged_conffile(DEFAULT_SITE, "nginx-common")

    def refuse_served_names(self) -> None:
        """Refuse server names that another site of the host serves; nginx would ignore one of the two."""
        own = {path: text for path, text in self.texts.items() if not path.name.startswith(clashes.SHARED)}
        servers = [each for path, text in own.items() for each in nginx_config.servers(text, str(path))]
        others = nginx_config.read_servers(str(CONFIGURATION / "nginx.conf"), without=map(str, self.wanted))
        faults = clashes.name_faults(clashes.names_by_port(servers), others)
        if faults:
            text = "; ".join(fault for _name, fault in faults)
            raise Refused(
                f"{text}; nothing was changed -> choose another name, or remove that site", "server-name-taken"
            )

    def refuse_invalid_configuration(self) -> None:
        """Refuse the changes if nginx rejects a copy of its configuration with these changes."""
        status, output = self._test_copy()
        if status and self.optional:
            error = output
            self._drop_limits()
            status, output = self._test_copy()
            if not status:
                self.module.warn(
                    f"nginx rejected the new limits for connections and names, so it keeps the old ones: {error}"
                )
        if status:
            raise Refused(
                f"nginx rejects the configuration, and nothing was changed: {output}", "nginx-config-rejected"
            )
        duplicates = decide.duplicate_names(output, [text for path, text in self.texts.items() if path in self.changes])
        if duplicates:
            raise Refused(
                f"another site of this host already serves {' and '.join(duplicates)}, and nginx would ignore one of them; "
                f"nothing was changed -> choose another name, or remove that site",
                "server-name-taken",
            )
        for warning in decide.warnings(output):
            self.module.warn(f"nginx: {warning}")

    def _test_copy(self) -> tuple:
        changes = {**self.changes, DEFAULT_LINK: None} if self.drops_default else self.changes
        # readable by root only, because /etc/nginx may contain keys
        with tempfile.TemporaryDirectory(dir=self.module.tmpdir) as directory:
            return try_copy(self.module.run_command, self.nginx, Path(directory), CONFIGURATION, LOGS, changes)

    def others_on(self, port: int) -> list:
        """Return the other sites that listen on *port*."""
        return clashes.listening_sites(SITES, port, without=self.wanted)

    def serves_other_certificates(self) -> bool:
        """Return whether nginx serves a site with a certificate other than the one in its file, regardless of file times."""
        return any(map(stale_names, self.texts.values()))

    def write(self) -> None:
        if not SITES.is_dir():
            raise Refused(f"{SITES} does not exist -> install Debian's nginx package")
        # first, because nginx would not start with two default servers
        if self.drops_default:
            self.note_change()
            DEFAULT_LINK.unlink()
        super().write()

    def restore(self) -> None:
        super().restore()
        if self.drops_default:
            replace_link(str(DEFAULT_LINK), self.default_target)

    def reload(self) -> None:
        """Reload nginx; restore the previous files and raise Refused if the reload fails."""
        workers = children(self.service.main_pid)
        log_size = _size(ERROR_LOG)
        load_time, began = self.begin_load(), time.monotonic()
        status, out, err = self.module.run_command(["systemctl", "reload", "nginx.service"])
        if status:
            self.restore()
            _status, out2, err2 = self.module.run_command([self.nginx, "-t", "-q"])
            raise Refused(
                f"nginx was not reloaded, and the previous files were restored: {(err or out).strip()} "
                f"{decide.error_lines(err2 or out2, {})}",
                "nginx-not-reloaded",
            )
        # systemctl only sends the signal. New workers show that nginx has loaded the files.
        while not children(self.service.main_pid) - workers:
            waited = time.monotonic() - began
            faults = re.findall(r".*\[(?:emerg|alert)\].*", _tail(ERROR_LOG, log_size))
            if waited > RELOAD_SECONDS or (faults and waited > FAULT_SECONDS):
                self.restore()
                cause = "\n".join(dict.fromkeys(faults)) or f"{ERROR_LOG} contains no error"
                raise Refused(
                    f"nginx did not load the files, and the previous files were restored: {cause}", "nginx-not-reloaded"
                )
            time.sleep(0.02)
        self.note_loaded(load_time)

    def diff(self) -> list:
        dropped = [difference(DEFAULT_LINK, f"-> {self.default_target}\n", "")] if self.drops_default else []
        protected = f"{self.log_account}:{nginx_logs.GROUP} {nginx_logs.MODE:04o}\n"
        return super().diff() + dropped + [difference(path, old, protected) for path, old in self.exposed_logs.items()]

    def result(self, reloaded: bool) -> dict:
        found = super().result(reloaded)
        return {
            **found,
            "changed": found["changed"] or bool(self.exposed_logs),
            "removed": found["removed"] + ([str(DEFAULT_LINK)] if self.drops_default else []),
            "protected": sorted(self.exposed_logs),
        }


def _unneeded(wanted):
    return [SITES / name for name in decide.unneeded(_after(wanted))]


def _after(wanted):
    """Return the texts of this collection's files in conf.d by name, as they are after the *wanted* changes."""
    current = {path: read_text(str(path), errors="replace") for path in SITES.glob("asgi-*") if path.suffix in SUFFIXES}
    return {path.name: text for path, text in {**current, **wanted}.items() if text is not None}


def _texts(directory):
    """Return the texts of all files in *directory*, by path."""
    paths = [path for path in directory.rglob("*") if path.is_file()]
    return {path: read_text(str(path), errors="surrogateescape") or "" for path in paths}


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


def run(module: HostModule) -> dict:
    refuse_bad_files(module.params["files"], SUFFIXES)
    site = Site(module)
    watched = all(Path(path).exists() for path in module.params["watch"])

    if site.changes_files or not site.service.running:
        site.refuse_held_ports(module.params["ports"], udp=decide.quic_ports(site.texts.values()))
        site.refuse_served_names()
    if not module.params["change_port"]:
        site.refuse_disagreement(site.others_on, "asgi_proxy")
    if site.changes_files and site.nginx and (watched or not module.check_mode):
        site.refuse_invalid_configuration()
    if not site.nginx and not module.check_mode and any(text is not None for text in site.wanted.values()):
        raise Refused("nginx is not installed on this host -> install Debian's nginx package first")

    if not module.check_mode:
        # first, before nginx opens the logs
        nginx_logs.protect(site.exposed_logs, site.log_account)
    if site.changes_files and not module.check_mode:
        site.write()
    reloads = site.service.running and (
        site.changes_files or site.has_unloaded_changes(module.params["watch"]) or site.serves_other_certificates()
    )
    if reloads and not module.check_mode:
        site.reload()
    return site.result(reloads)


def main():
    module = HostModule(
        argument_spec={
            "files": {"type": "dict", "required": True},
            "watch": {"type": "list", "elements": "path", "default": []},
            "ports": {"type": "list", "elements": "int", "default": []},
            "change_port": {"type": "bool", "default": False},
            "default_site": {"type": "str", "choices": ["remove_untouched", "remove", "keep"], "default": "keep"},
            "prune": {"type": "bool", "default": False},
            "limits": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    with exclusive_change(module, LOCK, "nginx_site", "nginx's sites"):
        result = run(module)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
