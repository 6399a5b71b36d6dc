# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release log of an app on a host, and the target of a rollback.

An entry is a dictionary with ``release``, ``config``, ``slot``, ``at`` (UTC, ISO 8601), ``by`` and ``result``: live, retired or bad. A bad
entry has a ``reason``. An entry that was rolled back has ``withdrawn``, and an entry that a rollback activated has ``rollback``. The newest
entry is the last one.
"""

from __future__ import annotations

import contextlib
import json
from datetime import datetime, timezone
from typing import Callable, NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import read_text

# Maximum number of log entries, larger than any reasonable number of kept releases.
LIMIT = 100
KEYS = frozenset(["release", "config", "slot", "result"])


class Pair(NamedTuple):
    """A release and a configuration that a slot runs together."""

    release: str
    config: str


class NoSuchRelease(Reported):
    """The release to roll back to does not exist; the message lists the available ones."""

    code = "release-not-found"


class DamagedLog(Reported):
    """The file is not a valid release log; the message names the file and the defect."""

    code = "release-log-damaged"


def read_log(path: str) -> list:
    """Return the entries of the log *path*; raise DamagedLog if it is not a valid log."""
    try:
        return parse_log(path, read_text(path, errors="replace"))
    except IsADirectoryError as exc:
        raise DamagedLog(f"{path} is damaged: it is a directory") from exc


def parse_log(path: str, text: str | None) -> list:
    """Return the entries in the *text* of the log *path*, none if *text* is None; raise DamagedLog if it is not a valid log."""
    if text is None:
        return []
    try:
        found = json.loads(text)
    except ValueError as exc:
        raise DamagedLog(f"{path} is damaged: {'it is empty' if not text.strip() else exc}") from exc
    if not isinstance(found, list) or not all(isinstance(entry, dict) and set(entry) >= KEYS for entry in found):
        raise DamagedLog(f"{path} is damaged: it is not a list of entries with {', '.join(sorted(KEYS))}")
    return found


def now() -> str:
    """Return the current time for the log and release.json: UTC, ISO 8601, in seconds."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def pair_of(entry: dict) -> Pair:
    return Pair(entry["release"], entry["config"])


def is_live(entry: dict) -> bool:
    return entry["result"] == "live"


def with_live(log: list, entry: dict) -> list:
    """Return *log* with *entry* as the live one, and the previous live entry retired."""
    older = [{**old, "result": "retired"} if is_live(old) else old for old in log]
    return [*older, {**entry, "result": "live"}][-LIMIT:]


def with_slot(log: list, slot: str) -> list:
    """Return *log* with the live entry moved to another *slot*."""
    return [{**entry, "slot": slot} if is_live(entry) else entry for entry in log]


def is_recorded(log: list, pair: Pair) -> bool:
    """Return whether *log* contains *pair* as the live one. If not, an interrupted run has activated it."""
    return any(is_live(entry) and pair_of(entry) == pair for entry in log)


def with_recorded(log: list, entry: dict) -> list:
    """Return *log* with *entry* as the live one. If its pair is live in the log already, only the slot changes."""
    if any(is_live(old) and pair_of(old) == pair_of(entry) and not old.get("withdrawn") for old in log):
        return with_slot(log, entry["slot"])
    return with_live(log, entry)


def is_rolled_back(log: list, live: Pair | None, release: str | None, config: str | None = None) -> bool:
    """Return whether *live* is already the result of a rollback to *release*, or, if *release* is None, to the previous release."""
    if release is not None:
        return live is not None and live.release == release and config in (None, live.config)
    # A rollback that was interrupted after the switch has withdrawn the previous entry, but not written its own.
    return any(
        entry.get("rollback") if pair_of(entry) == live else entry.get("withdrawn") for entry in filter(is_live, log)
    )


def withdrawn(log: list) -> list:
    """Return *log* with the live entry marked as rolled back."""
    return [{**entry, "withdrawn": True} if is_live(entry) else entry for entry in log]


def with_bad(log: list, entry: dict, reason: str) -> list:
    """Return *log* with *entry* as a failed attempt."""
    return [*log, {**entry, "result": "bad", "reason": reason}][-LIMIT:]


def rollback_target(
    log: list,
    live: Pair | None,
    on_disk: Callable[[Pair], bool],
    release: str | None = None,
    allow_bad: bool = False,
    config: str | None = None,
) -> Pair:
    """Return the target of a rollback: the newest good pair other than *live*. *release* and *config*, if set, restrict the choice.

    The last activation of a pair determines whether the pair is good. A withdrawn pair is a candidate only if *release* names it.
    Raises NoSuchRelease with the available releases.
    """
    last = {}
    for entry in log:
        last.pop(pair_of(entry), None)
        last[pair_of(entry)] = entry  # Sorted by the last activation.
    candidates = [
        entry
        for pair, entry in reversed(list(last.items()))
        if pair != live and on_disk(pair) and (allow_bad or entry["result"] != "bad")
    ]
    for entry in candidates:
        if release is None and not entry.get("withdrawn"):
            return pair_of(entry)
        if entry["release"] == release and config in (None, entry["config"]):
            return pair_of(entry)

    ids = list(dict.fromkeys(entry["release"] for entry in candidates))
    available = f"available: {', '.join(ids)}" if ids else "there is no other good release on this host"
    if release is None:
        raise NoSuchRelease(f"nothing to roll back to: {available}")
    if config is not None:
        raise NoSuchRelease(
            f"release {release} with configuration {config} is not available here as a good one; {available}"
        )
    if live and release == live.release:
        raise NoSuchRelease(f"release {release} is live already; {available}")
    if any(entry["release"] == release and entry["result"] == "bad" for entry in last.values()) and not allow_bad:
        raise NoSuchRelease(f"release {release} failed when it was last activated; {available}")
    raise NoSuchRelease(f"release {release} was not activated here, or was removed; {available}")


def needed_configs(log: list, live: Pair | None, on_disk: Callable[[Pair], bool]) -> set[str]:
    """Return the configurations that a rollback can activate: the previously live one, and the latest one of each release on the disk."""
    exists = {pair: on_disk(pair) for pair in map(pair_of, log)}
    found = set()
    for release in (None, *(pair.release for pair in exists)):
        for allow_bad in (False, True):
            with contextlib.suppress(NoSuchRelease):
                found.add(rollback_target(log, live, exists.__getitem__, release, allow_bad).config)
    return found


def history(log: list, live: Pair | None, on_disk: Callable[[Pair], bool]) -> list[dict]:
    """Return the entries of *log*, the newest first, each with ``rollback_target``: how a rollback activates its pair, None if it cannot.

    The value is ``default`` if a rollback needs no options, ``release`` if it must name the release, and ``allow-bad`` if it must also allow a
    release that has failed.
    """
    exists = {pair: on_disk(pair) for pair in map(pair_of, log)}
    releases = list(dict.fromkeys(pair.release for pair in exists))
    requests = [("default", None, False)]
    requests += [("release", release, False) for release in releases]
    requests += [("allow-bad", release, True) for release in releases]
    targets: dict[Pair, str] = {}
    for kind, release, allow_bad in requests:
        with contextlib.suppress(NoSuchRelease):
            targets.setdefault(rollback_target(log, live, exists.__getitem__, release, allow_bad), kind)
    return [{**entry, "rollback_target": targets.pop(pair_of(entry), None)} for entry in reversed(log)]
