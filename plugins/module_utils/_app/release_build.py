# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build one release on this host: unpack the source, create the virtual environment, check the import, write release.json.

A release is built in its final directory, because a virtual environment cannot be moved. It is complete once release.json exists.

Installing and inspecting packages executes their code. This code runs as the app's build account in a transient unit that can write only to
the release's directories and the app's own cache. Afterwards, root takes ownership of the release.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from ansible_collections.asgi.deploy.plugins.module_utils._app.build_environment import installer_environment
from ansible_collections.asgi.deploy.plugins.module_utils._app.build_ownership import copy_program, give, take_over
from ansible_collections.asgi.deploy.plugins.module_utils._app.build_python import (
    SYSTEM_PYTHON,
    Python,
    adopt,
    choose,
    download_entry,
    in_use,
)
from ansible_collections.asgi.deploy.plugins.module_utils._app.build_recipe import (
    CACHE,
    BuildError,
    Recipe,
    Unsolvable,
)
from ansible_collections.asgi.deploy.plugins.module_utils._app.build_sandbox import build_properties
from ansible_collections.asgi.deploy.plugins.module_utils._app.dependency_install import Installation, installs_tree
from ansible_collections.asgi.deploy.plugins.module_utils._app.import_check import check_import
from ansible_collections.asgi.deploy.plugins.module_utils._app.release import cause, last_lines
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_archive import UnsafeArchive, extract
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_record import (
    DESCRIBE_PROBE,
    description,
    write_record,
)
from ansible_collections.asgi.deploy.plugins.module_utils._app.uv_pin import INSTALL_OPTIONS, uv_requirement
from ansible_collections.asgi.deploy.plugins.module_utils._app.uv_pythons import UV_VERSION
from ansible_collections.asgi.deploy.plugins.module_utils._app.wheel_store import WheelStoreError, prune, receive, touch
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import (
    free_space,
    is_full,
    read_text,
    remove_tree,
    writing,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.interpreter import leads_to_interpreter
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import APPS, PYTHONS, layout
from ansible_collections.asgi.deploy.plugins.module_utils._host.transient_unit import TimedOut, TransientUnit

HOMES = Path(APPS)
# Minimum size limit of an app's cache. Releases share no inodes with the cache, because the build account can write to files there.
CACHE_BYTES = 4 << 30
BUILD_SECONDS = 3600
TOOLS = Path("/opt/asgi")
# The errors of uv and pip for requirements that conflict with each other.
UNSOLVABLE = re.compile(r"No solution found when resolving|ResolutionImpossible")


class Build:
    """Builds a release in *directory*."""

    def __init__(self, recipe: Recipe, directory: Path) -> None:
        self.recipe = recipe
        self.app = layout(recipe.app)
        self.directory = directory
        self.code = directory / "code"
        self.venv = directory / ".venv"
        self.python = self.venv / "bin" / "python"
        # The work directory is removed after the build. Build backends write into the source tree, so they get a second copy of it.
        self.work = directory / ".build"
        self.subdirectory = recipe.source.get("subdirectory", "")
        # With a subdirectory, "code" is a symlink into the source, because the app may need files outside of its subdirectory.
        self.source = directory / "source" if self.subdirectory else self.code
        self.tree = self.work / "tree"
        self.project = self.tree / self.subdirectory
        self.temporary = self.work / "tmp"
        self.ca_bundle = self.work / "ca-bundle.pem"
        self.seconds: dict[str, float] = {}
        self.installation: Installation | None = None
        self.overridden: list[dict[str, str]] = []
        # The CPython that this build installed on the host.
        self.installed_python: dict[str, str] = {}
        self.store = CACHE / "wheels"
        self.cache = Path(self.app["build_cache"])

    def make(self) -> None:
        python = choose(self.recipe)
        with writing(str(self.directory)), in_use() if python.managed else contextlib.nullcontext():
            self._make(python)

    def _make(self, python: Python) -> None:
        account = _account(self.app["build_user"])
        # Until root takes ownership, only the build account and root can enter the release, and only root can create entries in these two
        # directories.
        for directory in (self.directory, self.work):
            directory.mkdir(mode=0o700, parents=True)
            os.chown(directory, 0, account.pw_gid)
            directory.chmod(0o710)
        self.make_source()
        if not self.recipe.wheelhouse:
            self._copy_ca_bundle()
        with self._timed("source"):
            self._unpack()
            self._receive_wheels()
            self._prepare(account, python)
        with self._timed("tools"):
            uv = self._provide_uv() if self.recipe.installer == "uv" else None
        if python.is_missing:
            with self._timed("python"):
                self._install_python(python, uv)
        with self._timed("venv"):
            self._make_venv(python.path, uv)
        with self._timed("packages"):
            self._install(uv)
            described = self._describe()
            if self.installation:
                self.overridden = self.installation.overridden(described["packages"])
        with self._timed("handover"):
            remove_tree(str(self.work))
            take_over(str(self.directory), self._is_interpreter)
            if not (self.python.is_symlink() and leads_to_interpreter(str(self.python))):
                raise BuildError(f"{self.python} is not the Python of the host, because a package has replaced it")
            self._link_shared()
            self.directory.chmod(0o755)
        with self._timed("import"):
            check_import(self.recipe, self.venv, self.code, described["packages"])
        with self._timed("record"):
            write_record(self.recipe, self.directory, described, python.key)
            self._clean_caches()

    def make_source(self) -> None:
        self.source.mkdir()
        if self.subdirectory:
            self.code.symlink_to(f"{self.source.name}/{self.subdirectory}")

    @contextlib.contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self.seconds[step] = round(time.monotonic() - start, 2)

    def _copy_ca_bundle(self) -> None:
        """Copy the CA bundle for the build account, which cannot access /srv, home directories and files that only root can read."""
        path = self.recipe.ca_bundle
        if not Path(path).is_file():
            raise BuildError(f"asgi_app_ca_bundle is {path!r}, which is not a file on the host: create it first")
        shutil.copyfile(path, self.ca_bundle)
        self.ca_bundle.chmod(0o644)

    def _link_shared(self) -> None:
        """Create the symlinks for the source's shared paths. Call this once only root can write to the release."""
        names = self.recipe.source.get("shared", ())
        try:
            # Before the first link, so that no path leads through a link into a directory of the app.
            for name in names:
                for parent in reversed((self.code / name).parents):
                    if not parent.exists():
                        parent.mkdir()
                        parent.chmod(0o755)
            for name in names:
                (self.code / name).symlink_to(Path(self.app["shared"]) / name)
        except OSError as exc:
            raise BuildError(
                f"asgi_app_source.shared cannot be linked in the code, which the build has changed: {exc}"
            ) from exc

    def _prepare(self, account: pwd.struct_passwd, python: Python) -> None:
        """Create the directories of the release and the cache, and give them to the build account."""
        scratch = self._scratch() + ([self.work / "python"] if python.is_missing else [])
        for directory in (self.venv, self.temporary, *scratch):
            directory.mkdir(mode=0o755)
        for directory in (self.source, self.tree, self.venv, self.temporary, *scratch):
            if directory.exists():
                give(str(directory), account.pw_uid, account.pw_gid)
        for directory in (CACHE, self.cache.parent):
            # Accounts can reach their own directories, but cannot list the others.
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(0o711)
        if self.cache.exists() and self.cache.stat().st_uid != account.pw_uid:
            remove_tree(str(self.cache))
        if not self.cache.exists():
            self.cache.mkdir(mode=0o700)
            os.chown(self.cache, account.pw_uid, account.pw_gid)

    def _scratch(self) -> list[Path]:
        """Return a list with the directory into which pip installs uv, from where root copies it; empty if uv exists or is not needed."""
        recipe = self.recipe
        wanted = recipe.installer == "uv" and not recipe.uv_path and recipe.uv_version
        return [self.work / "uv"] if wanted and not uv_of(recipe.uv_version).exists() else []

    def _is_interpreter(self, path: str) -> bool:
        """Return whether the symlink *path* in the release is the interpreter of the virtual environment."""
        return os.path.dirname(path) == os.path.realpath(self.venv / "bin") and leads_to_interpreter(path)

    def _unpack(self) -> None:
        if not self.recipe.archive:
            return
        try:
            extract(self.recipe.archive, str(self.source))
            if installs_tree(self.recipe.dependencies) and not self.recipe.wheelhouse:
                extract(self.recipe.archive, str(self.tree))
        except UnsafeArchive as exc:
            raise BuildError(f"asgi_app_source: {exc}") from exc

    def _receive_wheels(self) -> None:
        if self.recipe.wheels_archive:
            try:
                receive(self.recipe.wheels_archive, self.store)
            except (UnsafeArchive, WheelStoreError) as exc:
                raise BuildError(f"the wheels from the controller: {exc}") from exc
        if self.recipe.wheels:
            touch(self.store, [wheel["sha256"] for wheels in self.recipe.wheels.values() for wheel in wheels])

    def _provide_uv(self) -> str:
        """Return the path of uv on the host; if the required version is missing, install it from the index or the controller's wheels."""
        if self.recipe.uv_path:
            self._run(
                [self.recipe.uv_path, "--version"],
                "asgi_app_uv_binary does not run on this host as uv",
                code="uv-not-installed",
            )
            return self.recipe.uv_path
        version = self.recipe.uv_version
        if not version:
            raise BuildError("asgi_app_uv_version is not set: set the version of uv to install")
        uv = uv_of(version)
        if not uv.exists():
            scratch = self.work / "uv"
            blame = "the distribution's Python cannot create a virtual environment"
            self._run([SYSTEM_PYTHON, "-m", "venv", str(scratch)], blame, code="uv-not-installed")
            options = self._from_wheels("tools") if self.recipe.wheelhouse else self._pinned_uv(version)
            # Do not use the app's cache: an earlier build may have manipulated it, and all apps of the host share this uv.
            self._run(
                [*_pip(scratch), "install", "--no-cache-dir", *options],
                "asgi_app_uv_version cannot be installed; alternatively, asgi_app_uv_binary copies uv from the controller",
                code="uv-not-installed",
            )
            # The binary needs no other files. Install it by a rename, because the build of another app may install it at the same time.
            uv.parent.mkdir(parents=True, exist_ok=True)
            temporary = uv.with_name(f"uv.{os.getpid()}")
            try:
                copy_program(str(scratch), ["bin", "uv"], str(temporary), _account(self.app["build_user"]).pw_uid)
                temporary.replace(uv)
            finally:
                temporary.unlink(missing_ok=True)
            shutil.rmtree(TOOLS / f"uv-{version}", ignore_errors=True)
        return str(uv)

    def _pinned_uv(self, version: str) -> list[str]:
        """Return pip's options to install this *version* of uv from the index, pinned by hash."""
        try:
            line = uv_requirement(version, self.recipe.uv_hashes)
        except ValueError as exc:
            raise BuildError(" -> ".join(exc.args)) from exc
        return [*INSTALL_OPTIONS, "--requirement", self._write("uv.txt", [line])]

    def _install_python(self, python: Python, uv: str) -> None:
        """Let uv install this CPython, and move it to the directory that the apps of the host share."""
        variables = {"UV_PYTHON_DOWNLOADS": "manual", "UV_PYTHON_INSTALL_DIR": PYTHONS}
        if self.recipe.python_archive:
            archive = self.work / "python.tar.gz"
            shutil.copyfile(self.recipe.python_archive["path"], archive)
            archive.chmod(0o644)
            entry = download_entry(python.managed, str(archive), self.recipe.python_archive["sha256"])
            listed = Path(self._write("python.json", [json.dumps(entry)])).as_uri()
            # uv does not open a file:// URL offline.
            variables |= {"UV_PYTHON_DOWNLOADS_JSON_URL": listed, "UV_OFFLINE": "false"}
        elif self.recipe.python_mirror:
            variables["UV_PYTHON_INSTALL_MIRROR"] = self.recipe.python_mirror
        scratch = self.work / "python"
        # The controller chooses the version from the list of this version of uv.
        known = not self.recipe.uv_path and self.recipe.uv_version == UV_VERSION
        remedy = "" if known else f"; use uv {UV_VERSION} or later (asgi_app_uv_version, asgi_app_uv_binary)"
        self._run(
            # Without the app's cache, which an earlier build may have manipulated.
            [uv, "python", "install", "--no-cache", "--no-bin", python.key],
            f"asgi_app_python is {self.recipe.python!r}, the app accepts {self.recipe.python_request.origin}, and uv cannot install "
            f"CPython {python.managed}{remedy}; set asgi_app_python_mirror, or set asgi_app_python to a Python on the host",
            # Some files of a Python contain its path, so install it where it remains.
            mounts=[f"{scratch}:{PYTHONS}"],
            code="python-not-installed",
            **variables,
        )
        adopt(scratch, python)
        self.installed_python = {"version": python.managed, "origin": self.recipe.python_request.origin}

    def _make_venv(self, python: str, uv: str | None) -> None:
        argv = [uv, "venv", "--no-project", "--python", python] if uv else [python, "-m", "venv"]
        self._run([*argv, str(self.venv)], f"asgi_app_python ({python}) cannot create a virtual environment")

    def _install(self, uv: str | None) -> None:
        """Install the wheels from the controller, or else the dependencies of the source, asgi_app_requirements and the server."""
        installer = [uv, "pip"] if uv else _pip(self.venv)
        if self.recipe.wheelhouse:
            blame = "the wheels from the controller cannot be installed, see asgi_app_wheelhouse"
            self._run(
                [*installer, "install", "--no-deps", *self._from_wheels("release")],
                blame,
                code="packages-not-installed",
            )
            return
        self.installation = Installation(
            self.recipe, installer, self.code, self.project, self._run_installer, self._write
        )
        self.installation.install()

    def _run_installer(self, argv: list[str], blame: str, directory: str | Path = "/", sync: bool = False) -> str:
        """Run an installer. `uv sync` gets the virtual environment in a variable."""
        variables = {"VIRTUAL_ENV": str(self.venv)} if sync else {}
        return self._run(argv, blame, directory, code="packages-not-installed", **variables)

    def _from_wheels(self, kind: str) -> list[str]:
        """Return the options that install exactly the wheels of this *kind* from the controller, without an index."""
        wheels = self.recipe.wheels[kind]
        lines = [f"{wheel['name']}=={wheel['version']} --hash=sha256:{wheel['sha256']}" for wheel in wheels]
        options = ["--no-index", "--require-hashes", "--requirement", self._write(f"{kind}.txt", lines)]
        return [*options, *(f"--find-links={self.store / wheel['sha256']}" for wheel in wheels)]

    def _write(self, name: str, lines: Iterable[str]) -> str:
        """Write a file that only root and the build account can read, because its URLs may contain credentials."""
        path = self.work / name
        path.touch(mode=0o640)
        os.chown(path, 0, _account(self.app["build_user"]).pw_gid)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return str(path)

    def _describe(self) -> dict:
        """Compile the code, and return the Python version and packages of the virtual environment."""
        blame = "the virtual environment cannot be described"
        code = [str(self.source)] if self.recipe.archive else []
        output = self._run([str(self.python), "-I", "-c", DESCRIBE_PROBE, *code], blame)
        try:
            return description(output)
        except ValueError as exc:
            raise BuildError(f"{blame}: {exc}") from exc

    def _clean_caches(self) -> None:
        if self.recipe.wheelhouse:
            prune(self.store, list(HOMES.glob("*/releases/*/release.json")))
        # The limit grows with the release; otherwise each build of an app with many GiB of packages would download them again.
        size = size_of(self.cache)
        if size > CACHE_BYTES and size > 2 * size_of(self.venv):
            remove_tree(str(self.cache))

    def _environment(self) -> dict[str, str]:
        return installer_environment(self.recipe, self.python, self.cache, self.temporary, self.ca_bundle)

    def _unit(self, mounts: Iterable[str] = ()) -> TransientUnit:
        wheels = str(self.store) if self.recipe.wheelhouse else None
        resolv_conf = read_text("/etc/resolv.conf", errors="replace")
        properties = build_properties(str(self.directory), str(self.cache), wheels, resolv_conf)
        for mount in mounts:
            properties += [("BindPaths", mount), ("ReadWritePaths", mount.partition(":")[2])]
        return TransientUnit(self.app["build_unit"], self.app["build_user"], properties)

    def _run(
        self,
        argv: list[str],
        blame: str,
        directory: str | Path = "/",
        mounts: Iterable[str] = (),
        code: str = "",
        **variables: str,
    ) -> str:
        """Run a tool as the build account and return its output.

        If the tool fails, raise BuildError with *blame*, the output, and the *code* of the error.
        """
        try:
            done = self._unit(mounts).run(argv, str(directory), {**self._environment(), **variables}, BUILD_SECONDS)
        except OSError as exc:
            raise BuildError(f"{blame}: {exc}", code) from exc
        except TimedOut as exc:
            raise BuildError(
                f"{blame}: it did not end within {BUILD_SECONDS} s\n{last_lines(exc.err or exc.out)}", code
            ) from exc
        if done.status:
            hint = cause(done.err)
            if is_full(done.err + done.out):
                hint = free_space(str(self.directory), str(CACHE))
            output = last_lines(done.err or done.out) or f"exit status {done.status}"
            message = f"{blame}{f' ({hint})' if hint else ''}:\n{output}"
            raise Unsolvable(message) if UNSOLVABLE.search(done.err) else BuildError(message, code)
        return done.out


def uv_of(version: str) -> Path:
    """Return the path of this *version* of uv on the host, whether it is installed or not.

    Directories without "-pinned" contain uv from earlier versions of this collection, which did not verify its hash.
    """
    return TOOLS / f"uv-{version}-pinned" / "uv"


def size_of(directory: Path) -> int:
    """Return the total size of the files in *directory* in bytes."""
    total = 0
    for where, _directories, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(where, name)).st_size
    return total


def _pip(venv: Path) -> list[str]:
    return [str(venv / "bin" / "python"), "-m", "pip", "--quiet"]


def _account(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise BuildError(
            f"the host has no account {name!r}, which the role asgi_app creates", "account-missing"
        ) from None
