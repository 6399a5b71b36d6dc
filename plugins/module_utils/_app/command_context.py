# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The context of a command of a release that runs outside of the slots: its directory, its environment and its sandbox."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Mapping
from typing import NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._app.installed_app import SERVICE_FILE, InstalledApp
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_log import Pair
from ansible_collections.asgi.deploy.plugins.module_utils._app.sandbox import (
    from_drop_in,
    properties,
    transient,
    working_directory,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.environment import release_environment
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import SLOTS


class CommandContext(NamedTuple):
    """The context of a command of the release with the paths ``release``.

    ``shared`` is the working directory if it is not the code of the release; the command creates it if it is missing.
    """

    release: dict[str, str]
    shared: str | None
    sandbox: list[tuple[str, str]]

    @property
    def directory(self) -> str:
        return self.shared or self.release["code"]

    @property
    def modules(self) -> str:
        """The directory to add to PYTHONPATH, "" if Python finds the modules in the working directory."""
        return self.release["code"] if self.shared else ""

    def environment(self, paths: dict, given: dict[str, str]) -> dict[str, str]:
        """Return the environment of the command of the app with the layout *paths*; *given* contains the variables of the user."""
        environment = release_environment(paths, self.release["venv"], given)
        if self.modules:
            environment["PYTHONPATH"] = ":".join(filter(None, (self.modules, environment.get("PYTHONPATH"))))
        return environment


def from_variables(paths: dict, release: dict[str, str], settings: Mapping[str, object]) -> CommandContext:
    """Return the context that the variables of the sandbox, *settings*, define for *release*."""
    sandbox = transient(properties(paths["name"], settings))
    return CommandContext(release, working_directory(paths, settings), sandbox)


def from_configuration(app: InstalledApp, pair: Pair, release: dict[str, str]) -> CommandContext:
    """Return the context that the configuration of *pair* on this host defines for *release*.

    Unlike the inventory, it is what the slot uses.
    """
    files = app.config_files(pair)
    sandbox = transient(from_drop_in(files.get(SERVICE_FILE) or "", SLOTS[0]))
    found = (_directory(text) for name, text in sorted(files.items()) if name.endswith(".conf.py"))
    return CommandContext(release, next(filter(None, found), None), sandbox)


def _directory(text: str) -> str | None:
    """Return the working directory in *text*, the server's configuration, without executing it."""
    with contextlib.suppress(SyntaxError, ValueError):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.keyword) and node.arg == "working_directory":
                return ast.literal_eval(node.value)
    return None
