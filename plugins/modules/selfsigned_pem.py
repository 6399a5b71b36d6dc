#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have a self-signed certificate and its key in one file."""

from __future__ import annotations

DOCUMENTATION = r"""
module: selfsigned_pem
short_description: Have a self-signed certificate and its key in one file
version_added: 0.1.0
description:
  - Makes an ECDSA key on the curve P-256 and a certificate that is signed with it, in one PEM file that only root can
    read. Both are new each time, and replace the former ones by one rename.
  - Does nothing while the file holds a self-signed certificate for exactly these names that fits its key and lasts.
  - The key never leaves the host, and is in no command line.
requirements:
  - openssl 1.1.1 or newer, the program, on the host
options:
  path:
    description:
      - The file. Its directory is created, readable by everybody, if there is none.
    type: path
    required: true
  names:
    description:
      - The DNS names of the certificate, in lower case, wildcards included.
    type: list
    elements: str
    required: true
  days:
    description:
      - For how many days a new certificate is valid.
    type: int
    default: 397
  renew_days:
    description:
      - A certificate that is valid for fewer days than this is replaced.
    type: int
    default: 30
  placeholder:
    description:
      - Whether any certificate that fits its key is left alone, whoever signed it, for whichever names and however long.
        For a site that has to be up before its real certificate comes.
    type: bool
    default: false
attributes:
  check_mode:
    description: Can run in check mode, without openssl on the host as well.
    support: full
  diff_mode:
    description: Shows no difference, as the file holds a key.
    support: none
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Have a certificate that browsers warn about
  asgi.deploy.selfsigned_pem:
    path: /etc/asgi/hello/tls/live.pem
    names: [hello.example.org, "*.hello.example.org"]
"""

RETURN = r"""
reason:
  description: Why a certificate was made, empty if none was.
  type: str
  returned: success
  sample: the names have changed
"""

import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.asgi.deploy.plugins.module_utils import selfsigned_pem as decide
from ansible_collections.asgi.deploy.plugins.module_utils.files import reason_of, write_text


class Openssl:
    def __init__(self, module: AnsibleModule) -> None:
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
    module = AnsibleModule(
        argument_spec={
            **decide.WANTED,
            "days": {"type": "int", "default": 397},
        },
        supports_check_mode=True,
    )
    path, names = module.params["path"], module.params["names"]
    try:
        decide.request_configuration(names)
    except ValueError as exc:
        module.fail_json(msg=f"names: {exc}")

    if module.check_mode and module.get_bin_path("openssl") is None:
        module.exit_json(changed=True, reason="there is none")
    openssl = Openssl(module)
    reason = decide.why_wanted(
        module.run_command, openssl.program, **{option: module.params[option] for option in decide.WANTED}
    )
    if reason and not module.check_mode:
        try:
            write_text(path, openssl.pem(names, module.params["days"]), mode=0o600)
        except OSError as exc:
            module.fail_json(msg=reason_of(exc))
    module.exit_json(changed=bool(reason), reason=reason)


if __name__ == "__main__":
    main()
