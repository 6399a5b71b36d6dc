# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolve the source and the wheels of a release once per run, and send each host the files that it is missing for the build."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from pathlib import Path

from ansible import constants as C
from ansible.plugins.action import ActionBase
from ansible_collections.asgi.deploy.plugins.module_utils._app.code_changes import MOST_FILES, archived_files
from ansible_collections.asgi.deploy.plugins.module_utils._app.executable_memory import advice
from ansible_collections.asgi.deploy.plugins.module_utils._app.release import release_id, without_credentials
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_protocol import ARGUMENTS, Missing, MissingWheels
from ansible_collections.asgi.deploy.plugins.module_utils._app.uv_pin import uv_hashes
from ansible_collections.asgi.deploy.plugins.module_utils._host.environment import check_environment
from ansible_collections.asgi.deploy.plugins.module_utils._host.printable import printable
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.action_failure import ActionFailure
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.audit import audit
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.command_program import command_program
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.dependency_files import Choice, selection
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.lock_export import with_export
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.origins import Origins
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.python_archive import provide_python
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.python_request import AUTO, python_request
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source import (
    check_installer,
    normalise,
    resolve,
    without_secrets,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import SourceError
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.tool_environment import Settings
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheelhouse import (
    pack_wheels,
    provide_wheels,
    resolve_wheels,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheels import Target, not_stored
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.sandbox import sandbox_of
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.paths import controller_path

MODULE = "asgi.deploy.release"

# An archive that is not larger than the module itself is sent with each call, because a second call would take longer.
SMALL_BYTES = 64 << 10

# With the wheelhouse, these apply to the controller, and may contain credentials.
NOT_SENT = ("index_url", "build_environment", "python_mirror")


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False
    _supports_diff = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)
        arguments = _without_none(arguments) | {"source": _without_none(arguments["source"])}

        try:
            source = normalise(arguments["source"], controller_path)
            insecure, choice = arguments["insecure_transports"], _choice(arguments)
            resolved = resolve(source, arguments["exclude"], C.DEFAULT_LOCAL_TMP, insecure, choice)
            check_installer(resolved, arguments["installer"])
            # Check the index before the controller downloads tools from it, and again with the exported requirements.
            _origins(arguments).check(resolved)
            resolved = with_export(resolved, lambda: _settings(arguments), C.DEFAULT_LOCAL_TMP)
            _origins(arguments).check(resolved)
            request = python_request(arguments["python"], resolved.pythons, arguments["installer"])
            settings = resolution = None
            if arguments["wheelhouse"]:
                settings, arguments = _settings(arguments, request), _without_index(arguments)
                resolution = resolve_wheels(resolved, settings, C.DEFAULT_LOCAL_TMP)
        except SourceError as exc:
            raise ActionFailure(str(exc)) from exc

        release = {
            "id": release_id(
                resolved.label,
                resolved.digest,
                python=request.identity if request else arguments["python"],
                installer=arguments["installer"],
                module=arguments["module"],
                requirements=arguments["requirements"],
                server_requirements=arguments["server_requirements"],
                wheels=resolution and resolution["digest"],
                selection=selection(resolved.dependencies),
            ),
            "source": {
                "kind": resolved.kind,
                "label": resolved.label,
                "digest": resolved.digest,
                **resolved.details,
                **({"variables": resolved.variables} if resolved.variables else {}),
            },
            "dependencies": resolved.dependencies,
            "python": request and request._asdict(),
        }
        if self._task.check_mode and self._task.diff and resolved.kind in ("path", "git", "archive"):
            files = archived_files(resolved.archive)
            release["files"] = files if len(files) <= MOST_FILES else None
        program = command_program(C.DEFAULT_LOCAL_TMP)
        release["command"] = {"digest": program["digest"]}

        arguments["sandbox"] = sandbox_of(self._templar, task_vars or {})
        arguments["source"] = without_secrets(arguments["source"])
        # With "packages", the module builds nothing and needs no archive.
        if "packages" not in arguments:
            arguments.update(_small_archive(resolved.archive))
        missing = _missing(arguments.pop("missing", None))
        response = None
        if missing.command and "packages" not in arguments:
            self._send_command(release, program)
        # The module does not report missing files of a build together with missing prerequisites.
        if missing.prerequisites or not missing.files:
            # In most runs the release exists already, so query the host before sending large files.
            response = self._call({**arguments, "resolved": release}, task_vars)
            missing = _missing(response.get("missing"))
        if missing.files and "packages" not in arguments:
            if missing.command:
                self._send_command(release, program)
            if missing.archive and "archive" not in arguments:
                release["archive"] = self._send(resolved.archive, "source.tar.gz")
            if missing.wheels:
                release.update(self._wheels(resolved, settings, resolution, missing.wheels))
            if missing.python:
                release["python_archive"] = self._python(settings, missing.python)
            response = self._call({**arguments, "resolved": release}, task_vars)
        result.update(response)
        if response.get("built"):
            overridden = (resolution or response).get("overridden", [])
            result["overridden"] = overridden
            warnings = _override_warnings(arguments["name"], overridden)
            warnings += _python_warnings(arguments, response.get("installed_python"))
            result["warnings"] = [*result.get("warnings", []), *warnings]
        if "installed" in response:
            self._inspect(result, arguments)
        return result

    def _inspect(self, result, arguments):
        """Add the warnings about the packages of a release that is not live, and the audit of these packages, to *result*."""
        installed = result.pop("installed")
        denied = advice(installed, arguments["sandbox"])
        if denied:
            result["warnings"] = [*result.get("warnings", []), f"{arguments['name']}: {denied}"]
        if arguments["audit"]:
            self._audit(result, arguments, installed)

    def _audit(self, result, arguments, installed):
        """Add the audit of the installed packages to *result*, unless the release does not exist yet, as in check mode."""
        if not installed and self._task.check_mode:
            return
        found = audit(installed, arguments["audit_url"], C.DEFAULT_LOCAL_TMP)
        result["audit"] = asdict(found)
        report = [f"{arguments['name']}: {text}" for text in found.report(result["release"], arguments["audit_ignore"])]
        if report and arguments["audit_strict"]:
            raise ActionFailure("\n".join(report))
        result["warnings"] = [*result.get("warnings", []), *report]

    def _wheels(self, resolved, settings, resolution, missing: MissingWheels):
        """Return the wheels to install, and the path on the host of an archive with the wheels that the host does not have yet."""
        try:
            target = Target(**missing.target)
            wheels = provide_wheels(resolved, settings, resolution, target, missing.uv, C.DEFAULT_LOCAL_TMP)
        except SourceError as exc:
            raise ActionFailure(str(exc)) from exc
        to_send = not_stored(wheels, missing.stored)
        if not to_send:
            return {"wheels": wheels}
        archive = pack_wheels(to_send, C.DEFAULT_LOCAL_TMP)
        return {"wheels": wheels, "wheels_archive": self._send(archive, "wheels.tar")}

    def _python(self, settings, missing):
        """Send the CPython that the host is missing; return the path of its archive on the host, and the archive's SHA-256."""
        try:
            found = provide_python(settings, missing["version"], missing["machine"], C.DEFAULT_LOCAL_TMP)
        except SourceError as exc:
            raise ActionFailure(str(exc)) from exc
        return {"path": self._send(found["archive"], "python.tar.gz"), "sha256": found["sha256"]}

    def _send_command(self, release, program):
        """Send the *program* of the host command, unless it has been sent, and add its path to *release*."""
        if "path" not in release["command"]:
            release["command"] = {**program, "path": self._send(program["path"], "asgi.pyz")}

    def _call(self, arguments, task_vars):
        return printable(self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars))

    def _send(self, archive, name):
        """Copy *archive* to the host and return its path there."""
        if not self._connection._shell.tmpdir:
            self._make_tmp_path()
        remote = self._connection._shell.join_path(self._connection._shell.tmpdir, name)
        self._transfer_file(archive, remote)
        self._fixup_perms2((self._connection._shell.tmpdir, remote))
        return remote


