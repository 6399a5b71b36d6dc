# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read certificates with the program openssl."""

from __future__ import annotations

import os
import re
import ssl
from typing import Callable, NamedTuple

_SHOW = ("-noout", "-subject", "-issuer", "-dates", "-fingerprint", "-sha256", "-ext", "subjectAltName", "-pubkey")


class Certificate(NamedTuple):
    """A certificate; times are in seconds since the epoch."""

    subject: str
    issuer: str
    names: tuple
    starts: float
    expires: float
    fingerprint: str
    public_key: str

    @property
    def selfsigned(self) -> bool:
        return self.subject == self.issuer


def read_certificate(run_command: Callable, path: str, openssl: str = "openssl") -> Certificate | None:
    """Return the first certificate in the file *path*; None if there is none."""
    if not os.path.exists(path):
        return None
    status, out, _err = run_command([openssl, "x509", "-in", path, *_SHOW])
    return None if status else parse_certificate(out)


def parse_certificate(text: str) -> Certificate | None:
    """Parse the output of ``openssl x509`` from OpenSSL 1.1.1 or later; return None if it contains no dates."""

    def line(label: str) -> str:
        found = re.search(rf"^{label} ?= ?(.*)$", text, re.MULTILINE)
        return found[1].strip() if found else ""

    starts, expires = line("notBefore"), line("notAfter")
    if not starts or not expires:
        return None
    key = re.search(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", text, re.DOTALL)
    return Certificate(
        subject=line("subject"),
        issuer=line("issuer"),
        names=tuple(re.findall(r"DNS:([^,\s]+)", text)),
        starts=ssl.cert_time_to_seconds(starts),
        expires=ssl.cert_time_to_seconds(expires),
        fingerprint=line(r"\S+ Fingerprint"),
        public_key=key[0] if key else "",
    )
