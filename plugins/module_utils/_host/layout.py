# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths, unit names and accounts of an app on a host, derived from its name.

No other code of the collection may contain such a path; tests/unit/test_paths.py enforces this.
"""

from __future__ import annotations

import glob
import os
import re

# directories that contain the files of all apps
APPS = "/srv"
CONFIGURATION_DIRECTORY = "/etc/asgi"
CACHE_DIRECTORY = "/var/cache/asgi"
# CPythons that uv has installed, each in a directory that the apps of the host share
PYTHONS = "/opt/asgi/python"
# The host command: the program of each app, the program that starts them, and its completion for bash. The programs are not in the apps'
# directories, because other directories of APPS may belong to unprivileged accounts, and root executes the programs.
PROGRAMS = "/opt/asgi/commands"
DISPATCHER = "/usr/local/bin/asgi"
COMPLETION = "/usr/local/share/bash-completion/completions/asgi"
UNITS = "/etc/systemd/system"
# systemd's files with the time when a persistent timer last elapsed
TIMER_STAMPS = "/var/lib/systemd/timers"
# the last successes of timers, see timer_successes
TIMER_SUCCESSES = "/var/lib/asgi-timers"
# Debian's nginx.conf includes all files in this directory that end in .conf.
NGINX_SITES = "/etc/nginx/conf.d"
NGINX_LOGS = "/var/log/nginx"

SLOTS = ("blue", "green")
# A third slot, which exists only during a measurement and never gets traffic.
TRIAL = "trial"
# The part of a unit's name for the command that a timer runs after a failure.
FAILED = "failed"
# Mode of the app's directory below /run: all accounts can access files by name, but only root can list them.
RUN_MODE = 0o711

# useradd(8) allows 32 characters, and the build account's name is one character longer than the app's. systemd and nginx allow longer names.
NAME_PATTERN = re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")
NAME_LIMIT = 31
NAME_RULE = "use 1 to 31 lower-case letters, digits, and single '-' or '_' between them, starting with a letter"

# Accounts, template units, and directories of /run and /srv that belong to Debian or to well-known packages. An app with such a name would
# replace or use them.
RESERVED_NAMES = frozenset(
    "adm ansible apt asgi autovt backup bin boot certbot chrony console container-getty containers credentials cron "
    "crond daemon dbus debian dev dhcpcd docker etc exim4 fsck games getty haproxy home initctl irc keepalived kmem "
    "legacy libvirt list lock log lp lvm mail man media messagebus mnt modprobe mount mysqld netns network "
    "NetworkManager news nginx nobody nologin operator opt podman polkitd postfix postgres postgresql proc proxy "
    "quotaon redis resolvconf root rpcbind run sasl sbin sendsigs serial serial-getty shadow shared shm srv ssh sshd "
    "staff sudo sync sys sysctl syslog systemd tape tmp tmpfiles tty udev udisks2 user user-runtime-dir users usr utmp "
    "uucp uuidd var video voice wpa_supplicant www www-data x11".split()
)

# HAProxy's files and its runtime API, which all apps of a balancer share
BALANCER = "/etc/haproxy/asgi"
BALANCER_SOCKET = "/run/haproxy/admin.sock"
# Held during a reload until the new worker runs, and during changes of the runtime state, because a concurrent reload would lose them.
BALANCER_LOCK = "/run/asgi-haproxy.lock"
# suffix of the second backend with the same servers
FRESH = ".fresh"
# suffix of the backend on which certbot answers ACME challenges
ACME = ".acme"
# server names that HAProxy accepts
SERVER_PATTERN = re.compile(r"[A-Za-z0-9_.:-]{1,255}")


def check_name(name: object) -> str:
    """Return *name* if it is valid for an account, a directory and a systemd unit; raise ValueError otherwise."""
    if not isinstance(name, str) or len(name) > NAME_LIMIT or not NAME_PATTERN.fullmatch(name):
        raise ValueError(f"{name!r} is not a valid app name: {NAME_RULE}")
    if name in RESERVED_NAMES or name.startswith("systemd-"):
        raise ValueError(f"{name!r} is not a valid app name: the operating system uses it; choose another name")
    return name


def is_name(name: object) -> bool:
    """Return whether *name* is a valid app name."""
    try:
        check_name(name)
    except ValueError:
        return False
    return True


def balancer_server(host: object) -> str:
    """Return the HAProxy server name of the app host *host*, its name in the inventory; raise ValueError if HAProxy does not accept it."""
    if not isinstance(host, str) or not SERVER_PATTERN.fullmatch(host):
        raise ValueError(f"{host!r} is not a valid HAProxy server name: use letters, digits, '_', '.', ':' and '-'")
    return host


def names_with(entry: str, root: str = "/") -> list[str]:
    """Return the names of the apps below *root* whose directory contains *entry*."""
    found = glob.glob(os.path.join(root, APPS.lstrip("/"), "*", entry))
    return sorted(filter(is_name, (path.split("/")[-2] for path in found)))


def layout(name: str) -> dict[str, object]:
    """Return all paths, unit names and accounts of the app *name*.

    Raises ValueError if the name is not safe in paths, unit names and account names.
    """
    check_name(name)
    home = f"{APPS}/{name}"
    run = f"/run/{name}"
    configuration = f"{CONFIGURATION_DIRECTORY}/{name}"
    escaped = name.replace("-", r"\x2d")  # systemd-escape(1)
    return {
        "name": name,
        "user": name,
        "group": name,
        # The build account's name cannot collide with an app, because names of apps cannot start with "_".
        "build_user": f"_{name}",
        "build_comment": f"builds releases of the app {name}",
        "build_unit": f"asgi-build-{name}",
        "build_cache": f"{CACHE_DIRECTORY}/apps/{name}",
        "home": home,
        "releases": f"{home}/releases",
        "configs": f"{home}/configs",
        "slots_directory": f"{home}/slots",
        "shared": f"{home}/shared",
        "cache": f"{home}/cache",
        "staged": f"{home}/staged",
        "current": f"{home}/current",
        "log": f"{home}/releases.json",
        "damaged_log": f"{home}/releases.json.damaged",
        # SYSLOG_IDENTIFIER of the deploy markers in the journal
        "deploy_log": f"{name}-deploy",
        "lock": f"{home}/.lock",
        "build_lock": f"{home}/.build.lock",
        "kept": f"{home}/.kept",
        "command": {
            "program": f"{PROGRAMS}/{name}.pyz",
            "dispatcher": DISPATCHER,
            "completion": COMPLETION,
        },
        "run": run,
        "live_socket": f"{run}/live.sock",
        "tmpfiles": f"/etc/tmpfiles.d/asgi-{name}.conf",
        "units": UNITS,
        "service_template": f"{UNITS}/{name}@.service",
        "socket_template": f"{UNITS}/{name}@.socket",
        "timer_stamps": TIMER_STAMPS,
        # An empty file for each timer, whose modification time is that of its last success, in either slot and before reboots.
        # Not below home, which is read-only for all commands of a sandboxed unit, even those with full privileges.
        "timer_successes": f"{TIMER_SUCCESSES}/{name}",
        "metrics_service": f"{UNITS}/{name}-metrics.service",
        "metrics_socket": f"{UNITS}/{name}-metrics.socket",
        "metrics_program": f"{home}/metrics_exporter.py",
        # The counters have a separate file system with a size limit, so that an app cannot fill /run. systemd derives the name of the mount
        # unit from the mount point.
        "metrics_counters": f"{run}/counters",
        "metrics_mount": f"{UNITS}/run-{escaped}-counters.mount",
        # Default of asgi_server_metrics_listen.
        "metrics_listen": f"{run}/metrics.sock",
        "tls": f"{configuration}/tls",
        # The certificate chain and the key in one file, replaced by one rename. All certificate providers write this file, so the site does
        # not depend on the provider.
        "live_pem": f"{configuration}/tls/live.pem",
        "acme": {
            "lineage": f"asgi-{name}",
            "webroot": f"/var/lib/asgi/{name}/acme",
            # certbot does not renew the certificate without these files
            "renewal": {
                "settings": f"/etc/letsencrypt/renewal/asgi-{name}.conf",
                "hook": f"{configuration}/acme_deploy.py",
                "ca_bundle": f"{configuration}/acme-ca.pem",
                "drop_in": f"{UNITS}/certbot.service.d/asgi-{name}.conf",
            },
        },
        "htpasswd": f"{configuration}/htpasswd",
        "maintenance_page": f"{configuration}/maintenance.html",
        "nginx_site": f"{NGINX_SITES}/asgi-{name}.conf",
        "access_log": f"{NGINX_LOGS}/{name}.access.log",
        "error_log": f"{NGINX_LOGS}/{name}.error.log",
        # HAProxy's names and files of the app on a balancer
        "balancer": {
            "backend": f"asgi_{name}",
            # A backend with the same servers, for requests that must not be sent over a connection that is being closed. Its name is unique,
            # because names of apps contain no dot.
            "fresh": f"asgi_{name}{FRESH}",
            "acme": f"asgi_{name}{ACME}",
            "site": f"{BALANCER}/asgi-{name}.cfg",
            "ca_bundle": f"{configuration}/balancer-ca.pem",
        },
        "slots": {slot: _slot(name, slot, home, run, UNITS) for slot in SLOTS},
        # the settings of a trial do not survive a reboot
        TRIAL: _slot(name, TRIAL, home, run, "/run/systemd/system"),
        "trial_proxy_unit": f"asgi-trial-{name}.service",
    }


def _slot(name: str, slot: str, home: str, run: str, units: str) -> dict[str, str]:
    directory = f"{home}/slots/{slot}"
    return {
        "name": slot,
        "directory": directory,
        "release": f"{directory}/release",
        "config": f"{directory}/config",
        "socket": f"{run}/{slot}.sock",
        "service_unit": f"{name}@{slot}.service",
        "socket_unit": f"{name}@{slot}.socket",
        "drop_in": f"{units}/{name}@{slot}.service.d/slot.conf",
        # starts the slot's processes and timers
        "target": target_unit(name, slot),
    }


def other_slot(slot: str) -> str:
    """Return the slot other than *slot*."""
    return SLOTS[1 - SLOTS.index(slot)]


def target_unit(app: str, slot: str) -> str:
    """Return the target that starts the processes and timers of *app* in *slot*."""
    return f"{app}@{slot}.target"


def process_unit(app: str, slot: str, process: str, part: object = None, kind: str = "service") -> str:
    """Return the unit of *process* of *app* in *slot*; *part* is the number of the instance, or FAILED for the command after a failure.

    The dot distinguishes it from the units of other apps, because names of apps contain no dot.
    """
    return f"{app}.{process}{'' if part is None else f'.{part}'}@{slot}.{kind}"


def process_unit_pattern(app: str, slot: str) -> str:
    """Return a glob pattern for the units of the processes of *app* in *slot*."""
    return f"{app}.*@{slot}.*"


def starts_file(paths: dict, unit: str) -> str:
    """Return the file whose size is the number of starts of the process *unit* since its slot was activated, or since boot."""
    return f"{paths['run']}/{unit.rpartition('.')[0]}.starts"


def release_paths(name: str, release: str) -> dict[str, str]:
    """Return the id *release* and the paths inside that release of the app *name*."""
    check_name(name)
    directory = f"{APPS}/{name}/releases/{release}"
    return {
        "id": release,
        "directory": directory,
        "code": f"{directory}/code",
        "venv": f"{directory}/.venv",
        "python": f"{directory}/.venv/bin/python",
        "manifest": f"{directory}/release.json",
        "sbom": f"{directory}/sbom.cdx.json",
    }
