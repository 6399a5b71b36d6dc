# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate that nginx uses for a site, as openssl reads it."""

from __future__ import annotations

import os
import re
import ssl
from typing import Callable

DAY = 86400


def certificate_path(site: str | None) -> str | None:
    """Return the path of the certificate in the text of a *site*, None if it names none."""
    found = re.search(r"^\s*ssl_certificate\s+\"?([^\s\";]+)", site or "", re.MULTILINE)
    return found.group(1) if found else None


def read_certificate(run_command: Callable, path: str | None, now: float) -> dict | None:
    """Return when the certificate in *path* expires, the names it is for and what identifies it; None if there is none.

    ``shared`` says whether several hosts could have it: one that signs itself is made on each host.
    """
    if path is None or not os.path.exists(path):
        return None
    status, out, _err = run_command(
        ["openssl", "x509", "-noout", "-enddate", "-subject", "-issuer", "-fingerprint", "-sha256"]
        + ["-ext", "subjectAltName", "-in", path]
    )
    expires = re.search(r"^notAfter=(.+)$", out, re.MULTILINE)
    if status or not expires:
        return None
    days = int((ssl.cert_time_to_seconds(expires.group(1).strip()) - now) // DAY)
    said = dict(re.findall(r"^(subject|issuer|\S+ Fingerprint) ?= ?(.*)$", out, re.MULTILINE))
    return {
        "days": days,
        "names": re.findall(r"DNS:([^,\s]+)", out),
        "fingerprint": next((value for name, value in said.items() if name.endswith("Fingerprint")), None),
        "shared": said.get("subject") != said.get("issuer"),
    }
