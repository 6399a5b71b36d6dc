# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment of uv, pip and build backends on a host. Credentials are passed in it, never on a command line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.asgi.deploy.plugins.module_utils._app.build_recipe import Recipe

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Variables that installers inherit from Ansible's environment: proxies, and settings of installers and compilers. Other variables may
# contain root's secrets, which must not reach the code that packages run during the build.
INHERITED = (
    *"ALL_PROXY FTP_PROXY HTTP_PROXY HTTPS_PROXY NO_PROXY SOURCE_DATE_EPOCH TZ".split(),
    *"AR CC CFLAGS CPPFLAGS CXX CXXFLAGS LDFLAGS MAKEFLAGS PKG_CONFIG_PATH RUSTFLAGS".split(),
)
INHERITED_PREFIXES = ("CARGO_", "PIP_", "UV_")

# Exceptions to INHERITED_PREFIXES: variables that would make the installers use a directory other than the release's virtual environment.
REDIRECTING = tuple("PIP_PREFIX PIP_TARGET PIP_USER UV_PROJECT UV_SYSTEM_PYTHON UV_TARGET UV_WORKING_DIR".split())

# Variables that set the certificate authorities of OpenSSL, requests and pip.
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT")


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables in Ansible's *environment* that the installers inherit."""
    return {
        key: value
        for key, value in environment.items()
        if (key.upper() in INHERITED or key.startswith(INHERITED_PREFIXES)) and not key.startswith(REDIRECTING)
    }


def installer_environment(
    recipe: Recipe, python: Path, cache: Path, temporary: Path, ca_bundle: Path
) -> dict[str, str]:
    environment = {
        **inherited(os.environ),
        "PATH": SEARCH_PATH,
        "HOME": str(temporary),
        # Builds execute programs in this directory, and /tmp may be mounted noexec.
        "TMPDIR": str(temporary),
        "LC_ALL": "C.UTF-8",
        **dict.fromkeys(CA_VARIABLES, str(ca_bundle)),
        "PIP_CACHE_DIR": str(cache / "pip"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "UV_CACHE_DIR": str(cache / "uv"),
        "UV_COMPILE_BYTECODE": "1",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON": str(python),
        "UV_PYTHON_DOWNLOADS": "never",
    }
    if recipe.wheelhouse:
        # Ignore the host's configuration of uv and pip.
        environment |= {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1", "UV_OFFLINE": "1"}
        for name in CA_VARIABLES:
            del environment[name]
    if recipe.index_url:
        environment["UV_DEFAULT_INDEX"] = environment["PIP_INDEX_URL"] = recipe.index_url
    # The source sets variables of the project's build backend.
    environment.update(recipe.source.get("variables", {}))
    # Copy packages from the cache: the build account could still write to a release through hard links in the cache. A link to an inode of an
    # earlier release, which belongs to root, would fail (fs.protected_hardlinks). "clone" falls back to hard links, for instance on ext4.
    return {**environment, **recipe.build_environment, "UV_LINK_MODE": "copy"}
