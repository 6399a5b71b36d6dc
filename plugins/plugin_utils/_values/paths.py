# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolve paths on the controller that variables contain, in the same way in all plugins."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def controller_path(path: str | os.PathLike[str]) -> Path:
    """Return *path* as an absolute path: ``~`` is expanded, and a relative path is below the working directory.

    Ansible would search for it beside the playbook, which is inside this collection.
    """
    # Unlike pathlib's expanduser, this one does not raise for an unknown account: callers report the missing file with more detail.
    return Path(os.path.expanduser(path)).absolute()


def absolute_path(path: Any) -> str:
    """Return :func:`controller_path` of *path* as a string; raise ValueError if *path* is not a string."""
    if not isinstance(path, str):
        raise ValueError(f"{path!r} is not a path")
    return str(controller_path(path))
