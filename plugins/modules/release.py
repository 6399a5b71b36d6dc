#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build and stage a release of an ASGI app on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Build and stage an immutable release of an ASGI app
version_added: 1.0.0
description:
  - Builds C(/srv/<name>/releases/<id>) with the code and its own virtual environment, checks that the application imports
    there as the app's account, and links C(/srv/<name>/staged) to it. Running processes are not affected.
  - The id depends on the content of the source and on the options of the build. The same input has the same id on every
    host, and a release that exists is not built again.
  - A release is complete once it has a C(release.json). A failed build removes its files; files of a build that was killed
    are removed by the next run.
  - A release is damaged if its record or its interpreter is missing, or if the version of the interpreter is not the one that
    the packages were installed for, for example after an upgrade of the distribution. A damaged release is built again. If
    it is in a slot, live, or running, the new build gets the id C(<id>.2) and so on, so that running processes keep their files.
  - Removes all but the newest O(keep) releases, except those that are staged, in a slot, live, or the target of a rollback.
  - The build account C(_<name>) builds, installs and inspects packages in a transient systemd unit that can write only to the release and
    to C(/var/cache/asgi/apps/<name>). Then root takes ownership of the release, which must not contain hard links, special files, or
    symlinks to files outside the release.
  - Warns about packages of a release that is not live yet if the sandbox would deny them executable memory, see
    C(asgi_server_unit_settings).
  - Installs the command C(asgi <name>) on the host, unless the version from this collection is already installed.
  - Every account of the host can read the code, because the web server serves static files from it. Put secrets in
    O(environment), not in the source.
attributes:
  check_mode:
    support: full
    description: Reports whether the release would be built. The controller fetches the source in check mode too.
  diff_mode:
    support: full
    description: Shows the contents of the release, and in check mode the paths of the files that differ from the live release.
