# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificates that the module selfsigned_pem creates, and the conditions for their replacement."""

from __future__ import annotations

import os
import re
import time
from typing import Callable

from ansible_collections.asgi.deploy.plugins.module_utils._host.secret_files import (
    Access,
    explain,
    exposure,
    parse_mode,
)
from ansible_collections.asgi.deploy.plugins.module_utils._tls.openssl import Certificate, read_certificate

NAME_PATTERN = re.compile(r"(?:\*\.)?[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
COMMON_NAME_LIMIT = 64
RENEW_DAYS = 30
DAY_SECONDS = 24 * 60 * 60

# Module options that describe the wanted certificate.
WANTED = {
    "path": {"type": "path", "required": True},
    "names": {"type": "list", "elements": "str", "required": True},
    "renew_days": {"type": "int", "default": RENEW_DAYS},
    "placeholder": {"type": "bool", "default": False},
    "directory_mode": {"type": "str"},
}


def request_configuration(names: list[str]) -> str:
    """Return openssl's configuration for a certificate for *names*; raise ValueError if one of them is not a valid DNS name."""
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


def wanted_access(directory_mode: str | None) -> Access:
    """Return the wanted access to the file; raise ValueError if *directory_mode* is not the mode of a private directory."""
    return Access(
        uid=os.geteuid(),
        gid=os.getegid(),
        directory_mode=None if directory_mode is None else parse_mode(directory_mode),
    )


def why_exposed(path: str, directory_mode: str | None) -> str:
    """Describe the wrong owner, group or mode of *path* and its directory; "" if they are correct or the file is missing."""
    return explain(exposure(path, wanted_access(directory_mode))) if os.path.exists(path) else ""


def why_wanted(
    run_command: Callable, openssl: str, path: str, names: list[str], renew_days: int, placeholder: bool
) -> str:
    """Return the reason why the file *path* needs a new certificate, "" if its certificate can be used.

    With *placeholder*, any certificate that matches its key can be used.
    """
    found = read_certificate(run_command, path, openssl)
    _status, public_key, _err = run_command([openssl, "pkey", "-in", path, "-pubout"]) if found else (1, "", "")
    return why_unusable(found, public_key) or ("" if placeholder else why_new(found, names, renew_days, time.time()))


def why_unusable(found: Certificate | None, public_key: str) -> str:
    """Return why servers cannot use *found* with the key whose public key is *public_key*, or "" if they can."""
    if found is None:
        return "there is none"
    if not found.public_key or found.public_key != public_key.strip():
        return "the certificate does not match its key"
    return ""


def why_new(found: Certificate, names: list[str], renew_days: int, now: float) -> str:
    """Return the reason why a new self-signed certificate must replace *found*, "" if *found* can stay."""
    if not found.selfsigned:
        return "the certificate is not self-signed"
    if set(found.names) != set(names):
        return "the names have changed"
    if found.expires - now < renew_days * DAY_SECONDS:
        return f"fewer than {renew_days} days are left"
    return ""
