# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build one release on this host: unpack the source, make the virtual environment, try the import, record it.

Everything is built where it stays, as a virtual environment cannot be moved. What is half-built has no release.json.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils.account import TimedOut, run_as
from ansible_collections.asgi.deploy.plugins.module_utils.environment import release_environment
from ansible_collections.asgi.deploy.plugins.module_utils.files import write_text
from ansible_collections.asgi.deploy.plugins.module_utils.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils.release import cause, last_lines
from ansible_collections.asgi.deploy.plugins.module_utils.release_archive import UnsafeArchive, extract
from ansible_collections.asgi.deploy.plugins.module_utils.releaselog import now
from ansible_collections.asgi.deploy.plugins.module_utils.wheel_store import WheelStoreError, prune, receive, touch

CACHE = Path("/var/cache/asgi")
HOMES = Path("/srv")
# of what uv keeps and no release has: hard links to it are the releases'
CACHE_BYTES = 2 << 30
TOOLS = Path("/opt/asgi")
SYSTEM_PYTHON = "/usr/bin/python3"
IMPORT_SECONDS = 60
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Of the environment that Ansible runs in, what would lead the installers away from the release's virtual environment.
MISLEADING = (
    "CONDA",
    "PIP_PREFIX",
    "PIP_TARGET",
    "PIP_USER",
    "PYTHON",
    "UV_PROJECT",
    "UV_SYSTEM_PYTHON",
    "UV_TARGET",
    "UV_WORKING_DIR",
    "VIRTUAL_ENV",
)

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
    told = traceback.TracebackException.from_exception(exc)
    ours = ("<string>", "<frozen importlib", importlib.__file__)
    told.stack[:] = [frame for frame in told.stack if not frame.filename.startswith(ours)]
    sys.stderr.write("".join(told.format()))
    status = 1
