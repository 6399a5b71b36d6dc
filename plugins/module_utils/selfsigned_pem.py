# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the selfsigned_pem module asks openssl for, and whether what is there will do."""

from __future__ import annotations

import os
import re
from typing import Callable, NamedTuple

NAME_PATTERN = re.compile(r"(?:\*\.)?[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
COMMON_NAME_LIMIT = 64
RENEW_DAYS = 30
DAY_SECONDS = 24 * 60 * 60

# What is asked of a certificate, as options of a module.
WANTED = {
    "path": {"type": "path", "required": True},
    "names": {"type": "list", "elements": "str", "required": True},
    "renew_days": {"type": "int", "default": RENEW_DAYS},
    "placeholder": {"type": "bool", "default": False},
}


class Certificate(NamedTuple):
    """What openssl says of a certificate."""

    subject: str
    issuer: str
    names: frozenset
    public_key: str


def request_configuration(names: list[str]) -> str:
    """Return openssl's configuration for a certificate for *names*; raise ValueError if one cannot be a DNS name."""
    for name in names:
        if not NAME_PATTERN.fullmatch(name):
            raise ValueError(f"{name!r} is not a DNS name in lower case")
    if not names:
        raise ValueError("a certificate needs at least one name")
    return "\n".join(
        [
            "[req]",
            "prompt = no",
            "distinguished_name = subject",
            "x509_extensions = extensions",
            "[subject]",
            f"CN = {names[0][:COMMON_NAME_LIMIT]}",
            "[extensions]",
            "basicConstraints = critical, CA:FALSE",
            "keyUsage = critical, digitalSignature",
            "extendedKeyUsage = serverAuth",
            "subjectKeyIdentifier = hash",
            f"subjectAltName = {', '.join(f'DNS:{name}' for name in names)}",
            "",
        ]
    )


def parse_certificate(text: str) -> Certificate:
    """Return the certificate in the output of ``openssl x509 -noout -subject -issuer -ext subjectAltName -pubkey``."""

    def line(label):
        match = re.search(rf"^{label}=\s*(.*)$", text, re.MULTILINE)
        return match.group(1) if match else ""

    key = re.search(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", text, re.DOTALL)
    return Certificate(
        subject=line("subject"),
        issuer=line("issuer"),
        names=frozenset(re.findall(r"DNS:([^,\s]+)", text)),
        public_key=key.group(0) if key else "",
    )


def why_wanted(
    run_command: Callable, openssl: str, path: str, names: list[str], renew_days: int, placeholder: bool
) -> str:
    """Return why the file *path* needs another certificate, empty if what the program *openssl* says of it will do."""
    if not os.path.exists(path):
        return why_placeholder(None, "")
    show = [openssl, "x509", "-in", path, "-noout"]
    status, out, _err = run_command([*show, "-subject", "-issuer", "-ext", "subjectAltName", "-pubkey"])
    expires, _out, _err = run_command([*show, "-checkend", str(renew_days * DAY_SECONDS)])
    _status, public_key, _err = run_command([openssl, "pkey", "-in", path, "-pubout"])
    found = parse_certificate(out) if status == 0 else None
    if placeholder:
        return why_placeholder(found, public_key)
    return why_new(found, expires == 0, public_key, names, renew_days)


def why_new(found: Certificate | None, lasts: bool, public_key: str, names: list[str], days: int) -> str:
    """Return why another certificate than *found* is needed, empty if it will do.

    *lasts*: it is valid for *days* more; *public_key*: that of the key beside it.
    """
    unusable = why_placeholder(found, public_key)
    if unusable:
        return unusable
    if found.subject != found.issuer:
        return "the one that is there is not self-signed"
    if found.names != frozenset(names):
        return "the names have changed"
    if not lasts:
        return f"fewer than {days} days are left"
    return ""


def why_placeholder(found: Certificate | None, public_key: str) -> str:
    """Return why nginx cannot use *found*, whoever signed it, with the key of *public_key*; empty if it can."""
    if found is None:
        return "there is none"
    if not found.public_key or found.public_key != public_key.strip():
        return "the one that is there does not fit its key"
    return ""
