# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors in asgi_app_source, and in the other variables that determine the content of a release."""

from __future__ import annotations

from ansible_collections.asgi.deploy.plugins.module_utils._app.release import mask_urls
from ansible_collections.asgi.deploy.plugins.module_utils._host.printable import printable

VARIABLE = "asgi_app_source"
PATH, GIT, ARCHIVE, WHEEL, PACKAGE = (f"{VARIABLE}.{key}" for key in ("path", "git", "archive", "wheel", "package"))
REF, SUBDIRECTORY, CHECKSUM, REQUIREMENTS, SHARED = (
    f"{VARIABLE}.{key}" for key in ("ref", "subdirectory", "checksum", "requirements", "shared")
)
# The variable that contains a source, by its kind.
VARIABLES = {"path": PATH, "git": GIT, "archive": ARCHIVE, "wheel": WHEEL, "package": PACKAGE}

# Number of files that a message names.
NAMED = 3


class SourceError(Exception):
    """An error in a variable: its code, the variable, the fault of the value, and the remedy."""

    def __init__(self, code: str, variable: str, fault: str, remedy: str) -> None:
        # The texts may quote output of git, uv and pip, which may contain credentials and control characters.
        fault, remedy = printable(mask_urls(fault)), printable(remedy)
        super().__init__(f"{variable} {fault} -> {remedy} [{code}]")
        self.code = code
        self.variable = variable
        self.fault = fault
        self.remedy = remedy


def outdated_lock(variable: str, lock: str, project: str, relock: str) -> SourceError:
    """Return the error for a *lock* that does not match the file *project*."""
    return SourceError(
        "lock-outdated",
        variable,
        f"holds a {lock} that does not match {project}",
        f"run `{relock}` and commit the {lock}",
    )


def shown(name: str) -> str:
    """Return the *name* of a file for a message, on one line."""
    return name if name.isprintable() else repr(name)


def shown_list(names: list[str]) -> str:
    """Return the first *names* of files for a message, and the number of the others."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(map(shown, names[:NAMED]))}{more}"
