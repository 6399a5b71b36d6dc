# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of releases: the release log, locks, leftovers, disk space, and differences from the inventory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._app.release import Kept, needed_by_log, same_python, to_prune
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout
from ansible_collections.asgi.deploy.plugins.plugin_utils._doctor.findings import Finding, fail, ok, warn

DEFAULT_KEEP = 5


def log(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    path, slot = layout(seen["name"])["log"], seen["live"]
    if seen["log"] is None:
        yield fail("log-damaged", f"{path} is damaged")
        return
    recorded = [f"{entry['release']}/{entry['config']}" for entry in seen["log"] if entry["result"] == "live"]
    live = f"{seen['pairs'][slot]['release']}/{seen['pairs'][slot]['config']}"
    if recorded != [live]:
        found = f"{path} records {' and '.join(recorded) or 'nothing'} as live, but slot {slot} runs {live}"
        yield fail("log-differs", found)
    for name, complete in seen["on_disk"].items():
        if seen["pairs"][name] and not complete:
            found = f"slot {name} has release {seen['pairs'][name]['release']}, whose files are incomplete"
            if name == slot:
                yield fail("release-incomplete", found)
            else:
                yield warn("release-incomplete", found, "nothing to do: the next deploy fills the slot")


def locks(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    for lock in seen["locks"]:
        if lock["held_by"]:
            found = f"{lock['path']} is held {lock['note'] or 'by another process'}"
            yield warn("lock-held", found, "wait: these observations may be inconsistent")
        elif lock["note"]:
            yield warn("lock-stale", f"{lock['path']} is stale, because its holder was killed: {lock['note']}")


def leftovers(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    paths = layout(seen["name"])
    used = {pair["release"] for pair in seen["pairs"].values() if pair}
    used |= {link.rpartition("/")[2] for link in (seen["links"]["staged"], seen["links"]["current"]) if link}
    used |= needed_by_log(seen["log"] or [])
    releases = [Kept(**each) for each in seen["releases"]]
    unneeded = (
        to_prune(releases, expected.get("keep_releases") or DEFAULT_KEEP, used) if seen["log"] is not None else []
    )
    incomplete = [each.release for each in releases if each.built_at is None]
    for release in unneeded:
        reason = "was never completed" if release in incomplete else "is no longer needed"
        yield warn("release-unneeded", f"{paths['releases']}/{release} {reason}")
    for name in seen["leftovers"]:
        directory = f"{paths['configs']}/{name}"
        yield warn("config-leftover", f"{directory} is left from an interrupted run", f"rm -r {directory}")
    python = seen["running"]["python"]
    if not same_python(python["recorded"], python["found"] or ""):
        found = f"the live release was built with Python {python['recorded']}, but its interpreter is {python['found'] or 'gone'}"
        yield fail("python-replaced", found)


def disk(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    observed, home = seen["running"]["disk"], layout(seen["name"])["home"]
    free, needed = observed["free_mb"], observed["release_mb"]
    if free < 2 * needed:
        report = fail if free < needed else warn
        yield report("disk-space-low", f"{home} has {free} MiB free, and the live release uses {needed}")
    free_files, files = observed["free_files"], observed["release_files"]
    if free_files is not None and free_files < 2 * files:
        report = fail if free_files < files else warn
        yield report("inodes-low", f"{home} has {free_files} inodes free, and the live release uses {files}")
    yield ok(f"{free} MiB free, the live release uses {needed}")


def drift(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    """Yield the changes that site.yml would make, from the results of the roles' modules in check mode."""
    for part, result in (expected.get("drift") or {}).items():
        if not result:
            continue
        if result.get("failed"):
            reason = (str(result.get("msg") or "no reason given").splitlines() or [""])[0]
            yield warn("drift-unknown", f"{part}: cannot be compared: {reason}")
        elif result.get("changed"):
            yield warn("drift-found", f"{part}: {_change(result)}")


def _change(result: dict[str, Any]) -> str:
    if result.get("changes"):
        return "site.yml would " + ", ".join(result["changes"])
    if "built" in result:
        if result.get("command") and not result["built"] and result.get("staged_before") == result["release"]:
            return "site.yml would install the command asgi"
        return f"site.yml would {'build' if result['built'] else 'stage'} release {result['release']}"
    if "written" in result:
        files = [*result["written"], *result["removed"], *result.get("protected", [])]
        return "site.yml would change " + " and ".join(files) if files else "nginx has not loaded the files on disk"
    return "site.yml would change it"
