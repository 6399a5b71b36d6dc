# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install the dependencies of a release: those of the source, asgi_app_requirements, and the server.

Usually one command resolves all of them together. Two commands are necessary for locked dependencies, which constrain the others, and for
a source that pins a package of the server to an unsupported version: the second command then replaces that package.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from ansible_collections.asgi.deploy.plugins.module_utils._app.build_recipe import Recipe, Unsolvable

VARIABLES = "asgi_app_requirements and asgi_app_server_requirements"
_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


def package_name(text: str) -> str:
    """Return the normalised name of the package in a requirement."""
    match = _NAME.match(text)
    return re.sub(r"[-_.]+", "-", match[1]).lower() if match else ""


def as_argument(file: str) -> str:
    """Return the path *file* as an argument of an installer, which would read a name such as "-dev.txt" as an option."""
    return f"./{file}" if file.startswith("-") else file


def declaration_name(dependencies: dict) -> str:
    """Return the name of the declaration of a source's dependencies, for messages."""
    by = dependencies["by"]
    if by == "requirements":
        return " and ".join(dependencies.get("files", ["requirements.txt"]))
    names = {"lock": "uv.lock", "project": "project", "list": "pyproject.toml"}
    return names.get(by) or dependencies.get("file", "")


def installs_tree(dependencies: dict) -> bool:
    """Return whether an installer reads the tree as a project, so that its build backend may write into it."""
    paths = any(line.startswith("./") for line in dependencies.get("lines", ()))
    return dependencies["by"] in ("project", "lock") or bool(dependencies.get("install")) or paths


