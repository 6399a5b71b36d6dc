# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build and stage a release on this host and install the host command, or report what the host is missing for it."""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._app.app_home import AppHome
from ansible_collections.asgi.deploy.plugins.module_utils._app.build_python import (
    SYSTEM_PYTHON,
    Python,
    choose,
    prune,
)
from ansible_collections.asgi.deploy.plugins.module_utils._app.build_recipe import CACHE, BuildError, Recipe
from ansible_collections.asgi.deploy.plugins.module_utils._app.claim import check_claim
from ansible_collections.asgi.deploy.plugins.module_utils._app.code_changes import describe_changes, released_files
from ansible_collections.asgi.deploy.plugins.module_utils._app.dependency_install import declaration_name
from ansible_collections.asgi.deploy.plugins.module_utils._app.host_command import install, is_current
from ansible_collections.asgi.deploy.plugins.module_utils._app.release import describe_release, mask_urls
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_build import Build, uv_of
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_protocol import Missing, MissingWheels
from ansible_collections.asgi.deploy.plugins.module_utils._app.slots import App
from ansible_collections.asgi.deploy.plugins.module_utils._app.wheel_store import describe_target, stored
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import read_link, refuse_obstacle
from ansible_collections.asgi.deploy.plugins.module_utils._host.packages import missing

SYSTEM_BUS = "/run/dbus/system_bus_socket"


def check(home: AppHome, recipe: Recipe, keep: int, packages: list, check_mode: bool) -> dict[str, Any]:
    """Return the result if the release is already staged, or else what is missing to stage it. Change nothing."""
    prerequisites = missing_prerequisites(home.app, packages)
    if prerequisites.prerequisites:
        if os.path.exists(SYSTEM_PYTHON):
            # Fail before the role changes the host.
            choose(recipe)
        return _missing(prerequisites._replace(command=not check_mode and lacks_command(home, recipe)))
    differs = home.lay_out(change=False)
    result = stage(home, recipe, keep, change=False)
    if not differs and not result["changed"]:
        return result
    # Check mode builds and installs nothing.
    return _missing(Missing() if check_mode else missing_files(home, recipe, result["built"]))


def missing_prerequisites(app: dict, packages: list) -> Missing:
    """Return the missing accounts of *app* and the missing distribution *packages*."""
    claim = check_claim(app)
    if claim.objection:
        raise BuildError(f"asgi_name is '{app['name']}', but {claim.objection}", "app-name-taken")
    # systemd-run needs the system bus, which a minimal Debian does not have.
    bus = [] if os.path.lexists(SYSTEM_BUS) else ["dbus"]
    return Missing(account=not claim.ready, packages=missing([*packages, *bus]))


def lacks_command(home: AppHome, recipe: Recipe) -> bool:
    """Return whether the host command must be installed or updated."""
    return recipe.command is not None and not is_current(home.app, recipe.command["digest"])


def missing_files(home: AppHome, recipe: Recipe, builds: bool) -> Missing:
    """Return which files the controller must send, for a build if *builds* is true and for the host command."""
    command = lacks_command(home, recipe) and not recipe.command.get("path")
    if not builds:
        return Missing(command=command)
    wheels = archive = None
    python = choose(recipe)
    if recipe.wheelhouse and python.is_missing and not recipe.python_archive:
        archive = {"version": python.managed, "machine": os.uname().machine}
    if recipe.wheelhouse and recipe.wheels is None:
        wheels = MissingWheels(
            target=_target(python),
            stored=stored(CACHE / "wheels"),
            uv=recipe.installer == "uv" and not recipe.uv_path and not uv_of(recipe.uv_version).exists(),
        )
    missing_source = recipe.source["kind"] != "package" and not recipe.archive
    return Missing(command=command, archive=missing_source, wheels=wheels, python=archive)


