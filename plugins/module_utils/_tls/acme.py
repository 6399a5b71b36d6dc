# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pure functions of the module acme_certificate: certbot's arguments, renewal configuration and output."""

from __future__ import annotations

import re
from typing import NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import CONFIGURATION_DIRECTORY

NGINX, HAPROXY = "nginx", "haproxy"
WEB_SERVERS = {NGINX: "nginx", HAPROXY: "HAProxy"}  # the keys are arguments, the values are the names in messages
SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
# certbot's timer renews certificates earlier. If less than this share of the lifetime is left, renewal has failed.
LATE = 1 / 5
BUSY = "Another instance of Certbot is already running"
HOOK_FAILED = "reported error code"

# Lines that certbot always prints.
_ROUTINE = re.compile(
    r"Saving debug log to|Requesting a certificate|Renewing an existing certificate|Account registered|"
    r"Ask for help or search for solutions|^[- ]*$|Some challenges have failed|Hint: The Certificate Authority"
)

DROP_IN = f"""\
# Managed by the Ansible collection asgi.deploy; changes are overwritten.
# Renewals trust the system's certificate authorities and those of the private ACME servers of this host's apps.
[Service]
RuntimeDirectory=asgi-certbot
Environment=REQUESTS_CA_BUNDLE=/run/asgi-certbot/ca.pem
ExecStartPre=-/bin/sh -c 'cat {SYSTEM_BUNDLE} {CONFIGURATION_DIRECTORY}/*/acme-ca.pem >/run/asgi-certbot/ca.pem'
"""


class Challenge(NamedTuple):
    """certbot's arguments for a type of challenge, and the corresponding settings in its renewal configuration."""

    arguments: list
    renewal: dict


class Wanted(NamedTuple):
    """The properties of the wanted certificate, and how to issue it."""

    lineage: str
    names: tuple
    directory: str
    key_type: str
    challenge: Challenge
    hook: str  # the command that certbot runs after issuance and after each renewal


class Issued(NamedTuple):
    """The certificate that certbot has issued; times are in seconds since the epoch."""

    names: frozenset
    starts: float
    expires: float
    renewal: dict


def hook_command(path: str, web_server: str) -> str:
    """Return certbot's command for the deploy hook *path* of a certificate that *web_server* serves."""
    # Omit "nginx", so that the command equals the one in renewal configurations of earlier versions.
    return f"/usr/bin/python3 -I {path}" + ("" if web_server == NGINX else f" {web_server}")


def challenge_by_files(directory: str) -> Challenge:
    """Return a challenge that certbot answers with files in *directory*, which the web server serves."""
    return Challenge(["--webroot", "--webroot-path", directory], {"authenticator": "webroot"})


def challenge_by_certbot(port: int) -> Challenge:
    """Return a challenge that certbot answers itself on *port*. The web server forwards the requests there."""
    return Challenge(
        ["--standalone", "--http-01-port", str(port)], {"authenticator": "standalone", "http01_port": str(port)}
    )


def parse_renewal(text: str) -> dict[str, str]:
    """Return the settings of [renewalparams] in certbot's renewal configuration *text*, without its subsections."""
    found, section = {}, ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip()
        elif section == "[renewalparams]" and "=" in line and not line.startswith("#"):
            name, _equals, value = line.partition("=")
            found[name.strip()] = value.strip()
    return found


def renews(settings: dict[str, str]) -> bool:
    """Return whether certbot's timer renews the certificate with these settings."""
    return settings.get("autorenew", "True").lower() not in ("false", "no", "off", "0")


def with_renewal(text: str, on: bool) -> str:
    """Return certbot's renewal configuration *text* with renewal enabled (*on*) or disabled."""
    without = re.sub(r"^autorenew\s*=.*\n", "", text, flags=re.MULTILINE)
    if on:
        return without
    return re.sub(r"^\[renewalparams\]\n", r"\g<0>autorenew = False\n", without, count=1, flags=re.MULTILINE)


def why_issue(wanted: Wanted, found: Issued | None, now: float) -> str:
    """Return the reason why certbot must issue a certificate, "" if *found* can be used."""
    if found is None:
        return "there is none"
    missing, extra = sorted(set(wanted.names) - found.names), sorted(found.names - set(wanted.names))
    if missing or extra:
        changes = [f"lacks {name}" for name in missing] + [f"includes {name}" for name in extra]
        return f"the certificate {' and '.join(changes)}"
    if found.renewal.get("server") != wanted.directory:
        return f"the certificate is from {found.renewal.get('server')}"
    if found.renewal.get("key_type", "rsa") != wanted.key_type:
        return f"the certificate has a key of type {found.renewal.get('key_type', 'rsa')}"
    if not {**wanted.challenge.renewal, "renew_hook": wanted.hook}.items() <= found.renewal.items():
        return "the renewal settings have changed"
    if found.expires - now < LATE * (found.expires - found.starts):
        return "the certificate was not renewed in time"
    return ""


def arguments(wanted: Wanted, mail: str | None, settings: str | None) -> list[str]:
    """Return certbot's arguments. Secrets are in the configuration file *settings*, because every account can read command lines."""
    names = [argument for name in wanted.names for argument in ("--domain", name)]
    contact = ["--email", mail, "--no-eff-email"] if mail else ["--register-unsafely-without-email"]
    return [
        *("certonly", "--non-interactive", "--agree-tos", *contact),
        *("--server", wanted.directory, "--cert-name", wanted.lineage, *names, "--key-type", wanted.key_type),
        *(*wanted.challenge.arguments, "--deploy-hook", wanted.hook),
        *("--renew-with-new-domains", "--force-renewal"),
        *(["--config", settings] if settings else []),
    ]


def account_settings(kid: str, key: str) -> str:
    """Return the text of certbot's configuration file for an external account binding."""
    return f"eab-kid = {kid}\neab-hmac-key = {key}\n"


def hint(port: int) -> str:
    """Return a hint at another possible cause if certbot itself answers challenges on *port*."""
    return f"the balancers connect to certbot on port {port}: allow it between them, and run the playbook for all balancers\n"


def error_lines(output: str) -> str:
    """Return certbot's error messages in *output*."""
    lines = [line.strip() for line in output.splitlines() if not _ROUTINE.search(line)]
    return "\n".join(dict.fromkeys(lines)) or "certbot printed no reason; see /var/log/letsencrypt/letsencrypt.log"
