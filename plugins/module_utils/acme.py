# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the acme_certificate module asks certbot for, when, and what certbot's answer means."""

from __future__ import annotations

import re
import ssl
from typing import NamedTuple

NGINX, HAPROXY = "nginx", "haproxy"
WEB_SERVERS = {NGINX: "nginx", HAPROXY: "HAProxy"}  # and how they are spelt
SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
# With less than this of its lifetime left, certbot's timer, which starts well before, has failed.
LATE = 1 / 5
BUSY = "Another instance of Certbot is already running"
HOOK_FAILED = "reported error code"

# What certbot says each time, whatever the matter is.
_CHATTER = re.compile(
    r"Saving debug log to|Requesting a certificate|Renewing an existing certificate|Account registered|"
    r"Ask for help or search for solutions|^[- ]*$|Some challenges have failed|Hint: The Certificate Authority"
)

DROP_IN = f"""\
# Managed by the Ansible collection asgi.deploy; changes are overwritten.
# Renewals trust the system's authorities, and those that apps of this host have for an ACME server of their own.
[Service]
RuntimeDirectory=asgi-certbot
Environment=REQUESTS_CA_BUNDLE=/run/asgi-certbot/ca.pem
ExecStartPre=-/bin/sh -c 'cat {SYSTEM_BUNDLE} /etc/asgi/*/acme-ca.pem >/run/asgi-certbot/ca.pem'
"""


class Proof(NamedTuple):
    """How certbot proves that the names lead here: what it is asked for, and what its renewal configuration then says."""

    arguments: list
    renewal: dict


class Wanted(NamedTuple):
    """What the certificate is to be, and how it is to be got."""

    lineage: str
    names: tuple
    directory: str
    key_type: str
    proof: Proof
    hook: str  # the command


class Found(NamedTuple):
    """The certificate that certbot has; times in seconds since the epoch."""

    names: frozenset
    starts: float
    expires: float
    renewal: dict


def hook_command(path: str, web_server: str) -> str:
    """Return the command that certbot runs for the deploy hook *path*, of a certificate that *web_server* serves."""
    # nginx goes without saying: the renewals of before say nothing
    return f"/usr/bin/python3 -I {path}" + ("" if web_server == NGINX else f" {web_server}")


def proved_by_files(directory: str) -> Proof:
    """Return the proof by files in *directory*, from which the web server answers."""
    return Proof(["--webroot", "--webroot-path", directory], {"authenticator": "webroot"})


def proved_by_certbot(port: int) -> Proof:
    """Return the proof that certbot gives itself, on *port*, where the web server leads the question."""
    return Proof(
        ["--standalone", "--http-01-port", str(port)], {"authenticator": "standalone", "http01_port": str(port)}
    )


def parse_renewal(text: str) -> dict[str, str]:
    """Return the settings of [renewalparams] in certbot's renewal configuration *text*, its subsections left out."""
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
    """Return certbot's renewal configuration *text* with the renewal switched *on*, or off."""
    without = re.sub(r"^autorenew\s*=.*\n", "", text, flags=re.MULTILINE)
    if on:
        return without
    return re.sub(r"^\[renewalparams\]\n", r"\g<0>autorenew = False\n", without, count=1, flags=re.MULTILINE)


def parse_dates(text: str) -> tuple[float, float]:
    """Return from when to when a certificate is valid, from ``openssl x509 -noout -dates``."""
    found = dict(line.split("=", 1) for line in text.splitlines() if line.startswith("not"))
    return ssl.cert_time_to_seconds(found["notBefore"]), ssl.cert_time_to_seconds(found["notAfter"])


def why_issue(wanted: Wanted, found: Found | None, now: float) -> str:
    """Return why certbot has to get another certificate than *found*, empty if that will do."""
    if found is None:
        return "there is none"
    missing, extra = sorted(set(wanted.names) - found.names), sorted(found.names - set(wanted.names))
    if missing or extra:
        changes = [f"without {name}" for name in missing] + [f"with {name}" for name in extra]
        return f"the one that is there is {' and '.join(changes)}"
    if found.renewal.get("server") != wanted.directory:
        return f"the one that is there came from {found.renewal.get('server')}"
    if found.renewal.get("key_type", "rsa") != wanted.key_type:
        return f"the one that is there has a key of type {found.renewal.get('key_type', 'rsa')}"
    if not {**wanted.proof.renewal, "renew_hook": wanted.hook}.items() <= found.renewal.items():
        return "the one that is there would be renewed in another way"
    if found.expires - now < LATE * (found.expires - found.starts):
        return "the one that is there has not been renewed in time"
    return ""


def arguments(wanted: Wanted, mail: str | None, settings: str | None) -> list[str]:
    """Return certbot's arguments. Secrets come in its configuration file *settings*: anybody can read a command line."""
    names = [argument for name in wanted.names for argument in ("--domain", name)]
    contact = ["--email", mail, "--no-eff-email"] if mail else ["--register-unsafely-without-email"]
    return [
        *("certonly", "--non-interactive", "--agree-tos", *contact),
        *("--server", wanted.directory, "--cert-name", wanted.lineage, *names, "--key-type", wanted.key_type),
        *(*wanted.proof.arguments, "--deploy-hook", wanted.hook),
        *("--renew-with-new-domains", "--force-renewal"),
        *(["--config", settings] if settings else []),
    ]


def account_settings(kid: str, key: str) -> str:
    """Return certbot's configuration file for an external account binding."""
    return f"eab-kid = {kid}\neab-hmac-key = {key}\n"


def hint(port: int) -> str:
    """Return, as a line, where to look when nothing was wrong with the names, and certbot answers on *port*."""
    return f"the balancers reach certbot here on port {port}: let it through between them, and have all of them know the app\n"


def readable(output: str) -> str:
    """Return what certbot said of a failure, without what it always says."""
    lines = [line.strip() for line in output.splitlines() if not _CHATTER.search(line)]
    return "\n".join(dict.fromkeys(lines)) or "certbot did not say why; /var/log/letsencrypt/letsencrypt.log may"
