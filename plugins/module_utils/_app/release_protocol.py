# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The protocol between the module release on a host and the action plugin of the same name on the controller.

The action plugin calls the module with ARGUMENTS. If the host lacks something that staging needs, the module changes nothing and returns a
Missing in its result ``missing``. The action plugin or the role provides the missing items, and calls the module again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "module": {"type": "str", "required": True},
    "source": {
        "type": "dict",
        "required": True,
        "options": {
            "path": {"type": "str"},
            "git": {"type": "str"},
            "ref": {"type": "str"},
            "archive": {"type": "str"},
            "checksum": {"type": "str"},
            "wheel": {"type": "str"},
            "package": {"type": "str"},
            "requirements": {"type": "list", "elements": "str"},
            "subdirectory": {"type": "str"},
            "submodules": {"type": "bool"},
            "shared": {"type": "list", "elements": "str"},
        },
        "mutually_exclusive": [["path", "git", "archive", "wheel", "package"]],
        "required_one_of": [["path", "git", "archive", "wheel", "package"]],
        "required_together": [["git", "ref"]],
    },
    "exclude": {"type": "list", "elements": "str", "default": []},
    "groups": {"type": "list", "elements": "str", "default": []},
    "extras": {"type": "list", "elements": "str", "default": []},
    "install_project": {"type": "str", "choices": ["auto", "true", "false", "editable"], "default": "auto"},
    "python": {"type": "str", "default": "auto"},
    "python_mirror": {"type": "str", "no_log": True},
    "requirements": {"type": "list", "elements": "str", "default": []},
    "server_requirements": {"type": "list", "elements": "str", "default": []},
    "installer": {"type": "str", "choices": ["uv", "pip"], "default": "uv"},
    "uv_version": {"type": "str"},
    "uv_hashes": {"type": "list", "elements": "str", "default": []},
    "uv_path": {"type": "path"},
    "index_url": {"type": "str", "no_log": True},
    # JSON instead of dictionaries: Ansible would mask each value of a dictionary, such as "1" or "true", in the whole result.
    "build_environment": {"type": "json", "no_log": True},
    "environment": {"type": "json", "no_log": True},
    "call_factory": {"type": "bool", "default": True},
    "ca_bundle": {"type": "path", "default": "/etc/ssl/certs/ca-certificates.crt"},
    "insecure_transports": {"type": "bool", "default": False},
    "audit": {"type": "bool", "default": False},
    "audit_strict": {"type": "bool", "default": False},
    "audit_url": {"type": "str", "default": "https://api.osv.dev"},
    "audit_ignore": {"type": "list", "elements": "str", "default": []},
    "keep": {"type": "int", "default": 5},
    "wheelhouse": {"type": "bool", "default": False},
    "packages": {"type": "list", "elements": "str"},
    "claims": {"type": "dict"},
    "missing": {"type": "dict"},
}


class MissingWheels(NamedTuple):
    """The host needs wheels for ``target``, its Python, except those with the digests ``stored``, which it already has.

    If ``uv`` is true, the host also needs a wheel of uv.
    """

    target: dict
    stored: list
    uv: bool


class Missing(NamedTuple):
    """The items that a host is missing before it can stage a release.

    The role creates the app's accounts (``account``) and installs the distribution's ``packages``. The action plugin sends the program of the
    host ``command``, the source ``archive``, the ``wheels``, and the CPython of the version and machine ``python``; the module reports the last
    three only if no accounts or packages are missing.
    """

    account: bool = False
    packages: Sequence[str] = ()
    command: bool = False
    archive: bool = False
    wheels: MissingWheels | None = None
    python: dict | None = None

    @property
    def prerequisites(self) -> bool:
        return bool(self.account or self.packages)

    @property
    def files(self) -> bool:
        return bool(self.command or self.archive or self.wheels or self.python)

    def as_result(self) -> dict[str, Any]:
        wheels = self.wheels._asdict() if self.wheels else None
        return {**self._asdict(), "packages": list(self.packages), "wheels": wheels}

    @classmethod
    def from_result(cls, result: Mapping[str, Any]) -> Missing:
        wheels = result["wheels"]
        return cls(**{**result, "wheels": MissingWheels(**wheels) if wheels else None})
