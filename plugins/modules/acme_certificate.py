#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Issue and renew the certificate of an app with certbot."""

from __future__ import annotations

DOCUMENTATION = r"""
module: acme_certificate
short_description: Issue and renew the certificate of an app with certbot
version_added: 1.0.0
description:
  - Runs the distribution's certbot to issue a certificate with the challenge http-01, through a directory that the running nginx serves,
    or on a port to which the running HAProxy forwards. The distribution's C(certbot.timer) then renews the certificate.
  - Contacts the ACME server only if there is no certificate, if names, directory, key type or the renewal settings have changed, or if
    the timer has not renewed the certificate and less than a fifth of its lifetime is left.
  - If the web server accepts the new certificate, a deploy hook writes it to C(/etc/asgi/<app>/tls/live.pem) with one rename and reloads
    the web server. Renewals use the same hook.
  - If the ACME server issues no certificate, the module fails with certbot's error. The web server keeps its certificate, and the next
    run tries again.
requirements:
  - certbot and openssl on the host
options:
  name:
    description: Name of the app. certbot's name for the certificate is C(asgi-<app>).
    type: str
    required: true
  state:
    description:
      - V(present) issues the certificate, configures its renewal and writes C(live.pem).
      - V(retired) disables renewal, but keeps certbot's files, so that V(present) can use the certificate again while it is valid.
      - V(absent) also removes certbot's files for this app, except the account.
    type: str
    choices: [present, retired, absent]
    default: present
  names:
    description:
      - DNS names of the certificate, without wildcards. All of them must resolve to this host, or with O(web_server=haproxy) to
        balancers that forward the ACME server's requests to this host.
      - Required with O(state=present), as are O(directory) and O(hook).
    type: list
    elements: str
    default: []
  directory:
    description: URL of the ACME server's directory.
    type: str
  hook:
    description: Text of the deploy hook.
    type: str
  web_server:
    description: Web server that serves the certificate.
    type: str
    choices: [nginx, haproxy]
    default: nginx
  http01_port:
    description:
      - Port on which certbot itself responds to the ACME server while it requests a certificate. certbot listens on all addresses.
      - Required with O(web_server=haproxy). HAProxy forwards the ACME server's requests to this port. Has no effect with nginx.
    type: int
  key_type:
    description: Type of the key.
    type: str
    choices: [ecdsa, rsa]
    default: ecdsa
  mail:
    description: Mail address for the operator of the ACME server. Used when certbot creates its account.
    type: str
  ca_bundle:
    description: Text of a PEM file with certificate authorities of the ACME server, in addition to those of the system.
    type: str
  eab_kid:
    description: Key identifier for external account binding. Used when certbot creates its account.
    type: str
  eab_hmac_key:
    description: Key of the external account binding in base64url.
    type: str
attributes:
  check_mode:
    description: Can run in check mode, even if certbot is not installed. Does not contact the ACME server.
    support: full
  diff_mode:
    description: Shows no difference.
    support: none
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Issue a certificate of Let's Encrypt
  asgi.deploy.acme_certificate:
    name: hello
    names: [hello.example.org]
    directory: https://acme-v02.api.letsencrypt.org/directory
    hook: "{{ lookup('ansible.builtin.file', 'acme_deploy.py', rstrip=false) }}"

- name: Issue a certificate on a load balancer
  asgi.deploy.acme_certificate:
    name: hello
    names: [hello.example.org]
    directory: https://acme-v02.api.letsencrypt.org/directory
    web_server: haproxy
    http01_port: 8402
    hook: "{{ lookup('ansible.builtin.file', 'acme_deploy.py', rstrip=false) }}"

- name: Disable renewal
  asgi.deploy.acme_certificate:
    name: hello
    state: retired
"""

RETURN = r"""
reason:
  description: Why a certificate was issued; empty if none was.
  type: str
  returned: success
  sample: the certificate lacks www.example.org
deployed:
  description: Whether the web server loaded another certificate.
  type: bool
  returned: success
written:
  description: The files and directories that were written or removed to configure the renewal.
  type: list
  elements: str
  returned: success
"""

import os
import shutil
import tempfile
import time
from pathlib import Path

from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import locked, read_text, write_text
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils._tls import acme as decide
from ansible_collections.asgi.deploy.plugins.module_utils._tls.openssl import read_certificate

