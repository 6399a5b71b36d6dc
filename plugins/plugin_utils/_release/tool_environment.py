# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment of uv, pip and the build backends that they run on the controller.

A build backend is code from a package and runs as the operator, so it can read the operator's files. The tools inherit only the variables
below, so that secrets that are only in the environment remain hidden: SSH_AUTH_SOCK, cloud credentials and Ansible's settings.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._app.build_environment import CA_VARIABLES, REDIRECTING
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_protocol import ARGUMENTS

PASSED = (
    # Locations of programs, files and configuration; NETRC and ~/.netrc contain credentials of indexes.
    "HOME LOGNAME PATH SHELL TMPDIR TZ USER NETRC",
    "XDG_CACHE_HOME XDG_CONFIG_DIRS XDG_CONFIG_HOME XDG_DATA_HOME",
    "LANG LANGUAGE LC_*",
    # Network.
    "ALL_PROXY FTP_PROXY HTTPS_PROXY HTTP_PROXY NO_PROXY all_proxy ftp_proxy https_proxy http_proxy no_proxy",
    "CURL_CA_BUNDLE GIT_SSL_CAINFO GIT_SSL_CAPATH REQUESTS_CA_BUNDLE SSL_CERT_DIR SSL_CERT_FILE",
    # Configuration of uv and pip.
    "PIP_* UV_*",
    # Compilers.
    "AR CC CFLAGS CPPFLAGS CXX CXXFLAGS LD LDFLAGS LD_LIBRARY_PATH LIBRARY_PATH CPATH MAKEFLAGS PKG_CONFIG_PATH",
    "CARGO_HOME RUSTUP_HOME RUSTFLAGS MACOSX_DEPLOYMENT_TARGET SDKROOT DEVELOPER_DIR",
)
_PATTERNS = tuple(" ".join(PASSED).split())


class Settings(NamedTuple):
    """The variables of asgi_app that determine the wheels of a release, and how the controller downloads them."""

    python: str
    requirements: Sequence[str]
    server_requirements: Sequence[str]
    uv_version: str
    index_url: str | None
    ca_bundle: str
    build_environment: Mapping[str, str]
    uv_hashes: Sequence[str] = ()
    python_mirror: str | None = None


def passed_on(caller: Mapping[str, str]) -> dict[str, str]:
    """Return the variables in *caller* that the tools inherit."""
    return {name: value for name, value in caller.items() if any(fnmatchcase(name, each) for each in _PATTERNS)}


def tool_environment(settings: Settings, caller: Mapping[str, str], cache: Path) -> dict[str, str]:
    """Return the environment of the tools. Credentials are passed here, never on a command line."""
    environment = {
        **{key: value for key, value in passed_on(caller).items() if not key.startswith(REDIRECTING)},
        "LC_ALL": "C.UTF-8",
        "PIP_CACHE_DIR": str(cache / "pip"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "UV_CACHE_DIR": str(cache / "uv"),
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }
    given = settings.ca_bundle != ARGUMENTS["ca_bundle"]["default"]
    bundle = settings.ca_bundle if Path(settings.ca_bundle).is_file() else ssl.get_default_verify_paths().cafile
    for name in CA_VARIABLES:
        if bundle and (given or name not in environment):
            environment[name] = bundle
    if settings.index_url:
        environment["UV_DEFAULT_INDEX"] = environment["PIP_INDEX_URL"] = settings.index_url
    environment.update(settings.build_environment)
    return {**_for_pip(environment), **environment}


def _for_pip(environment: Mapping[str, str]) -> dict[str, str]:
    """Return uv's indexes in *environment* as variables of pip, which builds the wheels. The URLs may contain credentials."""
    default = environment.get("UV_DEFAULT_INDEX") or environment.get("UV_INDEX_URL")
    others = f"{environment.get('UV_INDEX', '')} {environment.get('UV_EXTRA_INDEX_URL', '')}".split()
    found = {"PIP_INDEX_URL": default, "PIP_EXTRA_INDEX_URL": " ".join(map(_without_name, others))}
    return {key: _without_name(value) for key, value in found.items() if value}


def _without_name(index: str) -> str:
    """Return the URL of an *index* of uv, which may be ``name=url``."""
    name, equals, url = index.partition("=")
    return url if equals and "/" not in name else index
