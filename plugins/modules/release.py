#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build a release of an ASGI app on a host, whole or not at all."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Build and stage an immutable release of an ASGI app
version_added: 0.1.0
description:
  - Builds C(/srv/<name>/releases/<id>) with the code and a virtual environment of its own, sees that the application
    imports there as the app's account, and points C(/srv/<name>/staged) at it. Nothing that runs is touched.
  - The id comes from the content of the source and what it is built with. The same input is the same release on every
    host, and one that is there already is not built again.
  - A release is whole once it has a C(release.json). One that fails leaves nothing behind; one that was killed half-way
    is removed by the next run.
  - A release is damaged if its record or its interpreter is gone, or if the interpreter is of another version than the
    packages were installed for, as after an upgrade of the distribution. It is built again, and one that is in a slot,
    live, or running as a copy beside it, C(<id>.2) and so on, so that what serves keeps its files.
  - Removes releases beyond the newest O(keep), never one that is staged, in a slot, live, or what a rollback goes to.
  - The code is readable by every account of the host, as the web server serves static files from it. Secrets belong
    in O(environment), not in the source.
attributes:
  check_mode:
    support: full
    description: Says whether the release would be built. The source is fetched on the controller in check mode too.
  diff_mode:
    support: full
    description: Shows what the release is made of.
  platform:
    support: full
    description: Runs on Debian and its derivatives.
    platforms: debian
options:
  name:
    description:
      - Name of the app. Its account has to exist; with O(packages) it is said if it does not.
    type: str
    required: true
  module:
    description:
      - Where the ASGI application is, as C(package.module:attribute).
    type: str
    required: true
  source:
    description:
      - Where the code comes from, one of O(source.path), O(source.git), and O(source.package).
      - It is read on the controller, once in a run, so that all hosts get the same.
    type: dict
    required: true
    suboptions:
      path:
        description: >-
          A directory on the controller. A relative path starts at the directory that C(ansible-playbook) was started in.
        type: str
      git:
        description: >-
          URL of a git repository that the controller can read without being asked for a password. Credentials belong in
          a credential helper of git or in an ssh agent, as those in a URL are in the controller's list of processes.
        type: str
      ref:
        description: Branch, tag or full commit id in O(source.git).
        type: str
      package:
        description: One exact version of a package in the index, such as V(name==1.2.3) or V(name[extra]==1.2.3).
        type: str
  exclude:
    description:
      - Names and patterns of what is left out of a directory or a repository.
      - One with a slash is compared with the path from the root of the source, another with the name of a file or
        directory at any depth.
    type: list
    elements: str
    default: []
  python:
    description:
      - The Python of the virtual environment, a command or an absolute path on the host. None is ever downloaded.
    type: str
    default: python3
  requirements:
    description:
      - Requirements beyond those that the source declares.
    type: list
    elements: str
    default: []
  server_requirements:
    description:
      - Requirements of the server that the release is to be run with.
    type: list
    elements: str
    default: []
  installer:
    description:
      - What builds the virtual environment. Only V(uv) can read a C(uv.lock).
    type: str
    choices: [uv, pip]
    default: uv
  uv_version:
    description:
      - Version of uv to install from the index, for the hosts that do not have it yet.
      - Required with O(installer=uv) if O(uv_path) is not given.
    type: str
  uv_path:
    description:
      - An uv on the host to use, in place of one from the index.
    type: path
  index_url:
    description:
      - URL of the package index, with credentials if it takes some.
    type: str
  build_environment:
    description:
      - Environment variables for the installer, as a dictionary.
    type: json
  environment:
    description:
      - Environment variables of the app, as a dictionary. The import of the application gets them.
    type: json
  ca_bundle:
    description:
      - PEM file on the host with the certificate authorities to trust when packages are fetched.
    type: path
    default: /etc/ssl/certs/ca-certificates.crt
  keep:
    description:
      - How many releases to keep.
    type: int
    default: 5
  wheelhouse:
    description:
      - Whether requirements are resolved once, on the controller, for all hosts, which then get wheels from there and need
        no index. What they were resolved to is part of the release's id.
      - The controller keeps resolutions and wheels in C($XDG_CACHE_HOME/asgi), which is C(~/.cache/asgi) by default.
      - O(index_url), O(build_environment), and O(ca_bundle) are then those of the controller; the host gets none of them.
    type: bool
    default: false
  packages:
    description:
      - Packages of the distribution that the release needs.
      - If given, and one of them is not installed, or the account of the app is not as it should be, then nothing is done,
        and RV(lacking) says what there has to be first. The task fails if the account's name is somebody else's.
    type: list
    elements: str
  resolved:
    description:
      - What O(source) was found to be on the controller. Filled in for every task; none may set it.
    type: dict
  archive:
    description:
      - The source itself where it is small, as base64. Filled in for every task; none may set it.
    type: str