CERTBOT = Path("/etc/letsencrypt")
LOCK = "/run/asgi-certbot.lock"  # all apps of a host share certbot, which fails if another instance runs
BUSY_SECONDS = 300


class Refused(Reported):
    """The certificate cannot be provided; the message contains the reason and the certificate in use."""


class Certificate:
    def __init__(self, module: HostModule) -> None:
        self.module = module
        self.params = module.params
        self.web_server = module.params["web_server"]
        paths = layout(module.params["name"])
        self.live_pem, acme = paths["live_pem"], paths["acme"]
        self.webroot, renewal = acme["webroot"], acme["renewal"]
        self.hook, self.drop_in, self.ca_bundle = renewal["hook"], renewal["drop_in"], renewal["ca_bundle"]
        self.lineage = acme["lineage"]
        self.live = CERTBOT / "live" / self.lineage
        self.renewal = Path(renewal["settings"])
        self.certbot = module.get_bin_path("certbot")
        self.openssl = module.get_bin_path("openssl")
        # the port on which certbot itself responds to the ACME server; with nginx, certbot writes files instead
        self.port = module.params["http01_port"] if self.web_server == decide.HAPROXY else None
        self.wanted = decide.Wanted(
            lineage=self.lineage,
            names=tuple(module.params["names"]),
            directory=module.params["directory"],
            key_type=module.params["key_type"],
            challenge=(
                decide.challenge_by_certbot(self.port) if self.port else decide.challenge_by_files(self.webroot)
            ),
            hook=decide.hook_command(self.hook, self.web_server),
        )

    @property
    def present(self) -> bool:
        return self.params["state"] == "present"

    def read(self, path):
        """Return the first certificate in the file *path*; None if the file has none or openssl is not installed."""
        return read_certificate(self.module.run_command, str(path), self.openssl) if self.openssl else None

    def issued(self):
        """Return the certificate that certbot has issued and can renew; None if there is none."""
        settings, chain = read_text(str(self.renewal)), self.read(self.live / "fullchain.pem")
        if settings is None or chain is None or not (self.live / "privkey.pem").exists():
            return None
        return decide.Issued(frozenset(chain.names), chain.starts, chain.expires, decide.parse_renewal(settings))

    def is_deployed(self) -> bool:
        try:
            lineage = [(self.live / name).read_text(encoding="utf-8") for name in ("fullchain.pem", "privkey.pem")]
        except FileNotFoundError:
            return False
        return read_text(self.live_pem) == "".join(lineage)

    def serving(self) -> str:
        live = self.read(self.live_pem)
        if live is None:
            return "there is no certificate"
        kind = "self-signed certificate" if live.selfsigned else f"certificate of {live.issuer}"
        until = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(live.expires))
        return f"{decide.WEB_SERVERS[self.web_server]} still serves the {kind}, valid until {until}"

    def authorities(self):
        """Return the additional certificate authorities as PEM; None if there are none."""
        return f"{self.params['ca_bundle'].strip()}\n" if self.params["ca_bundle"] else None

    def configure_renewal(self) -> list:
        """Write or remove the files of the renewal; return the paths of changed files."""
        ca_bundle = self.authorities() if self.present else None
        renewal = read_text(str(self.renewal))
        wanted = {
            self.hook: self.params["hook"] if self.present else None,
            self.ca_bundle: ca_bundle,
            self.drop_in: decide.DROP_IN if ca_bundle else None,
        }
        if renewal is not None and decide.renews(decide.parse_renewal(renewal)) != self.present:
            wanted[str(self.renewal)] = decide.with_renewal(renewal, self.present)
        changed = [path for path, text in wanted.items() if read_text(path) != text]
        if self.module.check_mode:
            return changed
        for path in changed:
            if wanted[path] is None:
                os.unlink(path)
            else:
                write_text(path, wanted[path])
        if self.drop_in in changed:
            self.module.run_command(["systemctl", "daemon-reload"], check_rc=True)
        return changed

    def issue(self) -> bool:
        """Issue the certificate; return whether the deploy hook succeeded. Raises Refused if the ACME server issues none."""
        if not self.port:
            os.makedirs(self.webroot, mode=0o755, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.module.tmpdir) as directory:
            environment, settings = {}, None
            if self.authorities():
                bundle = os.path.join(directory, "ca.pem")
                write_text(bundle, f"{read_text(decide.SYSTEM_BUNDLE) or ''}{self.authorities()}")
                environment["REQUESTS_CA_BUNDLE"] = bundle
            if self.params["eab_kid"]:
                settings = os.path.join(directory, "account.ini")
                write_text(
                    settings, decide.account_settings(self.params["eab_kid"], self.params["eab_hmac_key"]), mode=0o600
                )
            status, output = self.run_certbot(decide.arguments(self.wanted, self.params["mail"], settings), environment)
        if status:
            hint = decide.hint(self.port) if self.port else ""
            raise Refused(
                f"{self.params['directory']} issued no certificate for {', '.join(self.wanted.names)}: "
                f"{decide.error_lines(output)}\n{hint}{self.serving()}; the next run tries again"
            )
        return decide.HOOK_FAILED not in output

    def run_certbot(self, arguments: list, environment: dict) -> tuple:
        """Run certbot and return its exit status and output. Wait while another instance runs, such as the timer's."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            status, out, err = self.module.run_command([self.certbot, *arguments], environ_update=environment)
            if decide.BUSY not in out + err or time.monotonic() > deadline:
                return status, f"{out}\n{err}"
            time.sleep(2)

    def deploy(self) -> None:
        """Run the deploy hook in the same way as certbot does."""
        status, out, err = self.module.run_command(self.wanted.hook, environ_update={"RENEWED_LINEAGE": str(self.live)})
        if status:
            raise Refused((err or out).strip())

    def delete(self) -> list:
        """Remove certbot's files and the directory for challenges; return the paths that existed."""
        existing = [path for path in (str(self.renewal), self.webroot) if os.path.exists(path)]
        if self.module.check_mode or not existing:
            return existing
        if self.renewal.exists():
            status, output = self.run_certbot(["delete", "--non-interactive", "--cert-name", self.lineage], {})
            if status:
                raise Refused(f"certbot did not delete {self.lineage}: {decide.error_lines(output)}")
        shutil.rmtree(self.webroot, ignore_errors=True)
        return existing


