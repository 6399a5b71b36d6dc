# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give the module release its source: resolved once in a run, sent to the hosts that have no such release yet."""

from __future__ import annotations

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.asgi.deploy.plugins.module_utils.release import ARGUMENTS, release_id
from ansible_collections.asgi.deploy.plugins.plugin_utils.paths import controller_path
from ansible_collections.asgi.deploy.plugins.plugin_utils.source import (
    SourceError,
    check_installer,
    normalise,
    resolve,
)

MODULE = "asgi.deploy.release"


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False
    _supports_diff = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)
        arguments = _given(arguments) | {"source": _given(arguments["source"])}

        try:
            source = normalise(arguments["source"], controller_path)
            resolved = resolve(source, arguments["exclude"], C.DEFAULT_LOCAL_TMP)
            check_installer(resolved, arguments["installer"])
        except SourceError as exc:
            raise AnsibleActionFail(str(exc)) from exc

        release = {
            "id": release_id(
                resolved.label,
                resolved.digest,
                python=arguments["python"],
                installer=arguments["installer"],
                module=arguments["module"],
                requirements=arguments["requirements"],
                server_requirements=arguments["server_requirements"],
            ),
            "source": {
                "kind": resolved.kind,
                "label": resolved.label,
                "digest": resolved.digest,
                **resolved.details,
            },
            "dependencies": resolved.dependencies,
        }

        # most runs find the release in place: ask first, send afterwards
        answer = self._ask({**arguments, "resolved": release}, task_vars)
        if answer.pop("archive_wanted", False):
            release["archive"] = self._send(resolved.archive)
            answer = self._ask({**arguments, "resolved": release}, task_vars)
        result.update(answer)
        return result

    def _ask(self, arguments, task_vars):
        return self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)

    def _send(self, archive):
        """Return the path on the host that *archive* of the controller has been copied to."""
        if not self._connection._shell.tmpdir:
            self._make_tmp_path()
        remote = self._connection._shell.join_path(self._connection._shell.tmpdir, "source.tar.gz")
        self._transfer_file(archive, remote)
        self._fixup_perms2((self._connection._shell.tmpdir, remote))
        return remote


def _given(arguments):
    return {key: value for key, value in arguments.items() if value is not None}
