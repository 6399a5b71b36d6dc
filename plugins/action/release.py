# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give the module release its source, and its wheels: resolved once in a run, sent to the hosts that lack them.

A small source is sent to all of them.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.asgi.deploy.plugins.module_utils.environment import check_environment
from ansible_collections.asgi.deploy.plugins.module_utils.release import (
    ARGUMENTS,
    release_id,
    without_credentials,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils.paths import controller_path
from ansible_collections.asgi.deploy.plugins.plugin_utils.source import (
    SourceError,
    check_installer,
    normalise,
    resolve,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils.wheelhouse import (
    Settings,
    pack_wheels,
    provide_wheels,
    resolve_wheels,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils.wheels import Target, missing

MODULE = "asgi.deploy.release"

# Of a source's archive: what is as small as the module itself goes with the question, which would cost more asked twice.
SMALL_BYTES = 64 << 10


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
            settings = resolution = None
            if arguments["wheelhouse"]:
                settings, arguments = _split(arguments)
                resolution = resolve_wheels(resolved, settings, C.DEFAULT_LOCAL_TMP)
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
                wheels=resolution and resolution["digest"],
            ),
            "source": {
                "kind": resolved.kind,
                "label": resolved.label,
                "digest": resolved.digest,
                **resolved.details,
            },
            "dependencies": resolved.dependencies,
        }

        # most runs find the release in place: ask first, and send what is large afterwards
        arguments.update(_sent_along(resolved.archive))
        answer = self._ask({**arguments, "resolved": release}, task_vars)
        archive_wanted = answer.pop("archive_wanted", False)
        wheels_wanted = answer.pop("wheels_wanted", None)
        if archive_wanted:
            release["archive"] = self._send(resolved.archive, "source.tar.gz")
        if wheels_wanted:
            release.update(self._wheels(resolved, settings, resolution, wheels_wanted))
        if archive_wanted or wheels_wanted:
            answer = self._ask({**arguments, "resolved": release}, task_vars)
        result.update(answer)
        return result

    def _wheels(self, resolved, settings, resolution, wanted):
        """Return which wheels the host is to install, with the path there of an archive of those that it lacks."""
        try:
            target = Target(**wanted["target"])
            wheels = provide_wheels(resolved, settings, resolution, target, wanted["uv"], C.DEFAULT_LOCAL_TMP)
        except SourceError as exc:
            raise AnsibleActionFail(str(exc)) from exc
        lacking = missing(wheels, wanted["stored"])
        if not lacking:
            return {"wheels": wheels}
        archive = pack_wheels(lacking, C.DEFAULT_LOCAL_TMP)
        return {"wheels": wheels, "wheels_archive": self._send(archive, "wheels.tar")}

    def _ask(self, arguments, task_vars):
        return self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)

    def _send(self, archive, name):
        """Return the path on the host that *archive* of the controller has been copied to."""
        if not self._connection._shell.tmpdir:
            self._make_tmp_path()
        remote = self._connection._shell.join_path(self._connection._shell.tmpdir, name)
        self._transfer_file(archive, remote)
        self._fixup_perms2((self._connection._shell.tmpdir, remote))
        return remote


def _sent_along(archive):
    """Return what the module gets of the *archive* on the controller at once: its content if that is small."""
    if not archive or Path(archive).stat().st_size > SMALL_BYTES:
        return {}
    return {"archive": base64.b64encode(Path(archive).read_bytes()).decode()}


def _split(arguments):
    """Return what wheels are fetched with on the controller, and the arguments without what the hosts need not know."""
    if not arguments.get("uv_version"):
        raise SourceError("uv_version", "is not set", "name the version of uv that the requirements are resolved with")
    settings = Settings(
        python=arguments["python"],
        requirements=arguments["requirements"],
        server_requirements=arguments["server_requirements"],
        uv_version=arguments["uv_version"],
        index_url=arguments.get("index_url"),
        ca_bundle=arguments["ca_bundle"],
        build_environment=check_environment(json.loads(arguments.get("build_environment") or "{}")),
    )
    left = {key: value for key, value in arguments.items() if key not in ("index_url", "build_environment")}
    left["requirements"] = [without_credentials(requirement) for requirement in left["requirements"]]
    return settings, left


def _given(arguments):
    return {key: value for key, value in arguments.items() if value is not None}