def run(module: HostModule) -> dict:
    certificate = Certificate(module)
    if module.params["state"] == "absent":
        deleted = certificate.delete()
        written = sorted({*deleted, *certificate.configure_renewal()})
        return {"changed": bool(written), "reason": "", "deployed": False, "written": written}

    reason, deploys = "", False
    if certificate.present:
        reason = decide.why_issue(certificate.wanted, certificate.issued(), time.time())
        deploys = bool(reason) or not certificate.is_deployed()
        if not module.check_mode and not (certificate.certbot and certificate.openssl):
            raise Refused("certbot or openssl is not installed on this host -> install Debian's packages first")
    written = certificate.configure_renewal()
    if deploys and not module.check_mode:
        hook_passed = certificate.issue() if reason else False
        # certbot ignores failures of its hook, so run the hook again to report its error
        if not hook_passed or not certificate.is_deployed():
            certificate.deploy()
    return {
        "changed": bool(reason or deploys or written),
        "reason": reason,
        "deployed": deploys,
        "written": sorted(written),
    }


def main():
    module = HostModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "retired", "absent"], "default": "present"},
            "names": {"type": "list", "elements": "str", "default": []},
            "directory": {"type": "str"},
            "hook": {"type": "str"},
            "web_server": {"type": "str", "choices": list(decide.WEB_SERVERS), "default": decide.NGINX},
            "http01_port": {"type": "int"},
            "key_type": {"type": "str", "choices": ["ecdsa", "rsa"], "default": "ecdsa", "no_log": False},
            "mail": {"type": "str"},
            "ca_bundle": {"type": "str"},
            "eab_kid": {"type": "str"},
            "eab_hmac_key": {"type": "str", "no_log": True},
        },
        required_if=[("state", "present", ["names", "directory", "hook"]), ("web_server", "haproxy", ["http01_port"])],
        required_together=[("eab_kid", "eab_hmac_key")],
        supports_check_mode=True,
    )
    wait = 2 * BUSY_SECONDS
    busy = f"another task has been running certbot for {wait} s: "
    with module.reporting(), locked(LOCK, "acme_certificate", wait, busy):
        result = run(module)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
