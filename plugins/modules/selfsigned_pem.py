#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create a self-signed certificate and its key in one file."""

from __future__ import annotations

DOCUMENTATION = r"""
module: selfsigned_pem
short_description: Create a self-signed certificate and its key in one file
version_added: 1.0.0
description:
  - Creates an ECDSA key on the curve P-256 and a certificate that is signed with it, in one PEM file that only root can read. Both are
    replaced with one rename.
  - Keeps the certificate while it is self-signed, contains exactly O(names), matches its key and does not expire within O(renew_days).
    Corrects a wrong owner, group or mode of the file or its directory.
  - The key never leaves the host, and never appears in a command line.
requirements:
  - openssl 1.1.1 or newer on the host
options:
  path:
    description: Path of the file. Only root can read it.
    type: path
    required: true
  names:
    description: DNS names of the certificate in lower case, including wildcards.
    type: list
    elements: str
    required: true
  days:
    description: Number of days for which a new certificate is valid.
    type: int
    default: 397
  renew_days:
    description: The module replaces a certificate that is valid for fewer days than this.
    type: int
    default: 30
  placeholder:
    description: Whether to keep any certificate that matches its key, regardless of its issuer, names and expiry. Use V(true) for
      a site that must run before its certificate is issued.
    type: bool
    default: false
  directory_mode:
    description: Mode of the directory of O(path), as in M(asgi.deploy.secret_file).
    type: str
attributes:
  check_mode:
    description: Can run in check mode, even if openssl is not installed.
    support: full
  diff_mode:
    description: Shows no difference, because the file contains a key.
    support: none
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Create a self-signed certificate
  asgi.deploy.selfsigned_pem:
    path: /etc/asgi/hello/tls/live.pem
    names: [hello.example.org, "*.hello.example.org"]
"""

RETURN = r"""
reason:
  description: Why the certificate was created or the access to its file corrected; empty if nothing changed.
  type: str
  returned: success
  sample: the names have changed
"""

import tempfile

from ansible_collections.asgi.deploy.plugins.module_utils._host.files import read_text
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule
from ansible_collections.asgi.deploy.plugins.module_utils._host.secret_files import write_secret
from ansible_collections.asgi.deploy.plugins.module_utils._tls import selfsigned_pem as decide


class Openssl:
    def __init__(self, module: HostModule) -> None:
        self.module = module
        self.program = module.get_bin_path("openssl", required=True)

    def run(self, *arguments, data=None) -> str:
        status, out, err = self.module.run_command([self.program, *arguments], data=data)
        if status:
            self.module.fail_json(msg=f"openssl {arguments[0]}: {(err or out).strip()}")
        return out

    def pem(self, names: list, days: int) -> str:
        """Return a new certificate followed by its key."""
        key = self.run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        with tempfile.NamedTemporaryFile("w", dir=self.module.tmpdir, suffix=".cnf") as configuration:
            configuration.write(decide.request_configuration(names))
            configuration.flush()
            certificate = self.run(
                *("req", "-new", "-x509", "-sha256", "-days", str(days)),
                *("-config", configuration.name, "-key", "/dev/stdin"),
                data=key,
            )
        return certificate + key


def main():
    module = HostModule(
        argument_spec={
            **decide.WANTED,
            "days": {"type": "int", "default": 397},
        },
        supports_check_mode=True,
    )
    path, names, directory_mode = (module.params[option] for option in ("path", "names", "directory_mode"))
    with module.reporting("names: "):
        decide.request_configuration(names)
    with module.reporting("directory_mode: "):
        access = decide.wanted_access(directory_mode)

    if module.check_mode and module.get_bin_path("openssl") is None:
        module.exit_json(changed=True, reason="there is none")
    openssl = Openssl(module)
    wanted = {option: module.params[option] for option in decide.WANTED if option != "directory_mode"}
    reason = decide.why_wanted(module.run_command, openssl.program, **wanted)
    exposed = decide.why_exposed(path, directory_mode)
    if (reason or exposed) and not module.check_mode:
        with module.reporting():
            write_secret(path, openssl.pem(names, module.params["days"]) if reason else read_text(path), access)
    module.exit_json(changed=bool(reason or exposed), reason=reason or exposed)


if __name__ == "__main__":
    main()