seealso:
  - module: asgi.deploy.activate
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Stage a directory of the controller
  asgi.deploy.release:
    name: hello
    module: hello.main:app
    source:
      path: ./hello
    exclude: [.git, .venv, __pycache__]
    uv_version: 0.13.8
    server_requirements: [gunicorn, uvicorn, uvicorn-worker]

- name: Stage a tag of a repository
  asgi.deploy.release:
    name: hello
    module: hello.main:app
    source:
      git: https://git.example.org/hello.git
      ref: v1.4.0
    uv_version: 0.13.8
    server_requirements: [gunicorn, uvicorn, uvicorn-worker]
"""

RETURN = r"""
lacking:
  description: What the host has to have first. Nothing else is returned with it.
  returned: if O(packages) were given and something is missing
  type: dict
  contains:
    account:
      description: Whether the account is still to be made, or is not as it should be.
      type: bool
    packages:
      description: The packages that are not installed, or that were only installed because others need them.
      type: list
      elements: str
release:
  description: Id of the release that is staged now.
  returned: when RV(lacking) is not
  type: str
  sample: 1.4.0-3f1c0a9b2e
directory:
  description: Where it is on the host.
  returned: when RV(lacking) is not
  type: str
  sample: /srv/hello/releases/1.4.0-3f1c0a9b2e
live:
  description: Whether that release is live already.
  returned: when RV(lacking) is not
  type: bool
serving:
  description: What takes traffic, and so what a deploy that fails has to go back to; null if nothing does.
  returned: when RV(lacking) is not
  type: dict
  contains:
    release:
      description: Id of the release.
      type: str
    config:
      description: Digest of its configuration.
      type: str
host:
  description:
    - What M(asgi.deploy.host_info) would say of the host now, so that it need not be asked before the release is activated.
  returned: when RV(lacking) is not
  type: dict
  contains:
    capacity:
      description: What the app may use. What is not limited or not known is null.
      type: dict
    present_paths:
      description: The socket of the app's metrics, if there is one.
      type: list
      elements: str
built:
  description: Whether it was built by this task, or would be in check mode.
  returned: when RV(lacking) is not
  type: bool
staged_before:
  description: Id of the release that was staged before, if any.
  returned: when RV(lacking) is not
  type: str
pruned:
  description: Ids of the releases that were removed.
  returned: when RV(lacking) is not
  type: list
  elements: str
seconds:
  description: How long the build took, step by step.
  returned: when it was built
  type: dict
