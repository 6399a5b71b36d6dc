# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Features of the nginx on a host: the installed one, or the one that the host's package manager would install."""

from __future__ import annotations

import re
from typing import Callable

from ansible_collections.asgi.deploy.plugins.module_utils._host.files import read_text

HTTP2_DIRECTIVE = (1, 25, 1)  # older versions only support the parameter "http2" of the directive "listen"
HTTP3 = (1, 25, 0)
KEEPALIVE_MIN_TIMEOUT = (1, 27, 4)

HTTP3_MODULE = "--with-http_v3_module"

# nginx versions of distributions, by the codename in os-release, because testing and unstable have no VERSION_ID. Used only if apt has no
# package lists, for instance on a new machine in check mode. A release that is not listed counts as one with an old nginx.
PACKAGED = {
    "bookworm": (1, 22, 1),
    "trixie": (1, 26, 3),
    "forky": (1, 30, 0),
    "sid": (1, 30, 0),
    "jammy": (1, 18, 0),
    "noble": (1, 24, 0),
    "questing": (1, 28, 0),
    "resolute": (1, 28, 0),
}


def nginx_features(build: str | None, policy: str = "", os_release: str = "") -> dict:
    """Return the version of the host's nginx, the source of that version, and the features of nginx.

    *build* is the output of ``nginx -V``, None if nginx is not installed. In that case, the version is the candidate in *policy*, the output
    of ``apt-cache policy nginx``, or otherwise the version in the distribution that *os_release* describes. An unknown version counts as one
    without the newer directives, because a configuration for an old nginx works with every later version.
    """
    if build is not None:
        version, source = built_version(build), "installed"
    else:
        version, source = candidate(policy), "candidate"
        if version is None:
            version, source = packaged(os_release), "distribution"
    known = version or (0,)
    return {
        "version": ".".join(map(str, version)) if version else "",
        "source": source,
        "http2_directive": known >= HTTP2_DIRECTIVE,
        # HTTP/3 is a build option of nginx and its forks.
        "http3": known >= HTTP3 if build is None else HTTP3_MODULE in build.split(),
        "keepalive_min_timeout": known >= KEEPALIVE_MIN_TIMEOUT,
    }


def built_version(build: str) -> tuple | None:
    """Return the version of nginx in *build*, the output of ``nginx -V``.

    The first three numbers of OpenResty's version are those of the nginx that it is based on. Other forks have their own version numbers, so
    only the line with the corresponding nginx version is used.
    """
    found = re.search(r"(?m)^nginx version: (?:nginx|openresty)/(\d+)\.(\d+)\.(\d+)", build)
    return tuple(map(int, found.groups())) if found else None


def candidate(policy: str) -> tuple | None:
    """Return the version that apt would install, from the output of ``apt-cache policy nginx``."""
    found = re.search(r"(?m)^ +Candidate: (?:\d+:)?(\d+)\.(\d+)\.(\d+)", policy)
    return tuple(map(int, found.groups())) if found else None


def packaged(os_release: str) -> tuple | None:
    """Return the nginx version of the distribution that *os_release* describes; a derivative counts as the release that it is based on."""
    fields = dict(re.findall(r'(?m)^(\w+)="?([^"\n]*)"?$', os_release))
    names = (fields.get(key, "") for key in ("VERSION_CODENAME", "UBUNTU_CODENAME", "DEBIAN_CODENAME"))
    return next((PACKAGED[name] for name in names if name in PACKAGED), None)


def host_nginx(run_command: Callable, nginx: str | None, apt_cache: str | None, root: str = "/") -> dict:
    """Return the features of this host's nginx. *nginx* and *apt_cache* are the paths of these programs, None if missing."""
    if nginx:
        _status, out, err = run_command([nginx, "-V"])
        return nginx_features(f"{out}\n{err}")
    policy = run_command([apt_cache, "policy", "nginx"], environ_update={"LC_ALL": "C"})[1] if apt_cache else ""
    return nginx_features(None, policy, read_text(f"{root}etc/os-release") or "")
