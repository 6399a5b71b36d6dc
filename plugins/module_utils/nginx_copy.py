# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nginx thinks of its configuration, with changes or without, asked about a private copy of it."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

from ansible_collections.asgi.deploy.plugins.module_utils.checked_files import copy_configuration
from ansible_collections.asgi.deploy.plugins.module_utils.nginx_site import readable


def try_copy(
    run_command: Callable, nginx: str, directory: Path, configuration: Path, logs: Path, changes: dict
) -> tuple:
    """Return (status, what nginx says) of ``nginx -t`` for a copy of *configuration* in *directory* that has *changes*.

    *changes* are texts by path below *configuration*; one without a text (None) is missing from the copy. *directory* must
    be for root only: there may be keys in the configuration.
    """
    copy, its_logs, pid = directory / "etc", directory / "log", directory / "nginx.pid"
    # The test also creates log files and the pid file: those go into the copy as well.
    moves = {
        f"{configuration}/": f"{copy}/",
        f"{logs}/": f"{its_logs}/",
        "/run/nginx.pid": str(pid),
        "/var/run/nginx.pid": str(pid),
    }

    for each in [logs, *logs.rglob("*/")]:
        if each.is_dir():
            (its_logs / each.relative_to(logs)).mkdir(parents=True, exist_ok=True)
    copy_configuration(configuration, copy, moves, changes)
    status, out, err = run_command([nginx, "-t", "-c", str(copy / "nginx.conf")])
    return status, readable(err or out, moves)
