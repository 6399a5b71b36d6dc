# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Record the contents of a release in release.json and in a software bill of materials next to it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from ansible_collections.asgi.deploy.plugins.module_utils._app.build_recipe import Recipe
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_log import now
from ansible_collections.asgi.deploy.plugins.module_utils._app.sbom import FILE_NAME as SBOM_NAME
from ansible_collections.asgi.deploy.plugins.module_utils._app.sbom import as_text, read_distributions, sbom
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import write_text

# Prints the Python version and the packages of the virtual environment. Compiles the app's code first, because the app's account cannot
# write bytecode. Files that do not compile are skipped, because the app may never import them.
DESCRIBE_PROBE = """
import compileall, importlib.metadata, json, platform, sys
for directory in sys.argv[1:]:
    compileall.compile_dir(directory, quiet=2)
print(json.dumps({
    "python": platform.python_version(),
    "packages": {d.metadata["Name"]: d.version for d in importlib.metadata.distributions()
                 if d.metadata["Name"] and d.version},
}))
"""

_NAME_OR_VERSION = re.compile(r"[A-Za-z0-9._+!-]{1,200}")


def description(output: str) -> dict:
    """Return the Python version and the packages from the *output* of DESCRIBE_PROBE; raise ValueError if it is malformed.

    Code of the packages runs during the probe, so it can forge the output. A .pth file may print text before the JSON.
    """
    found = json.loads(output.strip().rpartition("\n")[2])
    python, packages = (found.get("python"), found.get("packages")) if isinstance(found, dict) else (None, None)
    if not isinstance(packages, dict):
        raise ValueError("a package has manipulated the output")
    words = [python, *packages.keys(), *packages.values()]
    if not all(isinstance(word, str) and _NAME_OR_VERSION.fullmatch(word) for word in words):
        raise ValueError("a package has an invalid name or version")
    return {"python": python, "packages": packages}


def write_record(recipe: Recipe, directory: Path, described: dict, managed_python: str = "") -> None:
    """Write release.json last, after all other files of the release are on the disk.

    *managed_python* is the name of the CPython in the directory of Pythons that the release uses, if it uses one.
    """
    manifest = {
        "id": recipe.release,
        "app": recipe.app,
        "module": recipe.module,
        "source": recipe.source,
        "installer": recipe.installer,
        "python": described["python"],
        **({"managed_python": managed_python} if managed_python else {}),
        "packages": dict(sorted(described["packages"].items(), key=lambda item: item[0].lower())),
        "built_at": now(),
    }
    wheels = recipe.wheels["release"] if recipe.wheelhouse else ()
    if recipe.wheelhouse:
        manifest["wheels"] = sorted(wheel["sha256"] for wheel in wheels)
    document = sbom(manifest, read_distributions(str(directory / ".venv")), wheels)
    write_text(str(directory / SBOM_NAME), as_text(document))
    os.sync()
    write_text(str(directory / "release.json"), json.dumps(manifest, indent=2) + "\n")
