#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have certbot get an app's certificate from an ACME server, and renew it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: acme_certificate
short_description: Have certbot get an app's certificate from an ACME server, and renew it
version_added: 0.1.0
description:
  - Has the distribution's certbot get a certificate by http-01, through a directory that the running nginx serves or on a
    port that the running HAProxy leads to, and set up its renewal, which the distribution's C(certbot.timer) then does
    by itself.
  - Asks the server only if there is no certificate, if names, directory, type of key or the way to renew it have changed, or
    if the timer has failed to renew it for so long that less than a fifth of its lifetime is left.
  - A deploy hook puts what certbot got into C(/etc/asgi/<app>/tls/live.pem) by one rename if it can be served, and
    reloads the web server. It is the same at the first time and at a renewal.
  - If the server gives no certificate the module fails with certbot's reason; what is served stays what it was, and the
    next run tries again.
requirements:
  - certbot and openssl, the programs, on the host
options:
  name:
    description:
      - The app. certbot's name for the certificate is C(asgi-<app>).
    type: str
    required: true
  state:
    description:
      - V(present) has the certificate, its renewal, and the certificate in C(live.pem).
      - V(retired) ends the renewal. What certbot has is kept, so that V(present) needs no new certificate as long as
        that one is good.
      - V(absent) removes what certbot has for this app too, but for the account.
    type: str
    choices: [present, retired, absent]
    default: present
  names:
    description:
      - The DNS names of the certificate, no wildcards. All of them lead to this host, or with O(web_server=haproxy) to
        balancers that lead the ACME server here. Needed to be V(present), as are O(directory) and O(hook).
    type: list
    elements: str
    default: []
  directory:
    description:
      - The URL of the ACME server's directory.
    type: str
  hook:
    description:
      - The text of the deploy hook.
    type: str
  web_server:
    description:
      - What serves the certificate.
    type: str
    choices: [nginx, haproxy]
    default: nginx
  http01_port:
    description:
      - The port on which certbot answers the ACME server itself, on all addresses and only while it asks for a
        certificate. Needed with O(web_server=haproxy), which leads the ACME server there, and without effect with nginx.
    type: int
  key_type:
    description:
      - The type of the key.
    type: str
    choices: [ecdsa, rsa]
    default: ecdsa
  mail:
    description:
      - Where the operator of the server may write to. Used when certbot makes its account there.
    type: str
  ca_bundle:
    description:
      - The text of a PEM file with authorities to trust, beside those of the system, when certbot talks to the server.
    type: str
  eab_kid:
    description:
      - The identifier of an external account binding. Used when certbot makes its account there.
    type: str
  eab_hmac_key:
    description:
      - The key of that binding, in base64url.
    type: str
attributes:
  check_mode:
    description: Can run in check mode, without certbot on the host as well. Asks the server nothing.
    support: full
  diff_mode:
    description: Shows no difference.
    support: none
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Have a certificate of Let's Encrypt
  asgi.deploy.acme_certificate:
    name: hello
    names: [hello.example.org]
    directory: https://acme-v02.api.letsencrypt.org/directory
    hook: "{{ lookup('ansible.builtin.file', 'acme_deploy.py', rstrip=false) }}"

- name: Have one on a balancer
  asgi.deploy.acme_certificate:
    name: hello
    names: [hello.example.org]
    directory: https://acme-v02.api.letsencrypt.org/directory
    web_server: haproxy
    http01_port: 8402
    hook: "{{ lookup('ansible.builtin.file', 'acme_deploy.py', rstrip=false) }}"

- name: Renew it no longer
  asgi.deploy.acme_certificate:
    name: hello
    state: retired
"""

RETURN = r"""
reason:
  description: Why a certificate was asked for, empty if none was.
  type: str
  returned: success
  sample: the one that is there is without www.example.org
deployed:
  description: Whether the web server got another certificate.
  type: bool
  returned: success
written:
  description: The files of the renewal that were written or removed.
  type: list
  elements: str
  returned: success
