# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the values of asgi_app's variables, including the source and its requirements. _values/options.py checks the types."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ansible import constants as C
from ansible_collections.asgi.deploy.plugins.module_utils._app.python_versions import PythonRequest
from ansible_collections.asgi.deploy.plugins.module_utils._app.release import mask_urls
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_protocol import ARGUMENTS
from ansible_collections.asgi.deploy.plugins.module_utils._app.uv_pin import uv_hashes
from ansible_collections.asgi.deploy.plugins.module_utils._host.environment import check_environment
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.shared import hook_problems
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.dependency_files import Choice
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.lock_export import with_export
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.origins import Origins
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.python_request import python_request
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source import (
    Resolved,
    check_installer,
    normalise,
    resolve,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import VARIABLES, SourceError
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.tool_environment import Settings
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.transports import REMEDY, insecure_urls
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheelhouse import OLDEST_UV, resolve_wheels
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.servers import SERVERS
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import (
    AppDoubt,
    Context,
    Doubt,
    Problem,
    shown,
)

COMMAND = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*|/[^\s\0]+")
DEBIAN_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(?::[a-z0-9]+)?(?:=[A-Za-z0-9.+:~-]+)?")
REQUIREMENT_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?=\s*(?:\Z|[\[<>=!~;@(]))")
EXCLUDE = ("asgi_app_exclude", "asgi_app_exclude_extra")
REQUIREMENTS = ("asgi_app_requirements", "asgi_app_server_requirements")
UV_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")


def problems(context: Context) -> list[Problem]:
    """Return the problems in the role's variables."""
    options = context.options
    found = [
        *_source(context),
        *_python(context),
        *_uv(context),
        *(problem for variable in REQUIREMENTS for problem in _requirements(options, variable)),
        *_server(options),
        *_exclude(options),
        *_index(options),
        *_build_environment(options),
        *_origins(context),
        *_audit(options),
        *_rest(options),
        *_migrate(options),
        *hook_problems(context, "asgi_app_hook_staged"),
    ]
    errors = [problem for problem in found if not isinstance(problem, Doubt)]
    return found if errors else [*found, *_wheelhouse(context)]


def _of_source(error: SourceError) -> Problem:
    return Problem(error.code, error.variable, error.fault, error.remedy)


def _source(context: Context) -> Iterator[Problem]:
    try:
        resolved = _resolved(context)
    except SourceError as exc:
        yield _of_source(exc)
        return
    variable = VARIABLES[resolved.kind]
    if resolved.undeclared and not context.options["asgi_app_requirements"]:
        yield AppDoubt("dependencies-undeclared", variable, *resolved.undeclared)


def _resolved(context: Context) -> Resolved:
    source = normalise(context.options["asgi_app_source"], context.find)
    options = context.options
    choice = Choice(
        groups=options["asgi_app_groups"],
        extras=options["asgi_app_extras"],
        install=options["asgi_app_install_project"],
    )
    insecure = options["asgi_app_insecure_transports"]
    exclude = [pattern for variable in EXCLUDE for pattern in options[variable]]
    resolved = resolve(source, exclude, C.DEFAULT_LOCAL_TMP, insecure, choice)
    check_installer(resolved, options["asgi_app_installer"])
    if any(_uv(context)) or any(_build_environment(options)):
        return resolved  # the checks of these variables report the problem
    return with_export(resolved, lambda: _settings(options), C.DEFAULT_LOCAL_TMP)


def _settings(options: dict, request: PythonRequest | None = None) -> Settings:
    """Return the settings of the tools that the controller runs."""
    return Settings(
        python=f"python{request.floor}" if request else options["asgi_app_python"],
        python_mirror=options.get("asgi_app_python_mirror"),
        requirements=options["asgi_app_requirements"],
        server_requirements=options["asgi_app_server_requirements"],
        uv_version=options["asgi_app_uv_version"],
        index_url=options.get("asgi_app_index_url"),
        ca_bundle=options["asgi_app_ca_bundle"],
        build_environment=check_environment(options["asgi_app_build_env"]),
        uv_hashes=options["asgi_app_uv_hashes"],
    )


def _origins(context: Context) -> Iterator[Problem]:
    """Yield a problem for each rejected origin of code or packages."""
    options = context.options
    try:
        build_environment = check_environment(options["asgi_app_build_env"])
    except ValueError:
        return  # the check of asgi_app_build_env reports this
    try:
        resolved = _resolved(context)
    except SourceError:
        resolved = None  # the check of the source reports this
    # Skip values that are not requirements or URLs, because other checks report them.
    origins = Origins(
        requirements={name: list(filter(_is_requirement, options[name])) for name in REQUIREMENTS},
        index_url=None if any(_index(options)) else options.get("asgi_app_index_url"),
        build_environment=build_environment,
        insecure=options["asgi_app_insecure_transports"],
        python_mirror=options.get("asgi_app_python_mirror"),
    )
    yield from map(_of_source, origins.faults(resolved))


def _wheelhouse(context: Context) -> Iterator[Problem]:
    """Resolve the requirements once for all hosts, and yield a problem if that fails. The values have passed their own checks already."""
    options = context.options
    if not options["asgi_app_wheelhouse"]:
        return
    version = options["asgi_app_uv_version"]
    if tuple(map(int, version.split("."))) < OLDEST_UV:
        remedy = "set {}.{}.{} or later, which asgi_app_wheelhouse requires".format(*OLDEST_UV)
        yield Problem("uv-version-too-old", "asgi_app_uv_version", f"is {version!r}", remedy)
        return
    bundle = options["asgi_app_ca_bundle"]
    if bundle != ARGUMENTS["ca_bundle"]["default"] and not Path(bundle).is_file():
        yield Problem(
            "ca-bundle-missing", "asgi_app_ca_bundle", f"is {bundle!r}, which does not exist on the controller"
        )
        return
    try:
        resolve_wheels(_resolved(context), _settings(options, _python_request(context)), C.DEFAULT_LOCAL_TMP)
    except SourceError as exc:
        yield _of_source(exc)


def _python(context: Context) -> Iterator[Problem]:
    python = context.options["asgi_app_python"]
    if COMMAND.fullmatch(python):
        try:
            _python_request(context)
        except SourceError as exc:
            yield _of_source(exc)
    else:
        yield Problem("python-invalid", "asgi_app_python", f"is {python!r}")
    mirror = context.options.get("asgi_app_python_mirror")
    if mirror is not None and not _is_url(mirror):
        yield Problem("python-mirror-invalid", "asgi_app_python_mirror", "is not the URL of a mirror")


def _python_request(context: Context) -> PythonRequest | None:
    """Return the versions of Python that the app accepts; raise SourceError if none of them can exist on a host."""
    options = context.options
    try:
        declared = _resolved(context).pythons
    except SourceError:
        declared = []  # the check of the source reports this
    return python_request(options["asgi_app_python"], declared, options["asgi_app_installer"])


def _uv(context: Context) -> Iterator[Problem]:
    version = context.options["asgi_app_uv_version"]
    if not UV_VERSION.fullmatch(version):
        yield Problem("uv-version-invalid", "asgi_app_uv_version", f"is {version!r}")
    elif _uv_is_installed(context.options):
        try:
            uv_hashes(version, context.options["asgi_app_uv_hashes"])
        except ValueError as exc:
            fault, remedy = exc.args
            yield Problem("uv-hashes-missing", *fault.split(" ", 1), remedy)
    variable, binary = "asgi_app_uv_binary", context.options.get("asgi_app_uv_binary")
    if binary is not None:
        path = context.find(binary)
        if not path.is_file():
            yield Problem("uv-binary-missing", variable, f"is {binary!r}, which does not exist on the controller")
        elif not os.access(path, os.X_OK):
            fault = f"is {binary!r}, which is not executable"
            yield Problem("uv-binary-not-executable", variable, fault, f"chmod +x {path}")


def _uv_is_installed(options: dict) -> bool:
    """Return whether the hosts or the controller install uv from the index."""
    on_hosts = options["asgi_app_installer"] == "uv" and options.get("asgi_app_uv_binary") is None
    return on_hosts or options["asgi_app_wheelhouse"]


def _requirements(options: dict, variable: str) -> Iterator[Problem]:
    for requirement in options[variable]:
        if not _is_requirement(requirement):
            yield Problem("requirement-invalid", variable, f"contains {mask_urls(requirement)!r}")


def _is_requirement(text: str) -> bool:
    # A requirement becomes one line of a requirements file, so it must not be an option or contain line breaks.
    return bool(REQUIREMENT_NAME.match(text.strip())) and text.isprintable()


def _server(options: dict) -> Iterator[Problem]:
    found = (REQUIREMENT_NAME.match(requirement.strip()) for requirement in options["asgi_app_server_requirements"])
    names = {re.sub(r"[._-]+", "-", match.group()).lower() for match in found if match}
    missing = [package for package in SERVERS[options["asgi_server_type"]].needed if package not in names]
    if missing:
        remedy = f"add the missing packages, because {options['asgi_server_type']} does not start without them; versions may be pinned"
        fault = f"lacks {' and '.join(missing)}"
        yield Problem("server-requirement-missing", "asgi_app_server_requirements", fault, remedy)


def _exclude(options: dict) -> Iterator[Problem]:
    for variable in EXCLUDE:
        for pattern in options[variable]:
            if not pattern.strip("/") or ".." in pattern.split("/"):
                yield Problem("exclude-pattern-invalid", variable, f"contains {pattern!r}")


def _index(options: dict) -> Iterator[Problem]:
    url = options.get("asgi_app_index_url")
    if url is not None and not _is_url(url):
        yield Problem("index-url-invalid", "asgi_app_index_url", "is not the URL of a package index")


def _is_url(text: str) -> bool:
    return bool(re.fullmatch(r"(?:https?://[^/\s]+|file:///)\S*", text))


def _build_environment(options: dict) -> Iterator[Problem]:
    try:
        check_environment(options["asgi_app_build_env"])
    except ValueError as exc:
        remedy = "use names such as HTTPS_PROXY and scalar values"
        yield Problem("environment-invalid", "asgi_app_build_env", f"is invalid: {exc}", remedy)


def _audit(options: dict) -> Iterator[Problem]:
    variable, url = "asgi_app_audit_url", options["asgi_app_audit_url"]
    if not re.fullmatch(r"https?://[^/\s]+\S*", url):
        yield Problem("audit-url-invalid", variable, f"is {mask_urls(repr(url))}")
    elif insecure_urls(url) and options["asgi_app_audit"] and not options["asgi_app_insecure_transports"]:
        fault = "is an http:// URL, so an on-path attacker can hide vulnerabilities"
        yield Problem("transport-insecure", variable, fault, REMEDY)
    for identifier in options["asgi_app_audit_ignore"]:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:-]*", identifier):
            yield Problem("advisory-id-invalid", "asgi_app_audit_ignore", f"contains {identifier!r}")


def _migrate(options: dict) -> Iterator[Problem]:
    command = options["asgi_app_migrate"]
    if command and not re.fullmatch(r"[^\s-]\S*", str(command[0])):
        yield Problem("command-invalid", "asgi_app_migrate", f"starts with {shown(command[0])}")


def _rest(options: dict) -> Iterator[Problem]:
    keep = options["asgi_app_keep_releases"]
    if keep < 1:
        remedy = "use at least 1; with 2, a rollback is possible"
        yield Problem("number-out-of-range", "asgi_app_keep_releases", f"is {keep}", remedy)
    bundle = options["asgi_app_ca_bundle"]
    if not bundle.startswith("/"):
        yield Problem("ca-bundle-not-absolute", "asgi_app_ca_bundle", f"is {bundle!r}")
    for package in options["asgi_app_packages"]:
        if not DEBIAN_PACKAGE.fullmatch(package):
            yield Problem("package-name-invalid", "asgi_app_packages", f"contains {package!r}")
