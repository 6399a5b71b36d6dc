# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A failure of an action plugin, with the same result as a module failure (:mod:`module_utils._host.failures`)."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.asgi.deploy.plugins.module_utils._host.ansible_core import PRINTS_EXCEPTIONS
from ansible_collections.asgi.deploy.plugins.module_utils._host.failures import split_message
from ansible_collections.asgi.deploy.plugins.module_utils._host.printable import printable


class ActionFailure(AnsibleActionFail):
    """A failure whose result has the first line of the message and a list of the other lines. Ansible's error block prints all of them."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))
        if not PRINTS_EXCEPTIONS:
            # the result, for ansible-core before 2.19
            self.result = {"failed": True, **self._split()}

    @property
    def result_contribution(self) -> dict[str, Any]:
        """Return the keys to add to the result, for ansible-core 2.19 and 2.20."""
        return {**super().result_contribution, **self._split()}

    def as_task_result(self, utr: Any) -> Any:
        """Add the keys to the result *utr*, for ansible-core 2.21 and later."""
        utr = super().as_task_result(utr)
        split = self._split()
        utr.msg = split.pop("msg")
        utr.result_data.update(split)
        return utr

    def _split(self) -> dict[str, Any]:
        first, details = split_message(str(self))
        return {"msg": first, **({"details": details} if details else {})}
