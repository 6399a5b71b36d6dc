# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of an app that writes to a place where it cannot write: its release and the host are read-only for it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Callable

from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import APPS, layout

READ_ONLY = "Read-only file system"
SQLITE = ("unable to open database file", "attempt to write a readonly database")
MESSAGES = (READ_ONLY, *SQLITE)
# OSError names the path, and SQLite does not.
FAULT = re.compile(rf"{READ_ONLY}(?:: b?(['\"])(?P<path>[^'\"\n]{{1,200}})\1)?|{'|'.join(SQLITE)}")
MOST_LINES = 1000


def write_faults(text: str) -> dict[str, int]:
    """Return the errors in *text*, the output of an app, and how often each occurs. An error is a path, or a message without one."""
    return dict(Counter(match["path"] or match[0] for match in FAULT.finditer(text)))


def logged_write_faults(run_command: Callable, unit: str) -> dict[str, int] | None:
    """Return the errors in the journal of the service *unit* since it was started; None if the journal cannot be searched."""
    logged = search_journal(run_command, unit, MESSAGES)
    return None if logged is None else write_faults(logged)


def search_journal(run_command: Callable, unit: str, messages: Iterable[str]) -> str | None:
    """Return the log lines with any of *messages* that the service *unit* has written since its start; None if the search fails."""
    properties = ["--property=InvocationID", "--property=LogNamespace"]
    _status, out, _err = run_command(["systemctl", "show", *properties, unit])
    found = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    if not found.get("InvocationID"):
        return None
    options = [
        "--boot",
        "--quiet",
        "--no-pager",
        "--output=cat",
        f"--grep={'|'.join(map(re.escape, messages))}",
        f"--lines={MOST_LINES}",
    ]
    if found.get("LogNamespace"):
        options.append(f"--namespace=+{found['LogNamespace']}")
    status, out, err = run_command(["journalctl", *options, f"_SYSTEMD_INVOCATION_ID={found['InvocationID']}"])
    # journalctl exits with 1 if nothing matches
    return out if not status or not err.strip() else None


def describe_write_fault(fault: str) -> str:
    """Return the error *fault* as a clause."""
    return f"the app reports {fault!r}" if fault in MESSAGES else f"the app cannot write to {fault!r}"


def write_remedy(app: str, fault: str) -> str:
    """Return how to solve the error *fault* of *app*."""
    shared = layout(app)["shared"]
    if "/.venv/" in fault:
        return (
            "set asgi_app_install_project to editable, so that the app is imported from its source, and list the path in the source in "
            "asgi_app_source.shared"
        )
    in_code = re.match(rf"{APPS}/{app}/(?:releases/[^/]+|slots/[^/]+/release)/code/(.+)", fault)
    if in_code:
        path = in_code[1].rstrip("/")
        return f"list it in asgi_app_source.shared, as {path} if it is a file or {path}/ if it is a directory, or write to {shared}"
    if fault in MESSAGES or fault.startswith(f"{APPS}/{app}/"):
        return (
            f"use an absolute path below {shared}, set asgi_server_working_directory to shared if the path is relative, or list it in "
            "asgi_app_source.shared if the app computes it from the location of its code"
        )
    if fault.startswith("/"):
        return f"use a path below {shared}, or add the directory to asgi_server_write_paths"
    return "set asgi_server_working_directory to shared, because the path is relative"


def write_advice(app: str, output: str) -> str:
    """Return the first error in *output* with its remedy, an empty string if there is none."""
    fault = next(iter(write_faults(output)), None)
    return f"{describe_write_fault(fault)}: {write_remedy(app, fault)}" if fault else ""