"""

import base64
import contextlib
import fcntl
import json
import os
import pwd
import shutil
import stat
import subprocess
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.asgi.deploy.plugins.module_utils.claim import look_up
from ansible_collections.asgi.deploy.plugins.module_utils.environment import check_environment, hide
from ansible_collections.asgi.deploy.plugins.module_utils.files import read_link, read_text, replace_link
from ansible_collections.asgi.deploy.plugins.module_utils.host import what_it_has
from ansible_collections.asgi.deploy.plugins.module_utils.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils.packages import missing
from ansible_collections.asgi.deploy.plugins.module_utils.release import (
    ARGUMENTS,
    ID_PATTERN,
    Kept,
    copy_number,
    describe_release,
    mask_urls,
    needed_by_log,
    same_python,
    to_prune,
    where_to_be,
)
from ansible_collections.asgi.deploy.plugins.module_utils.release_build import (
    CACHE,
    Build,
    BuildError,
    Recipe,
    find_python,
    uv_of,
)
from ansible_collections.asgi.deploy.plugins.module_utils.releaselog import now
from ansible_collections.asgi.deploy.plugins.module_utils.removal import give_back
from ansible_collections.asgi.deploy.plugins.module_utils.slots import App
from ansible_collections.asgi.deploy.plugins.module_utils.systemd import Systemd, SystemdError
from ansible_collections.asgi.deploy.plugins.module_utils.wheel_store import WheelStoreError, describe_target, stored

LOCK_SECONDS = 900
NICENESS = 10  # of everything that builds: what serves on this host goes first
PROCESSES = Path("/proc")

PYTHON_VERSION = "import sys; print('%d.%d' % sys.version_info[:2], end='')"

DECLARED = {"lock": "uv.lock", "requirements": "requirements.txt", "project": "the project", "list": "pyproject.toml"}


class Home:
    """What asgi_app has of an app on this host: directories, releases, which one is staged."""

    def __init__(self, name):
        self.app = layout(name)
        self.releases = Path(self.app["releases"])

    def lay_out(self, change):
        """Return whether the app's directories had to be made, corrected or given back, or would have to be."""
        try:
            account = pwd.getpwnam(self.app["user"])
        except KeyError:
            if change:
                raise BuildError(f"there is no account {self.app['user']!r} on the host; asgi_app makes it") from None
            return True
        changed = os.path.exists(self.app["kept"])
        if changed and change:
            give_back(self.app, account.pw_uid, account.pw_gid)
        for name, uid, gid, mode in (
            ("home", 0, 0, 0o755),
            ("releases", 0, 0, 0o755),
            ("shared", account.pw_uid, account.pw_gid, 0o750),
        ):
            path = Path(self.app[name])
            if path.is_dir():
                found = path.stat()
                if (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (uid, gid, mode):
                    continue
            elif change:
                path.mkdir(mode=0o700)
            changed = True
            if change:
                os.chown(path, uid, gid)
                path.chmod(mode)
        return changed

    @contextlib.contextmanager
    def locked(self):
        """Be the only build of this app, and yield what says so.

        Who inherits the file descriptor keeps the lock: it outlives a killed build until its children have ended.
        """
        path = self.app["build_lock"]
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            deadline = time.monotonic() + LOCK_SECONDS
            while not _try_lock(lock):
                if time.monotonic() > deadline:
                    raise BuildError(f"another build has held {path} for {LOCK_SECONDS} s; fuser {path} says which")
                time.sleep(0.5)
            yield lock
        finally:
            os.close(lock)

    def manifest(self, release):
        """Return what the release.json of *release* says, nothing if there is none or it is not whole."""
        try:
            found = json.loads(read_text(str(self.releases / release / "release.json")) or "{}")
        except (ValueError, NotADirectoryError):
            return {}
        return found if isinstance(found, dict) else {}

    def is_whole(self, release):
        manifest = self.manifest(release)
        return manifest.get("id") == release and same_python(manifest.get("python"), self._python_of(release))

    def _python_of(self, release):
        """Return the version that the interpreter of *release* has now, which is the distribution's; empty for none."""
        argv = [str(self.releases / release / ".venv/bin/python"), "-I", "-S", "-c", PYTHON_VERSION]
        try:
            return subprocess.run(argv, cwd="/", capture_output=True, text=True, timeout=30, check=False).stdout
        except (OSError, subprocess.SubprocessError):
            return ""

    def place(self, release):
        """Return the id under which *release* is here or is to be built."""
        there = [name for name in self._names() if copy_number(name, release) and self.is_whole(name)]
        return where_to_be(release, there, self.used())

    def used(self):
        """Return the ids of the releases that are in a slot or live, or that a process runs in."""
        links = [self.app["current"], *(slot["release"] for slot in self.app["slots"].values())]
        used = {Path(target).name for target in map(read_link, links) if target}
        for process in PROCESSES.glob("[0-9]*"):
            where = read_link(str(process / "cwd"))
            if where and self.releases in Path(where).parents:
                used.add(Path(where).relative_to(self.releases).parts[0])
        return used

    def _names(self):
        return [path.name for path in self.releases.iterdir()] if self.releases.is_dir() else []

    def staged(self):
        target = read_link(self.app["staged"])
        return Path(target).name if target else None

    def stage(self, release):
        replace_link(self.app["staged"], f"releases/{release}")

    def prunable(self, release, keep):
        """Return the ids of the releases that may go once *release* is staged."""
        protected = {release, *self.used()}
        try:
            protected |= needed_by_log(json.loads(read_text(self.app["log"]) or "[]"))
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            raise BuildError(
                f"{self.app['log']} cannot be understood, so nothing may be removed: correct or remove it ({exc!r})"
            ) from exc
        found = [
            Kept(name, self.manifest(name).get("built_at"))
            for name in self._names()
            if ID_PATTERN.fullmatch(name) and name != release
        ]
        # in check mode this one is not there yet, and is the newest all the same
        found.append(Kept(release, self.manifest(release).get("built_at") or now()))
        return to_prune(found, keep, protected)

    def remove(self, release):
        """Remove a release; killed half-way, what is left is not taken for a whole one."""
        directory = self.releases / release
        if directory.is_symlink():
            directory.unlink()
        elif directory.exists():
            (directory / "release.json").unlink(missing_ok=True)
            shutil.rmtree(directory)


def _try_lock(descriptor):
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _build(home, recipe, lock):
    """Make the release whole, or leave nothing of it; return how long that took."""
    home.remove(recipe.release)
    build = Build(recipe, home.releases / recipe.release, lock)
    try:
        build.make()
    except BaseException:
        home.remove(recipe.release)
        raise
    return build.seconds


def _lacking(app, packages):
    """Return what the host has to have of the distribution before anything else, nothing if it has all of it."""
    account = look_up(app)
    if account.objection:
        raise BuildError(f"asgi_name is '{app['name']}', but {account.objection}")
    packages = missing(packages)
    return {} if account.ready and not packages else {"account": not account.ready, "packages": packages}


def _to_send(recipe):
    """Return what the controller has to send for a build, as the result says it; nothing if all of it is here."""
    wanted = {}
    if recipe.source["kind"] != "package" and not recipe.archive:
        wanted["archive_wanted"] = True
    if recipe.wheelhouse and recipe.wheels is None:
        wanted["wheels_wanted"] = {
            "target": describe_target(find_python(recipe.python)),
            "stored": stored(CACHE / "wheels"),
            "uv": recipe.installer == "uv" and not recipe.uv_path and not uv_of(recipe.uv_version).exists(),
        }
    return wanted


def _planned(recipe):
    """Return what a diff says of a release."""
    facts = {"release": recipe.release, "module": recipe.module}
    facts.update({f"source.{key}": value for key, value in recipe.source.items() if key not in ("label", "digest")})
    if recipe.source["kind"] != "package":
        facts["dependencies"] = DECLARED.get(recipe.dependencies["by"], "none declared")
    facts["requirements"] = recipe.requirements
    facts["server_requirements"] = recipe.server_requirements
    facts["python"] = recipe.python
    facts["installer"] = recipe.installer
    return mask_urls(describe_release(facts))


def _proceed(home, recipe, keep, lock):
    """Do what has to be done, or only tell if there is no *lock*; return the result."""
    release = home.place(recipe.release)
    recipe = recipe._replace(release=release)
    before = home.staged()
    result = {"changed": False, "release": release, "directory": str(home.releases / release), "built": False}
    result["live"] = read_link(home.app["current"]) == f"releases/{release}"
    serving = App(home.app, systemd=None).live_pair()
    result["serving"] = serving._asdict() if serving else None
    if before:
        result["staged_before"] = before
    diffs = []

    if not home.is_whole(release):
        if lock is not None:
            to_send = _to_send(recipe)
            if to_send:
                return {"changed": False, **to_send}
            result["seconds"] = _build(home, recipe, lock)
        result.update(changed=True, built=True)
        diffs.append(_diff("", _planned(recipe), "no such release", result["directory"]))

    if before != release:
        if lock is not None:
            home.stage(release)
        result["changed"] = True
        old = f"releases/{before}\n" if before else ""
        diffs.append(_diff(old, f"releases/{release}\n", home.app["staged"], home.app["staged"]))

    # With a change only: what this deploy replaces may go once it is live, and that must be no change of the next run.
    result["pruned"] = home.prunable(release, keep) if result["changed"] else []
    if result["pruned"]:
        if lock is not None:
            for old in result["pruned"]:
                home.remove(old)
        result["changed"] = True
        old = "".join(f"{old}\n" for old in result["pruned"])
        diffs.append(_diff(old, "", home.app["releases"], home.app["releases"]))

    result["diff"] = diffs
    return result


def _diff(before, after, before_header, after_header):
    return {"before": before, "after": after, "before_header": before_header, "after_header": after_header}


def _variables(module, parameter, variable):
    """Return the dictionary of environment variables that came as JSON."""
    try:
        return check_environment(json.loads(module.params[parameter] or "{}"))
    except (ValueError, AttributeError) as exc:
        module.fail_json(msg=f"{variable} cannot be an environment: {exc}")


def main():
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
            # not among ARGUMENTS: the action plugin of the same name adds them
            "resolved": {"type": "dict"},
            "archive": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    params, release = module.params, module.params["resolved"]
    recipe = Recipe(
        release=release["id"],
        app=params["name"],
        user=layout(params["name"])["user"],
        module=params["module"],
        source=release["source"],
        dependencies=release["dependencies"],
        archive=base64.b64decode(params["archive"]) if params["archive"] else release.get("archive"),
        python=params["python"],
        installer=params["installer"],
        requirements=params["requirements"],
        server_requirements=params["server_requirements"],
        uv_version=params["uv_version"],
        uv_path=params["uv_path"],
        index_url=params["index_url"],
        ca_bundle=params["ca_bundle"],
        environment=_variables(module, "environment", "asgi_env"),
        build_environment=_variables(module, "build_environment", "asgi_app_build_env"),
        wheelhouse=params["wheelhouse"],
        wheels=release.get("wheels"),
        wheels_archive=release.get("wheels_archive"),
    )
    if not ID_PATTERN.fullmatch(recipe.release):
        module.fail_json(msg=f"{recipe.release!r} cannot be the id of a release")
    if os.geteuid() != 0:
        module.fail_json(msg="a release belongs to root, so that the app cannot change itself: run with become: true")

    os.umask(0o022)
    os.nice(NICENESS)
    home = Home(params["name"])
    try:
        lacking = _lacking(home.app, params["packages"]) if params["packages"] is not None else {}
        if lacking:
            module.exit_json(changed=False, lacking=lacking)
        laid_out = home.lay_out(change=not module.check_mode)
        with contextlib.nullcontext() if module.check_mode else home.locked() as lock:
            result = _proceed(home, recipe, params["keep"], lock)
        if "release" in result:  # nothing more has to be sent for it
            app = App(home.app, Systemd(module.run_command), dry=True)
            result["host"] = what_it_has(app, [home.app["metrics_socket"]])
    except SystemdError as exc:
        module.fail_json(msg=f"systemd: {exc}")
    except (BuildError, WheelStoreError, OSError) as exc:
        secrets = {**{f"app {key}": value for key, value in recipe.environment.items()}, **recipe.build_environment}
        module.fail_json(msg=mask_urls(hide(str(exc), secrets)), release=recipe.release)
    result["changed"] = result["changed"] or laid_out
    module.exit_json(**result)


if __name__ == "__main__":
    main()
