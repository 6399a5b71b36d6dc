# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Import the application of a release before the release is staged."""

from __future__ import annotations

import inspect
import posixpath
import re
from collections.abc import Iterable
from pathlib import Path

from ansible_collections.asgi.deploy.plugins.module_utils._app import import_probe
from ansible_collections.asgi.deploy.plugins.module_utils._app.build_recipe import BuildError, Recipe
from ansible_collections.asgi.deploy.plugins.module_utils._app.executable_memory import advice
from ansible_collections.asgi.deploy.plugins.module_utils._app.sandbox import (
    missing_paths,
    properties,
    transient,
    working_directory,
)
from ansible_collections.asgi.deploy.plugins.module_utils._app.write_faults import write_advice
from ansible_collections.asgi.deploy.plugins.module_utils._host.environment import release_environment
from ansible_collections.asgi.deploy.plugins.module_utils._host.failed_output import condense
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils._host.transient_unit import TimedOut, TransientUnit

IMPORT_SECONDS = 60
MISSING_MODULE = re.compile(r"ModuleNotFoundError: No module named '(\w+)'")


def check_import(recipe: Recipe, venv: Path, code: Path, packages: Iterable[str] = ()) -> None:
    """Check that the application can be imported with the account, directory, environment and sandbox of a slot.

    *packages* are the names of the packages in the release, which may explain a failure.
    """
    sandbox = recipe.sandbox or {}
    missing = missing_paths(sandbox)
    if missing:
        raise BuildError(f"{' and '.join(missing)}, which does not exist on the host: create it first")
    paths = layout(recipe.app)
    directory = working_directory(paths, sandbox) or ""
    target = recipe.module if recipe.call_factory else import_probe.uncalled(recipe.module)
    # The directories of the shared paths, which belong to the app and so are created by its account.
    shared = [posixpath.dirname(name) for name in recipe.source.get("shared", ())]
    directories = [posixpath.join(paths["shared"], name) for name in shared if name]
    argv = [str(venv / "bin" / "python"), "-c", inspect.getsource(import_probe), *directories]
    argv += [recipe.module, target, directory]
    environment = release_environment(paths, str(venv), recipe.environment)
    unit = TransientUnit(f"asgi-import-{recipe.app}", recipe.user, transient(properties(recipe.app, sandbox)))
    try:
        status, _out, err = unit.run(argv, str(code), environment, IMPORT_SECONDS)
    except TimedOut:
        raise BuildError(
            f"asgi_module ({recipe.module}) was not imported within {IMPORT_SECONDS} s: its import must not block",
            "import-timeout",
        ) from None
    last = (err.strip().splitlines() or [""])[-1]
    if status == import_probe.NOT_AN_APPLICATION and last.startswith(import_probe.FAULT):
        raise BuildError(f"asgi_module is not an application: {last[len(import_probe.FAULT) :]}", "not-an-application")
    if status:
        output = condense(err.strip(), first=0, last=15) or f"exit status {status}"
        denied = advice(packages, sandbox) or write_advice(recipe.app, err) or _module_advice(code, err)
        raise BuildError(
            f"asgi_module ({recipe.module}) does not import as the account {recipe.user}, with the environment "
            f"of asgi_env and in the sandbox of the app:\n{output}" + (f"\n{denied}" if denied else ""),
            "import-failed",
        )


def _module_advice(code: Path, output: str) -> str:
    """Return the remedy for the missing module in *output*, an empty string if there is none or it is not known."""
    missing = MISSING_MODULE.search(output)
    if not missing:
        return ""
    if missing[1] == "pkg_resources":
        # Lock files omit setuptools, which virtual environments contained before Python 3.12. Version 82 has no pkg_resources.
        return "pkg_resources is a module of setuptools: add setuptools<81 to asgi_app_requirements"
    # A directory such as src/.
    names = (missing[1], f"{missing[1]}.py")
    where = min((path.parent.name for name in names for path in code.glob(f"*/{name}")), default="")
    return (
        f"the directory {where} of the code contains {missing[1]}: set PYTHONPATH to {where} in asgi_env"
        if where
        else ""
    )
