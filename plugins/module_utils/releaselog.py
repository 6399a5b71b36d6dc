# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of what was activated on a host, and what it allows: whom to roll back to, what may be removed.

An entry is a dictionary with ``release``, ``config``, ``slot``, ``at`` (UTC, ISO 8601), ``by`` and ``result``: live,
retired or bad; a bad one has a ``reason``, one that was rolled back from is ``withdrawn``, and one that a rollback made
live has ``rollback``. The newest entry is the last one.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Callable, NamedTuple

LIMIT = 100  # entries kept; more than anybody's kept releases


class Pair(NamedTuple):
    """What a slot runs: a release and a configuration."""

    release: str
    config: str


class NoSuchRelease(Exception):
    """There is nothing to roll back to; the message says what there is."""


def now() -> str:
    """Return the time as the log and release.json have it: UTC, ISO 8601, to the second."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def pair_of(entry: dict) -> Pair:
    return Pair(entry["release"], entry["config"])


def is_live(entry: dict) -> bool:
    return entry["result"] == "live"


def with_live(log: list, entry: dict) -> list:
    """Return *log* with *entry* as the live one; what was live before is retired."""
    older = [{**old, "result": "retired"} if is_live(old) else old for old in log]
    return [*older, {**entry, "result": "live"}][-LIMIT:]


def with_slot(log: list, slot: str) -> list:
    """Return *log* with what is live in another *slot*: nothing else was activated."""
    return [{**entry, "slot": slot} if is_live(entry) else entry for entry in log]


def is_rolled_back(log: list, live: Pair | None, release: str | None, config: str | None = None) -> bool:
    """Return whether *live* is what a rollback to *release*, or to whatever was before, would lead to."""
    if release is not None:
        return live is not None and live.release == release and config in (None, live.config)
    return any(is_live(entry) and entry.get("rollback") and pair_of(entry) == live for entry in log)


def withdrawn(log: list) -> list:
    """Return *log* with the live entry marked as one that was rolled back from."""
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
    """Return what to roll back to: the newest good pair other than *live*, of *release* and *config* if they are given.

    A pair is as good as its last activation; one that was rolled back from is no candidate unless it is named.
    Raises NoSuchRelease with what could be chosen instead.
    """
    last = {}
    for entry in log:
        last.pop(pair_of(entry), None)
        last[pair_of(entry)] = entry  # in the order of the last activation
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
            f"release {release} with configuration {config} is not kept here as a good one; {available}"
        )
    if live and release == live.release:
        raise NoSuchRelease(f"release {release} is live already; {available}")
    if any(entry["release"] == release and entry["result"] == "bad" for entry in last.values()) and not allow_bad:
        raise NoSuchRelease(f"release {release} failed when it was last activated; {available}")
    raise NoSuchRelease(f"release {release} is not among what was activated and kept here; {available}")