options:
  name:
    description: Name of the app. Its account and its build account, C(_<name>), must exist; O(packages) reports whether they do.
    type: str
    required: true
  module:
    description: Import path of the ASGI application, as C(package.module:attribute), or a call of a factory with literal arguments.
    type: str
    required: true
  source:
    description:
      - Source of the code, one of O(source.path), O(source.git), O(source.archive), O(source.wheel), and O(source.package).
      - The controller reads it once per run, so that all hosts get the same code.
    type: dict
    required: true
    suboptions:
      path:
        description: A directory on the controller. A relative path starts at the working directory of C(ansible-playbook).
        type: str
      git:
        description: URL of a git repository that the controller can read without a password prompt. Use a credential helper of
          git or an ssh agent, because the list of processes on the controller shows credentials in a URL.
        type: str
      ref:
        description: Branch, tag or full commit id in O(source.git).
        type: str
      archive:
        description: URL or path on the controller of a tar or zip file. A single top-level directory is stripped.
        type: str
      checksum:
        description: SHA-256 of O(source.archive), as C(sha256:<hexadecimal digits>). Required for a URL.
        type: str
      wheel:
        description: Path on the controller of a wheel with the application.
        type: str
      package:
        description: One exact version of a package in the index, such as V(name==1.2.3) or V(name[extra]==1.2.3).
        type: str
      requirements:
        description:
          - Paths, relative to the root of the source, of the requirements files that declare its dependencies, or of one lock file.
          - By default, the source declares them in a lock file, or else in C(requirements.txt), or else in C(pyproject.toml).
        type: list
        elements: str
      subdirectory:
        description:
          - Directory of the app in O(source.path), O(source.git) or O(source.archive), relative to its root, such as V(backend).
          - The release contains the whole source, and C(code) in the release is a symlink to this directory.
        type: str
      submodules:
        description: Whether to fetch the submodules of O(source.git), recursively.
        type: bool
      shared:
        description: Paths in the code that the app writes to, such as V(media/) or V(db.sqlite3). They become symlinks.
        type: list
        elements: str
  exclude:
    description:
      - Names and patterns of files and directories to exclude from a directory or a repository.
      - A pattern with a slash matches the path relative to the root of the source. Other patterns match names at any depth.
    type: list
    elements: str
    default: []
  groups:
    description: Dependency groups of the source to install in addition to its dependencies.
    type: list
    elements: str
    default: []
  extras:
    description: Extras of the source to install in addition to its dependencies.
    type: list
    elements: str
    default: []
  install_project:
    description:
      - Whether to install the project in the source itself, or only its dependencies.
      - With V(auto), a project is installed unless its tool or its build backend does not treat it as a package.
      - With V(editable), its modules are imported from the source in the release.
    type: str
    choices: [auto, "true", "false", editable]
    default: auto
  python:
    description: The Python of the virtual environment. See O(asgi.deploy.asgi_app#role:main:asgi_app_python).
    type: str
    default: auto
  call_factory:
    description: Whether the import check calls the factory in O(module). Otherwise, the factory is only looked up.
    type: bool
    default: true
  python_mirror:
    description: URL of a mirror of uv's builds of CPython. See O(asgi.deploy.asgi_app#role:main:asgi_app_python_mirror).
    type: str
  requirements:
    description: Requirements in addition to those that the source declares.
    type: list
    elements: str
    default: []
  server_requirements:
    description: Requirements of the application server. They take precedence over the versions that the source pins, see RV(overridden).
    type: list
    elements: str
    default: []
  installer:
    description: Tool that builds the virtual environment. Only V(uv) can read a C(uv.lock).
    type: str
    choices: [uv, pip]
    default: uv
  uv_version:
    description:
      - Version of uv to install from the index if the host does not have it.
      - Required with O(installer=uv) unless O(uv_path) is set.
    type: str
  uv_hashes:
    description:
      - SHA-256 hashes of the wheels of O(uv_version), each as C(sha256:<hexadecimal digits>). Other files are not installed.
      - Not necessary for the default version of the role C(asgi_app), because this collection contains its hashes.
    type: list
    elements: str
    default: []
  uv_path:
    description: Path of uv on the host, to use instead of uv from the index.
    type: path
  index_url:
    description: URL of the package index, with credentials if it requires them.
    type: str
  build_environment:
    description: Environment variables of the installer, as a dictionary.
    type: json
  environment:
    description: Environment variables of the app, as a dictionary, for the import check.
    type: json
  ca_bundle:
    description: PEM file on the host with the certificate authorities of the package index.
    type: path
    default: /etc/ssl/certs/ca-certificates.crt
  insecure_transports:
    description:
      - Whether to allow transports that do not authenticate the server, such as C(http://) and C(git://), for code and packages.
    type: bool
    default: false
  audit:
    description:
      - Whether to look up the packages of the staged release in a vulnerability database, unless the release is already live. The
        controller sends the names and versions of all packages, once per run for all hosts with the same packages.
      - Vulnerabilities and an unavailable database cause warnings, or errors with O(audit_strict).
      - Check mode does not audit a release that has not been built yet.
    type: bool
    default: false
  audit_strict:
    description: Whether the task fails if a package has a known vulnerability, or if the database does not respond. The release
      remains staged.
    type: bool
    default: false
  audit_url:
    description: URL of a database with the API of OSV.
    type: str
    default: https://api.osv.dev
  audit_ignore:
    description: Identifiers of vulnerabilities to ignore, such as V(CVE-2014-1402) or V(PYSEC-2019-217).
    type: list
    elements: str
    default: []
  keep:
    description: Number of releases to keep.
    type: int
    default: 5
  wheelhouse:
    description:
      - Whether the controller resolves the requirements once for all hosts and sends wheels, so that hosts need no index. The
        resolution is part of the release's id.
      - The controller caches resolutions and wheels in C($XDG_CACHE_HOME/asgi), which is C(~/.cache/asgi) by default.
      - O(index_url), O(build_environment), and O(ca_bundle) then apply to the controller, and are not sent to the hosts.
    type: bool
    default: false
  packages:
    description:
      - Packages of the distribution that the release needs.
      - With this option, the task changes nothing, so that a play can check all hosts before it stages the release on any of them. The
        task returns only RV(missing), unless the host has everything it needs and the release is already staged. The task fails if
        another account has the name of the app's account.
    type: list
    elements: str
  claims:
    description:
      - The names, ports and settings that the app needs exclusively on the host, see RV(asgi.deploy.preflight#module:claims).
      - The task fails before any change if another site serves one of the names, another program or app uses one of the
        ports, or the other sites of a port have different settings.
    type: dict
  missing:
    description: The value of RV(missing) that an earlier task returned. The action plugin then sends the missing files without
      querying the host again.
    type: dict
  resolved:
    description: The resolved O(source). The action plugin sets this option; tasks must not set it.
    type: dict
  archive:
    description: The archive of a small source, in base64. The action plugin sets this option; tasks must not set it.
    type: str
  sandbox:
    description: The variables of the role C(asgi_server) that configure the app's sandbox, in which the import check runs. The
      action plugin sets this option; tasks must not set it.
    type: dict
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
    source: {path: ./hello}
    exclude: [.git, .venv, __pycache__]
    uv_version: 0.13.8
    server_requirements: [gunicorn, uvicorn, uvicorn-worker]

- name: Stage a tag of a repository
  asgi.deploy.release:
    name: hello
    module: hello.main:app
    source: {git: https://git.example.org/hello.git, ref: v1.4.0}
    uv_version: 0.13.8
    server_requirements: [gunicorn, uvicorn, uvicorn-worker]
"""

RETURN = r"""
missing:
  description: What the host is missing before the release can be staged. The task then returns nothing else.
  returned: with O(packages), unless the release is staged already
  type: dict
  contains:
    account:
      description: Whether one of the app's accounts is missing or must be changed.
      type: bool
    packages:
      description: The packages that are not installed, or that were only installed as dependencies of others.
      type: list
      elements: str
    command:
      description: Whether the controller must send the program of the host command C(asgi).
      type: bool
    archive:
      description: Whether the controller must send the archive of the source.
      type: bool
    wheels:
      description: The wheels that the controller must send; null if it needs none. C(target) is the Python of the release. C(stored)
        lists the SHA-256 digests of the wheels that the host already has. C(uv) is true if the host needs uv as well.
      type: dict
    python:
      description: The version of the CPython that the controller must send, and the machine of the host; null if it needs none.
      type: dict
release:
  description: Id of the staged release.
  returned: unless RV(missing) is returned
  type: str
directory:
  description: Directory of the release on the host.
  returned: unless RV(missing) is returned
  type: str
live:
  description: Whether the release is live.
  returned: unless RV(missing) is returned
  type: bool
serving:
  description: The live release with its configuration, which a failed deploy restores; null if no release is live.
  returned: unless RV(missing) is returned
  type: dict
  contains:
    release:
      description: Id of the release.
      type: str
    config:
      description: Digest of the configuration.
      type: str
host:
  description: The result of M(asgi.deploy.host_info) for the host, so that a play need not run that module as well.
  returned: unless RV(missing) is returned
  type: dict
  contains:
    capacity:
      description: Resources that the app can use. Unlimited and unknown values are null.
      type: dict
    present_paths:
      description: The socket of the app's metrics, if it exists.
      type: list
      elements: str
built:
  description: Whether this task built the release, or would build it in check mode.
  returned: unless RV(missing) is returned
  type: bool
command:
  description: Whether this task installed the host command C(asgi), or would install it in check mode.
  returned: unless RV(missing) is returned
  type: bool
overridden:
  description: Packages of the server that the source pins to a version that O(server_requirements) exclude.
  returned: if the task built the release
  type: list
  elements: dict
  contains:
    package:
      description: Name of the package.
      type: str
    pinned:
      description: Version according to the source.
      type: str
    installed:
      description: Version in the release.
      type: str
installed_python:
  description: The C(version) of the CPython that uv installed on the host for the release, and the C(origin) of that version.
  returned: if the task installed a CPython
  type: dict
staged_before:
  description: Id of the release that was staged before.
  returned: if a release was staged before
  type: str
pruned:
  description: Ids of the releases that were removed.
  returned: unless RV(missing) is returned
  type: list
  elements: str
audit:
  description: Result of the audit.
  returned: with O(audit), if the release exists and is not live
  type: dict
  contains:
    database:
      description: URL of the vulnerability database.
      type: str
    findings:
      description: Vulnerabilities, including those in O(audit_ignore).
      type: list
      elements: dict
      contains:
        package:
          description: Name of the package.
          type: str
        version:
          description: Installed version.
          type: str
        ids:
          description: Identifiers of the vulnerability.
          type: list
          elements: str
        fixed:
          description: Versions that fix the vulnerability.
          type: list
          elements: str
    unavailable:
      description: Why the packages were not audited; empty if the database responded.
      type: str
seconds:
  description: Duration of each step of the build.
  returned: if the task built the release
  type: dict
"""

import base64
import contextlib
import json
import os

from ansible_collections.asgi.deploy.plugins.module_utils._app.app_home import AppHome
from ansible_collections.asgi.deploy.plugins.module_utils._app.build_recipe import Recipe
from ansible_collections.asgi.deploy.plugins.module_utils._app.host_facts import host_facts
from ansible_collections.asgi.deploy.plugins.module_utils._app.python_versions import PythonRequest
from ansible_collections.asgi.deploy.plugins.module_utils._app.release import ID_PATTERN, mask_urls
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_protocol import ARGUMENTS
from ansible_collections.asgi.deploy.plugins.module_utils._app.slots import App
from ansible_collections.asgi.deploy.plugins.module_utils._app.staging import check, stage
from ansible_collections.asgi.deploy.plugins.module_utils._host.environment import check_environment, hide
from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import failure
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils._host.systemd import Systemd
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.clashes import clashes

# Builds have a lower priority than the apps that serve on this host.
NICENESS = 10
# Options that become attributes of the recipe of the same name.
RECIPE_OPTIONS = """module python python_mirror call_factory installer requirements server_requirements uv_version uv_hashes uv_path
    index_url ca_bundle wheelhouse sandbox""".split()


def _variables(module, parameter, variable):
    """Parse the JSON text of a parameter into a dictionary of environment variables."""
    try:
        return check_environment(json.loads(module.params[parameter] or "{}"))
    except (ValueError, AttributeError) as exc:
        module.fail_json(msg=f"{variable} is not a valid environment: {exc}")


def _refuse_clashes(module):
    found = clashes(module.params["name"], module.params["claims"], module.run_command)
    if found:
        lines = "".join(f"\n  {each}" for each in found)
        what = f"{len(found)} clash{'es' if len(found) > 1 else ''} on this host"
        module.fail_json(**failure(f"{what}; nothing has been changed:{lines}", "host-clash"))


def _recipe(module):
    params, resolved = module.params, module.params["resolved"]
    return Recipe(
        **{option: params[option] for option in RECIPE_OPTIONS},
        release=resolved["id"],
        app=params["name"],
        user=layout(params["name"])["user"],
        source=resolved["source"],
        dependencies=resolved["dependencies"],
        archive=base64.b64decode(params["archive"]) if params["archive"] else resolved.get("archive"),
        python_request=PythonRequest(**resolved["python"]) if resolved.get("python") else None,
        python_archive=resolved.get("python_archive"),
        environment=_variables(module, "environment", "asgi_env"),
        build_environment=_variables(module, "build_environment", "asgi_app_build_env"),
        wheels=resolved.get("wheels"),
        wheels_archive=resolved.get("wheels_archive"),
        command=resolved.get("command"),
        files=resolved.get("files"),
    )


def _run(module, recipe):
    params, home = module.params, AppHome(module.params["name"])
    if params["claims"]:
        _refuse_clashes(module)
    if params["packages"] is not None:
        result = check(home, recipe, params["keep"], params["packages"], module.check_mode)
    else:
        change = not module.check_mode
        laid_out = home.lay_out(change)
        with home.locked() if change else contextlib.nullcontext():
            result = stage(home, recipe, params["keep"], change)
        result["changed"] = result["changed"] or laid_out
    if "missing" in result:
        return result
    if not result["live"]:
        # In check mode, the release may not exist.
        result["installed"] = home.manifest(result["release"]).get("packages", {})
    app = App(home.app, Systemd(module.run_command), dry=True)
    result["host"] = host_facts(app, [home.app["metrics_socket"]])
    return result


def main():
    module = HostModule(
        argument_spec={
            **ARGUMENTS,
            # Only the action plugin sets these options; tasks set those in ARGUMENTS.
            "resolved": {"type": "dict"},
            "archive": {"type": "str", "no_log": True},
            "sandbox": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    recipe = _recipe(module)
    if not ID_PATTERN.fullmatch(recipe.release):
        module.fail_json(msg=f"{recipe.release!r} is not a valid release id")
    if os.geteuid() != 0:
        module.fail_json(msg="releases belong to root, so that the app cannot modify itself: run with become: true")

    os.nice(NICENESS)
    secrets = {**{f"app {key}": value for key, value in recipe.environment.items()}, **recipe.build_environment}
    with module.reporting(mask=lambda text: mask_urls(hide(text, secrets)), release=recipe.release):
        result = _run(module, recipe)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
