# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run uv and pip on the controller, in the versions that the hosts use and with the operator's configuration."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from ansible_collections.asgi.deploy.plugins.module_utils._app.release import last_lines, mask_urls
from ansible_collections.asgi.deploy.plugins.module_utils._app.uv_pin import INSTALL_OPTIONS, uv_requirement
from ansible_collections.asgi.deploy.plugins.module_utils._host.environment import hide
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import locked
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.tool_environment import Settings, tool_environment
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheel_cache import WheelCache
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheels import VARIABLE, WheelError

TOOL_SECONDS = 1800


def write_lines(path: Path, lines: Iterable[str]) -> str:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


class WheelTools:
    """*need* is a variable and the reason why the controller needs the tools."""

    def __init__(self, settings: Settings, cache: WheelCache, need: str = f"{VARIABLE} is true") -> None:
        self.settings = settings
        self.cache = cache
        self.need = need

    def uv(self, arguments: Sequence[str], directory: Path, blame: str, remedy: str = "", **variables: str) -> str:
        return self.run([str(self._venv() / "bin" / "uv"), *arguments], directory, blame, remedy, **variables)

    def pip(self, arguments: Sequence[str], directory: Path, blame: str, remedy: str = "") -> str:
        return self.run([*_pip(self._venv()), *arguments], directory, blame, remedy)

    def _venv(self) -> Path:
        """Return the virtual environment with pip and the hosts' version of uv; create it if it does not exist."""
        name = f"uv-{self.settings.uv_version}-pinned-py{sys.version_info[0]}.{sys.version_info[1]}"
        venv = self.cache.directory / "tools" / name
        self.cache.make_directory(venv.parent)
        # Concurrent runs wait until the first one has installed the tools.
        with locked(str(venv.parent / ".lock"), "installs the tools", wait=None):
            if not (venv / "bin" / "python").exists():
                self._make_venv(venv)
        return venv

    def _make_venv(self, venv: Path) -> None:
        version = self.settings.uv_version
        with tempfile.TemporaryDirectory(dir=venv.parent) as directory:
            made = Path(directory) / "made"
            self.run(
                [sys.executable, "-m", "venv", str(made)],
                Path("/"),
                f"{self.need} and needs a Python that can create virtual environments on the controller",
                "install it there; on Debian, install the package python3-venv",
            )
            blame = f"asgi_app_uv_version ({version}) cannot be installed on the controller, as {self.need.partition(' ')[0]} needs"
            listed = write_lines(Path(directory) / "uv.txt", [uv_requirement(version, self.settings.uv_hashes)])
            self.run([*_pip(made), "install", *INSTALL_OPTIONS, "--requirement", listed], Path("/"), blame)
            # The environment can be renamed, because neither tool is a script with its path: bin/uv is a binary, and pip runs as a module.
            shutil.rmtree(venv, ignore_errors=True)
            made.rename(venv)

    def run(self, argv: Sequence[str], directory: Path, blame: str, remedy: str = "", **variables: str) -> str:
        """Run a tool and return its output; raise WheelError with *blame* and the output if it fails.

        *blame* is a variable and its fault. *variables* are added to the tools' environment.
        """
        try:
            done = subprocess.run(
                argv,
                cwd=directory,
                env={**tool_environment(self.settings, os.environ, self.cache.directory), **variables},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=TOOL_SECONDS,
                check=False,
            )
            output = done.stderr or done.stdout
        except (OSError, subprocess.TimeoutExpired) as exc:
            output = str(exc)
        else:
            if not done.returncode:
                return done.stdout
        variable, _space, fault = blame.partition(" ")
        output = last_lines(mask_urls(hide(output, dict(self.settings.build_environment))))
        raise WheelError("requirements-unresolvable", variable, f"{fault}:\n{output}\n", remedy or _remedy(output))


def _remedy(output: str) -> str:
    if "No solution found" in output:
        return "change the requirements so that they are compatible"
    return "check that the controller can reach the index (asgi_app_index_url, asgi_app_build_env, asgi_app_ca_bundle)"


def _pip(venv: Path) -> list[str]:
    return [str(venv / "bin" / "python"), "-m", "pip", "--quiet"]