sys.stdout.flush()
sys.stderr.flush()
os._exit(status)
"""

DESCRIBE_PROBE = """
import importlib.metadata, json, platform
print(json.dumps({
    "python": platform.python_version(),
    "packages": {d.metadata["Name"]: d.version for d in importlib.metadata.distributions() if d.metadata["Name"]},
}))
"""


class BuildError(Exception):
    """The release cannot be built; the message says which variable to look at."""


class Recipe(NamedTuple):
    """What a release is made of and with."""

    release: str
    app: str
    user: str
    module: str
    source: dict
    dependencies: dict
    # of the source: a file, or its content
    archive: str | bytes | None
    python: str
    installer: str
    requirements: list
    server_requirements: list
    uv_version: str | None
    uv_path: str | None
    index_url: str | None
    ca_bundle: str
    environment: dict
    build_environment: dict
    # the host does without an index: what the controller chose for it, and an archive of what was not here
    wheelhouse: bool = False
    wheels: dict | None = None
    wheels_archive: str | None = None


class Build:
    """A release on its way to be whole, in *directory*. Its children hold on to the file descriptor *lock*."""

    def __init__(self, recipe: Recipe, directory: Path, lock: int) -> None:
        self.recipe = recipe
        self.directory = directory
        self.code = directory / "code"
        self.venv = directory / ".venv"
        self.python = self.venv / "bin" / "python"
        # gone when the release is whole: files of the installers, and the source once more, as build backends
        # write into the tree that they build, and that one is not served
        self.work = directory / ".build"
        self.tree = self.work / "tree"
        self.lock = lock
        self.seconds = {}
        self.store = CACHE / "wheels"

    def make(self) -> None:
        self.code.mkdir(parents=True)
        self.work.mkdir()
        CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
        python = find_python(self.recipe.python)
        if not self.recipe.wheelhouse:
            self._check_ca_bundle()
        with self._timed("source"):
            self._unpack()
            self._receive_wheels()
        with self._timed("tools"):
            uv = self._provide_uv() if self.recipe.installer == "uv" else None
        with self._timed("venv"):
            self._make_venv(python, uv)
        with self._timed("packages"):
            self._install(uv)
            self._compile()
        with self._timed("import"), ThreadPoolExecutor() as beside:
            described = beside.submit(self._describe)
            self._try_import()
        with self._timed("record"):
            shutil.rmtree(self.work)
            self._record(described.result())
            self._tidy(uv)

    @contextlib.contextmanager
    def _timed(self, step):
        start = time.monotonic()
        yield
        self.seconds[step] = round(time.monotonic() - start, 2)

    def _check_ca_bundle(self):
        path = self.recipe.ca_bundle
        if not Path(path).is_file():
            raise BuildError(f"asgi_app_ca_bundle is {path!r}, which is no file on the host: put it there first")

    def _unpack(self):
        if not self.recipe.archive:
            return
        try:
            extract(self.recipe.archive, str(self.code))
            if self.recipe.dependencies["by"] in ("project", "lock") and not self.recipe.wheelhouse:
                extract(self.recipe.archive, str(self.tree))
        except UnsafeArchive as exc:
            raise BuildError(f"asgi_app_source: {exc}") from exc

    def _receive_wheels(self):
        if self.recipe.wheels_archive:
            try:
                receive(self.recipe.wheels_archive, self.store)
            except (UnsafeArchive, WheelStoreError) as exc:
                raise BuildError(f"the wheels from the controller: {exc}") from exc
        if self.recipe.wheels:
            touch(self.store, [wheel["sha256"] for wheels in self.recipe.wheels.values() for wheel in wheels])

    def _provide_uv(self):
        """Return the path of uv on the host, installed from the index if that version is not there."""
        if self.recipe.uv_path:
            blame = "asgi_app_uv_binary is no uv that runs on this host"
            self._run([self.recipe.uv_path, "--version"], blame)
            return self.recipe.uv_path
        version = self.recipe.uv_version
        if not version:
            raise BuildError("asgi_app_uv_version is not set: give the version of uv to install")
        uv = uv_of(version)
        if not uv.exists():
            scratch = self.work / "uv"
            blame = "the distribution's Python cannot make a virtual environment"
            self._run([SYSTEM_PYTHON, "-m", "venv", str(scratch)], blame)
            what = [f"uv=={version}"]
            if self.recipe.wheelhouse:
                what = self._from_wheels("tools")
            self._run(
                [*_pip(scratch), "install", *what],
                "asgi_app_uv_version cannot be installed; asgi_app_uv_binary takes uv from the controller instead",
            )
            # the binary needs nothing beside it; one rename, as another app's build may be here too
            uv.parent.mkdir(parents=True, exist_ok=True)
            temporary = uv.with_name(f"uv.{os.getpid()}")
            shutil.copyfile(scratch / "bin" / "uv", temporary)
            temporary.chmod(0o755)
            temporary.replace(uv)
        return str(uv)

    def _make_venv(self, python, uv):
        argv = [uv, "venv", "--no-project", "--python", python] if uv else [python, "-m", "venv"]
        self._run([*argv, str(self.venv)], f"asgi_app_python ({python}) cannot make a virtual environment")

    def _install(self, uv):
        """Install what the source, asgi_app_requirements and the server need, in one resolution wherever that can be."""
        recipe = self.recipe
        installer = [uv, "pip", "install"] if uv else [*_pip(self.venv), "install"]
        declared = recipe.dependencies["by"]
        options, where = [], self.code
        if recipe.wheelhouse:
            blame = "the wheels from the controller cannot be installed, see asgi_app_wheelhouse"
            self._run([*installer, "--no-deps", *self._from_wheels("release")], blame)
            return
        lines = [*recipe.requirements, *recipe.server_requirements]
        ours = "asgi_app_requirements and asgi_app_server_requirements"
        together = f"cannot be installed, alone or together with {ours}"
        blame = f"{ours} cannot be installed together"

        if recipe.source["kind"] == "package":
            lines.append(recipe.source["requirement"])
            blame = f"asgi_app_source.package ({recipe.source['requirement']}) {together}"
        elif declared == "lock":
            options = ["--constraint", self._write("constraints.txt", self._sync(uv))]
            blame = (
                f"{ours} do not agree with the uv.lock of asgi_app_source: change them, or lock other versions of "
                f"those packages"
            )
        elif declared == "requirements":
            options = ["--requirement", "requirements.txt"]
            blame = f"the requirements.txt of asgi_app_source {together}"
        elif declared == "project":
            options, where = ["."], self.tree
            blame = f"the project of asgi_app_source {together}"
        elif declared == "list":
            lines += recipe.dependencies["requirements"]
            blame = f"the pyproject.toml of asgi_app_source names what {together}"
        options += ["--requirement", self._write("requirements.txt", lines)]
        self._run([*installer, *options], blame, where=where)

    def _from_wheels(self, kind):
        """Return the options that install these wheels from the controller, and nothing from anywhere else."""
        wheels = self.recipe.wheels[kind]
        lines = [f"{wheel['name']}=={wheel['version']} --hash=sha256:{wheel['sha256']}" for wheel in wheels]
        options = ["--no-index", "--require-hashes", "--requirement", self._write(f"{kind}.txt", lines)]
        return [*options, *(f"--find-links={self.store / wheel['sha256']}" for wheel in wheels)]

    def _sync(self, uv):
        """Install what uv.lock says, and return it as constraints for what is installed besides."""
        self._run(
            [uv, "sync", "--frozen", "--no-dev", "--no-editable", "--active"],
            "the uv.lock of asgi_app_source cannot be installed",
            where=self.tree,
            VIRTUAL_ENV=str(self.venv),
        )
        found = json.loads(self._run([uv, "pip", "list", "--format", "json"], "the packages cannot be listed"))
        return [f"{package['name']}=={package['version']}" for package in found]

    def _write(self, name, lines):
        path = self.work / name
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return str(path)

    def _compile(self):
        """Compile the code, which the app's account may not; what does not compile is not what the app imports."""
        if self.recipe.archive:
            self._call([str(self.python), "-m", "compileall", "-q", str(self.code)])

    def _try_import(self):
        """See that the application imports as its account does: in its directory, with its environment and no more."""
        recipe = self.recipe
        argv = [str(self.python), "-c", IMPORT_PROBE, recipe.module]
        environment = release_environment(layout(recipe.app), str(self.venv), recipe.environment)
        try:
            status, _out, said = run_as(recipe.user, argv, str(self.code), environment, IMPORT_SECONDS)
        except TimedOut:
            raise BuildError(
                f"asgi_module ({recipe.module}) was not imported within {IMPORT_SECONDS} s: "
                f"its import must not wait for anything"
            ) from None
        if status:
            said = last_lines(said) or f"it ended with status {status}"
            raise BuildError(
                f"asgi_module ({recipe.module}) does not import as the account {recipe.user}, with the environment "
                f"of asgi_env and nothing else:\n{said}"
            )

    def _describe(self):
        """Return the Python and the packages of the virtual environment, as DESCRIBE_PROBE prints them."""
        probe = [str(self.python), "-I", "-c", DESCRIBE_PROBE]
        return json.loads(self._run(probe, "the virtual environment cannot be described"))

    def _record(self, found):
        """Write release.json with what was *found* in it, after everything it speaks for is on the disk."""
        recipe = self.recipe
        manifest = {
            "id": recipe.release,
            "app": recipe.app,
            "module": recipe.module,
            "source": recipe.source,
            "installer": recipe.installer,
            "python": found["python"],
            "packages": dict(sorted(found["packages"].items(), key=lambda item: item[0].lower())),
            "built_at": now(),
        }
        if recipe.wheelhouse:
            manifest["wheels"] = sorted(wheel["sha256"] for wheel in recipe.wheels["release"])
        os.sync()
        write_text(str(self.directory / "release.json"), json.dumps(manifest, indent=2) + "\n")

    def _tidy(self, uv):
        """Remove what was kept for releases to come, and is too much or of no use to them."""
        if self.recipe.wheelhouse:
            prune(self.store, list(HOMES.glob("*/releases/*/release.json")))
        if uv and kept_for_itself(CACHE / "uv") > CACHE_BYTES:
            # uv does, as it waits until no other build of this host is using it
            self._run([uv, "cache", "clean"], "the cache of uv cannot be emptied")

    def _environment(self):
        """Return the environment of the installers. Credentials go here, never into a command line."""
        recipe = self.recipe
        cache = CACHE / "uv"
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(MISLEADING)},
            "LC_ALL": "C.UTF-8",
            "SSL_CERT_FILE": recipe.ca_bundle,
            "REQUESTS_CA_BUNDLE": recipe.ca_bundle,
            "PIP_CERT": recipe.ca_bundle,
            "PIP_CACHE_DIR": str(CACHE / "pip"),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_INPUT": "1",
            "PIP_ROOT_USER_ACTION": "ignore",
            "UV_CACHE_DIR": str(cache),
            "UV_COMPILE_BYTECODE": "1",
            "UV_NO_PROGRESS": "1",
            "UV_PYTHON": str(self.python),
            "UV_PYTHON_DOWNLOADS": "never",
            # Releases share their packages' files with the cache where they can. Only root could write to either.
            "UV_LINK_MODE": "hardlink" if _device(cache) == _device(self.directory) else "copy",
        }
        if recipe.wheelhouse:
            # whatever the host is configured for
            environment |= {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1", "UV_OFFLINE": "1"}
        if recipe.index_url:
            environment["UV_DEFAULT_INDEX"] = environment["PIP_INDEX_URL"] = recipe.index_url
        return {**environment, **recipe.build_environment}

    def _call(self, argv, where="/", **variables):
        return subprocess.run(
            argv,
            cwd=where,
            env={**self._environment(), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            pass_fds=(self.lock,),
            check=False,
        )

    def _run(self, argv, blame, where="/", **variables):
        """Run a tool and return its output; raise BuildError with *blame* and what it said if it fails."""
        try:
            done = self._call(argv, where, **variables)
        except OSError as exc:
            raise BuildError(f"{blame}: {exc}") from exc
        if done.returncode:
            hint = cause(done.stderr)
            raise BuildError(f"{blame}{f' ({hint})' if hint else ''}:\n{last_lines(done.stderr or done.stdout)}")
        return done.stdout


def find_python(wanted: str) -> str:
    """Return the path of the Python that releases are to have."""
    found = shutil.which(wanted, path=SEARCH_PATH)
    if not found:
        raise BuildError(
            f"asgi_app_python is {wanted!r}, which is not on the host: install it there first "
            f"(asgi_app_packages takes Debian packages), or name one that is"
        )
    return found


def uv_of(version: str) -> Path:
    """Return where the uv of that *version* is, or will be, on the host."""
    return TOOLS / f"uv-{version}" / "uv"


def kept_for_itself(directory: Path) -> int:
    """Return how many bytes of *directory* are in files that are nowhere else."""
    total = 0
    for where, _directories, names in os.walk(directory):
        for name in names:
            # another build may be using it
            with contextlib.suppress(OSError):
                found = (Path(where) / name).lstat()
                total += found.st_size if found.st_nlink == 1 else 0
    return total


def _pip(venv):
    return [str(venv / "bin" / "python"), "-m", "pip", "--quiet"]


def _device(path):
    """Return the file system of *path*, or of the nearest of its parents that exists."""
    while not path.exists():
        path = path.parent
    return path.stat().st_dev