class Installation:
    """Installs with *installer*, the command of pip or of `uv pip` without ``install``.

    *code* is the directory of the source, and *tree* a copy of it, in which build backends may write. *run* and *write* are methods
    of the build.
    """

    def __init__(
        self,
        recipe: Recipe,
        installer: list[str],
        code: Path,
        tree: Path,
        run: Callable[..., str],
        write: Callable[[str, Iterable[str]], str],
    ) -> None:
        self.recipe = recipe
        self.installer = installer
        self.code = code
        self.tree = tree
        self.run = run
        self.write = write
        self.dependencies = recipe.dependencies
        self.added = [*recipe.requirements, *recipe.server_requirements]
        self.before: dict[str, str] = {}

    def install(self) -> None:
        lock = self._lock()
        if lock:
            lock()
            self._install_project()
            blame = (
                f"{VARIABLES} conflict with the {declaration_name(self.dependencies)} of asgi_app_source: change them, or lock "
                "other versions of those packages"
            )
            self._add(blame)
            return
        try:
            self._install_together(self.added)
        except Unsolvable as exc:
            if self.recipe.source["kind"] != "package" and self.dependencies["by"] == "nothing":
                raise
            # The source may pin a package of the server. Its other packages remain as the source declares them.
            self._install_together([])
            try:
                self._add("")
            except Unsolvable:
                raise exc from None

    def overridden(self, packages: dict[str, str]) -> list[dict[str, str]]:
        """Return the packages that the source pins to a version other than the installed one in *packages*."""
        found = {package_name(name): (name, version) for name, version in packages.items()}
        return [
            {"package": found[name][0], "pinned": version, "installed": found[name][1]}
            for name, version in sorted(self.before.items())
            if name in found and found[name][1] != version
        ]

    # One command

    def _install_together(self, lines: list[str]) -> None:
        recipe, declared = self.recipe, self.dependencies["by"]
        options, directory = [], self.code
        lines = list(lines)
        name = f"the {declaration_name(self.dependencies)} of asgi_app_source"
        if recipe.source["kind"] == "package":
            lines.append(recipe.source["requirement"])
            name = f"asgi_app_source.package ({recipe.source['requirement']})"
        elif declared == "requirements":
            options = self._files()
            if self.dependencies.get("install"):
                project, directory = self._project()
                options = [*options, *project]
        elif declared == "project":
            options, directory = self._project(self.dependencies.get("extras"))
            lines += self.dependencies.get("requirements", [])
        elif declared == "list":
            lines += self.dependencies["requirements"]
            name = f"the dependencies in the {declaration_name(self.dependencies)} of asgi_app_source"
        blame = f"{name} cannot be installed, alone or together with {VARIABLES}"
        if recipe.source["kind"] != "package" and declared == "nothing":
            blame = f"{VARIABLES} cannot be installed together"
        options += ["--requirement", self.write("requirements.txt", lines)]
        self.run([*self.installer, "install", *options], blame, directory)

    def _project(self, extras: Iterable[str] | None = None) -> tuple[list[str], Path]:
        """Return the options that install the project, and the directory to run the installer in.

        An editable project refers to the code of the release, which stays in its directory.
        """
        project = f".[{','.join(extras)}]" if extras else "."
        if self.dependencies.get("install") == "editable":
            return ["--editable", project], self.code
        return [project], self.tree

    def _files(self) -> list[str]:
        files = self.dependencies.get("files", ["requirements.txt"])
        return [option for file in files for option in ("--requirement", as_argument(file))]

    # Two commands

    def _lock(self) -> Callable[[], None] | None:
        """Return the function that installs the locked dependencies; None if they are not locked."""
        if self.recipe.source["kind"] == "package":
            return None
        locks = {"lock": self._sync, "pylock": self._install_pylock, "exported": self._install_exported}
        if self.dependencies.get("hashed") and self.dependencies["by"] == "requirements":
            return self._install_hashed
        return locks.get(self.dependencies["by"])

    def _blame(self) -> str:
        return f"the {declaration_name(self.dependencies)} of asgi_app_source cannot be installed"

    def _selection(self) -> list[str]:
        groups, extras = self.dependencies.get("groups", ()), self.dependencies.get("extras", ())
        return [*(f"--group={name}" for name in groups), *(f"--extra={name}" for name in extras)]

    def _sync(self) -> None:
        """Install the packages in uv.lock."""
        # uv excludes a group that is in both options.
        without = [] if "dev" in self.dependencies.get("groups", ()) else ["--no-dev"]
        options = ["--frozen", *without, "--no-editable", "--active", *self._selection()]
        if self.dependencies.get("install", True) is not True:
            options.append("--no-install-project")
        self.run([self.installer[0], "sync", *options], self._blame(), self.tree, sync=True)

    def _install_pylock(self) -> None:
        options = ["--requirement", self.dependencies["file"], *self._selection()]
        self.run([*self.installer, "install", *options], self._blame(), self.code)

    def _install_exported(self) -> None:
        # pip does not install directories and repositories together with requirements that have hashes.
        hashed = [line for line in self.dependencies["lines"] if "--hash=" in line]
        others = [line for line in self.dependencies["lines"] if "--hash=" not in line]
        directory = self.tree if installs_tree(self.dependencies) else self.code
        for lines in filter(None, (hashed, others)):
            exported = self.write("exported.txt", lines)
            self.run([*self.installer, "install", "--no-deps", "--requirement", exported], self._blame(), directory)

    def _install_hashed(self) -> None:
        """Install the requirements with hashes alone, because pip then requires hashes for all requirements of a command."""
        self.run([*self.installer, "install", *self._files()], self._blame(), self.code)

    def _install_project(self) -> None:
        """Install the project itself, without its dependencies, which are locked. `uv sync` installs a project that is not editable."""
        install = self.dependencies.get("install")
        if install == "editable" or (install and self.dependencies["by"] != "lock"):
            project, directory = self._project()
            blame = "the project of asgi_app_source cannot be installed"
            self.run([*self.installer, "install", "--no-deps", *project], blame, directory)

    def _add(self, blame: str) -> None:
        """Install the other requirements, constrained by the installed versions except those of packages of the server."""
        # `pip --quiet list` prints nothing.
        command = [part for part in self.installer if part != "--quiet"]
        listed = json.loads(self.run([*command, "list", "--format", "json"], "the packages cannot be listed"))
        self.before = {package_name(each["name"]): each["version"] for each in listed}
        server = {package_name(requirement) for requirement in self.recipe.server_requirements}
        pins = [f"{each['name']}=={each['version']}" for each in listed if package_name(each["name"]) not in server]
        options = ["--constraint", self.write("constraints.txt", pins)]
        options += ["--requirement", self.write("requirements.txt", self.added)]
        self.run([*self.installer, "install", *options], blame, self.code)
