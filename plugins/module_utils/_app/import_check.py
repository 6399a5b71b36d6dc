# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Import the application of a release before the release is staged."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.asgi.deploy.plugins.module_utils._app.build_recipe import BuildError, Recipe
from ansible_collections.asgi.deploy.plugins.module_utils._app.sandbox import missing_paths, properties, transient
from ansible_collections.asgi.deploy.plugins.module_utils._host.environment import release_environment
from ansible_collections.asgi.deploy.plugins.module_utils._host.failed_output import condense
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils._host.transient_unit import TimedOut, TransientUnit

IMPORT_SECONDS = 60

IMPORT_PROBE = """
import importlib, os, sys, traceback
target = sys.argv.pop()
module, _colon, attributes = target.partition(":")
try:
    found = importlib.import_module(module)
    for attribute in attributes.split("."):
        found = getattr(found, attribute)
    if not callable(found):
        raise TypeError(f"{target} is a {type(found).__name__}, not an application")
    status = 0
except BaseException as exc:
    trace = traceback.TracebackException.from_exception(exc)
    loaders = ("<string>", "<frozen importlib", importlib.__file__)
    trace.stack[:] = [frame for frame in trace.stack if not frame.filename.startswith(loaders)]
    sys.stderr.write("".join(trace.format()))
    status = 1
sys.stdout.flush()
sys.stderr.flush()
os._exit(status)
"""


def check_import(recipe: Recipe, venv: Path, code: Path) -> None:
    """Check that the application can be imported with the account, directory, environment and sandbox of a slot."""
    missing = missing_paths(recipe.sandbox or {})
    if missing:
        raise BuildError(f"{' and '.join(missing)}, which does not exist on the host: create it first")
    argv = [str(venv / "bin" / "python"), "-c", IMPORT_PROBE, recipe.module]
    environment = release_environment(layout(recipe.app), str(venv), recipe.environment)
    sandbox = transient(properties(recipe.app, recipe.sandbox or {}))
    unit = TransientUnit(f"asgi-import-{recipe.app}", recipe.user, sandbox)
    try:
        status, _out, err = unit.run(argv, str(code), environment, IMPORT_SECONDS)
    except TimedOut:
        raise BuildError(
            f"asgi_module ({recipe.module}) was not imported within {IMPORT_SECONDS} s: its import must not block"
        ) from None
    if status:
        output = condense(err.strip(), first=0, last=15) or f"exit status {status}"
        raise BuildError(
            f"asgi_module ({recipe.module}) does not import as the account {recipe.user}, with the environment "
            f"of asgi_env and in the sandbox of the app:\n{output}"
        )
