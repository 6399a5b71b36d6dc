# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Detect unknown variable names: a misspelled variable would silently leave the default in force."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.values import one_of
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Doubt, Problem

NAMESPACE = "asgi_"
SWITCH = "asgi_unknown_variables"
ERROR, WARN = "error", "warn"

# Known names outside the argument specs: host patterns of the plays, facts that the roles publish, and asgi_unknown_variables.
OTHERS = frozenset(["asgi_hosts", "asgi_balancer_hosts", "asgi_app_release", "asgi_release", SWITCH])

# Minimum similarity: with a lower value, different names of one role would match
LIKENESS = 0.8
# The prefix before the significant words: asgi_server_ in asgi_server_workers
PREFIX = re.compile(r"asgi_(?:(?:app|server|proxy|balancer|deploy|maintain|status|doctor|tune|reload|rollback)_)?")


def nearest(name: str, known: Collection[str]) -> str | None:
    """Return the *known* name with the same words after its prefix as *name*, or with a similar spelling; None if no name matches."""
    rest = PREFIX.sub("", name.lower(), count=1)
    # Prefer asgi_proxy to asgi_balancer, which repeats many of its names: fewer inventories have a balancer.
    matches = {each for each in known if PREFIX.sub("", each, count=1) == rest}
    # asgi_server_names may lack the name of its role
    longer = name.lower().removeprefix(NAMESPACE)
    matches = matches or {each for each in known if longer != rest and each.endswith(f"_{longer}")}
    if matches:
        return min(matches, key=lambda each: (each.startswith("asgi_balancer_"), each))
    found = difflib.get_close_matches(name.lower(), sorted(known), n=1, cutoff=LIKENESS)
    return found[0] if found else None


def problems(names: Iterable[str], known: Collection[str], reaction: Any = ERROR) -> Iterator[Problem]:
    """Yield a problem for each of *names* that is in the collection's namespace but not *known*; a doubt if *reaction* is WARN."""
    yield from one_of(ERROR, WARN)(SWITCH, reaction)
    kind = Doubt if reaction == WARN else Problem
    for name in sorted(names):
        if not name.lower().startswith(NAMESPACE) or name in known:
            continue
        suggestion = nearest(name, known)
        remedy = (
            f"did you mean {suggestion}?"
            if suggestion
            else f"use a prefix other than {NAMESPACE} for your own variables"
        )
        if reaction != WARN:
            remedy += f" ({SWITCH}={WARN} accepts such names)"
        yield kind("variable-unknown", name, "is not a variable of this collection", remedy)
