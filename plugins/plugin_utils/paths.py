# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a path on the controller that a user wrote leads, the same for every variable and plugin."""

from __future__ import annotations

import os
from pathlib import Path


def controller_path(path: str | os.PathLike[str]) -> Path:
    """Return *path* as an absolute one: ``~`` expanded, a relative one from where ansible-playbook was started.

    Not from the playbook, as Ansible does it: ours are inside the collection, where no file of a user's is.
    """
    # pathlib's expanduser raises for an account that does not exist; the caller says more about what is not there
    return Path(os.path.expanduser(path)).absolute()
