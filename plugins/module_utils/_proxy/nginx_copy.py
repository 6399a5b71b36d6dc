# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test nginx's configuration in a private copy."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

from ansible_collections.asgi.deploy.plugins.module_utils._host.checked_files import copy_configuration
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_site import error_lines


def try_copy(
    run_command: Callable, nginx: str, directory: Path, configuration: Path, logs: Path, changes: dict
) -> tuple:
    """Run ``nginx -t`` on a copy of *configuration* in *directory* with *changes*; return the exit status and the errors.

    *changes* maps paths below *configuration* to texts, or None for files that the copy omits. Only root may have access to
    *directory*, because the configuration may contain keys.
    """
    copy, copied_logs, pid = directory / "etc", directory / "log", directory / "nginx.pid"
    # The test creates log files and the pid file, so their paths must also lead into the copy.
    moves = {
        f"{configuration}/": f"{copy}/",
        f"{logs}/": f"{copied_logs}/",
        "/run/nginx.pid": str(pid),
        "/var/run/nginx.pid": str(pid),
    }

    for each in [logs, *logs.rglob("*/")]:
        if each.is_dir():
            (copied_logs / each.relative_to(logs)).mkdir(parents=True, exist_ok=True)
    copy_configuration(configuration, copy, moves, changes)
    status, out, err = run_command([nginx, "-t", "-c", str(copy / "nginx.conf")])
    return status, error_lines(err or out, moves)