def _missing(result):
    return Missing.from_result(result) if result else Missing()


def _small_archive(archive):
    """Return the content of *archive* as an argument of the module, if there is an archive and it is small."""
    if not archive or Path(archive).stat().st_size > SMALL_BYTES:
        return {}
    return {"archive": base64.b64encode(Path(archive).read_bytes()).decode()}


def _override_warnings(name, overridden):
    return [
        f"{name}: the source pins {each['package']} {each['pinned']}, and the release has {each['installed']}, which the server requires "
        "(asgi_app_server_requirements)"
        for each in overridden
    ]


def _python_warnings(arguments, installed):
    if not installed or arguments["python"] != AUTO:
        return []
    cause = f"because the source declares {installed['origin']}, which python3 does not match"
    remedy = "change the declaration, or set asgi_app_python to python3, to use the one of the distribution"
    return [f"{arguments['name']}: uv installed CPython {installed['version']} on this host, {cause} -> {remedy}"]


def _choice(arguments):
    return Choice(groups=arguments["groups"], extras=arguments["extras"], install=arguments["install_project"])


def _settings(arguments, request=None):
    """Return the settings of the tools that the controller runs."""
    if not arguments.get("uv_version"):
        raise SourceError(
            "required-missing", "uv_version", "is not set", "set the version of uv that resolves the requirements"
        )
    try:
        uv_hashes(arguments["uv_version"], arguments["uv_hashes"])
    except ValueError as exc:
        fault, remedy = exc.args
        raise SourceError("uv-hashes-missing", *fault.split(" ", 1), remedy) from exc
    return Settings(
        python=f"python{request.floor}" if request else arguments["python"],
        python_mirror=arguments.get("python_mirror"),
        requirements=arguments["requirements"],
        server_requirements=arguments["server_requirements"],
        uv_version=arguments["uv_version"],
        index_url=arguments.get("index_url"),
        ca_bundle=arguments["ca_bundle"],
        build_environment=check_environment(json.loads(arguments.get("build_environment") or "{}")),
        uv_hashes=arguments["uv_hashes"],
    )


def _without_index(arguments):
    """Return the arguments for hosts that need no index, without its credentials."""
    remaining = {key: value for key, value in arguments.items() if key not in NOT_SENT}
    remaining["requirements"] = [without_credentials(requirement) for requirement in remaining["requirements"]]
    return remaining


def _origins(arguments):
    return Origins(
        requirements={f"asgi_app_{name}": arguments[name] for name in ("requirements", "server_requirements")},
        index_url=arguments.get("index_url"),
        build_environment=check_environment(json.loads(arguments.get("build_environment") or "{}")),
        insecure=arguments["insecure_transports"],
        python_mirror=arguments.get("python_mirror"),
    )


def _without_none(arguments):
    return {key: value for key, value in arguments.items() if value is not None}