"""

import os
import shutil
import tempfile
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.asgi.deploy.plugins.module_utils import acme as decide
from ansible_collections.asgi.deploy.plugins.module_utils.files import Locked, locked, read_text, reason_of, write_text
from ansible_collections.asgi.deploy.plugins.module_utils.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils.selfsigned_pem import parse_certificate

CERTBOT = Path("/etc/letsencrypt")
LOCK = "/run/asgi-certbot.lock"  # certbot is one for all apps of a host, and does not wait for itself
BUSY_SECONDS = 300


class Refused(Exception):
    """The module cannot go on; the message says why and what is served."""


class Certificate:
    def __init__(self, module: AnsibleModule) -> None:
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
        # where certbot answers the server itself
        self.port = module.params["http01_port"] if self.web_server == decide.HAPROXY else None
        self.wanted = decide.Wanted(
            lineage=self.lineage,
            names=tuple(module.params["names"]),
            directory=module.params["directory"],
            key_type=module.params["key_type"],
            proof=(decide.proved_by_certbot(self.port) if self.port else decide.proved_by_files(self.webroot)),
            hook=decide.hook_command(self.hook, self.web_server),
        )

    @property
    def present(self) -> bool:
        return self.params["state"] == "present"

    def show(self, path, *what: str) -> str:
        """Return what openssl says of the first certificate in the file *path*, nothing if there is none."""
        if not self.openssl or not os.path.exists(path):
            return ""
        status, out, _err = self.module.run_command([self.openssl, "x509", "-in", str(path), "-noout", *what])
        return "" if status else out

    def found(self):
        """Return the certificate that certbot has and can renew, None if there is none."""
        settings, chain = read_text(str(self.renewal)), self.live / "fullchain.pem"
        shown = self.show(chain, "-dates", "-ext", "subjectAltName")
        if settings is None or not shown or not (self.live / "privkey.pem").exists():
            return None
        starts, expires = decide.parse_dates(shown)
        return decide.Found(parse_certificate(shown).names, starts, expires, decide.parse_renewal(settings))

    def is_deployed(self) -> bool:
        try:
            lineage = [(self.live / name).read_text(encoding="utf-8") for name in ("fullchain.pem", "privkey.pem")]
        except FileNotFoundError:
            return False
        return read_text(self.live_pem) == "".join(lineage)

    def serving(self) -> str:
        shown = self.show(self.live_pem, "-subject", "-issuer", "-dates")
        if not shown:
            return "there is no certificate to serve"
        found, (_starts, expires) = parse_certificate(shown), decide.parse_dates(shown)
        kind = "self-signed certificate" if found.subject == found.issuer else f"certificate of {found.issuer}"
        until = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(expires))
        return f"{decide.WEB_SERVERS[self.web_server]} goes on serving the {kind} that is valid until {until}"

    def authorities(self):
        """Return the authorities to trust as a text that another can follow, None if there are none."""
        return f"{self.params['ca_bundle'].strip()}\n" if self.params["ca_bundle"] else None

    def set_up(self) -> list:
        """Write what a renewal needs, or remove it; return the files that are not what they should be."""
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
        """Have certbot get the certificate; return whether the deploy hook did not mind it.

        Raises Refused if the server gives none.
        """
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
            status, said = self.run_certbot(decide.arguments(self.wanted, self.params["mail"], settings), environment)
        if status:
            hint = decide.hint(self.port) if self.port else ""
            raise Refused(
                f"{self.params['directory']} gave no certificate for {', '.join(self.wanted.names)}: "
                f"{decide.readable(said)}\n{hint}{self.serving()}; the next run tries again"
            )
        return decide.HOOK_FAILED not in said

    def run_certbot(self, arguments: list, environment: dict) -> tuple:
        """Run certbot, once one that the timer has started is done; return its exit status and what it said."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            status, out, err = self.module.run_command([self.certbot, *arguments], environ_update=environment)
            if decide.BUSY not in out + err or time.monotonic() > deadline:
                return status, f"{out}\n{err}"
            time.sleep(2)

    def deploy(self) -> None:
        """Run the deploy hook as certbot does."""
        status, out, err = self.module.run_command(self.wanted.hook, environ_update={"RENEWED_LINEAGE": str(self.live)})
        if status:
            raise Refused((err or out).strip())

    def delete(self) -> list:
        """Remove what certbot has, and the directory of the challenges; return what was there."""
        there = [path for path in (str(self.renewal), self.webroot) if os.path.exists(path)]
        if self.module.check_mode or not there:
            return there
        if self.renewal.exists():
            status, said = self.run_certbot(["delete", "--non-interactive", "--cert-name", self.lineage], {})
            if status:
                raise Refused(f"certbot did not delete {self.lineage}: {decide.readable(said)}")
        shutil.rmtree(self.webroot, ignore_errors=True)
        return there


def run(module: AnsibleModule) -> dict:
    certificate = Certificate(module)
    if module.params["state"] == "absent":
        gone = certificate.delete()
        written = sorted({*gone, *certificate.set_up()})
        return {"changed": bool(written), "reason": "", "deployed": False, "written": written}

    reason, deploys = "", False
    if certificate.present:
        reason = decide.why_issue(certificate.wanted, certificate.found(), time.time())
        deploys = bool(reason) or not certificate.is_deployed()
        if not module.check_mode and not (certificate.certbot and certificate.openssl):
            raise Refused("there is no certbot or no openssl on this host: install the packages first")
    written = certificate.set_up()
    if deploys and not module.check_mode:
        hook_passed = certificate.issue() if reason else False
        # certbot succeeds whatever its hook says: asked again, the hook says it to us
        if not hook_passed or not certificate.is_deployed():
            certificate.deploy()
    return {
        "changed": bool(reason or deploys or written),
        "reason": reason,
        "deployed": deploys,
        "written": sorted(written),
    }


def main():
    module = AnsibleModule(
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
    try:
        with locked(LOCK, "acme_certificate", wait=2 * BUSY_SECONDS):
            result = run(module)
    except Locked as exc:
        module.fail_json(msg=f"another task has been running certbot for {2 * BUSY_SECONDS} s: {exc}")
    except (Refused, ValueError) as exc:
        module.fail_json(msg=str(exc))
    except OSError as exc:
        module.fail_json(msg=reason_of(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
