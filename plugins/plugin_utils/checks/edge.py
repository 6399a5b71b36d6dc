# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of what a role that speaks TLS with clients takes, whichever it is: names, ports, certificates, HSTS, and the like.

*role* is its name, with which its variables start.
"""

from __future__ import annotations

import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from ipaddress import ip_network
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils import certificate as certificates
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import Context, Problem

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
SERVER_NAME = re.compile(rf"(?:\*\.{_LABEL}\.)?{_LABEL}(?:\.{_LABEL})*")
SERVER_NAME_LIMIT = 253
HSTS_PRELOAD_AGE = 31536000
VAULT_HEADER = b"$ANSIBLE_VAULT;"


def name_problems(variable: str, names: list[str]) -> Iterator[Problem]:
    for name in names:
        if not SERVER_NAME.fullmatch(name) or len(name) > SERVER_NAME_LIMIT:
            yield Problem(
                variable,
                f"holds {name!r}, which is not a DNS name",
                "write it in lower case, without scheme, port and path, such as app.example.org or *.example.org",
            )
        elif name.rpartition(".")[2].isdigit():
            yield Problem(
                variable,
                f"holds {name!r}, which is an address",
                "give a DNS name: clients send no address in the TLS handshake, so no site can be chosen by it",
            )
    for name in repeated(names):
        yield Problem(variable, f"holds {name!r} more than once", "list it once")


def served_name_problems(options: dict[str, Any], role: str) -> Iterator[Problem]:
    variable = f"{role}_server_names"
    if not options[variable]:
        yield Problem(variable, "is empty", "list the DNS names that clients use, such as app.example.org")
    yield from name_problems(variable, options[variable])


def least_problems(options: dict[str, Any], at_least: dict[str, int]) -> Iterator[Problem]:
    """Yield the objections to numbers that are less than *at_least* says."""
    for variable, least in at_least.items():
        if options[variable] < least:
            yield Problem(variable, f"is {options[variable]}", f"it is {least} or more")


def port_range_problems(options: dict[str, Any], variables: Iterable[str]) -> Iterator[Problem]:
    for variable in variables:
        if not 1 <= options[variable] <= 65535:
            yield Problem(variable, f"is {options[variable]}", "a port is 1 to 65535")


def port_problems(options: dict[str, Any], role: str) -> Iterator[Problem]:
    http, https = options[f"{role}_http_port"], options[f"{role}_https_port"]
    yield from port_range_problems(options, [f"{role}_http_port", f"{role}_https_port"])
    if http == https:
        yield Problem(f"{role}_http_port", f"is {http}, as is {role}_https_port", "give each a port of its own")


def network(address: str):
    """Return the network that *address* names, None if it names none. The bits beyond the mask do not matter to nginx."""
    try:
        return ip_network(address, strict=False)
    except ValueError:
        return None


def address_problems(variable: str, addresses: Iterable[str], where: str = "") -> Iterator[Problem]:
    for address in addresses:
        # a mask written as an address is one for Python, and none for nginx
        if not network(address) or "." in address.partition("/")[2]:
            yield Problem(
                variable,
                f"{where}holds {address!r}, which is neither an address nor a network",
                "write it such as 192.0.2.7, 10.1.0.0/24 or 2001:db8::/32",
            )


def hsts_problems(options: dict[str, Any], role: str) -> Iterator[Problem]:
    age = options[f"{role}_hsts_max_age"]
    if not options[f"{role}_hsts_preload"]:
        return
    if not options[f"{role}_hsts_include_subdomains"] or age < HSTS_PRELOAD_AGE:
        yield Problem(
            f"{role}_hsts_preload",
            "is true, and browsers' list does not take the name like this",
            f"set {role}_hsts_include_subdomains to true and {role}_hsts_max_age to {HSTS_PRELOAD_AGE} or more, "
            f"or leave it out",
        )


def tls_problems(context: Context, role: str, names: list[str], now: datetime) -> Iterator[Problem]:
    """Yield the objections to certificate and key, which must cover *names*, and to their being given for nothing."""
    options, provider = context.options, f"{role}_tls_provider"
    given = {
        part: [form for form in (f"{role}_tls_{part}", f"{role}_tls_{part}_content") if options.get(form)]
        for part in ("certificate", "key")
    }
    if options[provider] != "provided":
        for forms in given.values():
            for form in forms:
                yield Problem(
                    form,
                    f"is set, and {provider} is {options[provider]!r}, which ignores it",
                    f"set {provider} to 'provided', or take it out",
                )
        return

    texts = {}
    for part, forms in given.items():
        file, content = f"{role}_tls_{part}", f"{role}_tls_{part}_content"
        if len(forms) != 1:
            fault = "and its text are both set" if forms else f"is not set, and neither is {content}"
            yield Problem(file, fault, f"{provider} is 'provided': set exactly one of {file} and {content}")
        elif forms == [content]:
            texts[part] = options[content].encode()
        else:
            read, objections = read_file(context, file, secret=part == "key")
            yield from objections
            if read is not None:
                texts[part] = read
    if len(texts) == 2:
        for fault in certificates.faults(texts["certificate"], texts["key"], names, now):
            yield Problem(given[fault.part][0], fault.fault, fault.remedy)


def bundle_problems(context: Context, variable: str) -> Iterator[Problem]:
    """Yield the objections to the controller's file of certificates of authorities that *variable* names."""
    text, objections = read_file(context, variable, secret=False)
    yield from objections
    for fault in certificates.bundle_faults(text) if text is not None else ():
        yield Problem(variable, fault.fault, fault.remedy)


def read_file(context: Context, variable: str, secret: bool) -> tuple[bytes | None, list[Problem]]:
    """Return the content of the controller's file that *variable* names, and the objections to that file."""
    path = context.find(context.options[variable])
    try:
        mode = path.stat().st_mode
        text = path.read_bytes()
    except OSError as exc:
        return None, [
            Problem(variable, f"is {str(path)!r}: {exc.strerror}", "name a file on the controller that you can read")
        ]
    if text.startswith(VAULT_HEADER):
        remedy = (
            f"unset it and set {variable}_content to \"{{{{ lookup('ansible.builtin.file', '{path}') }}}}\", which "
            f"decrypts it"
            if "_tls_" in variable
            else f"ansible-vault decrypt {path}: authorities are no secret"
        )
        return None, [Problem(variable, f"is {str(path)!r}, which ansible-vault encrypted", remedy)]
    if secret and mode & stat.S_IROTH:
        return text, [
            Problem(variable, f"is {str(path)!r}, which everybody on the controller can read", f"chmod 600 {path}")
        ]
    return text, []


def repeated(values: Iterable[Any]) -> list[Any]:
    """Return what is more than once among *values*."""
    return [value for value, count in Counter(values).items() if count > 1]
