# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is checked of the variables of the role asgi_app beyond their types, source included."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ansible import constants as C
from ansible_collections.asgi.deploy.plugins.module_utils.environment import check_environment
from ansible_collections.asgi.deploy.plugins.module_utils.release import ARGUMENTS, mask_urls
from ansible_collections.asgi.deploy.plugins.plugin_utils.checks.shared import hook_problems
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import Context, Problem
from ansible_collections.asgi.deploy.plugins.plugin_utils.servers import SERVERS
from ansible_collections.asgi.deploy.plugins.plugin_utils.source import (
    Resolved,
    SourceError,
    check_installer,
    normalise,
    resolve,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils.wheelhouse import OLDEST_UV, Settings, resolve_wheels

COMMAND = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*|/[^\s\0]+")
DEBIAN_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(?::[a-z0-9]+)?(?:=[A-Za-z0-9.+:~-]+)?")
REQUIREMENT_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?=\s*(?:$|[\[<>=!~;@(]))")
UV_VERSION = re.compile(r"\d+\.\d+\.\d+")


def problems(context: Context) -> list[Problem]:
    """Return what is wrong with the role's variables."""
    options = context.options
    found = [
        *_source(context),
        *_python(options),
        *_uv(context),
        *_requirements(options, "asgi_app_requirements"),
        *_requirements(options, "asgi_app_server_requirements"),
        *_server(options),
        *_exclude(options),
        *_index(options),
        *_build_environment(options),
        *_rest(options),
        *hook_problems(context, "asgi_app_hook_staged"),
    ]
    return found or list(_wheelhouse(context))


def _source(context: Context) -> Iterator[Problem]:
    try:
        _resolved(context)
    except SourceError as exc:
        yield Problem(exc.variable, exc.fault, exc.remedy)


def _resolved(context: Context) -> Resolved:
    source = normalise(context.options["asgi_app_source"], context.find)
    resolved = resolve(source, context.options["asgi_app_exclude"], C.DEFAULT_LOCAL_TMP)
    check_installer(resolved, context.options["asgi_app_installer"])
    return resolved


def _wheelhouse(context: Context) -> Iterator[Problem]:
    """Resolve the requirements, which the release will not do again; every value has been found good by itself."""
    options = context.options
    if not options["asgi_app_wheelhouse"]:
        return
    version = options["asgi_app_uv_version"]
    if tuple(map(int, version.split("."))) < OLDEST_UV:
        remedy = "give {}.{}.{} or later, which asgi_app_wheelhouse needs".format(*OLDEST_UV)
        yield Problem("asgi_app_uv_version", f"is {version!r}", remedy)
        return
    bundle = options["asgi_app_ca_bundle"]
    if bundle != ARGUMENTS["ca_bundle"]["default"] and not Path(bundle).is_file():
        fault = f"is {bundle!r}, which is no file on the controller"
        yield Problem("asgi_app_ca_bundle", fault, "give the path there of a PEM file, as asgi_app_wheelhouse is true")
        return
    settings = Settings(
        python=options["asgi_app_python"],
        requirements=options["asgi_app_requirements"],
        server_requirements=options["asgi_app_server_requirements"],
        uv_version=version,
        index_url=options.get("asgi_app_index_url"),
        ca_bundle=bundle,
        build_environment=check_environment(options["asgi_app_build_env"]),
    )
    try:
        resolve_wheels(_resolved(context), settings, C.DEFAULT_LOCAL_TMP)
    except SourceError as exc:
        yield Problem(exc.variable, exc.fault, exc.remedy)


def _python(options: dict) -> Iterator[Problem]:
    python = options["asgi_app_python"]
    if not COMMAND.fullmatch(python):
        yield Problem("asgi_app_python", f"is {python!r}", "give a command such as python3.12, or an absolute path")


def _uv(context: Context) -> Iterator[Problem]:
    version = context.options["asgi_app_uv_version"]
    if not UV_VERSION.fullmatch(version):
        yield Problem("asgi_app_uv_version", f"is {version!r}", "give an exact version of uv, for instance 0.13.8")
    binary = context.options.get("asgi_app_uv_binary")
    if binary is not None:
        path = context.find(binary)
        if not path.is_file():
            yield Problem("asgi_app_uv_binary", f"is {binary!r}, which is no file on the controller", "give uv's path")
        elif not os.access(path, os.X_OK):
            yield Problem("asgi_app_uv_binary", f"is {binary!r}, which is not executable", f"chmod +x {path}")


def _requirements(options: dict, variable: str) -> Iterator[Problem]:
    for requirement in options[variable]:
        # a line of its own in a requirements file: neither an option nor a second line may come of it
        if not REQUIREMENT_NAME.match(requirement.strip()) or not requirement.isprintable():
            remedy = "write each as a requirement, for instance orjson>=3.10 or name @ https://.../name.whl"
            yield Problem(variable, f"has {mask_urls(requirement)!r}", remedy)


def _server(options: dict) -> Iterator[Problem]:
    found = (REQUIREMENT_NAME.match(requirement.strip()) for requirement in options["asgi_app_server_requirements"])
    names = {re.sub(r"[._-]+", "-", match.group()).lower() for match in found if match}
    missing = [package for package in SERVERS[options["asgi_server_type"]].needed if package not in names]
    if missing:
        yield Problem(
            "asgi_app_server_requirements",
            f"lacks {' and '.join(missing)}",
            f"{options['asgi_server_type']} does not start without them; pin them here if you like, but name them",
        )


def _exclude(options: dict) -> Iterator[Problem]:
    for pattern in options["asgi_app_exclude"]:
        if not pattern.strip("/") or ".." in pattern.split("/"):
            yield Problem(
                "asgi_app_exclude",
                f"has {pattern!r}",
                "give names or patterns such as *.log, or docs/build for one below the root of the source",
            )


def _index(options: dict) -> Iterator[Problem]:
    url = options.get("asgi_app_index_url")
    if url is not None and not re.fullmatch(r"(?:https?://[^/\s]+|file:///)\S*", url):
        yield Problem("asgi_app_index_url", "is no URL of a package index", "give one that starts with https://")


def _build_environment(options: dict) -> Iterator[Problem]:
    try:
        check_environment(options["asgi_app_build_env"])
    except ValueError as exc:
        yield Problem("asgi_app_build_env", f"is wrong: {exc}", "give names such as HTTPS_PROXY and scalar values")


def _rest(options: dict) -> Iterator[Problem]:
    keep = options["asgi_app_keep_releases"]
    if keep < 1:
        yield Problem("asgi_app_keep_releases", f"is {keep}", "give at least 1; with 2 there is one to roll back to")
    bundle = options["asgi_app_ca_bundle"]
    if not bundle.startswith("/"):
        yield Problem("asgi_app_ca_bundle", f"is {bundle!r}", "give the absolute path of a PEM file on the host")
    for package in options["asgi_app_packages"]:
        if not DEBIAN_PACKAGE.fullmatch(package):
            yield Problem("asgi_app_packages", f"has {package!r}", "give names of Debian packages, such as libpq5")
