# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the host: permissions, writes of the app, its sandbox, and the clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._app.executable_memory import REMEDY, describe_denial
from ansible_collections.asgi.deploy.plugins.module_utils._app.write_faults import describe_write_fault, write_remedy
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import RUN_MODE, layout
from ansible_collections.asgi.deploy.plugins.plugin_utils._doctor.findings import (
    Finding,
    fail,
    live_slot,
    ok,
    owner_and_mode,
    warn,
)

# Paths in the report. An app may try to write to many files.
MOST_PATHS = 3


def permissions(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    paths, user = layout(seen["name"]), seen["user"]
    config = f"{paths['configs']}/{seen['pairs'][seen['live']]['config']}"
    wanted = {
        live_slot(seen)["socket"]: ("root", "www-data", "0660"),
        paths["run"]: ("root", "root", f"{RUN_MODE:04o}"),
        paths["releases"]: ("root", "root", "0755"),
        paths["shared"]: (user, user, "0750"),
        config: ("root", user, "0750"),
        f"{config}/env": ("root", user, "0640"),
    }
    for path, (owner, group, mode) in wanted.items():
        found = seen["running"]["modes"].get(path)
        if found is None:
            yield fail("path-missing", f"{path} does not exist")
        elif (found["owner"], found["group"], found["mode"]) != (owner, group, mode):
            yield fail(
                "permissions-wrong",
                f"{path} is {owner_and_mode(found)}, not {owner}:{group} {mode}",
                f"chown {owner}:{group} {path}; chmod {mode} {path}",
            )
    for path, found in seen["running"]["logs"].items():
        if found and found["mode"][-1] != "0":
            message = f"{path} is {owner_and_mode(found)}, so every account can read the requests of clients"
            yield warn("log-world-readable", message)


def clock(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    # A container uses the clock of its host, and cannot query whether it is synchronised.
    in_container = seen["clock"]["container"]
    if seen["clock"]["synchronised"] is False and not in_container:
        yield warn("clock-not-synchronised", "the clock of this host is not synchronised")
    yield ok("the clock of the container's host" if in_container else "")


def writes(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    """Yield the paths that the app could not write to since it was started."""
    for fault, count in list((seen["running"]["write_faults"] or {}).items())[:MOST_PATHS]:
        times = "once" if count == 1 else f"{count} times"
        found = f"{describe_write_fault(fault)} ({times} since its start)"
        yield warn("app-write-failed", found, write_remedy(seen["name"], fault))


def sandbox(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    """Yield the errors of packages to which the sandbox has denied executable memory."""
    for error in seen["running"]["denials"]:
        yield warn("executable-memory-denied", f"{describe_denial(error)} (since its start)", REMEDY)
