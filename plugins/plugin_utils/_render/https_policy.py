# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cipher suites and the HSTS header, which nginx and HAProxy share."""

from __future__ import annotations

from typing import Any

# Mozilla's profile "intermediate" without the DHE suites, which need a parameter file.
INTERMEDIATE = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)


def hsts(provider: str, max_age: int, include_subdomains: bool = False, preload: bool = False) -> str:
    """Return the value of ``Strict-Transport-Security``, or "" if the site must not send the header.

    Browsers that have seen the header offer no exception for a self-signed certificate, so a site with such a certificate omits it.
    """
    if provider == "selfsigned" or max_age == 0:
        return ""
    options = [name for name, wanted in (("includeSubDomains", include_subdomains), ("preload", preload)) if wanted]
    return "; ".join([f"max-age={max_age}", *options])


def https_policy(
    profile: str, provider: str, max_age: int, include_subdomains: bool = False, preload: bool = False
) -> dict[str, Any]:
    """Return the settings of a TLS *profile*, and the value of the HSTS header.

    ``ciphers`` is empty if the profile requires TLS 1.3, whose suites are OpenSSL's defaults.
    """
    return {
        "ciphers": "" if profile == "modern" else ":".join(INTERMEDIATE),
        "hsts": hsts(provider, max_age, include_subdomains, preload),
    }
