# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of what a role takes that gets certificates from an ACME server, whichever it is.

*role* is its name, with which its variables start.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils.checks.edge import bundle_problems
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import Context, Problem

DIRECTORY = re.compile(r"https://[A-Za-z0-9.\[\]:-]+(?:/[A-Za-z0-9._~/-]*)?")
MAIL = re.compile(r"[^\s@,]+@[^\s@,]+\.[^\s@,]+")
EAB_KID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~+/=:-]*")
BASE64URL = re.compile(r"[A-Za-z0-9_-]+={0,2}")


def acme_problems(context: Context, role: str, names: Iterable[str]) -> Iterator[Problem]:
    """Yield the objections to how a certificate is got for the DNS names in the variables *names*."""
    options = context.options
    for variable in names:
        for name in options[variable]:
            if name.startswith("*."):
                yield Problem(
                    variable,
                    f"holds {name!r}, and no ACME server gives a certificate for a wildcard by http-01",
                    f"list the names themselves, or set {role}_tls_provider to 'provided'",
                )
    agrees, directory, mail = f"{role}_acme_agree_tos", f"{role}_acme_directory", f"{role}_acme_mail"
    if not options[agrees]:
        yield Problem(
            agrees,
            "is false",
            f"read the terms of service that {options[directory]} names, and set it to true if you agree",
        )
    if not DIRECTORY.fullmatch(options[directory]):
        yield Problem(
            directory,
            f"is {options[directory]!r}",
            "give the https URL of an ACME directory, such as https://acme-v02.api.letsencrypt.org/directory",
        )
    if options.get(mail) is not None and not MAIL.fullmatch(options[mail]):
        yield Problem(mail, f"is {options[mail]!r}", "give one mail address such as admin@example.org")
    yield from _eab_problems(options, role)
    if options.get(f"{role}_acme_ca_bundle") is not None:
        yield from bundle_problems(context, f"{role}_acme_ca_bundle")


def _eab_problems(options: dict[str, Any], role: str) -> Iterator[Problem]:
    kid, key = f"{role}_acme_eab_kid", f"{role}_acme_eab_hmac_key"
    for one, other in ((kid, key), (key, kid)):
        if options.get(one) is not None and options.get(other) is None:
            yield Problem(
                other, f"is not set, and {one} is", "set both, as the operator of the server gave them, or none"
            )
    # both become a line of certbot's configuration file
    if options.get(kid) is not None and not EAB_KID.fullmatch(options[kid]):
        yield Problem(kid, f"is {options[kid]!r}", "give the identifier as the operator of the server did")
    if options.get(key) is not None and not BASE64URL.fullmatch(options[key]):
        yield Problem(
            key, "is not base64url", "give the key as the operator of the server did: letters, digits, - and _"
        )
