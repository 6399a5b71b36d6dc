# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate that nginx uses for a site."""

from __future__ import annotations

import re
from typing import Callable

from ansible_collections.asgi.deploy.plugins.module_utils._tls.openssl import read_certificate

DAY_SECONDS = 24 * 60 * 60


def certificate_path(site: str | None) -> str | None:
    """Return the path of the certificate in the text of a *site*; None if the site has no certificate."""
    found = re.search(r"^\s*ssl_certificate\s+\"?([^\s\";]+)", site or "", re.MULTILINE)
    return found.group(1) if found else None


def describe_certificate(run_command: Callable, path: str | None, now: float) -> dict | None:
    """Return the remaining days, the names and the fingerprint of the certificate in *path*; None if there is none.

    ``shared`` is true if several hosts may have the same certificate. Self-signed certificates are created on each host.
    """
    found = read_certificate(run_command, path) if path else None
    if found is None:
        return None
    return {
        "days": int((found.expires - now) // DAY_SECONDS),
        "names": list(found.names),
        "fingerprint": found.fingerprint or None,
        "shared": not found.selfsigned,
    }