def _target(python: Python) -> dict:
    """Return the properties of *python* for the choice of wheels, even if it is not installed yet."""
    if python.is_missing:
        return {**describe_target(SYSTEM_PYTHON), "python": python.managed, "implementation": "cpython", "abiflags": ""}
    return describe_target(python.path)


def _missing(missing: Missing) -> dict[str, Any]:
    return {"changed": False, "missing": missing.as_result()}


def stage(home: AppHome, recipe: Recipe, keep: int, change: bool) -> dict[str, Any]:
    """Build and stage the release, remove old releases, and return the result. If *change* is false, only report the changes.

    If the build needs files from the controller, change nothing and return the missing files instead.
    """
    release = home.place(recipe.release)
    recipe = recipe._replace(release=release)
    refuse_obstacle(home.app["staged"])
    before = home.staged()
    serving = App(home.app, systemd=None).live_pair()
    result = {
        "changed": False,
        "release": release,
        "directory": str(home.releases / release),
        "built": False,
        "command": False,
        "live": read_link(home.app["current"]) == f"releases/{release}",
        "serving": serving._asdict() if serving else None,
    }
    if before:
        result["staged_before"] = before
    diffs = []

    builds = not home.is_complete(release)
    if change:
        needed = missing_files(home, recipe, builds)
        if needed.files:
            return _missing(needed)
    if builds:
        if change:
            result.update(_build(home, recipe))
        result.update(changed=True, built=True)
        diffs.append(_diff("", _planned(recipe), "no such release", result["directory"]))
        if recipe.files is not None and serving:
            live = str(home.releases / serving.release)
            changes = describe_changes(released_files(live), recipe.files)
            diffs.append(_diff("", changes, f"files of the code in {live}", "files of the code that change"))

    if before != release:
        if change:
            home.stage(release)
        result["changed"] = True
        old = f"releases/{before}\n" if before else ""
        diffs.append(_diff(old, f"releases/{release}\n", home.app["staged"], home.app["staged"]))

    if lacks_command(home, recipe):
        if change:
            install(home.app, recipe.command["path"])
        result.update(changed=True, command=True)
        program = home.app["command"]["program"]
        diffs.append(_diff("", f"the command asgi {home.app['name']}\n", program, program))

    # Remove old releases only in a run that changes something else, so that a run directly after a deploy changes nothing.
    result["pruned"] = home.prunable(release, keep) if result["changed"] else []
    if result["pruned"]:
        for old in result["pruned"] if change else ():
            home.remove(old)
        old = "".join(f"{old}\n" for old in result["pruned"])
        diffs.append(_diff(old, "", home.app["releases"], home.app["releases"]))
    if result["changed"] and change:
        prune()

    result["diff"] = diffs
    return result


def _build(home: AppHome, recipe: Recipe) -> dict[str, Any]:
    """Build the release and return the results of the build; remove the release if the build fails."""
    home.remove(recipe.release)
    build = Build(recipe, home.releases / recipe.release)
    try:
        build.make()
    except BaseException:
        home.remove(recipe.release)
        raise
    result: dict[str, Any] = {"seconds": build.seconds, "overridden": build.overridden}
    if build.installed_python:
        result["installed_python"] = build.installed_python
    return result


def _planned(recipe: Recipe) -> str:
    """Return the description of a new release for the diff."""
    facts = {"release": recipe.release, "module": recipe.module}
    facts.update({f"source.{key}": value for key, value in recipe.source.items() if key not in ("label", "digest")})
    if recipe.source["kind"] != "package":
        facts["dependencies"] = declaration_name(recipe.dependencies) or "none declared"
    facts["requirements"] = recipe.requirements
    facts["server_requirements"] = recipe.server_requirements
    facts["python"] = recipe.python if recipe.python_request is None else recipe.python_request.identity
    facts["installer"] = recipe.installer
    return mask_urls(describe_release(facts))


def _diff(before: str, after: str, before_header: str, after_header: str) -> dict[str, str]:
    return {"before": before, "after": after, "before_header": before_header, "after_header": after_header}
