# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of an activation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported


class ActivationError(Exception):
    """The release did not start or did not become healthy; ``journal`` holds the journal of the failed unit, ``code`` is that of the error."""

    def __init__(self, reason: str, journal: str = "", code: str = "process-not-started") -> None:
        super().__init__(reason)
        self.journal, self.code = journal, code


class Blocked(Reported):
    """The state of the host prevents the activation of any release."""

    code = "unit-masked"


@contextlib.contextmanager
def tolerated(warnings: list[str], tolerate: bool) -> Iterator[None]:
    """If *tolerate*, add an ActivationError to *warnings* instead of raising it."""
    try:
        yield
    except ActivationError as exc:
        if not tolerate:
            raise
        warnings.append(str(exc))
