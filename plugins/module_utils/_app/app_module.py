# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Base class of the modules that manage one app, selected by the option ``name``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, NoReturn

from ansible_collections.asgi.deploy.plugins.module_utils._app.deploy_marker import FAILED, SUCCEEDED, DeployMarker
from ansible_collections.asgi.deploy.plugins.module_utils._app.slots import ActivationError, App
from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import failure as coded
from ansible_collections.asgi.deploy.plugins.module_utils._host.failures import split_message
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils._host.systemd import Systemd


class AppModule(HostModule):
    """A module with the attributes ``paths``, ``systemd`` and ``app``.

    In check mode or with *read_only*, ``app`` is dry: it records changes without making them.
    """

    app: App | None = None
    marker: DeployMarker | None = None

    def __init__(self, read_only: bool = False, **options: Any) -> None:
        super().__init__(supports_check_mode=True, **options)
        with self.reporting():
            self.paths = layout(self.params["name"])
        self.systemd = Systemd(self.run_command)
        self.app = App(self.paths, self.systemd, dry=read_only or self.check_mode, by=self.params.get("by") or "")

    def begin(self, what: str) -> DeployMarker:
        """Return the marker of a change that begins now. The module's exit or failure writes it, except in check mode."""
        self.marker = DeployMarker(what, self.paths, self.app.by)
        return self.marker

    def _warn(self) -> None:
        """Pass on the warnings of the app, also those about processes that a failed change could not repair."""
        for warning in self.app.warnings if self.app else ():
            self.warn(warning)

    def exit_json(self, **result: Any) -> NoReturn:
        self._warn()
        if self.marker and self.marker.made and not self.app.dry:
            result["marker"] = self.marker.write(SUCCEEDED)
        super().exit_json(**result)

    def fail_json(self, msg: Any, **result: Any) -> NoReturn:
        self._warn()
        if self.marker and not self.app.dry:
            result["marker"] = self.marker.write(FAILED, self._printable(split_message(str(msg))[0]))
        super().fail_json(msg, **result)

    def require_deployed(self) -> None:
        """Fail if the app has no directory on this host."""
        if not os.path.isdir(self.paths["home"]):
            self.fail_json(
                msg=f"{self.paths['name']} has never been deployed on this host: there is no {self.paths['home']}"
            )

    @contextlib.contextmanager
    def reporting_activation(self, failure: str, report_serving: bool = False, **result: Any) -> Iterator[None]:
        """Like reporting(), but also report an ActivationError as a module failure: *failure*, the reason and the journal.

        With *report_serving*, the failure also names the live release.
        """
        try:
            with self.reporting(**result):
                yield
        except ActivationError as exc:
            lines = [f"{failure}: {exc}", exc.journal]
            if report_serving:
                result["serving"] = self.app.serving()
                lines.insert(1, result["serving"])
            self.fail_json(**coded("\n".join(lines).rstrip(), exc.code), **result)
