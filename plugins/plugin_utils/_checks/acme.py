# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the ACME variables of a role. The parameter *role* is the prefix of the variable names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.frontend import bundle_problems
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Context, Problem

DIRECTORY = re.compile(r"https://[A-Za-z0-9.\[\]:-]+(?:/[A-Za-z0-9._~/-]*)?")
# certbot would parse an address with a leading dash as an option.
MAIL = re.compile(r"(?!-)[^\s\x00-\x1f\x7f@,]+@[^\s\x00-\x1f\x7f@,]+\.[^\s\x00-\x1f\x7f@,]+")
# certbot's configuration contains the key ID and the HMAC key of the external account binding, one line each.
EAB_KID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~+/=:-]*")
BASE64URL = re.compile(r"[A-Za-z0-9_-]+={0,2}")


def acme_problems(context: Context, role: str, names: Iterable[str]) -> Iterator[Problem]:
    """Yield the problems in the ACME variables, and in the DNS names that the variables *names* contain."""
    options = context.options
    for variable in names:
        for name in options[variable]:
            if name.startswith("*."):
                fault = f"contains {name!r}, and ACME servers issue no wildcard certificates by http-01"
                remedy = f"list the names themselves, or set {role}_tls_provider to 'provided'"
                yield Problem("acme-wildcard", variable, fault, remedy)
    agrees, directory, mail = f"{role}_acme_agree_tos", f"{role}_acme_directory", f"{role}_acme_mail"
    if not options[agrees]:
        remedy = f"read the terms of service of {options[directory]}, and set it to true if you agree"
        yield Problem("acme-terms-not-accepted", agrees, "is false", remedy)
    if not DIRECTORY.fullmatch(options[directory]):
        yield Problem("acme-directory-invalid", directory, f"is {options[directory]!r}")
    if options.get(mail) is not None and not MAIL.fullmatch(options[mail]):
        yield Problem("acme-mail-invalid", mail, f"is {options[mail]!r}")
    yield from _eab_problems(options, role)
    if options.get(f"{role}_acme_ca_bundle") is not None:
        yield from bundle_problems(context, f"{role}_acme_ca_bundle")


def _eab_problems(options: dict[str, Any], role: str) -> Iterator[Problem]:
    kid, key = f"{role}_acme_eab_kid", f"{role}_acme_eab_hmac_key"
    for one, other in ((kid, key), (key, kid)):
        if options.get(one) is not None and options.get(other) is None:
            yield Problem("acme-eab-incomplete", other, f"is not set, but {one} is")
    if options.get(kid) is not None and not EAB_KID.fullmatch(options[kid]):
        yield Problem("acme-eab-invalid", kid, f"is {options[kid]!r}")
    if options.get(key) is not None and not BASE64URL.fullmatch(options[key]):
        yield Problem("acme-eab-invalid", key, "is not base64url")
