# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where everything of one app lives on a host: a name in, every path and unit name out.

The roles, the modules and the playbooks agree through this one pure function and through nothing else.
"""

from __future__ import annotations

import re

SLOTS = ("blue", "green")
# A third one beside them, which never gets traffic and is there only while something is measured in it.
TRIAL = "trial"

# useradd(8) allows 32 characters; systemd and nginx file names allow more than this pattern does.
NAME_PATTERN = re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")
NAME_LIMIT = 32
NAME_RULE = "1 to 32 characters: lower-case letters, digits, and single '-' or '_' between them, starting with a letter"

# Accounts, template units, and directories of /run and /srv of Debian's own or of well-known packages: an app of that
# name would take them over.
RESERVED_NAMES = frozenset(
    "adm ansible apt asgi autovt backup bin boot certbot chrony console container-getty containers credentials cron "
    "crond daemon dbus debian dev dhcpcd docker etc exim4 fsck games getty haproxy home initctl irc keepalived kmem "
    "legacy libvirt list lock log lp lvm mail man media messagebus mnt modprobe mount mysqld netns network "
    "NetworkManager news nginx nobody nologin operator opt podman polkitd postfix postgres postgresql proc proxy "
    "quotaon redis resolvconf root rpcbind run sasl sbin sendsigs serial serial-getty shadow shared shm srv ssh sshd "
    "staff sudo sync sys sysctl syslog systemd tape tmp tmpfiles tty udev udisks2 user user-runtime-dir users usr utmp "
    "uucp uuidd var video voice wpa_supplicant www www-data x11".split()
)

# HAProxy's files and its runtime API, one for all apps of a balancer
BALANCER = "/etc/haproxy/asgi"
BALANCER_SOCKET = "/run/haproxy/admin.sock"
# Held by whoever reloads it, from before the reload until the new worker is there, and by whoever tells it something that
# a reload hands on.
BALANCER_LOCK = "/run/asgi-haproxy.lock"
# what follows the name of a backend in that of its companion, with the same servers
FRESH = ".fresh"
# and in that of the one where certbot answers an ACME server
ACME = ".acme"
# what HAProxy takes for the name of a server
SERVER_PATTERN = re.compile(r"[A-Za-z0-9_.:-]{1,255}")


def check_name(name: object) -> str:
    """Return *name* if it can name an account, a directory and a systemd unit; raise ValueError if not."""
    if not isinstance(name, str) or len(name) > NAME_LIMIT or not NAME_PATTERN.fullmatch(name):
        raise ValueError(f"{name!r} cannot name an app: {NAME_RULE}")
    if name in RESERVED_NAMES or name.startswith("systemd-"):
        raise ValueError(f"{name!r} cannot name an app: the operating system uses that name; choose another")
    return name


def is_name(name: object) -> bool:
    """Return whether *name* can name an app."""
    try:
        check_name(name)
    except ValueError:
        return False
    return True


def balancer_server(host: object) -> str:
    """Return what a balancer calls the app host *host* of the inventory; raise ValueError if HAProxy has no such names."""
    if not isinstance(host, str) or not SERVER_PATTERN.fullmatch(host):
        raise ValueError(f"{host!r} cannot name a server of HAProxy: letters, digits, and '_', '.', ':' and '-' can")
    return host


def layout(name: str) -> dict[str, object]:
    """Return every path, unit name and account of the app *name*.

    Raises ValueError for a name that is not safe in a path, a unit name and an account name.
    """
    check_name(name)
    home = f"/srv/{name}"
    run = f"/run/{name}"
    units = "/etc/systemd/system"
    return {
        "name": name,
        "user": name,
        "group": name,
        "home": home,
        "releases": f"{home}/releases",
        "configs": f"{home}/configs",
        "slots_directory": f"{home}/slots",
        "shared": f"{home}/shared",
        "staged": f"{home}/staged",
        "current": f"{home}/current",
        "log": f"{home}/releases.json",
        "lock": f"{home}/.lock",
        "build_lock": f"{home}/.build.lock",
        "kept": f"{home}/.kept",
        "run": run,
        "live_socket": f"{run}/live.sock",
        "tmpfiles": f"/etc/tmpfiles.d/asgi-{name}.conf",
        "service_template": f"{units}/{name}@.service",
        "socket_template": f"{units}/{name}@.socket",
        "metrics_service": f"{units}/{name}-metrics.service",
        "metrics_socket": f"{units}/{name}-metrics.socket",
        "metrics_program": f"{home}/metrics_exporter.py",
        "tls": f"/etc/asgi/{name}/tls",
        # chain and key in one file, replaced by one rename, whichever provider writes it: the site never has to change
        "live_pem": f"/etc/asgi/{name}/tls/live.pem",
        "acme": {
            "lineage": f"asgi-{name}",
            "webroot": f"/var/lib/asgi/{name}/acme",
            # without any of these certbot renews nothing of the app
            "renewal": {
                "settings": f"/etc/letsencrypt/renewal/asgi-{name}.conf",
                "hook": f"/etc/asgi/{name}/acme_deploy.py",
                "ca_bundle": f"/etc/asgi/{name}/acme-ca.pem",
                "drop_in": f"{units}/certbot.service.d/asgi-{name}.conf",
            },
        },
        "htpasswd": f"/etc/asgi/{name}/htpasswd",
        "maintenance_page": f"/etc/asgi/{name}/maintenance.html",
        "nginx_site": f"/etc/nginx/conf.d/asgi-{name}.conf",
        # on a balancer: what HAProxy calls the app, and which files it has of it
        "balancer": {
            "backend": f"asgi_{name}",
            # The same servers, for requests that must not meet a connection which is just being closed. In the name
            # is a dot, which no app's name has.
            "fresh": f"asgi_{name}{FRESH}",
            "acme": f"asgi_{name}{ACME}",
            "site": f"{BALANCER}/asgi-{name}.cfg",
            "ca_bundle": f"/etc/asgi/{name}/balancer-ca.pem",
        },
        "slots": {slot: _slot(name, slot, home, run, units) for slot in SLOTS},
        # its settings are gone after a reboot
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
    }


def release_paths(name: str, release: str) -> dict[str, str]:
    """Return the id *release* and the paths inside that release of the app *name*."""
    check_name(name)
    directory = f"/srv/{name}/releases/{release}"
    return {
        "id": release,
        "directory": directory,
        "code": f"{directory}/code",
        "venv": f"{directory}/.venv",
        "python": f"{directory}/.venv/bin/python",
        "manifest": f"{directory}/release.json",
    }
