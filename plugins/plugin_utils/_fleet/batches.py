# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Divide hosts into batches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils._values.numbers import whole
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import shown

SHARE = re.compile(r"([0-9]{1,3})%")


def batch_size(size: Any, hosts: int) -> int:
    """Return the number of hosts in a batch of *size*: a number, or a share of *hosts* such as ``25%``, which is at least 1 host.

    Raises ValueError for other values.
    """
    number = whole(size.strip() if isinstance(size, str) else size)
    if number:
        return number
    share = SHARE.fullmatch(size.strip()) if isinstance(size, str) else None
    if share and 1 <= int(share[1]) <= 100:
        return max(1, hosts * int(share[1]) // 100)
    raise ValueError(
        f"{shown(size)} is not a batch size: use a number of hosts of at least 1, or a share such as '25%'"
    )


def batch_sizes(sizes: Any, hosts: int) -> list[int]:
    """Return the batch *sizes* (one, a list, or a string such as ``1,25%``) as numbers of hosts; raises ValueError."""
    listed = sizes.split(",") if isinstance(sizes, str) else sizes
    listed = list(listed) if isinstance(listed, (list, tuple)) else [listed]
    if not listed:
        raise ValueError("the list of batches is empty: set at least one size, such as '100%'")
    return [batch_size(size, hosts) for size in listed]


def batches(hosts: Sequence[str], sizes: Any) -> list[list[str]]:
    """Return *hosts* in batches of *sizes*; the last size is repeated until no host is left. Raises ValueError."""
    wanted = batch_sizes(sizes, len(hosts))
    divided: list[list[str]] = []
    left = list(hosts)
    while left:
        size = wanted[min(len(divided), len(wanted) - 1)]
        divided.append(left[:size])
        left = left[size:]
    return divided
